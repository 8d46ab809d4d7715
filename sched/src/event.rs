//! The facts that the journal keeps, and the effects that may leave once a fact is durable.
//!
//! An event says all that [`crate::cluster::Cluster::apply`] needs: replaying never decides again. The time of an
//! event is its commit's, given beside it. New fields go to the end of a variant with `#[serde(default)]`; a variant
//! keeps its short name for ever, because journals hold it.

mod describe;
mod effect;

pub use effect::{Effect, effects};

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{AttemptKey, JobId, Name, NodeId, RequestId, StepKey, Timestamp};
use crate::members::Fact;
use crate::node::{Mark, Offer};
use crate::partition::Partition;
use crate::reason::{Outcome, Reason, Scope, StopWhy};
use crate::resources::Share;
use crate::spec::dependency::Term;
use crate::spec::duration::TimeLimit;
use crate::spec::index_set::IndexSet;
use crate::spec::step::StepSpec;
use crate::steps::Part;
use crate::task::{Usage, Verdict};
use crate::terms::{Hold, Terms};

/// A fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A job was accepted.
    #[serde(rename = "j")]
    Submitted {
        /// Its number.
        job: JobId,
        /// The request that brought it.
        request: RequestId,
        /// What was asked for, and what the controller made of it.
        #[serde(with = "crate::shared::arc")]
        terms: Arc<Terms>,
    },
    /// Tasks of a job were given to a node.
    #[serde(rename = "s")]
    Started {
        /// The job.
        job: JobId,
        /// The tasks, all with the same batch node.
        placements: Vec<Placement>,
    },
    /// Waiting tasks were cancelled.
    #[serde(rename = "x")]
    Cancelled {
        /// The job.
        job: JobId,
        /// The tasks.
        tasks: IndexSet,
        /// Who cancelled.
        uid: u32,
    },
    /// A running attempt was told to stop.
    #[serde(rename = "k")]
    Stopped {
        /// The attempt.
        key: AttemptKey,
        /// Where its batch process runs.
        node: NodeId,
        /// Why.
        why: StopWhy,
    },
    /// An attempt's end was counted, and the task is done.
    #[serde(rename = "e")]
    Ended {
        /// The attempt.
        key: AttemptKey,
        /// Where its batch process ran.
        node: NodeId,
        /// How it ended.
        outcome: Outcome,
        /// How long before this fact it ended, by the node's clock, in milliseconds.
        age_ms: u64,
        /// What it used.
        usage: Usage,
    },
    /// An attempt is known dead without an end of its own, and its task waits again.
    #[serde(rename = "r")]
    Requeued {
        /// The attempt.
        key: AttemptKey,
        /// Where its batch process ran.
        node: NodeId,
        /// It does not start before.
        until: Option<Timestamp>,
        /// Who holds it from now on.
        hold: Option<Hold>,
        /// It failed, and this is one of its retries.
        failed: bool,
    },
    /// Tasks that were done wait again.
    #[serde(rename = "g")]
    Undone {
        /// The job.
        job: JobId,
        /// The tasks.
        tasks: IndexSet,
        /// Who holds them from now on.
        hold: Option<Hold>,
    },
    /// Waiting tasks can no longer end before their deadline, and have ended for that.
    #[serde(rename = "y")]
    Expired {
        /// The job.
        job: JobId,
        /// The tasks.
        tasks: IndexSet,
    },
    /// An attempt was stopped in its tracks; its CPUs are free.
    #[serde(rename = "sp")]
    Suspended {
        /// The attempt.
        key: AttemptKey,
        /// Where its batch process runs.
        node: NodeId,
    },
    /// A suspended attempt goes on.
    #[serde(rename = "rs")]
    Resumed {
        /// The attempt.
        key: AttemptKey,
        /// Where its batch process runs.
        node: NodeId,
    },
    /// A user sends a signal to an attempt that runs.
    #[serde(rename = "i")]
    Signalled {
        /// The attempt.
        key: AttemptKey,
        /// Where its batch process runs.
        node: NodeId,
        /// The signal's number.
        signal: i32,
        /// To which of its processes.
        scope: Scope,
        /// Counts the signals of the attempt from 1; 0 in journals of a time when they were not counted.
        #[serde(default)]
        number: u32,
    },
    /// Other terms hold, for a job or for some of its tasks.
    #[serde(rename = "m")]
    Revised {
        /// The job.
        job: JobId,
        /// Tasks for which they hold alone, each with its own number; none for the job as a whole.
        tasks: Option<Vec<(u32, JobId)>>,
        /// The terms.
        terms: Arc<Terms>,
        /// Nothing starts before.
        begin: Option<Timestamp>,
        /// Whether they hold for what runs, too; else that keeps the former ones.
        running_too: bool,
    },
    /// An array may run so many tasks at a time from now on.
    #[serde(rename = "a")]
    Throttled {
        /// The job.
        job: JobId,
        /// How many; none for no limit.
        throttle: Option<NonZeroU32>,
    },
    /// The node of an attempt that runs is to hear of another time limit. Nothing of the state changes.
    #[serde(rename = "tl")]
    Limited {
        /// The attempt.
        key: AttemptKey,
        /// Where its batch process runs.
        node: NodeId,
        /// The limit, from its start.
        limit: TimeLimit,
    },
    /// Priorities were computed anew, and these have changed.
    #[serde(rename = "z")]
    Prioritized {
        /// Jobs and their priorities.
        jobs: Vec<(JobId, i64)>,
    },
    /// Why something waits has changed.
    #[serde(rename = "w")]
    Waiting {
        /// The job.
        job: JobId,
        /// The reason.
        reason: Reason,
        /// One task that stands for itself; none for those that wait together.
        #[serde(default)]
        task: Option<u32>,
    },
    /// A term of a job's dependency has been decided.
    #[serde(rename = "t")]
    Settled {
        /// The job that waits.
        job: JobId,
        /// The term.
        term: Term,
        /// Met, or never to be met.
        met: bool,
    },
    /// Tasks of an array have been let go, or never will be, by `aftercorr`.
    #[serde(rename = "c")]
    TasksSettled {
        /// The job that waits.
        job: JobId,
        /// The term.
        term: Term,
        /// Tasks whose counterparts ended well.
        met: IndexSet,
        /// Tasks whose counterparts did not.
        failed: IndexSet,
    },
    /// The time before which nothing may start has come.
    #[serde(rename = "b")]
    Began {
        /// The job.
        job: JobId,
        /// One task that stands for itself; none for the job as a whole.
        #[serde(default)]
        task: Option<u32>,
    },
    /// What waits is held, or released.
    #[serde(rename = "h")]
    Held {
        /// The job.
        job: JobId,
        /// Who holds it from now on; none for a release.
        hold: Option<Hold>,
        /// Tasks, each with its own number; none for the whole job and all that stands apart in it.
        tasks: Option<Vec<(u32, JobId)>>,
    },
    /// A job that has long been done left the cluster for the history.
    #[serde(rename = "f")]
    Forgotten {
        /// The job.
        job: JobId,
    },
    /// A node registered: new, or again.
    #[serde(rename = "n")]
    NodeRegistered {
        /// Its number.
        node: NodeId,
        /// Its name.
        name: Name,
        /// What it offers.
        offer: Box<Offer>,
        /// What it runs and nobody wants any more.
        #[serde(default)]
        unwanted: Vec<AttemptKey>,
        /// Parts of steps that it runs and nobody wants any more.
        #[serde(default)]
        unwanted_steps: Vec<StepKey>,
        /// For how long its silence is waited out at the least, in milliseconds; 0 for a node without a lease.
        #[serde(default)]
        patience_ms: u64,
    },
    /// An attempt that nobody wanted any more is known dead.
    #[serde(rename = "u")]
    Cleared {
        /// The attempt.
        key: AttemptKey,
        /// Where it ran.
        node: NodeId,
    },
    /// A node's link broke.
    #[serde(rename = "q")]
    NodeSilent {
        /// The node.
        node: NodeId,
    },
    /// A node was given up.
    #[serde(rename = "d")]
    NodeDown {
        /// The node.
        node: NodeId,
    },
    /// A node is to get no new work.
    #[serde(rename = "nm")]
    NodeMarked {
        /// The node.
        node: NodeId,
        /// How far it is taken out of service, why, and who said so.
        mark: Mark,
    },
    /// A node may get work again.
    #[serde(rename = "nu")]
    NodeUnmarked {
        /// The node.
        node: NodeId,
        /// The user who said so; root where Covey did.
        uid: u32,
    },
    /// A node left for good, and its name is free.
    #[serde(rename = "l")]
    NodeRemoved {
        /// The node.
        node: NodeId,
    },
    /// A partition is as the settings or an administrator say.
    #[serde(rename = "p")]
    PartitionSet {
        /// The partition.
        partition: Arc<Partition>,
    },
    /// A partition is no more.
    #[serde(rename = "o")]
    PartitionRemoved {
        /// Its name.
        name: Name,
    },
    /// Who may be a node has changed.
    #[serde(rename = "mb")]
    Membership(Fact),
    /// The batch process of an attempt is over, and its end is counted when its last step is gone.
    #[serde(rename = "ec")]
    Closing {
        /// The attempt.
        key: AttemptKey,
        /// Where its batch process ran.
        node: NodeId,
        /// What becomes of it then.
        verdict: Verdict,
        /// How long before this fact it ended, by the node's clock, in milliseconds.
        age_ms: u64,
    },
    /// A step was made and given to its nodes.
    #[serde(rename = "sn")]
    StepCreated {
        /// The step.
        key: StepKey,
        /// The request that brought it.
        request: RequestId,
        /// What it is.
        spec: Arc<StepSpec>,
        /// Where its tasks are.
        parts: Arc<[Part]>,
        /// What its stepds show to the controller.
        secret: u128,
    },
    /// A step was told to stop.
    #[serde(rename = "sk")]
    StepStopped {
        /// The step.
        key: StepKey,
        /// The nodes on which it has not ended.
        nodes: Vec<NodeId>,
        /// Why.
        why: StopWhy,
    },
    /// The tasks of a step are sent a signal.
    #[serde(rename = "si")]
    StepSignalled {
        /// The step.
        key: StepKey,
        /// The nodes on which it has not ended.
        nodes: Vec<NodeId>,
        /// The signal's number.
        signal: i32,
        /// Counts the signals of the step from 1; 0 where it only stands still or goes on as its attempt does.
        #[serde(default)]
        number: u32,
    },
    /// A step's part on one node was counted as ended; with the last one the step is over.
    #[serde(rename = "se")]
    StepPartEnded {
        /// The step.
        key: StepKey,
        /// The node.
        node: NodeId,
        /// How it ended there.
        outcome: Outcome,
        /// What its tasks there used.
        usage: Usage,
        /// How long before this fact it ended, by the node's clock, in milliseconds.
        age_ms: u64,
    },
    /// A node has said the end of a step's part that was counted before, or that nobody knows of.
    #[serde(rename = "su")]
    StepCleared {
        /// The step.
        key: StepKey,
        /// The node.
        node: NodeId,
    },
}

/// One task's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// The task's index.
    pub index: u32,
    /// The task's own number.
    pub id: JobId,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What it holds where; the first runs the batch process.
    pub shares: Arc<[Share]>,
    /// The partition, where it could have been another.
    #[serde(default)]
    pub partition: Option<Name>,
}
