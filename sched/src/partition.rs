//! A partition: a named set of nodes with limits, as `PartitionName=` lines of slurm.conf describe one.

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::spec::duration::TimeLimit;

/// A queue and the nodes that serve it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its name.
    pub name: Name,
    /// Which nodes belong to it.
    pub nodes: Members,
    /// Whether jobs that name no partition come here.
    pub default: bool,
    /// The longest time limit a job may have here.
    pub time_max: TimeLimit,
    /// The time limit of jobs that ask for none; `None` means `time_max`.
    pub time_default: Option<TimeLimit>,
    /// Partitions with a higher tier are served first.
    pub tier: u16,
    /// Whether it takes and starts jobs.
    pub state: PartitionState,
    /// What the partition counts for in the priority of its jobs, beside other partitions.
    #[serde(default = "usual_factor")]
    pub priority_factor: u16,
}

fn usual_factor() -> u16 {
    1
}

/// The nodes of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Members {
    /// Every node that registers.
    All,
    /// These nodes, known or not yet.
    Listed(Vec<Name>),
}

/// Slurm's states of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionState {
    /// Takes and starts jobs.
    Up,
    /// Takes jobs, starts none.
    Down,
    /// Takes no jobs, starts those it has.
    Drain,
    /// Neither.
    Inactive,
}

impl Partition {
    /// Whether the node with this name belongs here.
    #[must_use]
    pub fn has(&self, node: &str) -> bool {
        match &self.nodes {
            Members::All => true,
            Members::Listed(names) => names.iter().any(|name| &**name == node),
        }
    }

    /// The limit that a job gets here: what it asks for, else the default, else the most.
    #[must_use]
    pub fn time_limit(&self, asked: Option<TimeLimit>) -> TimeLimit {
        asked.or(self.time_default).unwrap_or(self.time_max)
    }
}
