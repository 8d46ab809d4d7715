//! Why a job is pending, and how a task ended: the words that users read, each in one place.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::terms::Hold;

/// Why a job's pending tasks do not start. The word that `Display` prints is Slurm's, letter for letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// No scheduling pass has looked at it yet.
    #[default]
    None,
    /// An earlier job of its partition waits for resources.
    Priority,
    /// It is next, and what it asks for is in use.
    Resources,
    /// As many tasks of the array run as its `%LIMIT` allows.
    JobArrayTaskLimit,
    /// Its partition's state is DOWN.
    PartitionDown,
    /// Its partition's state is INACTIVE.
    PartitionInactive,
    /// It asks for more time than its partition gives.
    PartitionTimeLimit,
    /// It asks for more nodes than its partition gives, or for fewer than it gives at least.
    PartitionNodeLimit,
    /// It asks for more memory for each CPU than its partition gives.
    MaxMemPerLimit,
    /// Nodes that could run it exist, but none of them is up.
    NodesUnavailable,
    /// Its `--begin` has not come.
    BeginTime,
    /// It waits for other jobs.
    Dependency,
    /// It waits for what can never be.
    DependencyNeverSatisfied,
    /// Its user holds it.
    JobHeldUser,
    /// An administrator holds it.
    JobHeldAdmin,
    /// It was requeued too often after failed launches.
    JobHoldMaxRequeue,
    /// The licenses that it needs are held by others.
    Licenses,
    /// A node of its `--nodelist` is not there.
    ReqNodeNotAvail,
}

impl Reason {
    /// Whether it is the partition that lets nothing start, whatever is free.
    pub(crate) fn is_of_partition(self) -> bool {
        matches!(self, Reason::PartitionDown | Reason::PartitionInactive | Reason::PartitionTimeLimit)
    }

    /// The reason of what is held, or of what no pass has looked at yet.
    #[must_use]
    pub fn of_hold(hold: Option<Hold>) -> Reason {
        match hold {
            None => Reason::None,
            Some(Hold::User | Hold::SpecialExit) => Reason::JobHeldUser,
            Some(Hold::Admin) => Reason::JobHeldAdmin,
            Some(Hold::MaxRequeue) => Reason::JobHoldMaxRequeue,
        }
    }
}

impl Reason {
    /// Slurm's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Reason::None => "None",
            Reason::Priority => "Priority",
            Reason::Resources => "Resources",
            Reason::JobArrayTaskLimit => "JobArrayTaskLimit",
            Reason::PartitionDown => "PartitionDown",
            Reason::PartitionInactive => "PartitionInactive",
            Reason::PartitionTimeLimit => "PartitionTimeLimit",
            Reason::PartitionNodeLimit => "PartitionNodeLimit",
            Reason::MaxMemPerLimit => "MaxMemPerLimit",
            Reason::NodesUnavailable => {
                "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"
            }
            Reason::BeginTime => "BeginTime",
            Reason::Dependency => "Dependency",
            Reason::DependencyNeverSatisfied => "DependencyNeverSatisfied",
            Reason::JobHeldUser => "JobHeldUser",
            Reason::JobHeldAdmin => "JobHeldAdmin",
            Reason::JobHoldMaxRequeue => "JobHoldMaxRequeue",
            Reason::Licenses => "Licenses",
            Reason::ReqNodeNotAvail => "ReqNodeNotAvail",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How the batch process left: Slurm's `exit:signal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code, 0 when a signal ended it.
    pub code: u8,
    /// The signal, 0 when it left by itself.
    pub signal: u8,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.code, self.signal)
    }
}

/// Why the controller stops an attempt that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopWhy {
    /// A user cancelled it (the user's uid).
    Cancelled(u32),
    /// Its time limit passed.
    TimeLimit,
    /// It goes back into the queue, because a user asked.
    Requeue,
    /// An administrator downed its node.
    NodeDown,
    /// The time came by which it had to be done.
    Deadline,
    /// The holder of an allocation is done with it (its exit code).
    Released(u8),
    /// A step whose job is over.
    JobOver,
}

/// Which processes of an attempt a signal goes to: `scancel --signal` as it is, with `--batch` or with `--full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// What `srun` has started, and not the batch shell.
    Steps,
    /// The batch shell alone.
    Batch,
    /// The batch shell, its children and the steps.
    Full,
}

/// How a task ended for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The end in one word.
    pub ending: Ending,
    /// How its process left; `0:0` when it never had one.
    pub exit: Exit,
    /// What a person should read: which blob, which file, what went wrong. At most [`NOTE_BYTES_MAX`].
    pub note: Option<Arc<str>>,
}

/// The longest note that a task keeps; what is longer is cut at a character.
pub const NOTE_BYTES_MAX: usize = 512;

/// The end of a task in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ending {
    /// Exit code 0.
    Completed,
    /// Left with an error, or by a signal that nobody here sent.
    Failed,
    /// It never came to run: an output file or a program that could not be opened.
    LaunchFailed,
    /// Cancelled, by the user with this uid.
    Cancelled(u32),
    /// Ran longer than its limit.
    Timeout,
    /// Its node went away with it.
    NodeFail,
    /// Took more memory than it had asked for.
    OutOfMemory,
    /// Was not done by the time that it had to be.
    Deadline,
}

impl Outcome {
    /// An end without a process and without a note.
    #[must_use]
    pub fn bare(ending: Ending) -> Outcome {
        Outcome { ending, exit: Exit::default(), note: None }
    }

    /// The reason that listings show beside the state: Slurm's word for this end.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.ending {
            Ending::Completed | Ending::Cancelled(_) => "None",
            Ending::Failed if self.exit.signal != 0 => "RaisedSignal",
            Ending::Failed => "NonZeroExitCode",
            Ending::LaunchFailed => "JobLaunchFailure",
            Ending::Timeout => "TimeLimit",
            Ending::NodeFail => "NodeDown",
            Ending::OutOfMemory => "OutOfMemory",
            Ending::Deadline => "DeadLine",
        }
    }

    /// The exit status by which `sbatch --wait` speaks of this task: its code, or 1 where a signal or Covey ended it.
    #[must_use]
    pub fn wait_status(&self) -> u8 {
        match self.ending {
            Ending::Completed => 0,
            _ => self.exit.code.max(1),
        }
    }
}

/// Cuts a note to [`NOTE_BYTES_MAX`].
#[must_use]
pub fn note(text: &str) -> Arc<str> {
    let mut end = text.len().min(NOTE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Arc::from(&text[..end])
}
