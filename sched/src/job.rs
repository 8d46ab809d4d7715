//! A job: its spec, the set of tasks that still wait together, and one row for each task that runs, differs or is done.
//!
//! A plain job is an array of one task with index 0. A pending array is one record however many tasks it has;
//! start reading at [`Job`].

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::depend::Waits;
use crate::ids::{AttemptKey, JobId, Name, NodeId, Timestamp};
use crate::reason::{Ending, Outcome, Reason, StopWhy};
use crate::resources::Share;
use crate::spec::duration::TimeLimit;
use crate::spec::index_set::IndexSet;
use crate::spec::job::JobSpec;

/// What was submitted, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The number that `sbatch` printed.
    pub id: JobId,
    /// What was asked for.
    pub spec: Arc<JobSpec>,
    /// The partition it waits or runs in.
    pub partition: Name,
    /// The time limit of each attempt.
    pub time_limit: TimeLimit,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// Its place in the queue: higher goes first.
    pub priority: u32,
    /// The tasks that wait and have no row of their own.
    pub pending: IndexSet,
    /// The tasks that wait for their counterparts in another array.
    pub blocked: IndexSet,
    /// The tasks that wait for what can never be.
    pub hopeless: IndexSet,
    /// What the job waits for before anything of it may start.
    pub waits: Option<Waits>,
    /// Nothing of it starts before; gone when it has passed.
    pub begin: Option<Timestamp>,
    /// Why they wait.
    pub reason: Reason,
    /// Whether a user holds what is pending.
    pub held: bool,
    /// Rows of the tasks that run, or that wait with a history of their own.
    pub tasks: OrdMap<u32, Task>,
    /// Those of `tasks` that wait: requeued ones.
    pub requeued: IndexSet,
    /// Rows of the tasks that are done.
    pub done: OrdMap<u32, Done>,
    /// The tasks that were cancelled before they had a row.
    pub cancelled: Option<CancelledTasks>,
    /// How many tasks ended how.
    pub tally: Tally,
    /// Whether one of its tasks has been given the job's own number.
    pub own_id_taken: bool,
    /// When the last task ended.
    pub ended: Option<Timestamp>,
}

/// A task with a row of its own that is not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its own number.
    pub id: JobId,
    /// Attempts made so far.
    pub attempts: u32,
    /// How far it is.
    pub state: TaskState,
}

/// Where a task is between the queue and its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TaskState {
    /// Waiting again, after an attempt that was lost.
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
}

impl TaskState {
    /// What it holds on its nodes; `None` while it waits.
    #[must_use]
    pub fn shares(&self) -> Option<&Arc<[Share]>> {
        match self {
            TaskState::Pending { .. } => None,
            TaskState::Running { shares, .. } | TaskState::Finishing { shares, .. } => Some(shares),
        }
    }
}

/// A task that has ended for good.
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
}

/// Tasks that were cancelled while they waited together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CancelledTasks {
    /// Which.
    pub tasks: IndexSet,
    /// Those of them that were cancelled last: where nothing waits any more, the list that the remainder had.
    pub last: IndexSet,
    /// The user who cancelled last.
    pub uid: u32,
    /// When the last were cancelled.
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

/// How many tasks of a job ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Ended COMPLETED.
    pub completed: u32,
    /// Ended any other way that is no cancel.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
    /// The highest [`Outcome::wait_status`] so far.
    pub wait_status: u8,
}

impl Tally {
    /// Counts one end.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome.ending {
            Ending::Completed => self.completed += 1,
            Ending::Cancelled(_) => self.cancelled += 1,
            Ending::Failed
            | Ending::LaunchFailed
            | Ending::Timeout
            | Ending::NodeFail
            | Ending::OutOfMemory
            | Ending::Deadline => self.failed += 1,
        }
        self.wait_status = self.wait_status.max(outcome.wait_status());
    }

    /// All ends together.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.completed + self.failed + self.cancelled
    }
}

impl Job {
    /// Tasks that may start as far as they themselves go: those without a row and those requeued.
    #[must_use]
    pub fn pending_count(&self) -> u64 {
        self.pending.len() + self.requeued.len()
    }

    /// All tasks that wait, whatever for.
    #[must_use]
    pub fn waiting_count(&self) -> u64 {
        self.pending_count() + self.blocked.len() + self.hopeless.len()
    }

    /// All tasks that wait, whatever for.
    #[must_use]
    pub fn waiting_tasks(&self) -> IndexSet {
        let mut all = self.pending.clone();
        for more in [&self.requeued, &self.blocked, &self.hopeless] {
            all.union_with(more);
        }
        all
    }

    /// Whether the task with this index waits.
    #[must_use]
    pub fn waits_with(&self, index: u32) -> bool {
        [&self.pending, &self.requeued, &self.blocked, &self.hopeless].iter().any(|set| set.contains(index))
    }

    /// Why its tasks wait, in one word: what keeps all of them comes before what keeps the next one.
    #[must_use]
    pub fn waiting_reason(&self) -> Reason {
        match &self.waits {
            Some(waits) if waits.are_hopeless() => Reason::DependencyNeverSatisfied,
            _ if self.held => Reason::JobHeldUser,
            Some(waits) if waits.hold_all() => Reason::Dependency,
            _ if self.begin.is_some() => Reason::BeginTime,
            _ if self.pending_count() > 0 => self.reason,
            _ if self.blocked.is_empty() => Reason::DependencyNeverSatisfied,
            _ => Reason::Dependency,
        }
    }

    /// Tasks that hold resources.
    #[must_use]
    pub fn running_count(&self) -> u64 {
        self.tasks.len() as u64 - self.requeued.len()
    }

    /// Whether every task is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.waiting_count() == 0 && self.tasks.is_empty()
    }

    /// Whether it has, or had, any of these tasks.
    #[must_use]
    pub fn has_any(&self, tasks: &IndexSet) -> bool {
        let mut waiting = self.waiting_tasks();
        waiting.intersect_with(tasks);
        !waiting.is_empty() || self.tasks.keys().chain(self.done.keys()).any(|index| tasks.contains(*index))
    }

    /// Whether it was submitted as an array.
    #[must_use]
    pub fn is_array(&self) -> bool {
        self.spec.array.is_some()
    }

    /// How many more tasks its `%LIMIT` lets run now.
    #[must_use]
    pub fn throttle_room(&self) -> u64 {
        let limit = self.spec.array.as_ref().and_then(|array| array.throttle());
        limit.map_or(u64::MAX, |limit| u64::from(limit.get()).saturating_sub(self.throttled_count()))
    }

    /// Tasks that count against the `%LIMIT`: one that is only completing does not.
    #[must_use]
    pub fn throttled_count(&self) -> u64 {
        self.tasks.values().filter(|task| matches!(task.state, TaskState::Running { .. })).count() as u64
    }

    /// The key of the newest attempt of a task that has a row.
    #[must_use]
    pub fn attempt_key(&self, index: u32) -> Option<AttemptKey> {
        self.tasks.get(&index).map(|task| AttemptKey { job: self.id, index, attempt: task.attempts })
    }

    /// How people name one of its tasks: `5`, or `5_3` in an array.
    #[must_use]
    pub fn label(&self, index: u32) -> String {
        if self.is_array() { format!("{}_{index}", self.id) } else { self.id.to_string() }
    }

    /// The node on which the batch process of a task with this state runs.
    #[must_use]
    pub fn batch_node(shares: &[Share]) -> Option<NodeId> {
        shares.first().map(|share| share.node)
    }
}
