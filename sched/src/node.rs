//! A node as the scheduler sees it: what it offers, what is held of it, and whether its link is up.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::devices::Devices;
use crate::ids::{Name, NodeId, Timestamp};
use crate::resources::{Amount, Counts, Share};
use crate::spec::gres::Gres;

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
    /// Which of its GPUs its attempts hold.
    #[serde(default)]
    pub devices: Devices,
    /// The gres that it said it has while attempts held some of what it had before. It offers none until those have ended, as
    /// counts and device numbers are by the order of its kinds.
    #[serde(default)]
    pub gres_next: Option<Vec<Gres>>,
}

/// What a node says of itself when it registers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// CPUs and memory that tasks may hold, and counts of `gres`.
    pub amount: Amount,
    /// Made anew with the node's spool folder: another spool means that the node has forgotten what it ran.
    pub spool: u128,
    /// Where its machine can be reached, for people.
    pub address: String,
    /// What it is, in words that `--constraint` asks for.
    #[serde(default)]
    pub features: Vec<Name>,
    /// What else it has, in an order that its counts and devices follow.
    #[serde(default)]
    pub gres: Vec<Gres>,
}

impl Offer {
    /// The same with these gres, counted.
    #[must_use]
    pub fn with_gres(mut self, gres: Vec<Gres>) -> Offer {
        self.amount.gres = Counts::of(gres.iter().map(|gres| gres.count));
        self.gres = gres;
        self
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
    /// Takes what the node now says of itself.
    pub(crate) fn renew(&mut self, offer: &Offer) {
        let before = std::mem::replace(&mut self.offer, offer.clone());
        self.gres_next = None;
        if !self.held.gres.is_empty() && before.gres != offer.gres {
            self.gres_next = Some(std::mem::replace(&mut self.offer.gres, before.gres));
            self.offer.amount.gres = Counts::default();
        }
    }

    /// The node as it will be when nothing keeps it from what it last said it has.
    pub(crate) fn settled(self: &Arc<Node>) -> Arc<Node> {
        let Some(next) = &self.gres_next else { return self.clone() };
        Arc::new(Node { offer: self.offer.clone().with_gres(next.clone()), ..Node::clone(self) })
    }

    /// An attempt holds a share of it.
    ///
    /// # Panics
    /// When one of its GPUs is held already.
    pub(crate) fn hold(&mut self, share: &Share) {
        self.held += &share.amount;
        self.devices = self.devices.joined(share.devices).expect("no GPU is given twice");
        self.attempts += 1;
    }

    /// An attempt gives its share back.
    pub(crate) fn release(&mut self, share: &Share) {
        self.held -= &share.amount;
        self.devices = self.devices.without(share.devices);
        self.attempts -= 1;
        if let Some(next) = self.gres_next.take_if(|_| self.held.gres.is_empty()) {
            self.offer = std::mem::take(&mut self.offer).with_gres(next);
        }
    }

    /// What can still be taken; nothing unless the node is up.
    #[must_use]
    pub fn free(&self) -> Amount {
        match self.health {
            // A node may come back with less than its attempts still hold.
            Health::Up { .. } => self.offer.amount.saturating_sub(&self.held),
            Health::Silent { .. } | Health::Down { .. } => Amount::default(),
        }
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
}
