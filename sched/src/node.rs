//! A node as the scheduler sees it: what it offers, what is held of it, and whether its link is up.

use std::fmt;

use imbl::OrdSet;
use serde::{Deserialize, Serialize};

use crate::ids::{AttemptKey, Name, NodeId, Timestamp};
use crate::resources::Amount;

/// A machine (or container) with a `noded`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Its name, unique in the cluster.
    pub name: Name,
    /// What it said it has.
    pub offer: Offer,
    /// What its attempts hold, out of `offer.amount`.
    pub held: Amount,
    /// How many attempts are on it.
    pub attempts: u32,
    /// Whether it can be given work.
    pub health: Health,
    /// Attempts that it still has to end though nobody wants them: they were given up with it, and it has come back.
    #[serde(default)]
    pub unwanted: OrdSet<AttemptKey>,
}

/// What a node says of itself when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// CPUs and memory that tasks may hold.
    pub amount: Amount,
    /// Made anew with the node's spool folder: another spool means that the node has forgotten what it ran.
    pub spool: u128,
    /// Where its machine can be reached, for people.
    pub address: String,
    /// The number of its registration, higher than all before.
    #[serde(default)]
    pub registration: u64,
    /// What it holds tasks to.
    #[serde(default)]
    pub abilities: Abilities,
}

/// What a node can hold a task's whole tree of processes to, beside its time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// By what.
    pub means: Means,
    /// Its memory.
    pub memory: bool,
    /// Its share of the CPUs.
    pub cpus: bool,
    /// The number of its processes.
    pub processes: bool,
    /// The open files of each process.
    pub open_files: bool,
}

/// By what a node holds tasks to what they asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Means {
    /// It has not said so.
    #[default]
    Unknown,
    /// Control groups of the unified hierarchy.
    Cgroup2,
    /// Control groups of one hierarchy for each controller.
    Cgroup1,
    /// A look at the memory of each task a few times a second: a fast one gets past its limit for a moment.
    Sampling,
}

impl fmt::Display for Abilities {
    /// As in `cgroup2:memory,cpus`; nothing for a node that has not said anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.means {
            Means::Unknown => return Ok(()),
            Means::Cgroup2 => "cgroup2",
            Means::Cgroup1 => "cgroup1",
            Means::Sampling => "sampling",
        })?;
        let named = [
            ("memory", self.memory),
            ("cpus", self.cpus),
            ("processes", self.processes),
            ("open_files", self.open_files),
        ];
        for (position, (name, _)) in named.iter().filter(|(_, able)| *able).enumerate() {
            write!(f, "{}{name}", if position == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Its link is up.
    Up {
        /// When it registered.
        since: Timestamp,
    },
    /// Its link is down; its attempts may still run.
    Silent {
        /// When the link broke.
        since: Timestamp,
    },
    /// Given up: its attempts have been ended.
    Down {
        /// Since when.
        since: Timestamp,
    },
}

impl Node {
    /// Whether tasks may be given to it: its link is up, and nothing runs there that is in nobody's books.
    #[must_use]
    pub fn takes_work(&self) -> bool {
        match self.health {
            Health::Up { .. } => self.unwanted.is_empty(),
            Health::Silent { .. } | Health::Down { .. } => false,
        }
    }

    /// What can still be taken; nothing unless it takes work.
    #[must_use]
    pub fn free(&self) -> Amount {
        // A node may come back with less than its attempts still hold.
        if self.takes_work() { self.offer.amount.saturating_sub(&self.held) } else { Amount::default() }
    }

    /// The word of `sinfo`'s default table, with its suffix `*` for a node that does not answer.
    #[must_use]
    pub fn state(&self) -> NodeState {
        let in_use = if self.held.cpus.milli() == 0 {
            NodeWord::Idle
        } else if self.held.cpus < self.offer.amount.cpus {
            NodeWord::Mixed
        } else {
            NodeWord::Allocated
        };
        match self.health {
            Health::Up { .. } if !self.unwanted.is_empty() => NodeState { word: NodeWord::Completing, responds: true },
            Health::Up { .. } => NodeState { word: in_use, responds: true },
            Health::Silent { .. } => NodeState { word: in_use, responds: false },
            Health::Down { .. } => NodeState { word: NodeWord::Down, responds: false },
        }
    }
}

/// A node's state as listings show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// The base state.
    pub word: NodeWord,
    /// False while its link is down.
    pub responds: bool,
}

/// Slurm's base states of nodes that Covey reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeWord {
    /// Nothing runs here.
    Idle,
    /// Some CPUs are held.
    Mixed,
    /// All CPUs are held.
    Allocated,
    /// Given up.
    Down,
    /// It ends what nobody wants any more, and takes nothing else meanwhile.
    Completing,
}
