//! What a user asks for, checked once: [`JobDraft`] is filled by whoever reads arguments or the wire, and
//! [`JobDraft::check`] is the only way to a [`JobSpec`], which nobody validates again.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{BlobHash, Name, Timestamp};
use crate::resources::Cpus;
use crate::spec::array::ArraySpec;
use crate::spec::dependency::Dependency;
use crate::spec::duration::TimeLimit;
use crate::spec::retry::Retry;
use crate::spec::signal::Warning;

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
}

/// What a user asks for, field by field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDraft {
    /// `--job-name`.
    pub name: String,
    /// Who submits, and as whom the job runs.
    pub user: User,
    /// `--partition`, in the order given; empty means the default partition.
    pub partitions: Vec<Name>,
    /// `--array`, or the tasks of a map.
    pub array: Option<ArraySpec>,
    /// The shape of each task.
    pub request: Request,
    /// `--time`.
    pub time_limit: Option<TimeLimit>,
    /// What runs.
    pub work: Work,
    /// The blobs that the tasks map over.
    pub map: Option<Map>,
    /// The submitter's environment for the tasks, as a journal blob.
    pub environment: BlobHash,
    /// Files and folder of the tasks.
    pub files: Files,
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
    pub origin: Origin,
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

/// The shape of one task: how many processes, CPUs and nodes, and how much memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `--nodes`, the least.
    pub nodes_min: u32,
    /// `--nodes`, the most; `None` leaves it to the scheduler.
    pub nodes_max: Option<u32>,
    /// `--ntasks`; `None` means one for each node.
    pub processes: Option<u32>,
    /// `--cpus-per-task`; `None` means one, and then the job's environment does not speak of it.
    pub cpus_per_process: Option<u32>,
    /// `--mem` or `--mem-per-cpu`.
    pub memory: Memory,
}

/// How much memory a task asks for, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Memory {
    /// The node's memory divided by its CPUs, for each CPU.
    Default,
    /// So much on each node; 0 is all of the node's.
    PerNode(u64),
    /// So much for each CPU.
    PerCpu(u64),
}

impl Default for Request {
    /// One process on one CPU of one node, with its share of the node's memory.
    fn default() -> Request {
        Request { nodes_min: 1, nodes_max: None, processes: None, cpus_per_process: None, memory: Memory::Default }
    }
}

impl Request {
    /// How many processes a task has.
    #[must_use]
    pub fn process_count(&self) -> u32 {
        self.processes.unwrap_or(self.nodes_min).max(self.nodes_min)
    }

    /// The CPUs of one process.
    #[must_use]
    pub fn process_cpus(&self) -> Cpus {
        Cpus::whole(self.cpus_per_process.unwrap_or(1))
    }

    /// The CPUs that one task takes over all its nodes.
    #[must_use]
    pub fn cpus(&self) -> Cpus {
        self.process_cpus().times(self.process_count())
    }
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The host on which it was submitted.
    pub host: String,
    /// The folder in which it was submitted.
    pub dir: String,
    /// The script's path and arguments as typed, for `Command=`; empty for a wrapped command.
    pub command: String,
}

/// Why a draft is no job. The texts name the field and the fix.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SpecError {
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
    /// `--nodes=MIN-MAX` with MAX below MIN.
    #[error("--nodes asks for at least {min} and at most {max} nodes")]
    Nodes {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
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
    /// A map whose tasks are not those of its manifest.
    #[error("a map makes its own tasks: --array cannot be given with --map-from")]
    MapWithoutTasks,
}

impl JobDraft {
    /// About how many bytes it takes in the journal.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let arguments: usize = match &self.work {
            Work::Script { arguments, .. } => arguments.iter().map(|argument| argument.len() + 5).sum(),
            Work::Command(words) => words.iter().map(|word| word.len() + 5).sum(),
            Work::Op(op) => op.len(),
        };
        let array = self.array.as_ref().map_or(0, |array| array.tasks().size_bytes());
        let terms = self.dependency.as_ref().map_or(0, |dependency| dependency.terms.len() * 32);
        16 * 1024 + arguments + array + terms
    }

    /// Checks every field that can be judged without the cluster.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(self) -> Result<JobSpec, SpecError> {
        self.check_texts()?;
        let request = &self.request;
        count("--nodes", request.nodes_min)?;
        count("--ntasks", request.process_count())?;
        count("--cpus-per-task", request.cpus_per_process.unwrap_or(1))?;
        if self.nice.unsigned_abs() > NICE_MAX {
            return Err(SpecError::Nice(self.nice));
        }
        if let Some(max) = request.nodes_max.filter(|max| *max < request.nodes_min) {
            return Err(SpecError::Nodes { min: request.nodes_min, max });
        }
        if !self.files.work_dir.starts_with('/') {
            return Err(SpecError::RelativeFolder(self.files.work_dir));
        }
        match (&self.work, &self.map) {
            (Work::Command(words), _) if words.is_empty() => return Err(SpecError::NoCommand),
            (Work::Op(op), None) => return Err(SpecError::OpWithoutMap(op.clone())),
            (_, Some(_)) if self.array.is_none() => return Err(SpecError::MapWithoutTasks),
            _ => {}
        }
        Ok(JobSpec(self))
    }

    fn check_texts(&self) -> Result<(), SpecError> {
        let files = &self.files;
        for (field, value) in [
            ("--job-name", &self.name),
            ("--comment", &self.comment),
            ("--export", &self.export),
            ("--chdir", &files.work_dir),
            ("the submitting host", &self.origin.host),
            ("the submitting folder", &self.origin.dir),
            ("the command", &self.origin.command),
        ] {
            text(field, value)?;
        }
        for (field, value) in [("--input", &files.stdin), ("--output", &files.stdout), ("--error", &files.stderr)] {
            value.as_deref().map_or(Ok(()), |value| text(field, value))?;
        }
        for partition in &self.partitions {
            text("--partition", partition)?;
        }
        if let Some(map) = &self.map {
            text("--map-from", &map.from)?;
            text("--map-to", &map.to)?;
            text("--name", &map.output_name)?;
        }
        let arguments: &[String] = match &self.work {
            Work::Script { arguments, .. } => arguments,
            Work::Command(words) => words,
            Work::Op(op) => std::slice::from_ref(op),
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

fn text(field: &'static str, value: &str) -> Result<(), SpecError> {
    if value.len() > TEXT_BYTES_MAX {
        return Err(SpecError::TooLong { field, bytes: value.len() });
    }
    if value.contains('\0') {
        return Err(SpecError::Nul { field });
    }
    Ok(())
}

fn count(field: &'static str, value: u32) -> Result<(), SpecError> {
    if (1..=COUNT_MAX).contains(&value) { Ok(()) } else { Err(SpecError::Count { field, value }) }
}
