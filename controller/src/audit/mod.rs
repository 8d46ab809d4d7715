//! The audit log: who did what to what, from where, allowed or refused, and when.
//!
//! Every call that changes something leaves a line in `DIR/audit`, and so does every refusal, also at the door; what only reads and is
//! allowed leaves none. It is no journal: a thread of its own writes the lines, nobody waits for the disk, and a power cut may take the last of them.
//! No line holds a secret, a script, an environment or a command line. Start at [`Audit`]; [`recorded`] is how calls get here.

mod files;
mod fold;
mod line;
pub(crate) mod recorded;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tokio::sync::{broadcast, oneshot};

pub use files::AuditError;
pub(crate) use files::Wanted;
pub(crate) use line::{Line, Outcome, Who};

/// Lines that may wait for the writer. When there are as many, further ones are counted and told of as lost.
const WAITING_MAX: usize = 16_384;
/// Lines that somebody who follows the log may be behind; who is further behind is told how many were missed.
const BEHIND_MAX: usize = 1_024;

/// The log; clones write to the same.
#[derive(Clone)]
pub(crate) struct Audit {
    letters: SyncSender<Letter>,
    lost: Arc<AtomicU64>,
    news: broadcast::Sender<Arc<Line>>,
    folder: Arc<Path>,
}

/// Something for the writer.
enum Letter {
    /// A line to write.
    Line(Box<Line>),
    /// Counts are to be written that have not been yet; then the time of the last line is told.
    Settle(oneshot::Sender<i64>),
    /// The controller stops.
    Stop,
}

impl Audit {
    /// Opens the log in this folder, making it if there is none; the handle is the writer's thread, which [`Audit::stop`] ends.
    ///
    /// # Errors
    /// With the file that cannot be used.
    pub(crate) fn open(folder: PathBuf) -> Result<(Audit, JoinHandle<()>), AuditError> {
        let files = files::Files::open(&folder)?;
        let (letters, mailbox) = sync_channel(WAITING_MAX);
        let (lost, news) = (Arc::new(AtomicU64::new(0)), broadcast::Sender::new(BEHIND_MAX));
        let writer = writer::Writer::new(files, lost.clone(), news.clone());
        let thread = std::thread::Builder::new().name("audit".into());
        let thread = thread.spawn(move || writer.run(&mailbox)).map_err(AuditError::Thread)?;
        Ok((Audit { letters, lost, news, folder: folder.into() }, thread))
    }

    /// Adds a line, and never waits.
    pub(crate) fn add(&self, line: Line) {
        match self.letters.try_send(Letter::Line(Box::new(line))) {
            // Without its writer the controller is about to end.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Waits until all that was added so far is in the files, and gives a time up to which all lines are, and none that comes later.
    pub(crate) async fn settled(&self) -> Option<i64> {
        let (told, settled) = oneshot::channel();
        let letters = self.letters.clone();
        tokio::task::spawn_blocking(move || letters.send(Letter::Settle(told)).ok()).await.ok()??;
        settled.await.ok()
    }

    /// What is written from now on.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<Line>> {
        self.news.subscribe()
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> Arc<Path> {
        self.folder.clone()
    }

    /// Lets the writer write what waits, and end.
    pub(crate) fn stop(&self) {
        self.letters.send(Letter::Stop).ok();
    }
}

#[cfg(test)]
impl Audit {
    /// A log that nobody writes.
    pub(crate) fn unwritten() -> Audit {
        let (letters, _) = sync_channel(1);
        let folder = Path::new("/nonexistent").into();
        Audit { letters, lost: Arc::default(), news: broadcast::Sender::new(1), folder }
    }
}
