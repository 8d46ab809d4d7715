//! What the tasks are to read: taken from srun's own input by a thread, and kept until they have it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::thread;

use proto::v1::StepInput;
use tokio::sync::mpsc;

/// What is read at a time.
const PIECE_BYTES: usize = 32 << 10;
/// Pieces on their way to the tasks; more is not read before they have some of it.
const UNRECEIVED_MAX: usize = 32;

/// The input of a step.
pub(super) struct Input {
    pieces: mpsc::Receiver<Vec<u8>>,
    sent: VecDeque<StepInput>,
    seq_last: u64,
    ended: bool,
}

impl Input {
    /// Reads srun's own input.
    pub(super) fn own() -> Input {
        Input::reading(io::stdin())
    }

    /// Reads a file.
    pub(super) fn file(path: &Path) -> io::Result<Input> {
        Ok(Input::reading(File::open(path)?))
    }

    /// None: the nodes see to it.
    pub(super) fn none() -> Input {
        let (_, pieces) = mpsc::channel(1);
        Input { pieces, sent: VecDeque::new(), seq_last: 0, ended: true }
    }

    fn reading(mut source: impl Read + Send + 'static) -> Input {
        let (sender, pieces) = mpsc::channel(1);
        thread::spawn(move || {
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                // What cannot be read has ended.
                let count = source.read(&mut piece).unwrap_or(0);
                piece.truncate(count);
                if sender.blocking_send(piece).is_err() || count == 0 {
                    return;
                }
            }
        });
        Input { pieces, sent: VecDeque::new(), seq_last: 0, ended: false }
    }

    /// Whether more may be taken from it.
    pub(super) fn has_room(&self) -> bool {
        !self.ended && self.sent.len() < UNRECEIVED_MAX
    }

    /// The next piece.
    pub(super) async fn next(&mut self) -> StepInput {
        let bytes = self.pieces.recv().await.unwrap_or_default();
        self.seq_last += 1;
        self.ended = bytes.is_empty();
        let piece = StepInput { seq: self.seq_last, end: self.ended, bytes };
        self.sent.push_back(piece.clone());
        piece
    }

    /// The tasks have everything up to this piece.
    pub(super) fn on_received(&mut self, seq: u64) {
        while self.sent.front().is_some_and(|piece| piece.seq <= seq) {
            self.sent.pop_front();
        }
    }

    /// What has to be said again after a broken stream.
    pub(super) fn unreceived(&self) -> impl Iterator<Item = StepInput> + '_ {
        self.sent.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn input_is_numbered_and_kept_until_it_has_come() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("in");
        std::fs::write(&path, vec![b'x'; PIECE_BYTES + 1]).expect("written");
        let mut input = Input::file(&path).expect("there");
        let mut lengths = Vec::new();
        while input.has_room() {
            let piece = input.next().await;
            lengths.push((piece.seq, piece.bytes.len(), piece.end));
        }
        assert_eq!(lengths, [(1, PIECE_BYTES, false), (2, 1, false), (3, 0, true)]);
        input.on_received(1);
        assert_eq!(input.unreceived().map(|piece| piece.seq).collect::<Vec<_>>(), [2, 3]);
    }
}
