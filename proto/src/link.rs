//! What node and controller say to each other, as checked values; `link.proto` is the same on the wire.
//!
//! Start with [`FromNode`] and [`ToNode`].

mod kept;
mod read;
mod step;
mod write;

pub use kept::{keep, read_kept};
pub use step::{StartStep, StepShare};

use bytes::Bytes;
use sched::devices::Devices;
use sched::ids::{AttemptKey, JobId, Name, StepKey};
use sched::lease::Lease;
use sched::node::{Abilities, Offer};
use sched::reason::StopWhy;
use sched::reconcile::{AttemptEnd, Claim, StepClaim};
use sched::resources::{Amount, Cpus};
use sched::signals::Sent;
use sched::spec::duration::TimeLimit;
use sched::spec::gres::Gres;
use sched::spec::job::{Files, Origin, Request, User};
use sched::spec::labels::Labels;
use sched::spec::rlimit::ResourceLimit;
use sched::spec::signal::Warning;

/// What a node says.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one is held at a time, and a registration comes once per stream")]
pub enum FromNode {
    /// First on every stream: who it is, what it has, and what it has records of.
    Register(Register),
    /// Ends; each is said again at the next registration until it is forgotten.
    Ends {
        /// Of attempts.
        attempts: Vec<(AttemptKey, AttemptEnd)>,
        /// Of the node's parts of steps.
        steps: Vec<(StepKey, AttemptEnd)>,
    },
    /// It leaves for good, and has stopped what it ran.
    Leave,
    /// It lives, and wants to hear the same moment again.
    Heartbeat {
        /// When it was sent, by a clock of its machine that nobody sets.
        at_ms: u64,
    },
}

/// A node's registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Register {
    /// Its name.
    pub name: String,
    /// What tasks may hold of it, gres aside.
    pub amount: Amount,
    /// Made with its spool folder.
    pub spool: u128,
    /// Where its machine can be reached, for people.
    pub address: String,
    /// Covey's version there.
    pub version: String,
    /// The highest epoch it has obeyed.
    pub epoch_seen: u64,
    /// What it has records of.
    pub claims: Vec<Claim>,
    /// The steps that it has records of.
    pub step_claims: Vec<StepClaim>,
    /// Higher than in all its registrations before.
    pub registration: u64,
    /// How long the lease that it has from before may last yet, the time to kill included.
    pub lease_left_ms: u64,
    /// What it holds tasks to.
    pub abilities: Abilities,
    /// What it is, in words that `--constraint` asks for.
    pub features: Vec<Name>,
    /// What else it has.
    pub gres: Vec<Gres>,
    /// It was told to go: what runs there may finish, and it takes nothing else.
    pub retiring: bool,
}

impl Register {
    /// What the scheduler is offered, and the attempts and steps that the node has records of.
    #[must_use]
    pub fn into_offer(self) -> (Offer, Vec<Claim>, Vec<StepClaim>) {
        let Register { amount, spool, address, claims, step_claims, registration, abilities, .. } = self;
        let Register { features, retiring, lease_left_ms, gres, .. } = self;
        let none = Vec::new();
        let offer =
            Offer { amount, spool, address, registration, abilities, features, gres: none, lease_left_ms, retiring };
        (offer.with_gres(gres), claims, step_claims)
    }
}

/// What the controller says.
#[derive(Clone, Debug, PartialEq)]
pub enum ToNode {
    /// First on every stream. It is apart because it is by far the largest, and every node's queue has room for many messages.
    Welcome(Box<Welcome>),
    /// To be obeyed in their order.
    Orders(Vec<Order>),
    /// The lease counts from this moment, at which the node sent a heartbeat.
    Granted {
        /// As the heartbeat said.
        at_ms: u64,
    },
}

/// The answer to a registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// Counts the controller's starts.
    pub epoch: u64,
    /// Counts the registrations of this epoch.
    pub session: u64,
    /// The cluster's name.
    pub cluster: String,
    /// Attempts that go on.
    pub adopt: Vec<AttemptKey>,
    /// Attempts to stop; their ends are reported like all others.
    pub kill: Vec<AttemptKey>,
    /// Ends that are counted.
    pub forget: Vec<AttemptKey>,
    /// Seconds between TERM and KILL.
    pub kill_wait_s: u64,
    /// How long what may run elsewhere goes on without a word; none where nothing has to end for that.
    pub lease: Option<Lease>,
}

/// One order.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// What a job is; before its first `Start` of a session.
    Job(Box<Brief>),
    /// Start tasks of a job.
    Start {
        /// The job.
        job: JobId,
        /// The tasks.
        tasks: Vec<StartTask>,
    },
    /// Stop an attempt.
    Stop {
        /// Which.
        key: AttemptKey,
        /// Why.
        why: StopWhy,
    },
    /// An attempt's end is counted: drop its record.
    Forget(AttemptKey),
    /// No task of this job will come any more.
    JobGone(JobId),
    /// Let nothing of an attempt run, and its time limit wait.
    Suspend(AttemptKey),
    /// Let a suspended attempt go on.
    Resume(AttemptKey),
    /// Hold an attempt to another time limit.
    Limit {
        /// Which.
        key: AttemptKey,
        /// The new limit, counted from its start.
        limit: TimeLimit,
    },
    /// Send an attempt a signal without ending it.
    Signal {
        /// Which.
        key: AttemptKey,
        /// The signal; steps have signals of their own.
        sent: Sent,
    },
    /// Start this node's part of a step.
    StartStep(Box<StartStep>),
    /// Stop a step: TERM, and KILL after the kill wait.
    StopStep {
        /// Which.
        key: StepKey,
        /// Why.
        why: StopWhy,
    },
    /// Send the tasks of a step a signal without ending it. A step stands still by SIGSTOP, and goes on by SIGCONT.
    SignalStep {
        /// Which.
        key: StepKey,
        /// The signal, to its tasks.
        sent: Sent,
    },
    /// The end of a step's part is counted: drop its record.
    ForgetStep(StepKey),
    /// Read what a task has written.
    ReadOutput(ReadOutput),
}

/// A file to be read for somebody who asked the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOutput {
    /// Random: it says on the stream that answers which question that is.
    pub reading: u128,
    /// With whose rights.
    pub uid: u32,
    /// And group.
    pub gid: u32,
    /// The file.
    pub path: String,
    /// Go on behind its end until told that it is complete.
    pub follow: bool,
}

/// All that a node must know of a job to run its tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// The job.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub user: User,
    /// The shape of each task.
    pub request: Request,
    /// What runs.
    pub work: Work,
    /// Where a map reads and writes.
    pub map: Option<MapUrls>,
    /// Files and folder.
    pub files: Files,
    /// Where it was submitted.
    pub origin: Origin,
    /// How `--export` was given.
    pub export: String,
    /// `NAME=value` records, each ended by a NUL byte.
    pub environment: Bytes,
    /// The partition in which it runs.
    pub partition: String,
    /// The limit of each attempt.
    pub time_limit: TimeLimit,
    /// What an array was submitted as.
    pub array: Option<ArrayFacts>,
    /// A signal ahead of the limit.
    pub warning: Option<Warning>,
    /// Its names, of which tasks are told some.
    pub labels: Labels,
    /// As after `--dependency`; empty for none.
    pub dependency: String,
    /// The submitter's soft limits.
    pub limits: Vec<ResourceLimit>,
    /// Whether tasks have the environment of a login beneath what they were given.
    pub login_environment: bool,
    /// Whether a task whose node was lost starts again elsewhere, and so has to end with its node's lease.
    pub requeue: bool,
}

/// What runs in each task, with the script's text.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// A batch script.
    Script {
        /// Its text.
        text: Bytes,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// A program and its arguments.
    Command(Vec<String>),
    /// A built-in operation.
    Op(String),
    /// Nothing: what runs comes in steps.
    Allocation,
}

/// Where a map reads and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapUrls {
    /// The URL whose blobs are read.
    pub from: String,
    /// The URL under which outputs appear.
    pub to: String,
    /// The template of output names.
    pub output_name: String,
}

/// What `SLURM_ARRAY_TASK_COUNT`, `_MIN`, `_MAX` and `_STEP` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayFacts {
    /// How many tasks were submitted.
    pub count: u64,
    /// The lowest index.
    pub min: u32,
    /// The highest.
    pub max: u32,
    /// The step of a single stepped range, else 1.
    pub step: u32,
}

/// A task to start.
#[derive(Clone, Debug, PartialEq)]
pub struct StartTask {
    /// Its index.
    pub index: u32,
    /// Its own number.
    pub id: JobId,
    /// The attempt.
    pub attempt: u32,
    /// What it holds; the first is this node.
    pub shares: Vec<NodeShare>,
    /// Of a map: the blob it reads.
    pub blob: Option<String>,
}

/// What a task holds on one node, by the node's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeShare {
    /// The node's name.
    pub node: String,
    /// How many of its processes belong there.
    pub processes: u32,
    /// CPUs held.
    pub cpus: Cpus,
    /// Memory held in MiB.
    pub memory_mib: u64,
    /// GPUs held, by their numbers there.
    pub devices: Devices,
}

#[cfg(test)]
mod tests;
