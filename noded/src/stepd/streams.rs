//! The streams of tasks: from their pipes to srun, and from srun to their pipes.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::time::Duration;

use std::sync::Arc;

use futures::future::join_all;
use proto::v1::StepInput;
use proto::v1::step_said::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{mpsc, watch};

use super::voice::Voice;

/// What is read of a pipe at a time: all that one holds.
const PIECE_BYTES: usize = 64 << 10;
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
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
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
            Ok(_) => voice.say(said(piece)).await,
        }
    }
}

/// Gives the tasks what they are to read, in its order, and tells how far they are. The end of it, or of the sender, closes
/// their pipes.
pub(super) async fn feed(mut inputs: mpsc::Receiver<StepInput>, writers: Vec<PipeWriter>, voice: Arc<Voice>) {
    let open = |writer: PipeWriter| Sender::from_owned_fd(OwnedFd::from(writer)).ok();
    let mut writers: Vec<Sender> = writers.into_iter().filter_map(open).collect();
    while let Some(input) = inputs.recv().await {
        let writing = writers.iter_mut().map(|writer| writer.write_all(&input.bytes));
        // A task that reads no more is not written to any more.
        let mut written = join_all(writing).await.into_iter();
        writers.retain(|_| written.next().is_some_and(|written| written.is_ok()));
        voice.took_input(input.seq);
        if input.end {
            writers.clear();
        }
    }
}
