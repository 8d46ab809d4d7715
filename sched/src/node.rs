//! A node as the scheduler sees it: what it offers, what is held of it, whether its link is up, and whether an administrator
//! has taken it out of service.
//!
//! Two things keep a node from work, and neither replaces the other: its [`Health`], which the link tells, and its [`Mark`],
//! which people set and clear ([`crate::mark`]) and which outlives restarts of both sides.

use std::sync::Arc;

use std::fmt;

use imbl::OrdSet;
use serde::{Deserialize, Serialize};

use crate::devices::Devices;
use crate::failures::FailureRun;
use crate::ids::{AttemptKey, Name, NodeId, StepKey, Timestamp};
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
    /// Whether its link is up.
    pub health: Health,
    /// Attempts that it still has to end though nobody wants them: they were given up with it, and it has come back.
    #[serde(default)]
    pub unwanted: OrdSet<AttemptKey>,
    /// Why it is to get no work, where somebody has said so.
    #[serde(default)]
    pub mark: Option<Mark>,
    /// The jobs that last failed at once here, one after the other.
    #[serde(default)]
    pub failures: FailureRun,
    /// Which of its GPUs its attempts hold.
    #[serde(default)]
    pub devices: Devices,
    /// The gres that it said it has while attempts held some of what it had before. It offers none until those have ended, as
    /// counts and device numbers are by the order of its kinds.
    #[serde(default)]
    pub gres_next: Option<Vec<Gres>>,
    /// Parts of steps that it still has to end though nobody wants them.
    #[serde(default)]
    pub unwanted_steps: OrdSet<StepKey>,
    /// For how long its silence is waited out at the least, in milliseconds: what its lease was given under when it last
    /// registered. Settings that change later do not shorten it.
    #[serde(default)]
    pub patience_ms: u64,
}

/// That a node is to get no new work, until it is cleared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// How far it is taken out of service.
    pub kind: MarkKind,
    /// Why, for people; never empty.
    pub reason: Arc<str>,
    /// The user who said so.
    pub uid: u32,
    /// That user's name, as they gave it.
    pub user: Name,
    /// When it was said.
    pub at: Timestamp,
    /// When it clears itself (`ResumeAfter`).
    pub until: Option<Timestamp>,
}

/// Slurm's ways to take a node out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarkKind {
    /// What runs there may finish.
    Drain,
    /// As a drain, of a node that is expected to fail.
    Fail,
    /// What ran there was stopped.
    Down,
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
    /// The number of its registration, higher than all before.
    #[serde(default)]
    pub registration: u64,
    /// What it holds tasks to.
    #[serde(default)]
    pub abilities: Abilities,
    /// What it is, in words that `--constraint` asks for.
    #[serde(default)]
    pub features: Vec<Name>,
    /// What else it has, in an order that its counts and devices follow.
    #[serde(default)]
    pub gres: Vec<Gres>,
    /// How long the lease that it has from before may last yet, the time to kill included, in milliseconds.
    #[serde(default)]
    pub lease_left_ms: u64,
    /// It was told to go: what runs there may finish, and it takes nothing else. Its next registration says otherwise.
    #[serde(default)]
    pub retiring: bool,
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
    /// Its lease ([`crate::lease`]).
    #[serde(default)]
    pub leases: bool,
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

impl Mark {
    /// One that Covey sets by itself, in the name of root.
    pub(crate) fn own(kind: MarkKind, reason: &str, at: Timestamp) -> Mark {
        Mark { kind, reason: reason.into(), uid: 0, user: "root".into(), at, until: None }
    }
}

/// Whether a node may have this name: it can stand in a hostlist, a path, a table and a certificate.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(fits) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

impl Node {
    /// A node that nothing is known of but what it says.
    pub(crate) fn new(id: NodeId, name: Name, offer: Offer, health: Health) -> Node {
        Node {
            id,
            name,
            offer,
            held: Amount::default(),
            attempts: 0,
            health,
            unwanted: OrdSet::new(),
            mark: None,
            failures: FailureRun::default(),
            devices: Devices::default(),
            gres_next: None,
            unwanted_steps: OrdSet::new(),
            patience_ms: 0,
        }
    }

    /// Whether it still runs what nobody wants any more.
    #[must_use]
    pub fn has_unwanted(&self) -> bool {
        !self.unwanted.is_empty() || !self.unwanted_steps.is_empty()
    }

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

    /// An attempt holds other CPUs than before, and everything else as it did.
    pub(crate) fn exchange(&mut self, before: &Amount, after: &Amount) {
        self.held -= before;
        self.held += after;
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

    /// Whether it may be given work: its link is up, nobody has taken it out of service, it is not about to go, and nothing runs
    /// there that is in nobody's books.
    #[must_use]
    pub fn takes_work(&self) -> bool {
        let in_service = self.mark.is_none() && !self.offer.retiring;
        matches!(self.health, Health::Up { .. }) && in_service && !self.has_unwanted()
    }

    /// What can still be taken; nothing of a node that takes no work.
    #[must_use]
    pub fn free(&self) -> Amount {
        // A node may come back with less than its attempts still hold.
        if self.takes_work() { self.offer.amount.saturating_sub(&self.held) } else { Amount::default() }
    }

    /// Its state as far as the node itself tells; whether it is completing, [`crate::cluster::Cluster::is_completing`] does.
    #[must_use]
    pub fn state(&self) -> NodeState {
        let in_use = if self.held.cpus.milli() == 0 {
            NodeWord::Idle
        } else if self.held.cpus < self.offer.amount.cpus {
            NodeWord::Mixed
        } else {
            NodeWord::Allocated
        };
        let kind = self.mark.as_ref().map(|mark| mark.kind);
        let given_up = matches!(self.health, Health::Down { .. });
        let word = if given_up || kind == Some(MarkKind::Down) { NodeWord::Down } else { in_use };
        let responds = matches!(self.health, Health::Up { .. });
        let retiring = self.offer.retiring.then_some(MarkKind::Drain);
        let leaving = kind.filter(|kind| *kind != MarkKind::Down).or(retiring);
        NodeState { word, responds, leaving }
    }
}

/// A node's state as listings show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// The base state.
    pub word: NodeWord,
    /// False while its link is down.
    pub responds: bool,
    /// Slurm's flag beside the base state: [`MarkKind::Drain`] or [`MarkKind::Fail`].
    pub leaving: Option<MarkKind>,
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
    /// Given up, or taken down.
    Down,
}
