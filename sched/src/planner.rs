//! What a pass need not find out again: the board of all nodes, and the queue of each partition.
//!
//! A planner is told of every fact before it is applied ([`Planner::note`]) and corrects only what that touches, so that a
//! pass after one end costs what that end changes. It decides nothing differently: its answers are those of a planner that
//! starts from nothing, and a fact that it has no short way for makes it one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::sync::Arc;

use crate::candidates::Candidates;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{JobId, Name, NodeId, Timestamp};
use crate::index::{Entry, QueueKey, Rows};
use crate::job::Job;
use crate::partition::{Partition, PartitionState};
use crate::place::Board;
use crate::reason::Reason;
use crate::resources::{Amount, Share};
use crate::settings::Settings;
use crate::spec::duration::TimeLimit;
use crate::spec::job::Request;
use crate::terms::Terms;
use crate::walk::{Decided, STARTS_MAX, Scene, Walk};

/// Makes one pass after the other over one cluster.
#[derive(Default)]
pub struct Planner {
    known: Option<Known>,
    /// What stands in the queue, and nodes, of which something has changed since the last pass.
    entries: BTreeSet<Entry>,
    nodes: BTreeSet<NodeId>,
}

/// What one pass decides.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// What starts, and what now waits for another reason than before.
    pub events: Vec<Event>,
    /// Whether it stopped at [`STARTS_MAX`]: another pass may start more at once.
    pub more: bool,
    /// How much it looked at, for people.
    pub scope: Scope,
}

impl PartialEq for Pass {
    /// How far a pass looked is no part of what it decides: one that remembers may have to look further, or less far.
    fn eq(&self, other: &Pass) -> bool {
        (&self.events, self.more) == (&other.events, other.more)
    }
}

/// How much a pass looked at. A job counts once, and each of its tasks that waits by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// What was tried.
    pub tried: usize,
    /// What waited before it.
    pub queued: usize,
    /// Tasks that started past one of their partition that waits for resources.
    pub backfilled: usize,
}

/// What is kept between passes.
struct Known {
    board: Board,
    /// By partition name.
    lanes: Vec<Lane>,
    /// The lanes that share nodes, together: what starts in one matters to the others.
    pools: Vec<Vec<usize>>,
    /// What may show another reason than what waits behind others.
    unsettled: BTreeSet<Entry>,
    /// How many entries stand in the queue.
    queued: usize,
}

/// The queue of one partition.
pub(crate) struct Lane {
    pub(crate) name: Name,
    /// Why nothing of it starts, whatever is free.
    pub(crate) closed: Option<Reason>,
    time_max: TimeLimit,
    /// Where it has limits of nodes or memory.
    limits: Option<Partition>,
    /// What entries ask for under these limits, where that is not what they say.
    requests: BTreeMap<Entry, Request>,
    /// The slots of the board that serve here.
    pub(crate) candidates: Arc<Candidates>,
    pub(crate) keys: BTreeSet<QueueKey>,
    /// No job here could start on less.
    pub(crate) least: Option<Amount>,
}

impl Planner {
    /// Takes note of a fact that is about to be applied to `before`.
    pub fn note(&mut self, before: &Cluster, event: &Event) {
        match event {
            Event::Submitted { job, .. } => self.touch(before, *job, Rows::Listed(&[])),
            Event::Cancelled { job, .. }
            | Event::Expired { job, .. }
            | Event::Held { job, tasks: None, .. }
            | Event::Revised { job, tasks: None, .. }
            | Event::Settled { job, .. }
            | Event::TasksSettled { job, .. } => self.touch(before, *job, Rows::All),
            Event::Undone { job, tasks, .. } => {
                let rows: Vec<u32> = tasks.iter().collect();
                self.touch(before, *job, Rows::Listed(&rows));
            }
            Event::Held { job, tasks: Some(tasks), .. } | Event::Revised { job, tasks: Some(tasks), .. } => {
                let rows: Vec<u32> = tasks.iter().map(|(index, _)| *index).collect();
                self.touch(before, *job, Rows::Listed(&rows));
            }
            Event::Waiting { job, task, .. } | Event::Began { job, task } => {
                self.touch(before, *job, Rows::Listed(task.as_slice()));
            }
            Event::Throttled { job, .. } => self.touch(before, *job, Rows::Listed(&[])),
            Event::Started { job, placements } => {
                let rows: Vec<u32> = placements.iter().map(|placement| placement.index).collect();
                self.touch(before, *job, Rows::Listed(&rows));
                placements.iter().for_each(|placement| self.touch_nodes(&placement.shares));
            }
            Event::Ended { key, .. }
            | Event::Requeued { key, .. }
            | Event::Closing { key, .. }
            | Event::Suspended { key, .. }
            | Event::Resumed { key, .. } => {
                self.touch(before, key.job, Rows::Listed(&[key.index]));
                let row = before.job(key.job).and_then(|job| job.tasks.get(&key.index));
                row.and_then(|task| task.state.shares()).into_iter().for_each(|shares| self.touch_nodes(shares));
            }
            // Neither the queue nor what is held changes.
            Event::Stopped { .. }
            | Event::Forgotten { .. }
            | Event::Signalled { .. }
            | Event::Limited { .. }
            | Event::Membership(_)
            | Event::StepCreated { .. }
            | Event::StepStopped { .. }
            | Event::StepSignalled { .. }
            | Event::StepPartEnded { .. } => {}
            Event::Prioritized { .. }
            | Event::NodeRegistered { .. }
            | Event::Cleared { .. }
            | Event::StepCleared { .. }
            | Event::NodeSilent { .. }
            | Event::NodeDown { .. }
            | Event::NodeMarked { .. }
            | Event::NodeUnmarked { .. }
            | Event::NodeRemoved { .. }
            | Event::PartitionSet { .. }
            | Event::PartitionRemoved { .. } => self.reset(),
        }
    }

    /// Forgets all: the next pass may be over another cluster.
    pub fn reset(&mut self) {
        *self = Planner::default();
    }

    /// Decides what starts now, as [`crate::plan::plan`] does. Its facts are to be noted and applied before the next pass.
    #[must_use]
    pub fn pass(&mut self, cluster: &Cluster, now: Timestamp, settings: &Settings) -> Pass {
        let known = self.refreshed(cluster);
        let mut decided = Decided { last_id: cluster.last_job, ..Decided::default() };
        known.walk(Scene { cluster, now, settings, places_wanted: false }, &mut decided);
        let scope = Scope { tried: decided.looked_at.len(), queued: known.queued, backfilled: decided.backfilled };
        let more = decided.starts >= STARTS_MAX;
        let mut events = decided.started;
        events.extend(known.explain(cluster, &decided.looked_at, more));
        Pass { events, more, scope }
    }

    /// When and where what waits is expected to start, as [`crate::plan::expected_starts`] does.
    pub(crate) fn expected_starts(
        &mut self,
        cluster: &Cluster,
        now: Timestamp,
        settings: &Settings,
    ) -> BTreeMap<Entry, (Timestamp, Vec<NodeId>)> {
        let mut decided = Decided { last_id: cluster.last_job, ..Decided::default() };
        self.refreshed(cluster).walk(Scene { cluster, now, settings, places_wanted: true }, &mut decided);
        let mut starts = BTreeMap::new();
        for (entry, at, nodes) in decided.places {
            starts.entry(entry).or_insert((at, nodes));
        }
        starts
    }

    fn touch(&mut self, before: &Cluster, id: JobId, rows: Rows<'_>) {
        let Some(known) = &mut self.known else { return };
        let Some(job) = before.job(id) else {
            self.entries.insert((id, None));
            return;
        };
        let rows: Vec<u32> = match rows {
            Rows::Listed(listed) => listed.to_vec(),
            Rows::All => job.apart.iter().collect(),
        };
        for entry in std::iter::once(None).chain(rows.into_iter().map(Some)) {
            // Once touched it is in no lane any more.
            if self.entries.insert((id, entry))
                && let Some(key) = before.queue_key(job, entry)
            {
                known.leave_out(before, job, key);
            }
        }
    }

    fn touch_nodes(&mut self, shares: &[Share]) {
        if self.known.is_some() {
            self.nodes.extend(shares.iter().map(|share| share.node));
        }
    }

    /// What is known, with all that was touched as it is now.
    fn refreshed(&mut self, cluster: &Cluster) -> &mut Known {
        let known = self.known.get_or_insert_with(|| Known::of(cluster));
        for node in std::mem::take(&mut self.nodes) {
            if let (Some(slot), Some(node)) = (known.board.slot_of(node), cluster.node(node)) {
                known.board.renew(slot, node);
            }
        }
        for (id, entry) in std::mem::take(&mut self.entries) {
            if let Some(job) = cluster.job(id)
                && let Some(key) = cluster.queue_key(job, entry)
            {
                known.admit(cluster, job, key);
                known.unsettled.insert(key.entry());
            }
        }
        assert_eq!(known.queued, cluster.index.queue.len(), "a planner is told of every fact, or reset");
        known
    }
}

impl Known {
    fn of(cluster: &Cluster) -> Known {
        let board = Board::of(cluster);
        let lanes: Vec<Lane> = cluster.partitions().map(|partition| Lane::of(cluster, &board, partition)).collect();
        let pools = pools(&lanes);
        let mut known = Known { board, lanes, pools, unsettled: BTreeSet::new(), queued: 0 };
        // Put in by whole lists: one by one would cost several times as much.
        let mut keys: Vec<Vec<QueueKey>> = vec![Vec::new(); known.lanes.len()];
        let mut unsettled: Vec<Entry> = Vec::new();
        let mut mine: Vec<usize> = Vec::new();
        let mut jobs = InOrder { cluster, next: cluster.jobs.values().peekable() };
        for key in &cluster.index.queue {
            let job = jobs.find(key.job);
            let terms = cluster.terms_of_entry(job, key.task);
            known.queued += 1;
            mine.clear();
            for name in terms.partitions.iter() {
                let at = known.lane_of(name);
                mine.push(at);
                keys.resize(known.lanes.len(), Vec::new());
                let tier = if terms.partitions.len() == 1 { key.tier } else { Reverse(cluster.tier_of(name)) };
                keys[at].push(QueueKey { tier, ..*key });
                known.lanes[at].learn(&known.board, key.entry(), terms);
            }
            if job.entry_reason(key.task) != known.reason_in(&mine, terms) {
                unsettled.push(key.entry());
            }
        }
        for (lane, keys) in known.lanes.iter_mut().zip(keys) {
            lane.keys = keys.into_iter().collect();
        }
        known.unsettled = unsettled.into_iter().collect();
        known
    }

    /// Puts an entry into the lanes of its partitions.
    fn admit(&mut self, cluster: &Cluster, job: &Job, key: QueueKey) {
        let terms = cluster.terms_of_entry(job, key.task);
        self.queued += 1;
        for name in terms.partitions.iter() {
            let at = self.lane_of(name);
            self.lanes[at].learn(&self.board, key.entry(), terms);
            self.lanes[at].keys.insert(QueueKey { tier: Reverse(cluster.tier_of(name)), ..key });
        }
    }

    /// Takes an entry out of all lanes.
    fn leave_out(&mut self, before: &Cluster, job: &Job, key: QueueKey) {
        self.queued -= 1;
        self.unsettled.remove(&key.entry());
        for name in before.terms_of_entry(job, key.task).partitions.iter() {
            let at = self.lane_of(name);
            self.lanes[at].keys.remove(&QueueKey { tier: Reverse(before.tier_of(name)), ..key });
            self.lanes[at].requests.remove(&key.entry());
        }
    }

    /// Why something waits that is behind another: as its first partition says, unless that lets nothing start and a later one
    /// does.
    fn reason_behind(&mut self, terms: &Terms) -> Reason {
        let lanes: Vec<usize> = terms.partitions.iter().map(|name| self.lane_of(name)).collect();
        self.reason_in(&lanes, terms)
    }

    fn reason_in(&self, lanes: &[usize], terms: &Terms) -> Reason {
        let mut first = None;
        for at in lanes {
            let Some(refused) = self.lanes[*at].refuses(terms) else { return Reason::Priority };
            first.get_or_insert(refused);
        }
        first.unwrap_or(Reason::Priority)
    }

    /// The place of a partition's lane. Jobs of one that is gone wait in a lane without nodes.
    fn lane_of(&mut self, name: &Name) -> usize {
        let is_it = |lane: &Lane| Arc::ptr_eq(&lane.name, name) || lane.name == *name;
        let known = self.lanes.iter().position(is_it);
        known.unwrap_or_else(|| {
            self.lanes.push(Lane::closed(name, self.board.len()));
            self.lanes.len() - 1
        })
    }

    fn walk(&mut self, scene: Scene<'_>, decided: &mut Decided) {
        for pool in &self.pools {
            let lanes = pool.iter().map(|lane| &self.lanes[*lane]);
            Walk::new(scene, &mut self.board, lanes, decided).run();
        }
    }

    /// What now waits for another reason than before: by what the walk found, and else as one waits behind others. Nothing is
    /// said of what a walk which was `cut` short has not looked at.
    fn explain(&mut self, cluster: &Cluster, looked_at: &BTreeMap<Entry, Option<Reason>>, cut: bool) -> Vec<Event> {
        let mut stands: BTreeMap<Entry, Option<Reason>> = BTreeMap::new();
        if !cut {
            let rest = self.unsettled.iter().filter(|entry| !looked_at.contains_key(entry));
            stands.extend(rest.map(|entry| (*entry, None)));
        }
        stands.extend(looked_at.iter().filter(|(_, reason)| reason.is_some()));
        let mut changes = Vec::new();
        for ((id, task), found) in stands {
            let job = &cluster.jobs[&id];
            let behind = self.reason_behind(cluster.terms_of_entry(job, task));
            // What one partition refuses says nothing while another, perhaps not looked at, does not.
            let (reason, shown) =
                (found.filter(|reason| !reason.is_of_partition()).unwrap_or(behind), job.entry_reason(task));
            if reason != shown {
                changes.push(Event::Waiting { job: id, reason, task });
            }
            if reason == behind && shown == behind {
                self.unsettled.remove(&(id, task));
            }
        }
        changes
    }
}

/// Finds jobs of which most come in the order of their numbers: then the next one is at hand.
struct InOrder<'a, I: Iterator<Item = &'a Arc<Job>>> {
    cluster: &'a Cluster,
    next: Peekable<I>,
}

impl<'a, I: Iterator<Item = &'a Arc<Job>>> InOrder<'a, I> {
    /// So many jobs are passed over before one is looked up.
    const SKIPPED_MAX: usize = 4;

    fn find(&mut self, id: JobId) -> &'a Job {
        for _ in 0..Self::SKIPPED_MAX {
            if self.next.next_if(|job| job.id < id).is_none() {
                break;
            }
        }
        match self.next.next_if(|job| job.id == id) {
            Some(job) => job,
            None => &self.cluster.jobs[&id],
        }
    }
}

impl Lane {
    fn of(cluster: &Cluster, board: &Board, partition: &Partition) -> Lane {
        let closed = match partition.state {
            PartitionState::Up | PartitionState::Drain => None,
            PartitionState::Down => Some(Reason::PartitionDown),
            PartitionState::Inactive => Some(Reason::PartitionInactive),
        };
        let candidates = Arc::new(board.candidates(cluster, partition));
        let (name, time_max) = (partition.name.clone(), partition.time_max);
        let limits = (!partition.takes_requests_as_they_are()).then(|| partition.clone());
        let (requests, keys) = (BTreeMap::new(), BTreeSet::new());
        Lane { name, closed, time_max, limits, requests, candidates, keys, least: None }
    }

    fn closed(name: &Name, slots: usize) -> Lane {
        let closed = Some(Reason::PartitionDown);
        let candidates = Arc::new(Candidates::all_of(vec![false; slots]));
        let (requests, keys) = (BTreeMap::new(), BTreeSet::new());
        let (name, time_max) = (name.clone(), TimeLimit::Unlimited);
        Lane { name, closed, time_max, limits: None, requests, candidates, keys, least: None }
    }

    /// Why the partition lets nothing start on these terms.
    pub(crate) fn refuses(&self, terms: &Terms) -> Option<Reason> {
        let too_long = (terms.time_limit > self.time_max).then_some(Reason::PartitionTimeLimit);
        let too_much = || self.limits.as_ref()?.request(&terms.spec.request).err();
        self.closed.or(too_long).or_else(too_much)
    }

    /// What is asked for here.
    pub(crate) fn request<'a>(&'a self, entry: Entry, terms: &'a Terms) -> &'a Request {
        self.requests.get(&entry).unwrap_or(&terms.spec.request)
    }

    /// Works out what is asked for here.
    fn learn(&mut self, board: &Board, entry: Entry, terms: &Terms) {
        if let Some(Ok(request)) = self.limits.as_ref().map(|limits| limits.request(&terms.spec.request)) {
            self.requests.insert(entry, request);
        }
        let least = board.least_of(self.request(entry, terms));
        let known = self.least.unwrap_or(least);
        let cpus = known.cpus.min(least.cpus);
        self.least = Some(Amount { cpus, memory_mib: known.memory_mib.min(least.memory_mib), ..least });
    }
}

/// Lanes that share nodes, directly or through others, together.
fn pools(lanes: &[Lane]) -> Vec<Vec<usize>> {
    let mut pools: Vec<(Vec<bool>, Vec<usize>)> = Vec::new();
    for (at, lane) in lanes.iter().enumerate() {
        let (mut slots, mut together) = (lane.candidates.members.clone(), vec![at]);
        pools.retain(|(others, lanes)| {
            let shared = others.iter().zip(&lane.candidates.members).any(|(other, mine)| *other && *mine);
            if shared {
                slots.iter_mut().zip(others).for_each(|(mine, other)| *mine |= other);
                together.extend(lanes);
            }
            !shared
        });
        pools.push((slots, together));
    }
    pools.into_iter().map(|(_, lanes)| lanes).collect()
}
