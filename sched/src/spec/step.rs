//! What `srun` asks for inside a job, checked once: [`StepDraft`] is filled from the wire, and [`StepDraft::check`] is the only way
//! to a [`StepSpec`].

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::Name;
use crate::spec::duration::TimeLimit;
use crate::spec::job::{ARGUMENTS_BYTES_MAX, NODES_NAMED_MAX, SpecError, count, text};
use crate::spec::programs::Programs;
use crate::spec::rlimit::{LIMITED, ResourceLimit};

/// The largest environment of a step, in bytes; what is larger is refused, because the journal holds it while the step runs.
pub const ENVIRONMENT_BYTES_MAX: usize = 1024 * 1024;
/// What a word of the command weighs beside its bytes.
const WORD_BYTES: usize = 16;

/// A checked step: its fields can be read, and nothing but [`StepDraft::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepSpec(StepDraft);

impl Deref for StepSpec {
    type Target = StepDraft;
    fn deref(&self) -> &StepDraft {
        &self.0
    }
}

/// What a step is to be, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDraft {
    /// `--job-name`, or the program's name.
    pub name: String,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The environment of its tasks.
    pub environment: Environment,
    /// Where its tasks start; absolute.
    pub work_dir: String,
    /// `--ntasks`; `None` for what the job has.
    pub processes: Option<u32>,
    /// `--cpus-per-task`; `None` for what the job has.
    pub cpus_per_process: Option<u32>,
    /// `--nodes`, the least.
    pub nodes_min: Option<u32>,
    /// `--nodes`, the most.
    pub nodes_max: Option<u32>,
    /// `--ntasks-per-node`.
    pub processes_per_node: Option<u32>,
    /// `--nodelist`.
    pub nodes: Vec<Name>,
    /// `--exclude`.
    pub exclude: Vec<Name>,
    /// `--overlap`: it takes no CPUs from other steps.
    pub overlap: bool,
    /// `--exact` and `--exclusive`: it takes no more CPUs than its tasks need.
    pub exact: bool,
    /// `--immediate`: refused instead of waiting.
    pub immediate: bool,
    /// A file name pattern; empty streams from `srun`, and `none` is `/dev/null`.
    pub stdin: String,
    /// A file name pattern; empty streams to `srun`.
    pub stdout: String,
    /// A file name pattern; empty streams to `srun`.
    pub stderr: String,
    /// `--open-mode=append`.
    pub append: bool,
    /// The umask of its tasks.
    pub umask: u32,
    /// `--kill-on-bad-exit`.
    pub kill_on_bad_exit: bool,
    /// The task that gets the input; `None` for all.
    pub input_task: Option<u32>,
    /// `--time`, from its start; `None` for the job's own.
    pub time_limit: Option<TimeLimit>,
    /// Soft limits of its tasks.
    pub limits: Vec<ResourceLimit>,
    /// As typed after `--gres`.
    pub gres: String,
    /// The lines of the file of `--multi-prog`; empty without one, and then all tasks run the same words.
    #[serde(default)]
    pub programs: String,
}

/// `NAME=value` records, each ended by a NUL byte; shared by all that hold it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(pub Arc<[u8]>);

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} bytes)", self.0.len())
    }
}

impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Environment, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Environment;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Environment, E> {
                Ok(Environment(bytes.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Environment, A::Error> {
                let mut all = Vec::new();
                while let Some(byte) = bytes.next_element()? {
                    all.push(byte);
                }
                Ok(Environment(all.into()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl StepDraft {
    /// About how many bytes it takes in the journal.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let words: usize = self.words.iter().map(|word| word.len() + 5).sum();
        let nodes: usize = self.nodes.iter().chain(&self.exclude).map(|name| name.len() + 5).sum();
        16 * 1024 + words + nodes + self.environment.0.len() + self.programs.len()
    }

    /// Checks every field that can be judged without the job.
    ///
    /// # Errors
    /// The first field that is out of bounds.
    pub fn check(self) -> Result<StepSpec, SpecError> {
        for (field, value) in [
            ("--job-name", &self.name),
            ("--chdir", &self.work_dir),
            ("--input", &self.stdin),
            ("--output", &self.stdout),
            ("--error", &self.stderr),
            ("--gres", &self.gres),
        ] {
            text(field, value)?;
        }
        if self.programs.contains('\0') {
            return Err(SpecError::Nul { field: "--multi-prog" });
        }
        if !self.work_dir.starts_with('/') {
            return Err(SpecError::RelativeFolder(self.work_dir));
        }
        if self.words.is_empty() {
            return Err(SpecError::NoCommand);
        }
        // One word may be a whole script, and there may be many: only what they are together is bounded.
        let bytes = self.words.iter().map(|word| WORD_BYTES + word.len()).sum();
        if bytes > ARGUMENTS_BYTES_MAX {
            return Err(SpecError::ArgumentBytes(bytes));
        }
        if self.words.iter().any(|word| word.contains('\0')) {
            return Err(SpecError::Nul { field: "an argument" });
        }
        if self.limits.len() > LIMITED.len() {
            return Err(SpecError::Limits(self.limits.len()));
        }
        if self.environment.0.len() > ENVIRONMENT_BYTES_MAX {
            return Err(SpecError::TooLong { field: "the environment", bytes: self.environment.0.len() });
        }
        if !self.programs.is_empty() {
            Programs::read(&self.programs)?;
        }
        self.check_counts()?;
        Ok(StepSpec(self))
    }

    fn check_counts(&self) -> Result<(), SpecError> {
        for (field, value) in [
            ("--ntasks", self.processes),
            ("--cpus-per-task", self.cpus_per_process),
            ("--ntasks-per-node", self.processes_per_node),
            ("--nodes", self.nodes_min),
            ("--nodes", self.nodes_max),
        ] {
            value.map_or(Ok(()), |value| count(field, value))?;
        }
        if let (Some(min), Some(max)) = (self.nodes_min, self.nodes_max)
            && max < min
        {
            return Err(SpecError::Nodes { min, max });
        }
        for (field, names) in [("--nodelist", &self.nodes), ("--exclude", &self.exclude)] {
            if names.len() > NODES_NAMED_MAX {
                return Err(SpecError::NodesNamed { field, count: names.len() });
            }
            names.iter().try_for_each(|name| text(field, name))?;
        }
        Ok(())
    }
}
