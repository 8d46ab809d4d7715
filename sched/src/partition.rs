//! A partition: a named set of nodes with limits, as `PartitionName=` lines of slurm.conf describe one.
//!
//! What may be said of one is in [`change`], and how partitions come and go in [`update`].

mod change;
pub(crate) mod update;

use serde::{Deserialize, Serialize};

pub use change::{Change, ChangeError, KEYS};

use crate::ids::Name;
use crate::reason::Reason;
use crate::spec::duration::TimeLimit;
use crate::spec::job::{Memory, Request};

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
    /// The most nodes of one job; `None` for any number.
    #[serde(default)]
    pub nodes_max: Option<u32>,
    /// The fewest nodes of one job; 0 and 1 for any number.
    #[serde(default)]
    pub nodes_min: u32,
    /// MiB for each CPU of jobs that say nothing of memory; `None` means their share of the node's.
    #[serde(default)]
    pub memory_per_cpu_mib_default: Option<u64>,
    /// The most MiB for each CPU.
    #[serde(default)]
    pub memory_per_cpu_mib_max: Option<u64>,
    /// What the partition counts for in the priority of its jobs, beside other partitions.
    #[serde(default = "usual_factor")]
    pub priority_factor: u16,
    /// Whether listings leave it out unless it is asked for.
    #[serde(default)]
    pub hidden: bool,
    /// Who says what it is.
    #[serde(default)]
    pub origin: Origin,
    /// Whether a command has said its state, which the settings then do not change.
    #[serde(default)]
    pub state_kept: bool,
}

fn usual_factor() -> u16 {
    1
}

/// Who says what a partition is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// A table of `covey.toml`: it goes with its table, and gets back at each start what that says.
    #[default]
    Settings,
    /// `scontrol create`: it stays until it is deleted.
    Command,
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
    /// One of all nodes, without limits.
    #[must_use]
    pub fn new(name: Name) -> Partition {
        Partition {
            name,
            nodes: Members::All,
            default: false,
            time_max: TimeLimit::Unlimited,
            time_default: None,
            tier: 1,
            state: PartitionState::Up,
            nodes_max: None,
            nodes_min: 0,
            memory_per_cpu_mib_default: None,
            memory_per_cpu_mib_max: None,
            priority_factor: usual_factor(),
            hidden: false,
            origin: Origin::Settings,
            state_kept: false,
        }
    }

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

    /// Whether a job asks for the same here as anywhere: no limit of nodes or memory.
    #[must_use]
    pub(crate) fn takes_requests_as_they_are(&self) -> bool {
        let free = self.nodes_max.is_none() && self.nodes_min <= 1;
        free && self.memory_per_cpu_mib_default.is_none() && self.memory_per_cpu_mib_max.is_none()
    }

    /// What a job asks for here: what it says, and for the rest what the partition does.
    ///
    /// # Errors
    /// Why a job that asks for this waits until the partition is changed (Slurm with `EnforcePartLimits=NO`).
    pub(crate) fn request(&self, asked: &Request) -> Result<Request, Reason> {
        let least = self.nodes_min.max(asked.nodes_min);
        let most = self.nodes_max.into_iter().chain(asked.nodes_max).min();
        if most.is_some_and(|most| most < least) {
            return Err(Reason::PartitionNodeLimit);
        }
        Ok(Request { nodes_min: least, nodes_max: most, memory: self.memory(asked)?, ..asked.clone() })
    }

    /// The memory that a job has here which asks for so much: the partition's default where it says nothing.
    #[must_use]
    pub fn memory_of(&self, asked: Memory) -> Memory {
        match asked {
            Memory::Default => self.memory_per_cpu_mib_default.map_or(Memory::Default, Memory::PerCpu),
            Memory::PerNode(_) | Memory::PerCpu(_) => asked,
        }
    }

    fn memory(&self, asked: &Request) -> Result<Memory, Reason> {
        let max = self.memory_per_cpu_mib_max;
        let over = |mib: u64, cpus: u32| max.is_some_and(|max| mib > max.saturating_mul(cpus.into()));
        match asked.memory {
            Memory::Default => Ok(self.memory_of(Memory::Default)),
            Memory::PerNode(0) => Ok(max.map_or(Memory::PerNode(0), Memory::PerCpu)),
            Memory::PerNode(mib) if over(mib, asked.cpus().count()) => Err(Reason::MaxMemPerLimit),
            Memory::PerCpu(mib) if over(mib, 1) => Err(Reason::MaxMemPerLimit),
            Memory::PerNode(_) | Memory::PerCpu(_) => Ok(asked.memory),
        }
    }
}
