//! The names of things as values: ids, hashes and points in time. No behaviour beyond printing and comparing.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The number of a job, or the own number of one task of an array.
///
/// The pending remainder of an array keeps the number that `sbatch` printed; a task that splits off takes the next
/// free one, and the last to split off takes the remainder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u32);

impl JobId {
    /// The first number given out.
    pub const FIRST: JobId = JobId(1);
    /// The last number given out before counting starts again at [`JobId::FIRST`] (Slurm's default `MaxJobId`).
    pub const LAST: JobId = JobId(0x03ff_0000);

    /// The number after this one, wrapping as Slurm does.
    #[must_use]
    pub fn next(self) -> JobId {
        if self >= Self::LAST { Self::FIRST } else { JobId(self.0 + 1) }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number under which the journal knows a node; given at its first registration and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

/// One run of one task: what orders, reports and records on a node are keyed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(JobId, u32, u32)", into = "(JobId, u32, u32)")]
pub struct AttemptKey {
    /// The job (an array's id, not the task's own).
    pub job: JobId,
    /// The task: its index in the array, 0 for a plain job.
    pub index: u32,
    /// The run, numbered from 1.
    pub attempt: u32,
}

impl From<(JobId, u32, u32)> for AttemptKey {
    fn from((job, index, attempt): (JobId, u32, u32)) -> AttemptKey {
        AttemptKey { job, index, attempt }
    }
}

impl From<AttemptKey> for (JobId, u32, u32) {
    fn from(key: AttemptKey) -> (JobId, u32, u32) {
        (key.job, key.index, key.attempt)
    }
}

/// `job_index_attempt`, as in the marker that every process of the attempt carries.
impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.job, self.index, self.attempt)
    }
}

/// One step of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(AttemptKey, u32)", into = "(AttemptKey, u32)")]
pub struct StepKey {
    /// The run of the task to which it belongs.
    pub attempt: AttemptKey,
    /// Counted from 0 in each attempt.
    pub step: u32,
}

impl From<(AttemptKey, u32)> for StepKey {
    fn from((attempt, step): (AttemptKey, u32)) -> StepKey {
        StepKey { attempt, step }
    }
}

impl From<StepKey> for (AttemptKey, u32) {
    fn from(key: StepKey) -> (AttemptKey, u32) {
        (key.attempt, key.step)
    }
}

/// `job_index_attempt.step`.
impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, self.step)
    }
}

/// A name that is shared by many records: of a node, a partition or a user.
pub type Name = Arc<str>;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add_unsigned(ms))
    }

    /// The moment `ms` milliseconds earlier.
    #[must_use]
    pub fn minus_ms(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_sub_unsigned(ms))
    }

    /// Milliseconds from `earlier` to here; 0 where that lies ahead.
    #[must_use]
    pub fn ms_since(self, earlier: Timestamp) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// What a command makes before its first try and repeats, so that a retry is not a second job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u128);

/// The BLAKE3 hash under which the journal keeps a script, an environment or a manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobHash(pub [u8; 32]);

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}
