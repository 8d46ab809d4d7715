//! A job: its terms, the set of tasks that still wait together, and one row for each task that runs, differs or is done.
//!
//! A plain job is an array of one task with index 0. A pending array is one record however many tasks it has;
//! start reading at [`Job`].

use std::num::NonZeroU32;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::depend::Waits;
use crate::done::DoneTasks;
use crate::ids::{AttemptKey, JobId, Name, NodeId, Timestamp};
use crate::reason::{Ending, Outcome, Reason};
use crate::resources::Share;
use crate::spec::index_set::IndexSet;
use crate::steps::Step;
use crate::task::{EndedTasks, Own, Task, TaskState};
use crate::terms::{Hold, Terms};

/// What was submitted, and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The number that `sbatch` printed.
    pub id: JobId,
    /// What holds for all its tasks that have no terms of their own.
    #[serde(with = "crate::shared::arc")]
    pub terms: Arc<Terms>,
    /// At most so many of its tasks run at the same time.
    pub throttle: Option<NonZeroU32>,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// Since when nothing but its turn has kept it; the age in the queue counts from here.
    pub eligible: Option<Timestamp>,
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
    /// Who holds what is pending.
    pub held: Option<Hold>,
    /// Rows of the tasks that run, or that wait with a history or something else of their own.
    pub tasks: OrdMap<u32, Task>,
    /// Those of `tasks` that wait.
    pub requeued: IndexSet,
    /// Those of `requeued` that have something of their own, and a place of their own in the queue.
    pub apart: IndexSet,
    /// Rows of the tasks that are done.
    pub done: DoneTasks,
    /// The tasks that ended before they had a row.
    pub ended_waiting: Option<Box<EndedTasks>>,
    /// How many tasks ended how.
    pub tally: Tally,
    /// Whether one of its tasks has been given the job's own number.
    pub own_id_taken: bool,
    /// When the last task ended.
    pub ended: Option<Timestamp>,
    /// The steps of each task's last attempt that started, by index and number.
    #[serde(default)]
    pub steps: OrdMap<(u32, u32), Arc<Step>>,
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
        self.count_many(outcome, 1);
    }

    /// Counts as many ends that are the same.
    pub fn count_many(&mut self, outcome: &Outcome, tasks: u64) {
        let tasks = u32::try_from(tasks).expect("an index is 32 bits wide");
        match outcome.ending {
            Ending::Completed => self.completed += tasks,
            Ending::Cancelled(_) => self.cancelled += tasks,
            Ending::Failed
            | Ending::LaunchFailed
            | Ending::Timeout
            | Ending::NodeFail
            | Ending::OutOfMemory
            | Ending::Deadline => self.failed += tasks,
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
    /// Tasks that stand in the queue together: those without a row, and those requeued that have nothing of their own.
    #[must_use]
    pub fn pending_count(&self) -> u64 {
        self.pending.len() + self.requeued.len() - self.apart.len()
    }

    /// All tasks that wait, whatever for.
    #[must_use]
    pub fn waiting_count(&self) -> u64 {
        self.pending.len() + self.requeued.len() + self.blocked.len() + self.hopeless.len()
    }

    /// Whether any task waits that has no row of its own. Counting them would look into the sets, which lie elsewhere in memory.
    #[must_use]
    pub fn has_remainder(&self) -> bool {
        [&self.pending, &self.blocked, &self.hopeless].iter().any(|set| !set.is_empty())
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
            _ if self.held.is_some() => Reason::of_hold(self.held),
            Some(waits) if waits.hold_all() => Reason::Dependency,
            _ if self.begin.is_some() => Reason::BeginTime,
            _ if !self.pending.is_empty() || self.pending_count() > 0 => self.reason,
            _ if self.blocked.is_empty() => Reason::DependencyNeverSatisfied,
            _ => Reason::Dependency,
        }
    }

    /// Why a task that waits in a row of its own does.
    #[must_use]
    pub fn row_reason(&self, task: &Task) -> Reason {
        let Some(own) = &task.own else { return self.waiting_reason() };
        match &self.waits {
            _ if own.held.is_some() => Reason::of_hold(own.held),
            Some(waits) if waits.are_hopeless() => Reason::DependencyNeverSatisfied,
            Some(waits) if waits.hold_all() => Reason::Dependency,
            _ if own.begin.is_some() => Reason::BeginTime,
            _ => own.reason,
        }
    }

    /// Why the last pass left an entry of the queue waiting.
    pub(crate) fn entry_reason(&self, task: Option<u32>) -> Reason {
        let row = task.and_then(|index| self.tasks.get(&index)).and_then(|task| task.own.as_ref());
        row.map_or(self.reason, |own| own.reason)
    }

    /// What holds for a task with a row.
    #[must_use]
    pub fn terms_of<'a>(&'a self, task: &'a Task) -> &'a Arc<Terms> {
        task.own.as_deref().and_then(|own: &Own| own.terms.as_ref()).unwrap_or(&self.terms)
    }

    /// The highest revision of its terms, and of those of its tasks.
    pub(crate) fn revision_max(&self) -> u32 {
        let own = self.tasks.values().map(|task| self.terms_of(task).revision);
        let done = self.done.iter().filter_map(|(_, done)| done.terms).map(|terms| terms.revision);
        own.chain(done).max().unwrap_or(0).max(self.terms.revision)
    }

    /// The partition to which a task with a row belongs: where it was started, else where it waits.
    #[must_use]
    pub fn partition_of<'a>(&'a self, task: &'a Task) -> &'a Name {
        task.partition.as_ref().unwrap_or_else(|| self.terms_of(task).partition())
    }

    /// Whether nothing but its turn keeps it, as far as all its tasks go.
    pub(crate) fn is_eligible(&self) -> bool {
        self.held.is_none() && self.begin.is_none() && !self.waits.as_ref().is_some_and(Waits::hold_all)
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
        let mut ended = self.ended_waiting.as_ref().map_or_else(IndexSet::new, |ended| ended.tasks.clone());
        ended.intersect_with(tasks);
        !waiting.is_empty()
            || !ended.is_empty()
            || self.tasks.keys().copied().chain(self.done.indices()).any(|index| tasks.contains(index))
    }

    /// Whether it was submitted as an array.
    #[must_use]
    pub fn is_array(&self) -> bool {
        self.terms.spec.array.is_some()
    }

    /// How many more tasks its `%LIMIT` lets run now.
    #[must_use]
    pub fn throttle_room(&self) -> u64 {
        self.throttle.map_or(u64::MAX, |limit| u64::from(limit.get()).saturating_sub(self.throttled_count()))
    }

    /// Tasks that count against the `%LIMIT`: one that is only completing does not.
    #[must_use]
    pub fn throttled_count(&self) -> u64 {
        self.tasks
            .values()
            .filter(|task| matches!(task.state, TaskState::Running { .. } | TaskState::Suspended { .. }))
            .count() as u64
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
