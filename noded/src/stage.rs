//! Blobs in and out: the work folder of a mapped command, and the pipeline that fetches, converts and publishes.
//!
//! Bytes in flight are bounded, not blobs: a fetch waits for room for the blob, a conversion for the memory that the
//! picture's header announces. Whoever waits for the second holds only the first, so the two cannot wait for each other.

mod carry;
mod convert;
mod folder;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blobs::{BlobError, BlobName, BlobStore, Courier, Environment};
use proto::link::MapUrls;
use sched::ids::AttemptKey;
use sched::reason::Exit;
use sched::reconcile::{AttemptEnd, How};
use sched::spec::output_name::OutputNameError;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

pub use carry::StoreAuth;
pub use folder::WorkFolder;

use crate::clock;
use crate::login::{Logins, Variables};
use crate::roster::{Ends, Job};
use crate::signatures::{Refused, Signatures};

/// Results that may wait for the main loop; a finished transfer waits for room.
const RESULTS_MAX: usize = 1_024;
/// The unit in which memory is handed out.
const ROOM_UNIT_BYTES: u64 = 1024;

/// What became of a piece of work.
#[derive(Debug)]
pub enum Moved {
    /// The blob is in the work folder; or why not.
    Staged(AttemptKey, Option<AttemptEnd>),
    /// The operation is done or the output published, or why not.
    Done(AttemptKey, AttemptEnd),
}

/// Fetches, converts and publishes; results come out of the receiver that [`Pipeline::new`] gave.
pub struct Pipeline {
    shared: Arc<Shared>,
    under_way: BTreeMap<AttemptKey, oneshot::Sender<()>>,
    results: mpsc::Sender<Moved>,
}

/// How this node gets at blobs.
#[derive(Debug)]
pub struct Access {
    /// Who lets it.
    pub auth: StoreAuth,
    /// Its own keys, where it is to use them.
    pub environment: Environment,
    /// Where signed URLs come from.
    pub signatures: Signatures,
    /// Who uses them.
    pub courier: Courier,
}

/// What all pieces of work share.
struct Shared {
    folder: PathBuf,
    auth: StoreAuth,
    environment: Environment,
    signatures: Signatures,
    courier: Courier,
    stores: Mutex<BTreeMap<String, BlobStore>>,
    fetched: Room,
    working: Room,
    pool: rayon::ThreadPool,
    logins: Logins,
    /// Until when what may run elsewhere may publish, by the clock of the machine; the highest number is for ever.
    lease_until_ms: AtomicU64,
}

/// Memory to be handed out.
struct Room {
    permits: Arc<Semaphore>,
    bytes_max: u64,
}

/// Why a blob could not be moved or converted. The text ends up beside the task, so it names the blob.
#[derive(Debug, Error)]
enum MoveError {
    #[error("the task has no blob: its map's list and its index do not fit")]
    NoBlob,
    #[error("{source}{}", hint(source))]
    Store { source: BlobError },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{blob}: {bytes} bytes are more than this node's {bytes_max} for blobs in flight; give it more memory")]
    TooLarge { blob: String, bytes: u64, bytes_max: u64 },
    #[error("{blob}: {source}")]
    Op { blob: String, source: ops::OpError },
    #[error(transparent)]
    UnknownOp(#[from] ops::UnknownOp),
    #[error("the output's name: {0}")]
    OutputName(#[from] OutputNameError),
    #[error("{blob}: the command ended well and made no {}", path.display())]
    NoOutput { blob: String, path: PathBuf },
    #[error("{}: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("the node was cut off for longer than its lease: the task may run elsewhere")]
    LeaseOver,
    #[error("{blob}: the conversion broke off; the log of this node says more")]
    Broken { blob: String },
}

fn hint(error: &BlobError) -> String {
    error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default()
}

impl From<BlobError> for MoveError {
    fn from(source: BlobError) -> MoveError {
        MoveError::Store { source }
    }
}

impl Room {
    fn new(bytes_max: u64) -> Room {
        let units = usize::try_from(bytes_max / ROOM_UNIT_BYTES).unwrap_or(Semaphore::MAX_PERMITS);
        Room { permits: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))), bytes_max }
    }

    /// Waits for room; the caller has made sure that it is not more than there is.
    async fn take(&self, bytes: u64) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.min(self.bytes_max) / ROOM_UNIT_BYTES).unwrap_or(u32::MAX);
        self.permits.clone().acquire_many_owned(units).await.expect("the room is never closed")
    }
}

impl Pipeline {
    /// A pipeline with its claims and work folders under `folder`, that converts on `threads` threads and holds at most
    /// `memory_bytes_max` of blobs and pictures.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn new(
        folder: PathBuf,
        access: Access,
        threads: usize,
        memory_bytes_max: u64,
    ) -> Result<(Pipeline, mpsc::Receiver<Moved>), rayon::ThreadPoolBuildError> {
        let Access { auth, environment, signatures, courier } = access;
        ops::memory::keep_freed();
        let name = |i| format!("op-{i}");
        // A panic in a decoder fails its own task: the sender of its result is dropped.
        let on_panic = |_| tracing::error!("an operation has panicked");
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).panic_handler(on_panic).build()?;
        let shared = Shared {
            folder,
            auth,
            environment,
            signatures,
            courier,
            stores: Mutex::new(BTreeMap::new()),
            fetched: Room::new(memory_bytes_max / 4),
            working: Room::new(memory_bytes_max / 2),
            pool,
            logins: Logins::default(),
            lease_until_ms: AtomicU64::new(u64::MAX),
        };
        let (results, moved) = mpsc::channel(RESULTS_MAX);
        Ok((Pipeline { shared: Arc::new(shared), under_way: BTreeMap::new(), results }, moved))
    }

    /// Runs an operation from blob to blob.
    pub fn convert(&mut self, job: Job) {
        let (shared, limit) = (self.shared.clone(), job.brief.time_limit.seconds());
        let key = job.key();
        self.spawn(key, limit, async move { convert::convert(&shared, &job).await }, Moved::Done);
    }

    /// Fetches the attempt's blob into its work folder, and what a login sets.
    pub fn stage(&mut self, job: Job) {
        let (shared, key) = (self.shared.clone(), job.key());
        let staged = |key, end: AttemptEnd| {
            let good = end.how == How::Exited(Exit::default());
            Moved::Staged(key, (!good).then_some(end))
        };
        self.spawn(key, None, async move { convert::stage(&shared, &job).await }, staged);
    }

    /// Publishes what the attempt's process has made.
    pub fn publish(&mut self, job: Job) {
        let (shared, key) = (self.shared.clone(), job.key());
        self.spawn(key, None, async move { convert::publish(&shared, &job).await }, Moved::Done);
    }

    /// The node's lease holds until then, or for ever.
    pub fn hold_until(&self, until_ms: Option<u64>) {
        self.shared.lease_until_ms.store(until_ms.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Gives up what is under way for an attempt.
    pub fn abandon(&mut self, key: AttemptKey) {
        // A sender that is dropped tells the same as one that has sent.
        self.under_way.remove(&key);
    }

    /// The work folder of an attempt.
    #[must_use]
    pub fn work_folder(&self, job: &Job) -> Option<WorkFolder> {
        job.brief.map.as_ref()?;
        self.shared.work_folder(job).ok()
    }

    /// What a login of the attempt's user sets, where it is to have that.
    #[must_use]
    pub fn login(&self, job: &Job) -> Option<Arc<Variables>> {
        job.brief.login_environment.then(|| self.shared.logins.last(job.brief.user.uid))
    }

    /// Drops the claim and the work folder of an attempt.
    pub fn drop_attempt(&mut self, key: AttemptKey) {
        self.under_way.remove(&key);
        folder::drop_attempt(&self.shared.folder, key);
    }

    /// What an earlier life of noded left behind: operations that were under way, and mapped commands.
    #[must_use]
    pub fn left_behind(&self) -> folder::LeftBehind {
        folder::left_behind(&self.shared.folder)
    }

    fn spawn(
        &mut self,
        key: AttemptKey,
        limit_s: Option<u64>,
        work: impl Future<Output = Result<AttemptEnd, MoveError>> + Send + 'static,
        tell: impl FnOnce(AttemptKey, AttemptEnd) -> Moved + Send + 'static,
    ) {
        let (abandon, abandoned) = oneshot::channel::<()>();
        self.under_way.insert(key, abandon);
        let results = self.results.clone();
        tokio::spawn(async move {
            let limit = async {
                match limit_s {
                    Some(limit) => tokio::time::sleep(Duration::from_secs(limit)).await,
                    None => std::future::pending().await,
                }
            };
            let end = tokio::select! {
                moved = work => moved.unwrap_or_else(|error| AttemptEnd::failed(error.to_string())),
                _ = abandoned => AttemptEnd::terminated(),
                () = limit => AttemptEnd { how: How::TimedOut(Exit { code: 0, signal: 15 }), ..AttemptEnd::terminated() },
            };
            // The main loop is gone only when the whole process is about to go.
            results.send(tell(key, end)).await.ok();
        });
    }
}

impl Shared {
    /// The map of an attempt, and the blob that it reads.
    fn source<'a>(&self, job: &'a Job) -> Result<(&'a MapUrls, BlobName), MoveError> {
        let map = job.brief.map.as_ref().ok_or(MoveError::NoBlob)?;
        let blob = job.task.blob.as_deref().ok_or(MoveError::NoBlob)?;
        Ok((map, BlobName::new(blob)?))
    }

    /// Fails when the attempt may run elsewhere by now: nothing of it may appear any more.
    fn check_lease(&self, job: &Job) -> Result<(), MoveError> {
        let holds = clock::boot_ms() < self.lease_until_ms.load(Ordering::Relaxed);
        if holds || !job.brief.requeue { Ok(()) } else { Err(MoveError::LeaseOver) }
    }

    fn work_folder(&self, job: &Job) -> Result<WorkFolder, MoveError> {
        let (map, blob) = self.source(job)?;
        let output = self.output_name(job, map, &blob)?;
        Ok(WorkFolder::of(&self.folder, job.key(), blob.as_str(), output.as_str()))
    }
}
