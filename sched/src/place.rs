//! Where one task fits: what is free on each node that takes work, and the choice among the nodes.
//!
//! It knows nothing of queues and partitions' rules; [`crate::plan`] asks it task by task and it remembers what it gave.
//! The choice is a fixed order over placements (one node before several, fewer nodes before more, earlier nodes before later
//! ones), so that taking away what a choice does not use never changes it: [`crate::backfill`] rests on that.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::candidates::Candidates;
use crate::cluster::Cluster;
use crate::devices::Devices;
use crate::ids::NodeId;
use crate::node::{Node, Offer};
use crate::partition::{Members, Partition};
use crate::resources::{Amount, Share};
use crate::spec::job::{Memory, Request};
use crate::spread::spread;

/// So many nodes share one summary: the square root of a large cluster, so that both levels stay short.
const BLOCK_SLOTS: usize = 64;

/// The seats of one task, by slot.
pub(crate) type Chosen = Vec<Seat>;

/// What a task gets of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) slot: usize,
    pub(crate) processes: u32,
    pub(crate) amount: Amount,
}

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
    node: Arc<Node>,
    /// As the node's, here to be near what is held.
    offer: Amount,
    held: Amount,
    devices: Devices,
}

impl Slot {
    fn of(node: &Arc<Node>) -> Slot {
        Slot { node: node.clone(), offer: node.offer.amount, held: node.held, devices: node.devices }
    }

    fn free(&self) -> Amount {
        self.offer.saturating_sub(&self.held)
    }
}

impl Board {
    /// What is held now.
    pub(crate) fn of(cluster: &Cluster) -> Board {
        Board::with(cluster.nodes().filter(|node| node.takes_work()).cloned())
    }

    fn with(nodes: impl Iterator<Item = Arc<Node>>) -> Board {
        let slots: Vec<Slot> = nodes.map(|node| Slot::of(&node)).collect();
        let per_cpu =
            |slot: &Slot| slot.offer.memory_mib.saturating_mul(1000) / u64::from(slot.offer.cpus.milli()).max(1);
        let mut board = Board {
            blocks: vec![Amount::default(); slots.len().div_ceil(BLOCK_SLOTS)],
            by_node: slots.iter().enumerate().map(|(at, slot)| (slot.node.id, at)).collect(),
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
        self.slots[slot].node.id
    }

    pub(crate) fn offer(&self, slot: usize) -> &Offer {
        &self.slots[slot].node.offer
    }

    pub(crate) fn held(&self, slot: usize) -> Amount {
        self.slots[slot].held
    }

    pub(crate) fn free(&self, slot: usize) -> Amount {
        self.slots[slot].free()
    }

    /// Corrects what is held of one node.
    pub(crate) fn renew(&mut self, slot: usize, node: &Arc<Node>) {
        self.slots[slot] = Slot::of(node);
        self.sum_up(slot / BLOCK_SLOTS);
    }

    /// The slots that serve the partition.
    pub(crate) fn candidates(&self, cluster: &Cluster, partition: &Partition) -> Candidates {
        let mut members = vec![false; self.slots.len()];
        let slots = nodes_of(cluster, partition).filter_map(|node| self.slot_of(node.id));
        slots.for_each(|slot| members[slot] = true);
        Candidates::all_of(members)
    }

    /// Those of the candidates that a request will have.
    pub(crate) fn narrowed(&self, candidates: &Candidates, request: &Request) -> Candidates {
        candidates.narrowed(self.slots.iter().map(|slot| &*slot.node), request)
    }

    /// Less than this no node gives to one process of the request.
    pub(crate) fn least_of(&self, request: &Request) -> Amount {
        let cpus = request.process_cpus();
        let memory_mib = match request.memory {
            Memory::PerNode(mib) => mib,
            Memory::PerCpu(mib) => mib.saturating_mul(u64::from(cpus.count())),
            Memory::Default => self.memory_per_cpu_mib_min.saturating_mul(u64::from(cpus.milli())) / 1000,
        };
        Amount { cpus, memory_mib, ..Amount::default() }
    }

    /// Whether any member has so much free.
    pub(crate) fn has_free(&self, members: &[bool], amount: &Amount) -> bool {
        self.likely(0, *amount).any(|slot| members[slot] && self.free(slot).covers(amount))
    }

    /// Where one task fits, given what is free of each slot; no slot before `from` can hold all of it, and none has more free than
    /// this board says.
    pub(crate) fn find(
        &self,
        candidates: &Candidates,
        request: &Request,
        from: usize,
        free: impl Fn(usize) -> Amount,
    ) -> Option<Chosen> {
        let least = self.least_of(request);
        let likely = |from| self.likely(from, least).filter(|slot| candidates.members[*slot]);
        self.choose(request, candidates, likely(from), likely(0), free)
    }

    /// Whether one task would fit if nothing ran.
    pub(crate) fn fits_idle(&self, candidates: &Candidates, request: &Request) -> bool {
        let slots = || (0..self.slots.len()).filter(|slot| candidates.members[*slot]);
        self.choose(request, candidates, slots(), slots(), |slot| self.slots[slot].offer).is_some()
    }

    /// One node of `alone` if the request may run on one, else the fewest of `together`.
    pub(crate) fn choose(
        &self,
        request: &Request,
        candidates: &Candidates,
        mut alone: impl Iterator<Item = usize>,
        together: impl Iterator<Item = usize>,
        free: impl Fn(usize) -> Amount,
    ) -> Option<Chosen> {
        if request.nodes_min == 1
            && let Some(seat) = alone.find_map(|slot| self.seat_alone(request, candidates, slot, &free(slot)))
        {
            return Some(vec![seat]);
        }
        if !request.may_spread() {
            return None;
        }
        let rooms = together.map(|slot| (slot, request.room(self.offer(slot), &free(slot)))).collect();
        let spread = spread(request, candidates, rooms)?;
        let seats = spread.into_iter().map(|(slot, processes)| {
            let amount = request.fit(self.offer(slot), &free(slot), processes)?;
            Some(Seat { slot, processes, amount })
        });
        seats.collect()
    }

    /// The whole task on one slot, if it may be there and fits into what is free of it.
    pub(crate) fn seat_alone(
        &self,
        request: &Request,
        candidates: &Candidates,
        slot: usize,
        free: &Amount,
    ) -> Option<Seat> {
        let processes = request.process_count();
        // The CPUs are compared first: most slots of a busy cluster fail there.
        if free.cpus < request.process_cpus().times(processes) || !candidates.serves_alone(slot) {
            return None;
        }
        let amount = request.fit(self.offer(slot), free, processes)?;
        Some(Seat { slot, processes, amount })
    }

    /// Books a placement, and gives it its GPUs.
    pub(crate) fn take(&mut self, chosen: &Chosen) -> Vec<Share> {
        let mut shares = Vec::with_capacity(chosen.len());
        for Seat { slot, processes, amount } in chosen {
            let Slot { node, held, devices: taken, .. } = &mut self.slots[*slot];
            let devices = Devices::choose(&node.offer.gres, *taken, &amount.gres);
            *held += amount;
            *taken = taken.joined(devices).expect("only free GPUs are chosen");
            shares.push(Share { node: node.id, processes: *processes, amount: *amount, devices });
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
            // Nodes count different kinds, so gres say nothing of a block.
            ..most
        });
        self.blocks[block] = most;
    }
}

/// Whether nodes are known for this request that could serve it if nothing else ran. A partition without any known node
/// counts as able: its nodes have yet to join.
#[must_use]
pub(crate) fn could_ever_start(cluster: &Cluster, partition: &Partition, request: &Request) -> bool {
    let nodes = || nodes_of(cluster, partition);
    let alone = |node: &Arc<Node>| request.fit(&node.offer, &node.offer.amount, request.process_count()).is_some();
    // The usual case needs no board.
    if nodes().next().is_none() || request.nodes_min == 1 && !request.is_choosy() && nodes().any(alone) {
        return true;
    }
    let board = Board::with(cluster.nodes().map(Node::settled));
    let candidates = board.candidates(cluster, partition);
    board.fits_idle(&board.narrowed(&candidates, request), request)
}

/// How many known nodes of a partition a request will have.
pub(crate) fn may_serve(cluster: &Cluster, partition: &Partition, request: &Request) -> usize {
    let board = Board::with(cluster.nodes().map(Node::settled));
    let narrowed = board.narrowed(&board.candidates(cluster, partition), request);
    narrowed.members.iter().filter(|is| **is).count()
}

/// The known nodes of a partition, up or not.
fn nodes_of<'a>(cluster: &'a Cluster, partition: &'a Partition) -> Box<dyn Iterator<Item = &'a Arc<Node>> + 'a> {
    match &partition.nodes {
        Members::All => Box::new(cluster.nodes()),
        Members::Listed(names) => Box::new(names.iter().filter_map(|name| cluster.node_named(name))),
    }
}
