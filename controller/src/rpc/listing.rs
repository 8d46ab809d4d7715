//! Listings: made page by page as their callers read them, on threads beside those that serve the others.
//!
//! Who reads slowly holds up his own listings and, for [`READ_WAIT`], one thread. A listing that was not made to its end says so: it never looks
//! like a whole one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use proto::error::refused;
use proto::reason::ErrorReason;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Answers;

/// Pages that may wait for the caller. In memory a page is some four times as large as on the wire.
pub(super) const PAGES_MAX: usize = 2;
/// How long a caller may read nothing while something waits for it.
pub(super) const READ_WAIT: Duration = Duration::from_secs(30);
/// Listings that are made at the same time; further ones wait. Fewer than the runtime has threads for them.
const LISTINGS_MAX: usize = 256;
/// And of one user.
const LISTINGS_OF_ONE_MAX: usize = 32;

static TURNS: Semaphore = Semaphore::const_new(LISTINGS_MAX);
/// Those of users who have a listing.
static TURNS_OF: Mutex<BTreeMap<u32, Arc<Semaphore>>> = Mutex::new(BTreeMap::new());

/// Nobody reads any more.
pub(crate) struct Gone;

/// Where pages go.
pub(super) struct Outlet<T> {
    pages: mpsc::Sender<Result<T, Status>>,
    slow: bool,
}

impl<T> Outlet<T> {
    pub(super) fn new(pages: mpsc::Sender<Result<T, Status>>) -> Outlet<T> {
        Outlet { pages, slow: false }
    }

    /// Hands over the next page, and waits while the caller has enough to read. Not to be called where others are served.
    pub(super) fn put(&mut self, page: Result<T, Status>) -> Result<(), Gone> {
        let page = match self.pages.try_send(page) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(Gone),
            Err(TrySendError::Full(page)) => page,
        };
        let patient = async { tokio::time::timeout(READ_WAIT, self.pages.send(page)).await };
        match Handle::current().block_on(patient) {
            Ok(sent) => sent.map_err(|_| Gone),
            Err(_) => {
                self.slow = true;
                Err(Gone)
            }
        }
    }
}

/// Streams what `make` puts, in the user's turn.
pub(super) fn listing<T: Send + 'static>(
    uid: u32,
    make: impl FnOnce(&mut Outlet<T>) -> Result<(), Gone> + Send + 'static,
) -> Answers<T> {
    let (sender, pages) = mpsc::channel(PAGES_MAX);
    let (end, ended) = oneshot::channel();
    tokio::spawn(async move {
        let turn = tokio::select! {
            turn = turn(uid) => turn,
            () = sender.closed() => return,
        };
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut outlet = Outlet::new(sender);
            // One that broke off has told why, or was slow, or there is nobody left to tell.
            make(&mut outlet).ok();
            end.send(if outlet.slow { Err(slow_reader()) } else { Ok(()) }).ok();
        });
    });
    ending(pages, ended)
}

/// What was put, and then how it ended, if not well: a stream that broke off never looks like a whole one.
pub(super) fn ending<T: Send + 'static>(
    pages: mpsc::Receiver<Result<T, Status>>,
    ended: oneshot::Receiver<Result<(), Status>>,
) -> Answers<T> {
    let last = stream::once(ended).filter_map(|ended| async move {
        match ended {
            Ok(ended) => ended.err().map(Err),
            Err(_) => Some(Err(refused(ErrorReason::Defect, "Unexpected message received", Some("it broke off")))),
        }
    });
    Box::pin(ReceiverStream::new(pages).chain(last))
}

/// What is said to a caller that did not read for [`READ_WAIT`].
pub(super) fn slow_reader() -> Status {
    let detail = format!("nothing was read for {} s while something waited: ask again", READ_WAIT.as_secs());
    refused(ErrorReason::SlowReader, "Resource temporarily unavailable", Some(&detail))
}

async fn turn(uid: u32) -> (OwnedSemaphorePermit, SemaphorePermit<'static>) {
    let own = {
        let mut turns = TURNS_OF.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has no listing and waits for none needs no entry.
        turns.retain(|_, turns| Arc::strong_count(turns) > 1);
        turns.entry(uid).or_insert_with(|| Arc::new(Semaphore::new(LISTINGS_OF_ONE_MAX))).clone()
    };
    // A permit keeps the entry alive.
    let own = own.acquire_owned().await.expect("nobody closes it");
    (own, TURNS.acquire().await.expect("nobody closes it"))
}
