//! A task with a row of its own: one that runs, waits apart from the rest of its job, or is done.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, Name, Timestamp};
use crate::reason::{Ending, Outcome, Reason, StopWhy};
use crate::resources::{Amount, Share};
use crate::signals::Signals;
use crate::spec::index_set::IndexSet;
use crate::terms::{Hold, Terms};

/// A task with a row of its own that is not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its own number.
    pub id: JobId,
    /// Attempts made so far.
    pub attempts: u32,
    /// How far it is.
    pub state: TaskState,
    /// What it has instead of its job's terms, holds and times.
    pub own: Option<Arc<Own>>,
    /// Where it was started; of one that never was, and of one that waits again, nothing.
    pub partition: Option<Name>,
    /// How long its newest attempt has been suspended altogether, in milliseconds.
    pub paused_ms: u64,
    /// How often it was tried again because it failed (`--retries`).
    pub retried: u32,
    /// What its newest attempt was sent.
    #[serde(default)]
    pub signals: Signals,
    /// Its newest attempt is ended by its nodes when their lease is over ([`crate::lease`]).
    #[serde(default)]
    pub leased: bool,
}

/// What one task has instead of its job's: since it was held, requeued or changed by itself, or since its job was changed while
/// it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Own {
    /// Its own terms; `None` for its job's.
    pub terms: Option<Arc<Terms>>,
    /// Who holds it.
    pub held: Option<Hold>,
    /// It does not start before; gone when it has passed.
    pub begin: Option<Timestamp>,
    /// Why it waits.
    pub reason: Reason,
}

/// Where a task is between the queue and its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TaskState {
    /// Waiting: again after an attempt, or for the first time with something of its own.
    Pending {
        /// Since when.
        since: Timestamp,
    },
    /// Given to its nodes.
    Running {
        /// Since when.
        since: Timestamp,
        /// What it holds; the first share's node runs the batch process.
        shares: Arc<[Share]>,
    },
    /// Stopped in its tracks: its CPUs are free for others, its memory is not.
    Suspended {
        /// Running since.
        since: Timestamp,
        /// Suspended since.
        at: Timestamp,
        /// What it holds meanwhile.
        shares: Arc<[Share]>,
        /// What it holds again once it is resumed.
        full: Arc<[Share]>,
    },
    /// Told to stop; its processes are going away.
    Finishing {
        /// Running since.
        since: Timestamp,
        /// What it still holds.
        shares: Arc<[Share]>,
        /// Why it stops.
        why: StopWhy,
        /// When it was told.
        stopped: Timestamp,
    },
    /// Its batch process is over, and steps of it are still going away.
    Closing {
        /// Running since.
        since: Timestamp,
        /// What it still holds.
        shares: Arc<[Share]>,
        /// When its batch process ended.
        ended: Timestamp,
        /// What becomes of it then.
        verdict: Verdict,
    },
}

/// What becomes of an attempt whose batch process is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// Its task is done.
    Ended {
        /// How it ended.
        outcome: Outcome,
        /// What its batch process used.
        usage: Usage,
    },
    /// Its task waits again.
    Requeued {
        /// It does not start before.
        until: Option<Timestamp>,
        /// Who holds it from then on.
        hold: Option<Hold>,
        /// It failed, and this is one of its retries.
        failed: bool,
    },
}

impl TaskState {
    /// What it holds on its nodes; `None` while it waits.
    #[must_use]
    pub fn shares(&self) -> Option<&Arc<[Share]>> {
        match self {
            TaskState::Pending { .. } => None,
            TaskState::Running { shares, .. }
            | TaskState::Suspended { shares, .. }
            | TaskState::Finishing { shares, .. }
            | TaskState::Closing { shares, .. } => Some(shares),
        }
    }
}

/// What an attempt keeps while it is suspended: all but its CPUs.
#[must_use]
pub fn without_cpus(shares: &[Share]) -> Arc<[Share]> {
    let kept = |share: &Share| Share { amount: Amount { cpus: Default::default(), ..share.amount }, ..share.clone() };
    shares.iter().map(kept).collect()
}

/// A task that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Its own number.
    pub id: JobId,
    /// Attempts made.
    pub attempts: u32,
    /// When its last attempt started; `None` when it never did.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Timestamp,
    /// Where its last attempt ran.
    pub shares: Arc<[Share]>,
    /// How it ended.
    pub outcome: Outcome,
    /// What its processes used.
    pub usage: Usage,
    /// Its own terms, where they were not its job's.
    pub terms: Option<Arc<Terms>>,
    /// Where its last attempt was started.
    pub partition: Option<Name>,
    /// How long its last attempt was suspended altogether, in milliseconds.
    pub paused_ms: u64,
}

/// Tasks that ended while they waited together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedTasks {
    /// Which.
    pub tasks: IndexSet,
    /// Those of them that ended last: where nothing waits any more, the list that the remainder had.
    pub last: IndexSet,
    /// How the last ended.
    pub ending: Ending,
    /// When the last ended.
    pub at: Timestamp,
}

/// What an attempt used, by the operating system's account, and what it moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// User CPU time in microseconds.
    pub user_us: u64,
    /// System CPU time in microseconds.
    pub system_us: u64,
    /// The largest resident set of one process, in KiB.
    pub rss_kib_max: u64,
    /// Bytes of blobs read.
    pub bytes_in: u64,
    /// Bytes of blobs written.
    pub bytes_out: u64,
}
