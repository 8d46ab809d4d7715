//! `Backup`: the file of `covey backup`, made of one published state while the controller goes on.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use proto::error::refused;
use proto::reason::ErrorReason;
use proto::v1;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::{info, warn};

use super::{Answers, Desk};
use crate::backup::{BackupError, Moment, save};
use crate::clock;
use crate::driver::{BlobsKept, Durable};

/// Bytes of a piece.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that may wait for the caller.
const PIECES_MAX: usize = 4;
/// A caller that takes no piece for so long has gone: blobs are not kept for it any longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a state is taken anew whose blobs were already on their way out.
const TRIES_MAX: usize = 10;
/// A commit that is under way is over by then.
const COMMIT_WAIT: Duration = Duration::from_secs(2);

/// One backup at a time: each reads all that there is.
static TURN: Semaphore = Semaphore::const_new(1);

pub(super) fn backup(desk: &Desk, request: v1::BackupRequest) -> Result<Answers<v1::BackupPart>, Status> {
    let turn = TURN.try_acquire().map_err(|_| {
        refused(ErrorReason::Busy, "Requested operation is presently disabled", Some("another backup is being made"))
    })?;
    let (sender, parts) = mpsc::channel(PIECES_MAX);
    let desk = desk.clone();
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut pieces = Pieces { sender, runtime, piece: Vec::with_capacity(PIECE_BYTES) };
        let last = match write(&desk, !request.plain, &mut pieces) {
            Ok(summary) => {
                info!(sequence = summary.sequence, jobs = summary.jobs, history = summary.history_rows, "backup");
                Ok(v1::BackupPart { piece: std::mem::take(&mut pieces.piece).into(), summary: Some(summary) })
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "a backup failed");
                Err(refused(ErrorReason::Storage, "Unable to read the state", Some(&error.to_string())))
            }
        };
        // A caller that has gone needs no end.
        pieces.send(last).ok();
    });
    Ok(Box::pin(ReceiverStream::new(parts)))
}

fn write(desk: &Desk, pack: bool, out: &mut Pieces) -> Result<v1::BackupSummary, BackupError> {
    let (kept, Durable { cluster, sequence }) = take_state(desk, &out.runtime)?;
    let config = desk.config.load_full();
    let (name, epoch) = (config.settings.cluster_name.as_str(), desk.epoch);
    let moment = Moment { cluster: &cluster, name, at: clock::now(), sequence, epoch };
    Ok(save(&moment, &*desk.journal, out, pack, false, || drop(kept))?.summary(sequence))
}

/// A state whose blobs are all there. A commit that was under way when blobs came to be kept may still drop some; then the state
/// that it publishes will do.
fn take_state(desk: &Desk, runtime: &Handle) -> Result<(BlobsKept, Durable), BackupError> {
    let kept = desk.published.keep_blobs();
    let mut changes = desk.published.changes();
    for _ in 0..TRIES_MAX {
        changes.mark_unchanged();
        let durable = desk.published.durable();
        let missing = durable.cluster.blobs().find(|(_, hash)| !matches!(desk.journal.get_blob(hash), Ok(Some(_))));
        let Some((job, hash)) = missing else { return Ok((kept, durable)) };
        if runtime.block_on(tokio::time::timeout(COMMIT_WAIT, changes.changed())).is_err() {
            return Err(BackupError::BlobMissing { job: job.0, hash: hash.to_string() });
        }
    }
    Err(BackupError::Restless)
}

/// Cuts what is written into pieces for the caller.
struct Pieces {
    sender: mpsc::Sender<Result<v1::BackupPart, Status>>,
    runtime: Handle,
    piece: Vec<u8>,
}

impl Pieces {
    fn send(&self, part: Result<v1::BackupPart, Status>) -> io::Result<()> {
        let sent = self.runtime.block_on(tokio::time::timeout(PATIENCE, self.sender.send(part)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the caller has gone")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the caller takes nothing any more")),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        while self.piece.len() >= PIECE_BYTES {
            let rest = self.piece.split_off(PIECE_BYTES);
            let piece: Bytes = std::mem::replace(&mut self.piece, rest).into();
            self.send(Ok(v1::BackupPart { piece, summary: None }))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
