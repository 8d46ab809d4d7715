//! What a user asks for, checked once: [`JobDraft`] is filled by whoever reads arguments or the wire, and
//! [`JobDraft::check`] is the only way to a [`JobSpec`], which nobody validates again.

use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{BlobHash, Name, Timestamp};
use crate::shared::Shared;
use crate::spec::array::ArraySpec;
use crate::spec::dependency::Dependency;
use crate::spec::duration::TimeLimit;
use crate::spec::gres::GresError;
use crate::spec::inject::InjectedFailure;
use crate::spec::labels::Labels;
use crate::spec::licenses::LicenseError;
use crate::spec::programs::ProgramsError;
use crate::spec::retry::Retry;
use crate::spec::rlimit::{LIMITED, ResourceLimit};
use crate::spec::signal::Warning;

pub use crate::spec::request::{Memory, Request};

/// The longest text in any single field of a job (names, paths, comments, one argument), in bytes.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
/// The most arguments that a script or a mapped command may have.
pub const ARGUMENTS_MAX: usize = 4096;
/// The most bytes that all arguments may have together.
pub const ARGUMENTS_BYTES_MAX: usize = 1024 * 1024;
/// The most that `--nice` adds to or takes off a priority (Slurm's bound).
pub const NICE_MAX: u32 = 2_147_483_645;
/// The most processes (`--ntasks`) and CPUs per process that a job may ask for.
pub const COUNT_MAX: u32 = 1_000_000;
/// The most nodes that `--nodelist` or `--exclude` may name.
pub const NODES_NAMED_MAX: usize = 10_000;

/// A checked job: its fields can be read, and nothing but [`JobDraft::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobSpec(JobDraft);

impl Deref for JobSpec {
    type Target = JobDraft;
    fn deref(&self) -> &JobDraft {
        &self.0
    }
}

impl JobSpec {
    /// The same with some fields changed, checked again.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn revised(&self, change: impl FnOnce(&mut JobDraft)) -> Result<JobSpec, SpecError> {
        let mut draft = self.0.clone();
        change(&mut draft);
        draft.check()
    }

    /// Whether any part that it has in common with another is kept twice.
    pub(crate) fn is_apart(&self, other: &JobSpec) -> bool {
        (!Arc::ptr_eq(&self.name, &other.name) && self.name == other.name)
            || self.user.is_apart(&other.user)
            || self.request.is_apart(&other.request)
            || self.work.is_apart(&other.work)
            || self.files.is_apart(&other.files)
            || self.origin.is_apart(&other.origin)
            || self.labels.is_apart(&other.labels)
            || self.limits.is_apart(&other.limits)
            || matches!((&self.map, &other.map), (Some(map), Some(other)) if map.is_apart(other))
    }

    /// The same, with every part that it has in common with another kept once.
    pub(crate) fn beside(&self, other: &JobSpec) -> JobSpec {
        let mut draft = self.0.clone();
        if draft.name == other.name {
            draft.name = other.name.clone();
        }
        draft.user.share_with(&other.user);
        draft.request.share_with(&other.request);
        draft.work.share_with(&other.work);
        draft.files.share_with(&other.files);
        draft.origin.share_with(&other.origin);
        draft.labels.share_with(&other.labels);
        draft.limits.share_with(&other.limits);
        if let (Some(map), Some(other)) = (&mut draft.map, &other.map) {
            map.share_with(other);
        }
        JobSpec(draft)
    }
}

/// What a user asks for, field by field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDraft {
    /// `--job-name`.
    pub name: Name,
    /// Who submits, and as whom the job runs.
    pub user: Shared<User>,
    /// `--partition`, in the order given; empty means the default partition.
    pub partitions: Vec<Name>,
    /// `--array`, or the tasks of a map.
    pub array: Option<ArraySpec>,
    /// The shape of each task.
    pub request: Shared<Request>,
    /// `--time`.
    pub time_limit: Option<TimeLimit>,
    /// What runs.
    pub work: Shared<Work>,
    /// The blobs that the tasks map over.
    pub map: Option<Shared<Map>>,
    /// The submitter's environment for the tasks, as a journal blob.
    pub environment: BlobHash,
    /// Files and folder of the tasks.
    pub files: Shared<Files>,
    /// `--requeue`: whether a task whose node was lost starts again.
    pub requeue: bool,
    /// `--hold`: whether it waits for a release.
    pub hold: bool,
    /// `--begin`: nothing of it starts before.
    pub begin: Option<Timestamp>,
    /// `--dependency`.
    pub dependency: Option<Dependency>,
    /// `--kill-on-invalid-dep=yes`.
    pub kill_on_invalid_dep: bool,
    /// `--comment`.
    pub comment: String,
    /// How `--export` was given, for `SLURM_EXPORT_ENV`; empty when it was not.
    pub export: String,
    /// Where it was submitted.
    pub origin: Shared<Origin>,
    /// `--nice`: so much is taken off its priority.
    pub nice: i32,
    /// `--priority`, instead of a computed one.
    pub priority: Option<u32>,
    /// `--deadline`: it has to be done by then.
    pub deadline: Option<Timestamp>,
    /// `--retries` and `--retry-on`: how often a task that fails is tried again.
    pub retry: Option<Retry>,
    /// `--signal`: a signal ahead of the time limit.
    #[serde(default)]
    pub warning: Option<Warning>,
    /// Names and remarks.
    #[serde(default)]
    pub labels: Shared<Labels>,
    /// The submitter's soft limits.
    #[serde(default)]
    pub limits: Shared<Vec<ResourceLimit>>,
    /// `--time-min`: it may be content with as little.
    #[serde(default)]
    pub time_min: Option<TimeLimit>,
    /// `--get-user-env`, and `--export` without `ALL`: tasks have the environment of a login beneath what they were given.
    #[serde(default)]
    pub login_environment: bool,
    /// `--inject-failure`: a share of its tasks is counted as failed.
    #[serde(default)]
    pub inject_failure: Option<InjectedFailure>,
    /// How many bytes came with it: script, environment, names of blobs.
    #[serde(default)]
    pub bytes: u64,
}

/// Who a job belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Numeric user.
    pub uid: u32,
    /// Numeric primary group.
    pub gid: u32,
    /// The user's name, for listings and `%u`.
    pub name: Name,
    /// The group's name, for listings.
    pub group: Name,
}

/// What runs in each task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// A batch script with its arguments.
    Script {
        /// The script's text, as a journal blob.
        script: BlobHash,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// A program and its arguments, run without a shell; `{in}` and `{out}` stand for the staged blobs of a map.
    Command(Vec<String>),
    /// A built-in operation on the task's blob, by name.
    Op(String),
    /// Nothing: its nodes are held for the steps that `srun` starts there.
    Allocation,
}

/// A map over the objects of a blob store: task `i` reads the `i`th name of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// The URL whose blobs are read.
    pub from: String,
    /// The URL under which outputs appear.
    pub to: String,
    /// How outputs are called: a template with `{name}`, `{stem}`, `{ext}`, `{job}`, `{index}`.
    pub output_name: String,
    /// The sorted blob names, one a line, as a journal blob.
    pub manifest: BlobHash,
}

/// Files and folder of a job's tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// `--chdir`, or where the job was submitted; absolute.
    pub work_dir: String,
    /// `--input`: a file name pattern, or `None` for nothing to read.
    pub stdin: Option<String>,
    /// `--output`: a file name pattern, or `None` for Slurm's default names.
    pub stdout: Option<String>,
    /// `--error`: a file name pattern, or `None` for the same file as stdout.
    pub stderr: Option<String>,
    /// `--open-mode=append`.
    pub append: bool,
    /// The submitter's umask.
    pub umask: u32,
}

/// Where a job came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The host on which it was submitted.
    pub host: String,
    /// The folder in which it was submitted.
    pub dir: String,
    /// The script's path and arguments as typed, for `Command=`; empty for a wrapped command.
    pub command: String,
    /// The whole command line, for `SubmitLine=`.
    #[serde(default)]
    pub line: String,
    /// The session of the submitter, for `AllocNode:Sid=`.
    #[serde(default)]
    pub session: u32,
}

/// Why a draft is no job. The texts name the field and the fix.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SpecError {
    /// A file of programs that cannot be read.
    #[error("--multi-prog: {0}")]
    Programs(#[from] ProgramsError),
    /// A text longer than [`TEXT_BYTES_MAX`].
    #[error("{field} is {bytes} bytes long; at most {TEXT_BYTES_MAX} are allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// A text with a byte that ends a C string.
    #[error("{field} contains a NUL character; remove it")]
    Nul {
        /// Which field.
        field: &'static str,
    },
    /// A number outside its range.
    #[error("{field} is {value}; it must be between 1 and {COUNT_MAX}")]
    Count {
        /// Which field.
        field: &'static str,
        /// What it is.
        value: u32,
    },
    /// `--nice` beyond [`NICE_MAX`].
    #[error("--nice is {0}; it must be between -{NICE_MAX} and {NICE_MAX}")]
    Nice(i32),
    /// A time limit of nothing, or beyond all bounds.
    #[error("the time limit must be at least one minute, and at most 4294967295")]
    TimeLimit,
    /// A least time beyond the limit.
    #[error("Requested time limit is invalid (missing or exceeds some limit)")]
    TimeMin,
    /// More limits than there are.
    #[error("{0} resource limits; there are only {max}", max = LIMITED.len())]
    Limits(usize),
    /// `--nodes=MIN-MAX` with MAX below MIN.
    #[error("--nodes asks for at least {min} and at most {max} nodes")]
    Nodes {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// More nodes than [`NODES_NAMED_MAX`].
    #[error("{field} names {count} nodes; at most {NODES_NAMED_MAX} are allowed")]
    NodesNamed {
        /// Which field.
        field: &'static str,
        /// How many.
        count: usize,
    },
    /// More nodes in `--nodelist` than `--nodes` allows.
    #[error("--nodelist names {named} nodes and --nodes allows {max}: raise --nodes, or name fewer")]
    NodeList {
        /// By the list.
        named: u32,
        /// By `--nodes`.
        max: u32,
    },
    /// Both ways to say how many CPUs.
    #[error("--cpus and --cpus-per-task exclude each other: give one of them")]
    CpusTwice,
    /// Less than a thousandth of a CPU, or more than can be counted.
    #[error("--cpus is out of bounds: give from 0.001 to {COUNT_MAX}")]
    Cpus,
    /// Feature counts for more nodes than are asked for.
    #[error(
        "Invalid feature specification: --constraint counts {counted} nodes and --nodes asks for {nodes}: raise --nodes"
    )]
    NodesCounted {
        /// By the constraint.
        counted: u32,
        /// By `--nodes`.
        nodes: u32,
    },
    /// Generic resources that cannot be.
    #[error("Invalid generic resource (gres) specification")]
    Gres(#[from] GresError),
    /// A total that cannot be divided.
    #[error(
        "Invalid generic resource (gres) specification: --gpus={count} cannot be divided among {processes} processes on several \
         nodes: use --gpus-per-task or --gpus-per-node"
    )]
    Undivided {
        /// The total.
        count: u32,
        /// The processes.
        processes: u32,
    },
    /// Licenses that cannot be.
    #[error("Invalid license specification")]
    Licenses(#[from] LicenseError),
    /// A folder that is not absolute.
    #[error("the working folder {0:?} is not an absolute path")]
    RelativeFolder(String),
    /// More arguments than [`ARGUMENTS_MAX`].
    #[error("{0} arguments; at most {ARGUMENTS_MAX} are allowed")]
    Arguments(usize),
    /// Arguments longer than [`ARGUMENTS_BYTES_MAX`] together.
    #[error("the arguments are {0} bytes long together; at most {ARGUMENTS_BYTES_MAX} are allowed")]
    ArgumentBytes(usize),
    /// A command without words.
    #[error("the command is empty; give a program after `--`")]
    NoCommand,
    /// An op without a map.
    #[error("the op {0} needs blobs to work on: give --map-from and --map-to")]
    OpWithoutMap(String),
    /// An allocation is held once.
    #[error("an allocation is held by one command: --array and maps cannot be given")]
    ArrayOfAllocations,
    /// A map whose tasks are not those of its manifest.
    #[error("a map makes its own tasks: --array cannot be given with --map-from")]
    MapWithoutTasks,
}

impl JobDraft {
    /// About how many bytes it takes in the journal.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let arguments: usize = match &*self.work {
            Work::Script { arguments, .. } => arguments.iter().map(|argument| argument.len() + 5).sum(),
            Work::Command(words) => words.iter().map(|word| word.len() + 5).sum(),
            Work::Op(op) => op.len(),
            Work::Allocation => 0,
        };
        let array = self.array.as_ref().map_or(0, |array| array.tasks().size_bytes());
        let terms = self.dependency.as_ref().map_or(0, |dependency| dependency.terms.len() * 32);
        let nodes: usize = self.request.nodes.iter().chain(&self.request.exclude).map(|name| name.len() + 5).sum();
        16 * 1024 + arguments + array + terms + nodes
    }

    /// Checks every field that can be judged without the cluster.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(mut self) -> Result<JobSpec, SpecError> {
        self.check_texts()?;
        // Slurm does not requeue what salloc and srun hold, and there would be nobody to hold it again.
        self.requeue &= *self.work != Work::Allocation;
        if self.nice.unsigned_abs() > NICE_MAX {
            return Err(SpecError::Nice(self.nice));
        }
        self.request.check()?;
        if self.limits.len() > LIMITED.len() {
            return Err(SpecError::Limits(self.limits.len()));
        }
        if let (Some(least), Some(limit)) = (self.time_min, self.time_limit)
            && least > limit
        {
            return Err(SpecError::TimeMin);
        }
        if !self.files.work_dir.starts_with('/') {
            return Err(SpecError::RelativeFolder(self.files.work_dir.clone()));
        }
        match (&*self.work, &self.map) {
            (Work::Command(words), _) if words.is_empty() => return Err(SpecError::NoCommand),
            (Work::Op(op), None) => return Err(SpecError::OpWithoutMap(op.clone())),
            (Work::Allocation, _) if self.array.is_some() || self.map.is_some() => {
                return Err(SpecError::ArrayOfAllocations);
            }
            (_, Some(_)) if self.array.is_none() => return Err(SpecError::MapWithoutTasks),
            _ => {}
        }
        Ok(JobSpec(self))
    }

    fn check_texts(&self) -> Result<(), SpecError> {
        let files = &self.files;
        for (field, value) in [
            ("--job-name", &*self.name),
            ("--comment", &self.comment),
            ("--export", &self.export),
            ("--chdir", &files.work_dir),
            ("the submitting host", &self.origin.host),
            ("the submitting folder", &self.origin.dir),
            ("the command", &self.origin.command),
            ("the command line", &self.origin.line),
        ] {
            text(field, value)?;
        }
        for (field, value) in [("--input", &files.stdin), ("--output", &files.stdout), ("--error", &files.stderr)] {
            value.as_deref().map_or(Ok(()), |value| text(field, value))?;
        }
        self.labels.check()?;
        for partition in &self.partitions {
            text("--partition", partition)?;
        }
        if let Some(map) = &self.map {
            text("--map-from", &map.from)?;
            text("--map-to", &map.to)?;
            text("--name", &map.output_name)?;
        }
        let arguments: &[String] = match &*self.work {
            Work::Script { arguments, .. } => arguments,
            Work::Command(words) => words,
            Work::Op(op) => std::slice::from_ref(op),
            Work::Allocation => &[],
        };
        if arguments.len() > ARGUMENTS_MAX {
            return Err(SpecError::Arguments(arguments.len()));
        }
        let bytes = arguments.iter().map(String::len).sum();
        if bytes > ARGUMENTS_BYTES_MAX {
            return Err(SpecError::ArgumentBytes(bytes));
        }
        arguments.iter().try_for_each(|argument| text("an argument", argument))
    }
}

pub(crate) fn text(field: &'static str, value: &str) -> Result<(), SpecError> {
    if value.len() > TEXT_BYTES_MAX {
        return Err(SpecError::TooLong { field, bytes: value.len() });
    }
    if value.contains('\0') {
        return Err(SpecError::Nul { field });
    }
    Ok(())
}

pub(crate) fn count(field: &'static str, value: u32) -> Result<(), SpecError> {
    if (1..=COUNT_MAX).contains(&value) { Ok(()) } else { Err(SpecError::Count { field, value }) }
}
