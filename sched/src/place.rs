//! Where one task fits: a working copy of what is free on each node, and the choice among the nodes.
//!
//! It knows nothing of queues and partitions' rules; [`crate::plan`] asks it task by task and it remembers what it gave.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::node::{Health, Node};
use crate::partition::Partition;
use crate::resources::{Amount, Share};
use crate::spec::job::{Memory, Request};

/// The nodes of the cluster in the order of their names, with what is free of each.
#[derive(Clone)]
pub(crate) struct Board<'a> {
    slots: Vec<Slot<'a>>,
}

#[derive(Clone)]
struct Slot<'a> {
    node: &'a Node,
    free: Amount,
}

/// A task's place on a board, and where the next task of the same shape should start to look.
pub(crate) struct Place {
    pub(crate) shares: Arc<[Share]>,
    pub(crate) from: usize,
}

impl<'a> Board<'a> {
    /// What is free now.
    pub(crate) fn of(cluster: &'a Cluster) -> Board<'a> {
        Board { slots: cluster.nodes().map(|node| Slot { node, free: node.free() }).collect() }
    }

    /// What would be free if nothing ran: on all nodes, or on those that are up.
    pub(crate) fn idle(cluster: &'a Cluster, up_only: bool) -> Board<'a> {
        let usable = |node: &&Arc<Node>| !up_only || matches!(node.health, Health::Up { .. });
        let slots = cluster.nodes().filter(usable).map(|node| Slot { node, free: node.offer.amount }).collect();
        Board { slots }
    }

    /// Whether any of its nodes belongs to the partition.
    pub(crate) fn serves(&self, partition: &Partition) -> bool {
        self.slots.iter().any(|slot| partition.has(&slot.node.name))
    }

    /// Finds room for one task and takes it: the first node from `from` on that has room for all of it, else the nodes with
    /// the most room together.
    pub(crate) fn take(&mut self, partition: &Partition, request: &Request, from: usize) -> Option<Place> {
        let wanted = request.process_count();
        let mut members = (from..self.slots.len()).filter(|i| partition.has(&self.slots[*i].node.name));
        let one = if request.nodes_min == 1 { members.find(|i| self.slots[*i].room(request) >= wanted) } else { None };
        let (chosen, from) = match one {
            Some(i) => (vec![(i, wanted)], i),
            None if request.nodes_max == Some(1) => return None,
            None => (self.spread(partition, request)?, from),
        };
        let shares: Vec<Share> =
            chosen.into_iter().map(|(i, processes)| self.slots[i].take(request, processes)).collect();
        Some(Place { shares: shares.into(), from })
    }

    /// The fewest nodes that hold all processes together, each at least one.
    fn spread(&self, partition: &Partition, request: &Request) -> Option<Vec<(usize, u32)>> {
        let room_of = |i: usize| (i, self.slots[i].room(request));
        let mut rooms: Vec<(usize, u32)> = (0..self.slots.len())
            .filter(|i| partition.has(&self.slots[*i].node.name))
            .map(room_of)
            .filter(|(_, room)| *room > 0)
            .collect();
        rooms.sort_by_key(|(i, room)| (std::cmp::Reverse(*room), *i));
        let wanted = request.process_count();
        let mut together = 0_u32;
        let count = rooms.iter().position(|(_, room)| {
            together = together.saturating_add(*room);
            together >= wanted
        })? + 1;
        let count = count.max(request.nodes_min as usize);
        if count > rooms.len() || request.nodes_max.is_some_and(|max| count > max as usize) {
            return None;
        }
        rooms.truncate(count);
        rooms.sort_unstable();
        // Each node gets one process first, and the rest fills them in order.
        let mut left = wanted - u32::try_from(count).expect("a task has no more nodes than processes");
        let fill = |(i, room): (usize, u32)| {
            let more = left.min(room - 1);
            left -= more;
            (i, 1 + more)
        };
        Some(rooms.into_iter().map(fill).collect())
    }
}

impl Slot<'_> {
    /// How many processes of this shape fit into what is free.
    fn room(&self, request: &Request) -> u32 {
        let by_cpus = self.free.cpus.milli() / request.process_cpus().milli().max(1);
        let memory = self.free.memory_mib;
        match request.memory {
            Memory::PerNode(0) if memory < self.node.offer.amount.memory_mib => 0,
            Memory::PerNode(mib) if memory < mib => 0,
            Memory::PerNode(_) => by_cpus,
            Memory::PerCpu(_) | Memory::Default => match self.amount(request, 1).memory_mib {
                0 => by_cpus,
                each => self.fitting(request, by_cpus.min(u32::try_from(memory / each).unwrap_or(u32::MAX))),
            },
        }
    }

    /// At most `processes`, and no more than really fit: a share of the node's memory is rounded once for all of them, which can
    /// be more than rounding each by itself.
    fn fitting(&self, request: &Request, processes: u32) -> u32 {
        let mut fitting = processes;
        while fitting > 0 && !self.free.covers(&self.amount(request, fitting)) {
            fitting -= 1;
        }
        fitting
    }

    /// What so many processes of this shape hold here.
    fn amount(&self, request: &Request, processes: u32) -> Amount {
        let offer = &self.node.offer.amount;
        let cpus = request.process_cpus().times(processes);
        let memory_mib = match request.memory {
            Memory::PerNode(0) => offer.memory_mib,
            Memory::PerNode(mib) => mib,
            Memory::PerCpu(mib) => mib.saturating_mul(u64::from(cpus.count())),
            Memory::Default => offer.memory_mib * u64::from(cpus.milli()) / u64::from(offer.cpus.milli()).max(1),
        };
        Amount { cpus, memory_mib }
    }

    fn take(&mut self, request: &Request, processes: u32) -> Share {
        let amount = self.amount(request, processes);
        self.free -= &amount;
        Share { node: self.node.id, processes, amount }
    }
}
