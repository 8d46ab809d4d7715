//! What a stepd is told by noded: all of one step's part on this node, as bytes on its stdin.
//!
//! What can be decided beforehand is: a stepd looks nothing up. The secret is in here and not among its arguments, which
//! everybody on the machine may read.

use proto::v1;
use sched::ids::StepKey;
use sched::spec::rlimit::ResourceLimit;
use serde::{Deserialize, Serialize};

use crate::launcher::frame::{RawStr, RunAs};

/// A step's part on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepOrder {
    /// Which step.
    pub(crate) key: StepKey,
    /// How messages name it: `5.0` or `5_3.0`.
    pub(crate) label: String,
    /// This node.
    pub(crate) node: String,
    /// Where the controller is.
    pub(crate) controller: String,
    /// Where this node's papers are, if it has joined over TLS.
    pub(crate) papers: Option<RawStr>,
    /// What is shown to it.
    #[serde(with = "serde_bytes")]
    pub(crate) secret: Vec<u8>,
    /// The environment of all tasks, but for what each has of its own.
    pub(crate) environment: Vec<(RawStr, RawStr)>,
    /// Where they run.
    pub(crate) work_dir: RawStr,
    /// What they create does not get.
    pub(crate) umask: u32,
    /// Their soft limits.
    pub(crate) limits: Vec<ResourceLimit>,
    /// As whom they run, and the stepd with them; as the launcher if none.
    pub(crate) user: Option<RunAs>,
    /// Output files keep what is in them.
    pub(crate) append: bool,
    /// All end when one has ended badly.
    pub(crate) kill_on_bad_exit: bool,
    /// The tasks, by their numbers within the node.
    pub(crate) tasks: Vec<TaskOrder>,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskOrder {
    /// Its number in the step.
    pub(crate) rank: u32,
    /// Its program and arguments.
    pub(crate) words: Vec<String>,
    /// What it reads.
    pub(crate) stdin: Stream,
    /// Where its output goes.
    pub(crate) stdout: Stream,
    /// Where its errors go; with its output if that is the same file.
    pub(crate) stderr: Stream,
}

/// One end of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stream {
    /// Nothing, and into nothing.
    Null,
    /// srun.
    Srun,
    /// A file of this node.
    File(RawStr),
}

/// How a step's part ended, as its stepd writes it to its stdout for noded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepResult {
    /// Of the task that ended worst.
    pub(crate) exit_code: u8,
    /// The signal that ended it.
    pub(crate) exit_signal: u8,
    /// A task was killed for its memory.
    pub(crate) out_of_memory: bool,
    /// Of all tasks together, in microseconds.
    pub(crate) user_us: u64,
    /// The same in the kernel.
    pub(crate) system_us: u64,
    /// The largest of any one, in KiB.
    pub(crate) max_rss_kib: u64,
}

impl StepOrder {
    /// As bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, rmp_serde::encode::Error> {
        rmp_serde::to_vec_named(self)
    }

    /// From bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<StepOrder, rmp_serde::decode::Error> {
        rmp_serde::from_slice(bytes)
    }

    /// The step's name on the wire.
    pub(crate) fn name(&self) -> v1::StepName {
        self.key.into()
    }
}

impl StepResult {
    /// Counts a task in: the worst is the one with the highest code, and a code is worse than any signal, as in wait(2).
    pub(crate) fn add(&mut self, code: u8, signal: u8) {
        (self.exit_code, self.exit_signal) = (self.exit_code, self.exit_signal).max((code, signal));
    }

    /// What the stepd itself leaves with.
    pub(crate) fn status(&self) -> u8 {
        if self.exit_signal > 0 { 128_u8.saturating_add(self.exit_signal) } else { self.exit_code }
    }
}
