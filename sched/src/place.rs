//! Where one task fits: what is free on each node that takes work, and the choice among the nodes.
//!
//! It knows nothing of queues and partitions' rules; [`crate::plan`] asks it task by task and it remembers what it gave.
//! The choice is a fixed order over placements (one node before several, fewer nodes before more, earlier nodes before later
//! ones), so that taking away what a choice does not use never changes it: [`crate::backfill`] rests on that.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::ids::NodeId;
use crate::node::Node;
use crate::partition::{Members, Partition};
use crate::resources::{Amount, Cpus, Share};
use crate::spec::job::{Memory, Request};

/// So many nodes share one summary: the square root of a large cluster, so that both levels stay short.
const BLOCK_SLOTS: usize = 64;

/// A task's nodes by slot, each with its number of processes.
pub(crate) type Chosen = Vec<(usize, u32)>;

/// The nodes that take work, in the order of their names, with what is held of each.
pub(crate) struct Board {
    slots: Vec<Slot>,
    /// For each block of slots at least what is free on any of them, to pass over full ones at a glance.
    blocks: Vec<Amount>,
    by_node: BTreeMap<NodeId, usize>,
    /// No node has less memory for each CPU.
    memory_per_cpu_mib_min: u64,
}

struct Slot {
    node: NodeId,
    offer: Amount,
    held: Amount,
}

impl Slot {
    fn free(&self) -> Amount {
        self.offer.saturating_sub(&self.held)
    }
}

impl Board {
    /// What is held now.
    pub(crate) fn of(cluster: &Cluster) -> Board {
        let ready = cluster.nodes().filter(|node| node.takes_work());
        let slots: Vec<Slot> =
            ready.map(|node| Slot { node: node.id, offer: node.offer.amount, held: node.held }).collect();
        let per_cpu =
            |slot: &Slot| slot.offer.memory_mib.saturating_mul(1000) / u64::from(slot.offer.cpus.milli()).max(1);
        let mut board = Board {
            blocks: vec![Amount::default(); slots.len().div_ceil(BLOCK_SLOTS)],
            by_node: slots.iter().enumerate().map(|(slot, Slot { node, .. })| (*node, slot)).collect(),
            memory_per_cpu_mib_min: slots.iter().map(per_cpu).min().unwrap_or(0),
            slots,
        };
        (0..board.blocks.len()).for_each(|block| board.sum_up(block));
        board
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn slot_of(&self, node: NodeId) -> Option<usize> {
        self.by_node.get(&node).copied()
    }

    pub(crate) fn node(&self, slot: usize) -> NodeId {
        self.slots[slot].node
    }

    pub(crate) fn offer(&self, slot: usize) -> Amount {
        self.slots[slot].offer
    }

    pub(crate) fn held(&self, slot: usize) -> Amount {
        self.slots[slot].held
    }

    pub(crate) fn free(&self, slot: usize) -> Amount {
        self.slots[slot].free()
    }

    /// Corrects what is held of one node.
    pub(crate) fn set_held(&mut self, slot: usize, held: Amount) {
        self.slots[slot].held = held;
        self.sum_up(slot / BLOCK_SLOTS);
    }

    /// For each slot, whether it serves the partition.
    pub(crate) fn members(&self, cluster: &Cluster, partition: &Partition) -> Vec<bool> {
        let mut members = vec![false; self.slots.len()];
        let slots = nodes_of(cluster, partition).filter_map(|node| self.slot_of(node.id));
        slots.for_each(|slot| members[slot] = true);
        members
    }

    /// Less than this no node gives to one process of the request.
    pub(crate) fn least_of(&self, request: &Request) -> Amount {
        let cpus = request.process_cpus();
        let memory_mib = match request.memory {
            Memory::PerNode(mib) => mib,
            Memory::PerCpu(mib) => mib.saturating_mul(u64::from(cpus.count())),
            Memory::Default => self.memory_per_cpu_mib_min.saturating_mul(u64::from(cpus.milli())) / 1000,
        };
        Amount { cpus, memory_mib }
    }

    /// Whether any member has so much free.
    pub(crate) fn has_free(&self, members: &[bool], amount: &Amount) -> bool {
        self.likely(0, *amount).any(|slot| members[slot] && self.free(slot).covers(amount))
    }

    /// Where one task fits, given what is free of each slot; no slot before `from` can hold all of it, and none has more free than
    /// this board says.
    pub(crate) fn find(
        &self,
        members: &[bool],
        request: &Request,
        from: usize,
        free: impl Fn(usize) -> Amount,
    ) -> Option<Chosen> {
        let least = self.least_of(request);
        let likely = |from| self.likely(from, least).filter(|slot| members[*slot]);
        self.choose(request, likely(from), likely(0), free)
    }

    /// Whether one task would fit if nothing ran.
    pub(crate) fn fits_idle(&self, members: &[bool], request: &Request) -> bool {
        let slots = || (0..self.slots.len()).filter(|slot| members[*slot]);
        self.choose(request, slots(), slots(), |slot| self.offer(slot)).is_some()
    }

    /// One node of `alone` if the request may run on one, else the fewest of `together`.
    pub(crate) fn choose(
        &self,
        request: &Request,
        mut alone: impl Iterator<Item = usize>,
        together: impl Iterator<Item = usize>,
        free: impl Fn(usize) -> Amount,
    ) -> Option<Chosen> {
        let wanted = request.process_count();
        if request.nodes_min == 1
            && let Some(slot) = alone.find(|slot| self.holds_all(request, *slot, &free(*slot)))
        {
            return Some(vec![(slot, wanted)]);
        }
        if !request.may_spread() {
            return None;
        }
        spread(request, together.map(|slot| (slot, request.room(&self.offer(slot), &free(slot)))))
    }

    /// Whether the whole task fits into what is free of one slot.
    pub(crate) fn holds_all(&self, request: &Request, slot: usize, free: &Amount) -> bool {
        let wanted = request.process_count();
        // The CPUs are compared first: most slots of a busy cluster fail there.
        free.cpus >= request.process_cpus().times(wanted)
            && free.covers(&request.amount(&self.slots[slot].offer, wanted))
    }

    /// Books a placement.
    pub(crate) fn take(&mut self, request: &Request, chosen: &Chosen) -> Vec<Share> {
        let mut shares = Vec::with_capacity(chosen.len());
        for &(slot, processes) in chosen {
            let Slot { node, offer, held } = &mut self.slots[slot];
            let amount = request.amount(offer, processes);
            *held += &amount;
            shares.push(Share { node: *node, processes, amount });
            self.sum_up(slot / BLOCK_SLOTS);
        }
        shares
    }

    /// Slots from `from` on, without those blocks where none has so much free.
    fn likely(&self, from: usize, least: Amount) -> impl Iterator<Item = usize> {
        let blocks = self.blocks.iter().enumerate().skip(from / BLOCK_SLOTS);
        let slots =
            move |block: usize| (block * BLOCK_SLOTS).max(from)..((block + 1) * BLOCK_SLOTS).min(self.slots.len());
        blocks.filter(move |(_, free)| free.covers(&least)).flat_map(move |(block, _)| slots(block))
    }

    fn sum_up(&mut self, block: usize) {
        let slots = &self.slots[block * BLOCK_SLOTS..((block + 1) * BLOCK_SLOTS).min(self.slots.len())];
        let most = slots.iter().map(Slot::free).fold(Amount::default(), |most, free| Amount {
            cpus: most.cpus.max(free.cpus),
            memory_mib: most.memory_mib.max(free.memory_mib),
        });
        self.blocks[block] = most;
    }
}

/// Whether nodes are known for this request that could serve it if nothing else ran. A partition without any known node
/// counts as able: its nodes have yet to join.
#[must_use]
pub(crate) fn could_ever_start(cluster: &Cluster, partition: &Partition, request: &Request) -> bool {
    let offers = || nodes_of(cluster, partition).map(|node| &node.offer.amount);
    let alone = |offer: &Amount| offer.covers(&request.amount(offer, request.process_count()));
    let rooms = || offers().map(|offer| request.room(offer, offer)).enumerate();
    offers().next().is_none()
        || request.nodes_min == 1 && offers().any(alone)
        || request.may_spread() && spread(request, rooms()).is_some()
}

/// The known nodes of a partition, up or not.
fn nodes_of<'a>(cluster: &'a Cluster, partition: &'a Partition) -> Box<dyn Iterator<Item = &'a Arc<Node>> + 'a> {
    match &partition.nodes {
        Members::All => Box::new(cluster.nodes()),
        Members::Listed(names) => Box::new(names.iter().filter_map(|name| cluster.node_named(name))),
    }
}

/// The fewest nodes that hold all processes together, each at least one; among those the earliest.
fn spread(request: &Request, rooms: impl Iterator<Item = (usize, u32)>) -> Option<Chosen> {
    let rooms: Vec<(usize, u32)> = rooms.filter(|(_, room)| *room > 0).collect();
    let mut by_room: Vec<(u32, Reverse<usize>)> = rooms.iter().map(|(slot, room)| (*room, Reverse(*slot))).collect();
    by_room.sort_unstable_by(|a, b| b.cmp(a));
    let wanted = u64::from(request.process_count());
    let mut together = 0;
    let count = by_room.iter().position(|(room, _)| {
        together += u64::from(*room);
        together >= wanted
    })? + 1;
    let count = count.max(request.nodes_min as usize);
    if count > by_room.len() || request.nodes_max.is_some_and(|max| count > max as usize) {
        return None;
    }
    // From the roomiest nodes on, an earlier node takes the place of the least roomy one for as long as all still fits.
    let mut roomiest: BTreeSet<(u32, Reverse<usize>)> = by_room[..count].iter().copied().collect();
    let mut spare = roomiest.iter().map(|(room, _)| u64::from(*room)).sum::<u64>() - wanted;
    let mut earliest = Vec::with_capacity(count);
    for (slot, room) in rooms {
        let Some(&(smallest, at)) = roomiest.first() else { break };
        let cost = u64::from(smallest.saturating_sub(room));
        if roomiest.remove(&(room, Reverse(slot))) {
            earliest.push((slot, room));
        } else if cost <= spare {
            roomiest.remove(&(smallest, at));
            spare -= cost;
            earliest.push((slot, room));
        }
    }
    Some(fill(earliest, request.process_count()))
}

/// Each node gets one process first, and the rest fills them in order.
fn fill(rooms: Vec<(usize, u32)>, wanted: u32) -> Chosen {
    let mut left = wanted - u32::try_from(rooms.len()).expect("a task has no more nodes than processes");
    let filled = rooms.into_iter().map(|(slot, room)| {
        let more = left.min(room - 1);
        left -= more;
        (slot, 1 + more)
    });
    filled.collect()
}

impl Request {
    /// Whether a task may have several nodes.
    pub(crate) fn may_spread(&self) -> bool {
        self.nodes_max != Some(1) && self.process_count() > 1
    }

    /// What so many processes of this shape hold on a node that offers so much.
    pub(crate) fn amount(&self, offer: &Amount, processes: u32) -> Amount {
        let cpus = self.process_cpus().times(processes);
        let memory_mib = match self.memory {
            Memory::PerNode(0) => offer.memory_mib,
            Memory::PerNode(mib) => mib,
            Memory::PerCpu(mib) => mib.saturating_mul(u64::from(cpus.count())),
            Memory::Default => share_of(offer, cpus),
        };
        Amount { cpus, memory_mib }
    }

    /// The most processes of this shape that fit into what is free of a node: exactly those whose [`Request::amount`] does.
    pub(crate) fn room(&self, offer: &Amount, free: &Amount) -> u32 {
        let each = self.process_cpus().milli().max(1);
        let by_cpus = free.cpus.milli() / each;
        let by_memory = match self.memory {
            Memory::PerNode(_) if free.memory_mib < self.amount(offer, 1).memory_mib => 0,
            Memory::PerNode(_) | Memory::PerCpu(0) => u32::MAX,
            Memory::PerCpu(mib) => narrow(u128::from(free.memory_mib / mib) * 1000 / u128::from(each)),
            Memory::Default if offer.memory_mib == 0 => u32::MAX,
            // The most for which the share, rounded down, is no more than what is free.
            Memory::Default => {
                let beyond = (u128::from(free.memory_mib) + 1) * u128::from(offer.cpus.milli());
                narrow(beyond.saturating_sub(1) / (u128::from(offer.memory_mib) * u128::from(each)))
            }
        };
        by_cpus.min(by_memory)
    }
}

/// A node's memory, divided by its CPUs.
fn share_of(offer: &Amount, cpus: Cpus) -> u64 {
    let (memory, part, whole) = (offer.memory_mib, u64::from(cpus.milli()), u64::from(offer.cpus.milli()).max(1));
    match memory.checked_mul(part) {
        Some(product) => product / whole,
        None => u64::try_from(u128::from(memory) * u128::from(part) / u128::from(whole)).unwrap_or(u64::MAX),
    }
}

fn narrow(count: u128) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
