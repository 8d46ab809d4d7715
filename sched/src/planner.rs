//! What a pass need not find out again: the board of all nodes, and the queue of each partition.
//!
//! A planner is told of every fact before it is applied ([`Planner::note`]) and corrects only what that touches, so that a
//! pass after one end costs what that end changes. It decides nothing differently: its answers are those of a planner that
//! starts from nothing, and a fact that it has no short way for makes it one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::candidates::Candidates;
use crate::cluster::{Cluster, QueueKey};
use crate::event::Event;
use crate::ids::{JobId, Name, NodeId, Timestamp};
use crate::job::Job;
use crate::partition::{Partition, PartitionState};
use crate::place::Board;
use crate::plan::{Pass, STARTS_MAX};
use crate::reason::Reason;
use crate::resources::{Amount, Share};
use crate::settings::Settings;
use crate::spec::duration::TimeLimit;
use crate::walk::{Decided, Scene, Walk};

/// Makes one pass after the other over one cluster.
#[derive(Default)]
pub struct Planner {
    known: Option<Known>,
    /// Jobs and nodes of which something has changed since the last pass.
    jobs: BTreeSet<JobId>,
    nodes: BTreeSet<NodeId>,
}

/// What is kept between passes.
struct Known {
    board: Board,
    /// By partition name.
    lanes: Vec<Lane>,
    /// The lanes that share nodes, together: what starts in one matters to the others.
    pools: Vec<Vec<usize>>,
    /// Jobs that may show another reason than one shows that waits behind others.
    unsettled: BTreeSet<QueueKey>,
}

/// The queue of one partition.
pub(crate) struct Lane {
    name: Name,
    /// Why nothing of it starts, whatever is free.
    pub(crate) closed: Option<Reason>,
    time_max: TimeLimit,
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
            Event::Submitted { job, .. }
            | Event::Cancelled { job, .. }
            | Event::Waiting { job, .. }
            | Event::Held { job, .. }
            | Event::Began { job }
            | Event::Settled { job, .. }
            | Event::TasksSettled { job, .. } => self.touch(before, *job),
            Event::Started { job, placements } => {
                self.touch(before, *job);
                placements.iter().for_each(|placement| self.touch_nodes(&placement.shares));
            }
            Event::Ended { key, .. } | Event::Requeued { key, .. } => {
                self.touch(before, key.job);
                let row = before.job(key.job).and_then(|job| job.tasks.get(&key.index));
                row.and_then(|task| task.state.shares()).into_iter().for_each(|shares| self.touch_nodes(shares));
            }
            // Neither the queue nor what is held changes.
            Event::Stopped { .. } | Event::Forgotten { .. } => {}
            Event::NodeRegistered { .. }
            | Event::NodeSilent { .. }
            | Event::NodeDown { .. }
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
        let more = decided.starts >= STARTS_MAX;
        let mut events = decided.started;
        events.extend(known.explain(cluster, &decided.looked_at, more));
        Pass { events, more }
    }

    /// When and where what waits is expected to start, as [`crate::plan::expected_starts`] does.
    pub(crate) fn expected_starts(
        &mut self,
        cluster: &Cluster,
        now: Timestamp,
        settings: &Settings,
    ) -> BTreeMap<JobId, (Timestamp, Vec<NodeId>)> {
        let mut decided = Decided { last_id: cluster.last_job, ..Decided::default() };
        self.refreshed(cluster).walk(Scene { cluster, now, settings, places_wanted: true }, &mut decided);
        let mut starts = BTreeMap::new();
        for (job, at, nodes) in decided.places {
            starts.entry(job).or_insert((at, nodes));
        }
        starts
    }

    fn touch(&mut self, before: &Cluster, id: JobId) {
        let Some(known) = &mut self.known else { return };
        self.jobs.insert(id);
        if let Some(job) = before.job(id)
            && let Some(key) = before.queue_key(job)
        {
            let lane = known.lane_of(&job.partition);
            known.lanes[lane].keys.remove(&key);
            known.unsettled.remove(&key);
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
        for id in std::mem::take(&mut self.jobs) {
            if let Some(job) = cluster.job(id)
                && let Some(key) = cluster.queue_key(job)
            {
                let lane = known.lane_of(&job.partition);
                known.lanes[lane].admit(key, &known.board, job);
                known.unsettled.insert(key);
            }
        }
        let queued: usize = known.lanes.iter().map(|lane| lane.keys.len()).sum();
        assert_eq!(queued, cluster.index.queue.len(), "a planner is told of every fact, or reset");
        known
    }
}

impl Known {
    fn of(cluster: &Cluster) -> Known {
        let board = Board::of(cluster);
        let lanes: Vec<Lane> = cluster.partitions().map(|partition| Lane::of(cluster, &board, partition)).collect();
        let pools = pools(&lanes);
        let mut known = Known { board, lanes, pools, unsettled: BTreeSet::new() };
        let mut keys: Vec<Vec<QueueKey>> = vec![Vec::new(); known.lanes.len()];
        let mut unsettled = Vec::new();
        let mut at = 0;
        for key in &cluster.index.queue {
            let job = &cluster.jobs[&key.job];
            if known.lanes.get(at).is_none_or(|lane| lane.name != job.partition) {
                at = known.lane_of(&job.partition);
                keys.resize(known.lanes.len(), Vec::new());
            }
            let lane = &mut known.lanes[at];
            lane.lower(known.board.least_of(&job.spec.request));
            keys[at].push(*key);
            if job.reason != lane.reason_behind(job) {
                unsettled.push(*key);
            }
        }
        for (lane, keys) in known.lanes.iter_mut().zip(keys) {
            lane.keys = keys.into_iter().collect();
        }
        known.unsettled = unsettled.into_iter().collect();
        known
    }

    /// The place of a partition's lane. Jobs of one that is gone wait in a lane without nodes.
    fn lane_of(&mut self, name: &Name) -> usize {
        let known = self.lanes.iter().position(|lane| lane.name == *name);
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
    /// said of jobs that a walk which was `cut` short has not looked at.
    fn explain(&mut self, cluster: &Cluster, looked_at: &BTreeMap<QueueKey, Option<Reason>>, cut: bool) -> Vec<Event> {
        let mut stands: Vec<(QueueKey, Option<Reason>)> = Vec::new();
        if !cut {
            let rest = self.unsettled.iter().filter(|key| !looked_at.contains_key(key));
            stands.extend(rest.map(|key| (*key, None)));
        }
        stands.extend(looked_at.iter().filter(|(_, reason)| reason.is_some()).map(|(key, reason)| (*key, *reason)));
        stands.sort_unstable_by_key(|(key, _)| *key);
        let mut changes = Vec::new();
        for (key, found) in stands {
            let job = &cluster.jobs[&key.job];
            let lane = self.lane_of(&job.partition);
            let behind = self.lanes[lane].reason_behind(job);
            let reason = found.unwrap_or(behind);
            if reason != job.reason {
                changes.push(Event::Waiting { job: job.id, reason });
            }
            if reason == behind && job.reason == behind {
                self.unsettled.remove(&key);
            }
        }
        changes
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
        Lane { name, closed, time_max, candidates, keys: BTreeSet::new(), least: None }
    }

    fn closed(name: &Name, slots: usize) -> Lane {
        let closed = Some(Reason::PartitionDown);
        let (candidates, keys) = (Arc::new(Candidates::all_of(vec![false; slots])), BTreeSet::new());
        Lane { name: name.clone(), closed, time_max: TimeLimit::Unlimited, candidates, keys, least: None }
    }

    /// Why the partition lets nothing of the job start.
    pub(crate) fn refuses(&self, job: &Job) -> Option<Reason> {
        self.closed.or((job.time_limit > self.time_max).then_some(Reason::PartitionTimeLimit))
    }

    /// Why a job waits that is behind another.
    fn reason_behind(&self, job: &Job) -> Reason {
        self.refuses(job).unwrap_or(Reason::Priority)
    }

    fn admit(&mut self, key: QueueKey, board: &Board, job: &Job) {
        self.lower(board.least_of(&job.spec.request));
        self.keys.insert(key);
    }

    fn lower(&mut self, least: Amount) {
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
