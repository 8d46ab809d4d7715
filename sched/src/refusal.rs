//! Why an input was refused, in Slurm's words where Slurm has them: scripts match on the texts.

use thiserror::Error;

use crate::ids::{JobId, Name};

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
    UnknownNode {
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
    /// As many jobs as there may be.
    #[error("MaxJobCount limit reached")]
    TooManyJobs(usize),
    /// No such job or task.
    #[error("Invalid job id specified")]
    UnknownJob,
    /// A dependency on a job that there is not, or that is long gone.
    #[error("Job dependency problem")]
    Dependency(String),
    /// A task of an array cannot be held by itself.
    #[error("Requested operation not supported on this system")]
    WholeJobsOnly(JobId),
    /// The job or task has ended.
    #[error("Job/step already completing or completed")]
    AlreadyDone,
}

impl Refusal {
    /// What a person should read beside Slurm's text: the thing that was wrong, and the bound.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Refusal::UnknownPartition(name) => Some(format!("invalid partition specified: {name}")),
            Refusal::PartitionClosed(name) => Some(format!("partition {name} takes no jobs now")),
            Refusal::NeverFits { detail } => Some(detail.clone()),
            Refusal::UnknownNode { field, name } => Some(format!("{field} names {name}: there is no such node")),
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
            Refusal::WholeJobsOnly(job) => Some(format!("hold and release take whole jobs: name {job}, not its tasks")),
            Refusal::Dependency(term) => Some(format!("{term}: there is no such job (any more)")),
            Refusal::NoDefaultPartition | Refusal::UnknownJob | Refusal::AlreadyDone => None,
        }
    }
}
