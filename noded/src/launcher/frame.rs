//! What noded and its launcher say to each other: requests down, notices up.
//!
//! Types only: [`wire`](super::wire) turns batches of them into bytes. Both sides may be of different builds, because
//! the launcher outlives an upgrade of noded; so fields travel by name, and a new field must have a serde default.
//! Start with [`Launch`] and [`Notice`].

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use sched::ids::{AttemptKey, JobId, StepKey};
use sched::spec::rlimit::ResourceLimit;
use serde::{Deserialize, Serialize};

/// What the launcher has a record of: an attempt, or a part of a step of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(JobId, u32, u32, Option<u32>)", into = "(JobId, u32, u32, Option<u32>)")]
pub struct RunKey {
    /// The job.
    pub job: JobId,
    /// The task.
    pub index: u32,
    /// The run.
    pub attempt: u32,
    /// The step, if it is one: its main process is a stepd, which is the parent of its tasks.
    pub step: Option<u32>,
}

impl RunKey {
    /// The attempt that it is or belongs to.
    #[must_use]
    pub fn whole(self) -> RunKey {
        RunKey { step: None, ..self }
    }

    /// Whether it is a step.
    #[must_use]
    pub fn is_step(self) -> bool {
        self.step.is_some()
    }

    /// The attempt that it is or belongs to, in the words of the core.
    #[must_use]
    pub fn attempt(self) -> AttemptKey {
        AttemptKey { job: self.job, index: self.index, attempt: self.attempt }
    }

    /// The step, in the words of the core.
    #[must_use]
    pub fn step_key(self) -> Option<StepKey> {
        Some(StepKey { attempt: self.attempt(), step: self.step? })
    }
}

impl From<StepKey> for RunKey {
    fn from(key: StepKey) -> RunKey {
        RunKey { step: Some(key.step), ..RunKey::from(key.attempt) }
    }
}

impl From<(JobId, u32, u32, Option<u32>)> for RunKey {
    fn from((job, index, attempt, step): (JobId, u32, u32, Option<u32>)) -> RunKey {
        RunKey { job, index, attempt, step }
    }
}

impl From<RunKey> for (JobId, u32, u32, Option<u32>) {
    fn from(key: RunKey) -> (JobId, u32, u32, Option<u32>) {
        (key.job, key.index, key.attempt, key.step)
    }
}

impl From<AttemptKey> for RunKey {
    fn from(key: AttemptKey) -> RunKey {
        RunKey { job: key.job, index: key.index, attempt: key.attempt, step: None }
    }
}

/// `job_index_attempt`, and `_step` for one, as in the marker that every process carries.
impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.job, self.index, self.attempt)?;
        self.step.map_or(Ok(()), |step| write!(f, "_{step}"))
    }
}

/// From noded to the launcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Start an attempt. For a key that has a record already, nothing starts: the answer is what is known of it.
    Launch(Box<Launch>),
    /// End an attempt's whole tree with its steps here, or a step: CONT and TERM, after `kill_wait_ms` KILL. A key that
    /// does not run is passed over; a second stop can only bring the KILL forward.
    Stop {
        /// Which attempt.
        key: RunKey,
        /// Why: worded in the task's stderr and repeated in its [`Ending`].
        why: StopWhy,
        /// From TERM to KILL.
        kill_wait_ms: u64,
    },
    /// Send a signal without ending anything. A key that does not run, or a number without a name, is passed over.
    Signal {
        /// Which attempt.
        key: RunKey,
        /// The number of a named signal: 1 to 31, not a real-time one.
        signal: i32,
        /// To every process of the tree, steps aside, or to the main process only; of a step only its tasks are signalled.
        whole_tree: bool,
        /// Counts the signals of the key from 1: what was heard once is passed over. 0 is not counted.
        #[serde(default)]
        number: u32,
    },
    /// Let nothing of the attempt's tree run, and its time limit wait, until it is resumed. One that does not run or is
    /// being ended is passed over.
    Suspend {
        /// Which attempt.
        key: RunKey,
    },
    /// Let a suspended attempt go on. One that is not suspended is passed over.
    Resume {
        /// Which attempt.
        key: RunKey,
    },
    /// Hold an attempt to another time limit. One that does not run or is being ended is passed over.
    Limit {
        /// Which attempt.
        key: RunKey,
        /// From its start, the time in which it was suspended not counted; no limit if none. What has passed already ends it.
        time_limit_s: Option<u64>,
    },
    /// Let what is leased go on until then, and end it if no later moment has been told by that time: CONT and TERM, after
    /// `kill_wait_ms` KILL. Before the first such request, nothing ends for a lease.
    Lease {
        /// By the clock of the machine that goes on while it sleeps, in milliseconds; for ever if none.
        until_ms: Option<u64>,
        /// From TERM to KILL.
        kill_wait_ms: u64,
    },
    /// Drop the records of attempts whose end is safe elsewhere. Attempts that still run are passed over.
    Forget {
        /// Which attempts.
        keys: Vec<RunKey>,
    },
}

/// All it takes to start one attempt, or the stepd of one step. Relative paths are taken from `cwd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Which attempt.
    pub key: RunKey,
    /// The command; the first word is the absolute path of the program.
    pub argv: Vec<RawStr>,
    /// The whole environment, to which only the launcher's two markers are added.
    pub env: Vec<(RawStr, RawStr)>,
    /// Where it runs; where that cannot be entered, the task says so on stderr and runs in `/tmp`.
    pub cwd: RawStr,
    /// What it reads; `/dev/null` if none.
    pub stdin: Option<RawStr>,
    /// Where its output goes.
    pub stdout: FileSpec,
    /// Where its messages go; with stdout if none.
    pub stderr: Option<FileSpec>,
    /// For what it creates, its output files included.
    pub umask: u32,
    /// From start to TERM; no limit if none.
    pub time_limit_s: Option<u64>,
    /// From TERM to KILL when the time limit is reached.
    pub kill_wait_ms: u64,
    /// How messages name the job: `5` or `5_3`.
    pub job_label: String,
    /// How messages name the node.
    pub node_name: String,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// A signal ahead of the time limit; without a limit there is none.
    #[serde(default)]
    pub warning: Option<Warning>,
    /// As whom it runs; as the launcher if none.
    #[serde(default)]
    pub user: Option<RunAs>,
    /// The submitter's soft limits, which the launcher's own hard ones bound.
    #[serde(default)]
    pub soft_limits: Vec<ResourceLimit>,
    /// Of a step whose attempt runs on another node: what the warning goes by instead of the step's own limit.
    #[serde(default)]
    pub job_time: Option<JobTime>,
    /// It may run elsewhere once the node's lease is over, and has to be dead by then.
    #[serde(default)]
    pub leased: bool,
}

/// The time of an attempt whose process is on another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTime {
    /// How long it had run when the step started.
    pub ran_ms: u64,
    /// Its time limit; none if it has none.
    pub limit_s: Option<u64>,
}

/// A user whose rights a task has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// Numeric user.
    pub uid: u32,
    /// Numeric primary group.
    pub gid: u32,
    /// All groups, by this node's own group database.
    pub groups: Vec<u32>,
}

/// What an attempt, its whole tree taken together, may use; nothing is limited that is `None`.
///
/// By control groups all of it is exact. Without them memory is sampled ([`Means::Sampling`]), open files are limited all
/// the same, and neither CPUs nor processes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in MiB, swap included; over it something of the tree is killed, and it ends [`Outcome::OutOfMemory`].
    pub memory_mib: Option<u64>,
    /// Thousandths of a CPU: always its weight beside its neighbours, and a hard quota if they are no whole CPUs.
    pub cpus_milli: Option<u32>,
    /// Processes and threads; over it none can be made.
    pub processes_max: Option<u32>,
    /// Open files of any one process, but never more than the launcher's own hard limit.
    pub open_files_max: Option<u64>,
}

/// A signal to tell an attempt that its time limit is near. It is sent once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The number of a named signal, as in [`Request::Signal`].
    pub signal: i32,
    /// How long before the end of the limit; longer than the limit is at the start.
    pub before_s: u64,
    /// To the main process only (`B:` of `--signal`); else to its descendants and not to it.
    pub batch_only: bool,
}

/// A file to write to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSpec {
    /// Where; its folder must exist.
    pub path: RawStr,
    /// Keep what is there, instead of emptying the file first.
    pub append: bool,
}

/// From the launcher to noded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The first on every connection: all that is known.
    Hello {
        /// Made with the record file: another id means that all records are gone.
        launcher_id: String,
        /// Every attempt that was not forgotten.
        attempts: Vec<(RunKey, AttemptStatus)>,
        /// What limits mean on this node.
        #[serde(default)]
        abilities: Abilities,
        /// Until when the lease holds, as it was told last.
        #[serde(default)]
        lease_until_ms: Option<u64>,
        /// As it was told with that.
        #[serde(default)]
        lease_kill_wait_ms: u64,
    },
    /// The attempt's program runs.
    Started {
        /// Which attempt.
        key: RunKey,
        /// Its main process.
        pid: i32,
        /// When, in milliseconds since 1970.
        at_ms: i64,
    },
    /// The attempt is over and nothing of its tree is alive.
    Ended {
        /// Which attempt.
        key: RunKey,
        /// How.
        ending: Ending,
    },
}

/// What the launcher can hold attempts to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// How.
    pub means: Means,
    /// What of it is there; nothing with [`Means::Sampling`].
    pub controllers: Vec<Controller>,
    /// It knows of leases.
    #[serde(default)]
    pub leases: bool,
}

/// How limits are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Means {
    /// By control groups of the unified hierarchy.
    Cgroup2,
    /// By control groups of one hierarchy for each controller.
    Cgroup1,
    /// By looking at the resident memory of each tree a few times a second. What grows and ends in between is not seen, a
    /// fast one gets past its limit by what it takes in that time, and pages that processes share count for each.
    #[default]
    Sampling,
}

/// A part of the kernel that holds groups of processes to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Controller {
    /// Memory.
    Memory,
    /// Weight and quota of CPU time.
    Cpu,
    /// The number of processes.
    Processes,
    /// Stopping all of them at once.
    Freezer,
}

impl fmt::Display for Abilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.means {
            Means::Cgroup2 => "cgroup2",
            Means::Cgroup1 => "cgroup1",
            Means::Sampling => "sampling",
        })?;
        for (position, controller) in self.controllers.iter().enumerate() {
            write!(f, "{}{controller}", if position == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Processes => "processes",
            Self::Freezer => "freezer",
        })
    }
}

/// What the launcher knows of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptStatus {
    /// About to start; no later launch may start it again.
    Claimed,
    /// Its main process was started, and not all of its tree is known to be gone.
    Running {
        /// The main process.
        pid: i32,
        /// When it started, in milliseconds since 1970.
        started_ms: i64,
        /// Whether it waits to be resumed.
        #[serde(default)]
        suspended: bool,
        /// The highest number of a signal that it was sent.
        #[serde(default)]
        signals_heard: u32,
    },
    /// Over.
    Ended(Ending),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What became of the main process.
    pub outcome: Outcome,
    /// Why the launcher had begun to stop it, if it had.
    pub stopped: Option<StopWhy>,
    /// When it started (or failed to), in milliseconds since 1970; 0 if that is not known.
    pub started_ms: i64,
    /// When the main process was gone, in milliseconds since 1970.
    pub ended_ms: i64,
    /// What it used.
    pub usage: Usage,
}

/// What became of the main process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It left by itself.
    Exited {
        /// 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// Something of its tree was killed for taking more memory than it may, whatever the main process made of that.
    OutOfMemory,
    /// It never ran.
    NotStarted {
        /// What failed.
        step: StartStep,
        /// On which file.
        path: String,
        /// The system's words for it.
        error: String,
    },
    /// An earlier life of the launcher claimed or started it, or the launcher had to go: nobody knows the exit code.
    Lost,
}

/// What can fail between a launch and a running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartStep {
    /// Writing the claim to the record file.
    Claim,
    /// Opening the file for stdin.
    OpenInput,
    /// Opening the file for stdout.
    OpenOutput,
    /// Opening the file for stderr.
    OpenError,
    /// Making the process or executing the program.
    Exec,
}

impl fmt::Display for StartStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claim => "claim",
            Self::OpenInput => "open input",
            Self::OpenOutput => "open output",
            Self::OpenError => "open error output",
            Self::Exec => "exec",
        })
    }
}

/// Why an attempt is ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopWhy {
    /// Somebody cancelled the job.
    Cancelled,
    /// It ran for as long as it was allowed to.
    TimeLimit,
    /// The controller gave the node up.
    NodeFailure,
    /// It goes back into the queue.
    Requeue,
    /// A job that matters more takes its place.
    Preemption,
    /// The launcher itself was told to go.
    Shutdown,
    /// The time came by which it had to be done.
    Deadline,
    /// The holder of an allocation is done with it, or the job of a step is over: nothing is written about it.
    Released,
}

/// What the main process, and those descendants that it waited for, have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time in user mode, in microseconds.
    pub user_us: u64,
    /// CPU time in the kernel, in microseconds.
    pub system_us: u64,
    /// The largest resident set of any one of them, in KiB.
    pub max_rss_kib: u64,
}

/// A string as the kernel takes it: any bytes but NUL, not necessarily UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawStr(#[serde(with = "serde_bytes")] Vec<u8>);

impl RawStr {
    /// The bytes as what `std::process` takes.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// The bytes as a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(self.as_os_str())
    }
}

impl<T: Into<std::ffi::OsString>> From<T> for RawStr {
    fn from(text: T) -> Self {
        Self(text.into().into_vec())
    }
}

impl fmt::Debug for RawStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_os_str().fmt(f)
    }
}
