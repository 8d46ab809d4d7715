//! Steps: what `srun` runs inside an attempt, on some of its nodes. A step has one part on each of its nodes, and is over when the last
//! part is.
//!
//! A step takes CPUs of its attempt and of nothing else, so no pass of the scheduler knows of steps. Start with [`Step`]; where its
//! tasks go is in [`layout`], how it comes about in [`ask`], and how it ends in [`ends`].

pub mod ask;
pub mod ends;
pub mod layout;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::ids::{AttemptKey, NodeId, RequestId, StepKey, Timestamp};
use crate::job::Job;
use crate::reason::{Exit, Outcome, StopWhy};
use crate::resources::Cpus;
use crate::signals::Signals;
use crate::spec::duration::TimeLimit;
use crate::spec::step::StepSpec;
use crate::task::{Task, TaskState, Usage};

/// The most steps of one attempt, those that have ended included; Slurm's `MaxStepCount`.
pub const STEPS_MAX: u32 = 40_000;

/// A step of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The run of its task to which it belongs.
    pub attempt: u32,
    /// The request that made it.
    pub request: RequestId,
    /// Its name.
    pub name: String,
    /// Where its tasks are, in their order.
    pub parts: Arc<[Part]>,
    /// It takes no CPUs from other steps.
    pub overlap: bool,
    /// When it started.
    pub started: Timestamp,
    /// Its own limit, from its start.
    pub time_limit: Option<TimeLimit>,
    /// How long its attempt had been suspended by then, in milliseconds.
    pub paused_ms: u64,
    /// How far it is.
    pub state: StepState,
    /// What its tasks were sent while it ran.
    #[serde(default)]
    pub signals: Signals,
}

/// A step's part on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The node.
    pub node: NodeId,
    /// The number of its first task.
    pub first_task: u32,
    /// How many tasks it has.
    pub tasks: u32,
    /// The CPUs on which they run.
    pub cpus: Cpus,
}

/// How far a step is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StepState {
    /// It has parts that have not ended.
    Running {
        /// What runs.
        spec: Arc<StepSpec>,
        /// What its stepds show to the controller.
        secret: u128,
        /// The nodes whose parts have not ended.
        left: Vec<NodeId>,
        /// Why it was told to stop, if it was.
        stop: Option<StopWhy>,
        /// How the parts that are over ended, taken together.
        so_far: Option<(Outcome, Usage)>,
    },
    /// It is over.
    Ended {
        /// When its last part ended.
        at: Timestamp,
        /// How.
        outcome: Outcome,
        /// What all its tasks used.
        usage: Usage,
    },
}

impl Step {
    /// How many tasks it has.
    #[must_use]
    pub fn tasks(&self) -> u32 {
        self.parts.iter().map(|part| part.tasks).sum()
    }

    /// The nodes whose parts have not ended.
    #[must_use]
    pub fn left(&self) -> &[NodeId] {
        match &self.state {
            StepState::Running { left, .. } => left,
            StepState::Ended { .. } => &[],
        }
    }

    /// How it ended; no exit code while it runs.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match &self.state {
            StepState::Running { .. } => Exit::default(),
            StepState::Ended { outcome, .. } => outcome.exit,
        }
    }

    /// Why it was told to stop, where it has not ended since.
    #[must_use]
    pub fn stopped(&self) -> Option<StopWhy> {
        match &self.state {
            StepState::Running { stop, .. } => *stop,
            StepState::Ended { .. } => None,
        }
    }

    /// What it takes from other steps on a node.
    #[must_use]
    pub fn taken_on(&self, node: NodeId) -> Cpus {
        let holds = !self.overlap && self.left().contains(&node);
        let part = self.parts.iter().find(|part| part.node == node);
        part.filter(|_| holds).map_or_else(Cpus::default, |part| part.cpus)
    }

    /// How long its attempt had run when it started, in milliseconds of the attempt's own time.
    #[must_use]
    pub fn job_ran_ms(&self, task: &Task) -> u64 {
        let since = match &task.state {
            TaskState::Running { since, .. }
            | TaskState::Suspended { since, .. }
            | TaskState::Finishing { since, .. }
            | TaskState::Closing { since, .. } => *since,
            TaskState::Pending { .. } => return 0,
        };
        self.started.ms_since(since).saturating_sub(self.paused_ms)
    }

    /// When its own limit is reached, for a step of this task.
    pub(crate) fn ends_by(&self, task: &Task) -> Option<Timestamp> {
        let Some(TimeLimit::Minutes(minutes)) = self.time_limit else { return None };
        let runs = matches!(task.state, TaskState::Running { .. }) && !self.left().is_empty();
        let paused_ms = task.paused_ms.saturating_sub(self.paused_ms);
        (runs && self.stopped().is_none())
            .then(|| self.started.plus_ms(u64::from(minutes.get()) * 60_000).plus_ms(paused_ms))
    }
}

impl Job {
    /// A step, where it belongs to the last attempt of its task.
    #[must_use]
    pub fn step(&self, key: StepKey) -> Option<&Arc<Step>> {
        self.steps.get(&(key.attempt.index, key.step)).filter(|step| step.attempt == key.attempt.attempt)
    }

    /// The steps of a task's last attempt that had any, in the order of their starts.
    pub fn steps_of(&self, index: u32) -> impl DoubleEndedIterator<Item = (u32, &Arc<Step>)> {
        self.steps.range((index, 0)..=(index, u32::MAX)).map(|((_, number), step)| (*number, step))
    }
}

impl Cluster {
    /// A step, while its job is remembered.
    #[must_use]
    pub fn step(&self, key: StepKey) -> Option<&Arc<Step>> {
        self.job(key.attempt.job)?.step(key)
    }

    /// The step that this request made.
    #[must_use]
    pub fn step_of_request(&self, request: RequestId) -> Option<StepKey> {
        self.index.step_requests.get(&request).copied()
    }

    /// The steps of an attempt that have not ended.
    pub fn running_steps(&self, attempt: AttemptKey) -> impl Iterator<Item = StepKey> {
        let least = StepKey { attempt, step: 0 };
        self.index.running_steps.range(least..).take_while(move |key| key.attempt == attempt).copied()
    }

    /// The steps that have a part on a node which has not ended.
    pub fn steps_on(&self, node: NodeId) -> impl Iterator<Item = StepKey> {
        let attempt = AttemptKey { job: crate::ids::JobId(0), index: 0, attempt: 0 };
        let least = (node, StepKey { attempt, step: 0 });
        self.index.step_parts.range(least..).take_while(move |(on, _)| *on == node).map(|(_, key)| *key)
    }
}
