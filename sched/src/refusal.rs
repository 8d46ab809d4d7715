//! Why an input was refused, in Slurm's words where Slurm has them: scripts match on the texts.

use thiserror::Error;

use crate::allow::Denied;
use crate::ids::{JobId, Name};
use crate::members::{NotAdmitted, TOKENS_MAX, USER_TOKENS_MAX, USER_TOKENS_OF_ONE_MAX};
use crate::spec::job::SpecError;

/// An input that changed nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// `--partition` names none that is there.
    #[error("Invalid partition name specified")]
    UnknownPartition(String),
    /// No `--partition`, and none is the default.
    #[error("No partition specified or system default partition")]
    NoDefaultPartition,
    /// The partition takes no jobs now.
    #[error("Required partition not available (inactive or drain)")]
    PartitionClosed(String),
    /// No node of the partition could ever run it.
    #[error("Requested node configuration is not available")]
    NeverFits {
        /// What was asked for, and the most that there is, for people.
        detail: String,
    },
    /// `--nodelist` or `--exclude` names one that there is not.
    #[error("Invalid node name specified")]
    NoSuchNode {
        /// Which option.
        field: &'static str,
        /// The name.
        name: Name,
    },
    /// `--nodelist` names one of another partition.
    #[error("Requested nodes not in this partition")]
    NodeElsewhere {
        /// The node.
        name: Name,
        /// The job's partition.
        partition: Name,
    },
    /// `--constraint` names a feature that no node has.
    #[error("Invalid feature specification")]
    UnknownFeature {
        /// The feature.
        name: Name,
        /// Those that there are.
        known: String,
    },
    /// A gres that no node has.
    #[error("Invalid generic resource (gres) specification")]
    UnknownGres {
        /// As asked for.
        ask: String,
        /// Those that there are.
        known: String,
    },
    /// A license that there is not, or more of it than there are.
    #[error("Invalid license specification")]
    License {
        /// As asked for.
        ask: String,
        /// Those that there are.
        known: String,
    },
    /// An array index at or beyond `MaxArraySize`.
    #[error("Invalid job array specification")]
    ArrayTooBig {
        /// The highest index asked for.
        index: u32,
        /// The highest allowed.
        index_max: u32,
    },
    /// No such node.
    #[error("Invalid node name specified")]
    UnknownNode(String),
    /// The node is not in a state from which this can be done.
    #[error("Invalid node state specified")]
    NodeState(String),
    /// A partition of that name is there already.
    #[error("Invalid partition name specified")]
    PartitionExists(String),
    /// Jobs wait or run there.
    #[error("Partition is in use")]
    PartitionInUse {
        /// The partition.
        name: String,
        /// How many jobs.
        jobs: usize,
    },
    /// A cluster keeps exactly one default partition.
    #[error("Requested operation not supported on this system")]
    TheDefault(String),
    /// Values that do not go together, or one that cannot be.
    #[error("Requested partition configuration not available now")]
    PartitionChange(String),
    /// As many partitions as there may be.
    #[error("Requested partition configuration not available now")]
    TooManyPartitions(usize),
    /// `--reservation` names one; there are none.
    #[error("Requested reservation is invalid")]
    NoReservation(String),
    /// As many jobs as there may be.
    #[error("MaxJobCount limit reached")]
    TooManyJobs(usize),
    /// As many jobs of one user as there may be; Slurm's text for its own submit limits.
    #[error("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)")]
    TooManyOfUser {
        /// The user.
        user: String,
        /// How many there may be.
        max: usize,
    },
    /// As many bytes of scripts, environments and names of one user as there may be.
    #[error("Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)")]
    TooManyBytesOfUser {
        /// The user.
        user: String,
        /// How many there are, without what was refused.
        bytes: u64,
        /// How many MiB there may be.
        mib_max: u64,
    },
    /// No such job or task.
    #[error("Invalid job id specified")]
    UnknownJob,
    /// A dependency on a job that there is not, or that is long gone.
    #[error("Job dependency problem")]
    Dependency(String),
    /// What holds for whole jobs cannot be changed for some of their tasks; nor can one that waits for its counterpart in another
    /// array be held or changed by itself.
    #[error("Requested operation not supported on this system")]
    WholeJobsOnly(JobId),
    /// The job or task has ended.
    #[error("Job/step already completing or completed")]
    AlreadyDone,
    /// The job or task has ended, and what is asked for is for those that are to run.
    #[error("Job has already finished")]
    HasFinished,
    /// A deadline before which nothing could end.
    #[error("Requested time limit is invalid (missing or exceeds some limit)")]
    DeadlineTooSoon {
        /// By how much, in seconds.
        late_s: u64,
    },
    /// It is for others to do.
    #[error("Access/permission denied")]
    NotAllowed(Denied),
    /// A job of root, where root has none.
    #[error("Access/permission denied")]
    RootJobsDisabled,
    /// It waits, and only what runs can be treated so.
    #[error("Job is pending execution")]
    StillPending,
    /// It runs, and only what waits can be changed so.
    #[error("Job is no longer pending execution")]
    NoLongerPending,
    /// Its user has said `--no-requeue`.
    #[error("Requested operation is presently disabled")]
    NotRequeueable,
    /// Its node was given up with it and has not been heard of since, so it may still run there.
    #[error("Requested operation is presently disabled")]
    MayStillRun {
        /// Where.
        node: Name,
    },
    /// It was not suspended, or does not run.
    #[error("Job is not running")]
    NotRunning,
    /// It is not suspended.
    #[error("Job is not suspended")]
    NotSuspended,
    /// Others use the CPUs that a suspended job would take again.
    #[error("Requested nodes are busy")]
    CpusInUse {
        /// Where.
        node: Name,
    },
    /// The node of a suspended job does not answer.
    #[error("Required node not available (down, drained or reserved)")]
    NodeAway {
        /// Which.
        node: Name,
    },
    /// It would wait for itself.
    #[error("Circular job dependency")]
    CircularDependency,
    /// The CPUs that a step needs are in use by other steps: it is tried again.
    #[error("Requested nodes are busy")]
    StepBusy,
    /// A step asks for more tasks or CPUs than its job has.
    #[error("More processors requested than permitted")]
    TooManyProcesses,
    /// As many steps as an attempt may have.
    #[error("Step limit reached for this job")]
    TooManySteps(u32),
    /// No such step.
    #[error("Invalid job id specified")]
    UnknownStep,
    /// A change that is out of bounds.
    #[error("{0}")]
    BadChange(SpecError),
    /// A node that may not join.
    #[error("Access/permission denied")]
    NotAdmitted(NotAdmitted),
    /// As many join tokens as may be good at a time.
    #[error("Requested operation is presently disabled")]
    TooManyTokens(usize),
    /// No such join token.
    #[error("there is no join token {0}: covey node token list shows all")]
    UnknownToken(u32),
    /// As many tokens of users as may be good at a time.
    #[error("Requested operation is presently disabled")]
    TooManyUserTokens {
        /// Whose it was to be.
        user: Name,
        /// How many this user has.
        own: usize,
        /// How many all have.
        good: usize,
    },
    /// No such token of a user, or none of the asker's.
    #[error("there is no user token {0}: covey user token list shows all")]
    UnknownUserToken(u32),
    /// It has never joined with a token, so that there is nothing to revoke.
    #[error("Invalid node name specified")]
    NotAMember(Name),
}

impl Refusal {
    /// What a person should read beside Slurm's text: the thing that was wrong, and the bound.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Refusal::UnknownPartition(name) => Some(format!("invalid partition specified: {name}")),
            Refusal::UnknownNode(name) => Some(format!("there is no node {name}")),
            Refusal::NodeState(why) | Refusal::PartitionChange(why) => Some(why.clone()),
            Refusal::PartitionExists(name) => Some(format!("there is a partition {name}: update it instead")),
            Refusal::PartitionInUse { name, jobs } => Some(format!(
                "jobs that wait or run in partition {name}: {jobs}; set its State=DRAIN and let them end, or cancel them"
            )),
            Refusal::TheDefault(name) => Some(format!(
                "partition {name} is the default, and there is always exactly one: set Default=YES on another first"
            )),
            Refusal::TooManyPartitions(max) => Some(format!("there are {max} partitions, the most that there may be")),
            Refusal::NoReservation(name) => Some(format!("there is no reservation {name}: leave --reservation out")),
            Refusal::PartitionClosed(name) => Some(format!("partition {name} takes no jobs now")),
            Refusal::NeverFits { detail } => Some(detail.clone()),
            Refusal::NoSuchNode { field, name } => Some(format!("{field} names {name}: there is no such node")),
            Refusal::NodeElsewhere { name, partition } => {
                Some(format!("--nodelist names {name}, which is not in partition {partition}"))
            }
            Refusal::UnknownFeature { name, known } => {
                Some(format!("--constraint names {name}, which no node has; known are: {known}"))
            }
            Refusal::UnknownGres { ask, known } => Some(format!("no node has {ask}; known are: {known}")),
            Refusal::License { ask, known } => Some(format!("--licenses asks for {ask}; the cluster has: {known}")),
            Refusal::ArrayTooBig { index, index_max } => {
                Some(format!("array index {index} is above the highest allowed, {index_max} (MaxArraySize)"))
            }
            Refusal::TooManyJobs(max) => Some(format!("{max} jobs are in memory already (MaxJobCount)")),
            Refusal::TooManyOfUser { user, max } => {
                Some(format!("{max} jobs of user {user} are not done yet, and there may be no more (MaxJobsPerUser)"))
            }
            Refusal::TooManyBytesOfUser { user, bytes, mib_max } => Some(format!(
                "scripts, environments and blob names of user {user}'s jobs have {bytes} bytes, and with this job they would have more than {mib_max} MiB (MaxSubmitSizePerUser); jobs are forgotten MinJobAge after their end"
            )),
            Refusal::WholeJobsOnly(job) => Some(format!(
                "it holds for all of job {job}, or its tasks wait for another array's, and cannot be done to some: name the whole job"
            )),
            Refusal::DeadlineTooSoon { late_s } => {
                Some(format!("with its time limit it could not end before its deadline: {late_s} s too late already"))
            }
            Refusal::NotAllowed(denied) => Some(denied.to_string()),
            Refusal::RootJobsDisabled => Some(
                "jobs of root are not taken here (DisableRootJobs): submit as another user, or with --uid for one"
                    .into(),
            ),
            Refusal::NotRequeueable => Some("it was submitted with --no-requeue".to_owned()),
            Refusal::MayStillRun { node } => Some(format!(
                "node {node} was given up and may still run it; requeue it when the node is back, or submit it again"
            )),
            Refusal::NodeAway { node } => Some(format!("node {node} does not answer; try again when it does")),
            Refusal::CpusInUse { node } => {
                Some(format!("its CPUs on {node} are in use by other jobs; try again when they are free"))
            }
            Refusal::NotAdmitted(why) => Some(why.to_string()),
            Refusal::TooManyTokens(good) => {
                Some(format!("{good} join tokens are good, at most {TOKENS_MAX} may be: covey node token revoke one"))
            }
            Refusal::TooManyUserTokens { user, own, good } => Some(format!(
                "{own} tokens of {user} are good and {good} of all users, at most {USER_TOKENS_OF_ONE_MAX} and {USER_TOKENS_MAX} may be: covey user token revoke one"
            )),
            Refusal::NotAMember(name) => Some(format!("no node {name} has joined with a token")),
            Refusal::Dependency(term) => Some(format!("{term}: there is no such job (any more)")),
            Refusal::TooManySteps(max) => Some(format!("an attempt of a job may have {max} steps")),
            Refusal::UnknownStep => Some("the job has no such step".to_owned()),
            Refusal::NoDefaultPartition
            | Refusal::StepBusy
            | Refusal::TooManyProcesses
            | Refusal::UnknownJob
            | Refusal::AlreadyDone
            | Refusal::HasFinished
            | Refusal::NotSuspended
            | Refusal::StillPending
            | Refusal::NoLongerPending
            | Refusal::NotRunning
            | Refusal::CircularDependency
            | Refusal::UnknownToken(_)
            | Refusal::UnknownUserToken(_)
            | Refusal::BadChange(_) => None,
        }
    }
}
