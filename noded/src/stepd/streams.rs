//! The streams of tasks: from their pipes to srun, and from srun to their pipes.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::time::Duration;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use proto::v1::StepInput;
use proto::v1::step_said::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::voice::Voice;

/// What is read of a pipe at a time: all that one holds.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces of input that wait for one task, each of at most what srun reads at a time.
const QUEUED_PIECES_MAX: usize = 16;
/// A task is gone and somebody else holds its pipe: what comes later than this after the last bytes is not waited for.
const DRAIN_WAIT: Duration = Duration::from_millis(100);

/// Says what comes out of a pipe until its end, or until its task is gone and nothing more comes.
pub(super) async fn carry(
    pipe: PipeReader,
    said: impl Fn(Vec<u8>) -> Kind,
    voice: Arc<Voice>,
    mut is_gone: watch::Receiver<bool>,
) {
    let Ok(mut pipe) = Receiver::from_owned_fd(OwnedFd::from(pipe)) else { return };
    let mut gone = false;
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    loop {
        piece.clear();
        let read = tokio::select! {
            read = pipe.read_buf(&mut piece) => read,
            // Also when nobody can tell any more.
            _ = is_gone.wait_for(|gone| *gone), if !gone => {
                gone = true;
                continue;
            }
            () = tokio::time::sleep(DRAIN_WAIT), if gone => return,
        };
        match read {
            Ok(0) | Err(_) => return,
            // No more is kept than was read: many tasks write a line at a time.
            Ok(_) => voice.say(said(piece.as_slice().into())).await,
        }
    }
}

/// Gives the tasks what they are to read, in its order, and tells how far it was taken. The end of it, or of the sender, closes
/// their pipes. A task that does not read holds up the others of its node only once [`QUEUED_PIECES_MAX`] wait for it.
pub(super) async fn feed(mut inputs: mpsc::Receiver<StepInput>, writers: Vec<PipeWriter>, voice: Arc<Voice>) {
    let open = |writer: PipeWriter| Sender::from_owned_fd(OwnedFd::from(writer)).ok();
    // They end with this.
    let mut writing = JoinSet::new();
    let mut queues: Vec<mpsc::Sender<Bytes>> = Vec::new();
    for writer in writers.into_iter().filter_map(open) {
        let (queue, queued) = mpsc::channel(QUEUED_PIECES_MAX);
        writing.spawn(write(writer, queued));
        queues.push(queue);
    }
    while let Some(input) = inputs.recv().await {
        let bytes = Bytes::from(input.bytes);
        let sending = queues.iter().map(|queue| queue.send(bytes.clone()));
        // A task that reads no more is not written to any more.
        let mut sent = join_all(sending).await.into_iter();
        queues.retain(|_| sent.next().is_some_and(|sent| sent.is_ok()));
        voice.took_input(input.seq);
        if input.end {
            queues.clear();
        }
    }
    queues.clear();
    while writing.join_next().await.is_some() {}
}

/// Writes into one task's pipe, until its end or the task's.
async fn write(mut writer: Sender, mut queued: mpsc::Receiver<Bytes>) {
    while let Some(bytes) = queued.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};

    use super::*;

    #[tokio::test]
    async fn a_task_that_does_not_read_leaves_the_others_their_input() {
        let (_silent, to_silent) = pipe().expect("a pipe");
        let (mut reads, to_reads) = pipe().expect("a pipe");
        let (input, inputs) = mpsc::channel(1);
        let voice = Arc::new(Voice::new());
        let feeding = tokio::spawn(feed(inputs, vec![to_silent, to_reads], voice.clone()));
        let pieces: u64 = 4;
        let reading = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            reads.read_to_end(&mut all).map(|_| all.len())
        });
        for seq in 1..=pieces {
            let end = seq == pieces;
            input.send(StepInput { seq, bytes: vec![b'x'; PIECE_BYTES], end }).await.expect("it is taken");
        }
        let read = reading.await.expect("no panic").expect("read to its end");
        assert_eq!(
            (read, voice.input_received()),
            (4 * PIECE_BYTES, pieces),
            "more than the pipe of the silent one holds"
        );
        assert!(!feeding.is_finished(), "the rest waits for the silent one");
        feeding.abort();
    }
}
