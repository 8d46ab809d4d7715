//! The walk of one pass along the queues of partitions that share nodes: job by job, in order, what starts and what waits.
//!
//! What waits is put on a list, and given places in the forecast only when something behind it could start: most passes over a
//! busy cluster find nothing free, and end without one. Start at [`Walk::run`].

use std::collections::{BTreeMap, btree_set};
use std::iter::Peekable;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::backfill::{ARRAY_PLACES_MAX, Forecast, PLACES_MAX, Shape};
use crate::candidates::Candidates;
use crate::cluster::Cluster;
use crate::event::{Event, Placement};
use crate::ids::{JobId, Name, NodeId, Timestamp};
use crate::index::{Entry, QueueKey};
use crate::job::Job;
use crate::place::{Board, Chosen};
use crate::planner::Lane;
use crate::reason::Reason;
use crate::settings::Settings;
use crate::spec::duration::TimeLimit;
use crate::spec::job::Request;
use crate::spec::licenses::LicenseAsk;

/// The most tasks that one pass starts; the rest wait for the next one, so that a commit stays small.
pub const STARTS_MAX: usize = 10_000;

/// What a walk reads.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) now: Timestamp,
    pub(crate) settings: &'a Settings,
    /// Every job that waits and is near enough to the front is to get its place, for people to see.
    pub(crate) places_wanted: bool,
}

/// What the walks of one pass have decided.
#[derive(Default)]
pub(crate) struct Decided {
    pub(crate) last_id: Option<JobId>,
    pub(crate) starts: usize,
    /// Of these, those past a job that waits.
    pub(crate) backfilled: usize,
    pub(crate) started: Vec<Event>,
    /// What was looked at, and why it waits; `None` where nothing of it is left.
    pub(crate) looked_at: BTreeMap<Entry, Option<Reason>>,
    /// How much of each job has started.
    pub(crate) taken: BTreeMap<JobId, Taken>,
    /// The licenses that were taken.
    pub(crate) licenses: BTreeMap<Name, u64>,
    /// The places that were kept.
    pub(crate) places: Vec<(Entry, Timestamp, Vec<NodeId>)>,
}

/// How many tasks of a job this pass has started.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken {
    all: u64,
    /// Of those that wait together.
    together: u64,
    /// Of those that had no number of their own.
    new: u64,
}

/// One walk.
pub(crate) struct Walk<'a> {
    scene: Scene<'a>,
    board: &'a mut Board,
    tracks: Vec<Track<'a>>,
    decided: &'a mut Decided,
    /// Jobs that wait for resources and have no place in the forecast yet, in order.
    above: Vec<Above<'a>>,
    forecast: Option<Forecast<'a>>,
    places: usize,
    /// What was found not to fit: as what is free only shrinks, nothing will that asks for the same for as long.
    unfit: Vec<Shape<'a>>,
    /// The last request that no node that is up could ever serve: the next job often asks for the same.
    hopeless: Option<Shape<'a>>,
    /// What jobs that are choosy about nodes may have, for the next job that chooses alike.
    narrowed: Vec<Narrowed<'a>>,
}

/// Candidates, a request, and what it left of them.
type Narrowed<'a> = (Arc<Candidates>, &'a Request, Arc<Candidates>);

/// How far the walk is in one partition.
struct Track<'a> {
    lane: &'a Lane,
    keys: Peekable<btree_set::Iter<'a, QueueKey>>,
    /// Its first waiting job has found no room.
    blocked: bool,
    /// How many jobs behind that one have been looked at.
    looked: usize,
    /// Nothing behind it can start.
    closed: bool,
}

/// A job that waits for resources, and how many of its tasks do.
struct Above<'a> {
    entry: Entry,
    shape: Shape<'a>,
    tasks: u64,
    /// No job of its partition waits above it.
    first: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(
        scene: Scene<'a>,
        board: &'a mut Board,
        lanes: impl Iterator<Item = &'a Lane>,
        decided: &'a mut Decided,
    ) -> Walk<'a> {
        let track = |lane: &'a Lane| {
            let keys = lane.keys.iter().peekable();
            Track { lane, keys, blocked: false, looked: 0, closed: lane.closed.is_some() }
        };
        let tracks = lanes.map(track).collect();
        let (above, unfit, narrowed) = (Vec::new(), Vec::new(), Vec::new());
        Walk { scene, board, tracks, decided, above, forecast: None, places: 0, unfit, hopeless: None, narrowed }
    }

    /// Walks until nothing more can start, or enough has.
    pub(crate) fn run(&mut self) {
        while self.decided.starts < STARTS_MAX
            && let Some((key, at)) = self.next()
        {
            // A job may wait in several partitions, and have started whole in another one.
            if self.decided.looked_at.get(&key.entry()).is_some_and(Option::is_none) {
                continue;
            }
            let was_blocked = self.tracks[at].blocked;
            self.tracks[at].looked += usize::from(was_blocked);
            let reason = self.visit(at, key);
            self.decided.note(key.entry(), reason);
            if self.tracks[at].blocked && !was_blocked && !self.scene.places_wanted && self.is_spent() {
                self.tracks.iter_mut().for_each(|track| track.closed |= track.blocked);
            }
            let track = &mut self.tracks[at];
            track.closed |= track.blocked && track.looked >= self.scene.settings.backfill_jobs_max;
        }
        if self.scene.places_wanted {
            self.place_above();
        }
    }

    /// The first of the partitions' next jobs.
    fn next(&mut self) -> Option<(QueueKey, usize)> {
        let open = self.tracks.iter_mut().enumerate().filter(|(_, track)| !track.closed);
        let (_, at) = open.filter_map(|(at, track)| Some((**track.keys.peek()?, at))).min()?;
        Some((*self.tracks[at].keys.next()?, at))
    }

    /// Whether no partition has a job that is small enough for what is left.
    fn is_spent(&self) -> bool {
        let mut lanes = self.tracks.iter().map(|track| track.lane).filter(|lane| lane.closed.is_none());
        lanes.all(|lane| lane.least.is_none_or(|least| !self.board.has_free(&lane.candidates.members, &least)))
    }

    /// Starts what fits of one entry; answers why the rest of it waits, `None` when nothing is left.
    fn visit(&mut self, at: usize, key: QueueKey) -> Option<Reason> {
        let Track { lane, blocked: behind, .. } = self.tracks[at];
        let job = &self.scene.cluster.jobs[&key.job];
        let terms = self.scene.cluster.terms_of_entry(job, key.task);
        if let Some(refused) = lane.refuses(terms) {
            return Some(refused);
        }
        let licensed = self.licensed(&terms.spec.request);
        if licensed == 0 {
            return Some(if behind { Reason::Priority } else { Reason::Licenses });
        }
        let request = lane.request(key.entry(), terms);
        let shape = Shape { candidates: self.candidates_of(lane, request), request, limit: terms.time_limit };
        let taken = self.decided.taken.get(&job.id).copied().unwrap_or_default();
        let room = usize::try_from(job.throttle_room().saturating_sub(taken.all)).unwrap_or(usize::MAX).min(licensed);
        let most = room.min(STARTS_MAX - self.decided.starts);
        let (started, full) = self.start_tasks(job, key.task, (lane, &shape), most);
        self.note_licenses(request, started);
        self.decided.backfilled += if behind { started } else { 0 };
        let waiting = if key.task.is_some() { 1 } else { job.pending_count() - taken.together };
        let left = waiting - started as u64;
        if left == 0 {
            return None;
        }
        let waits = full && self.could_start_idle(&shape);
        if waits {
            let tasks = left.min((room - started) as u64);
            self.above.push(Above { entry: key.entry(), shape, tasks, first: !behind });
            self.tracks[at].blocked = true;
        }
        Some(match (behind, full) {
            (true, _) => Reason::Priority,
            (false, true) if waits => Reason::Resources,
            (false, true) if !request.nodes.is_empty() => Reason::ReqNodeNotAvail,
            (false, true) => Reason::NodesUnavailable,
            (false, false) if started == licensed => Reason::Licenses,
            (false, false) if started == room => Reason::JobArrayTaskLimit,
            // The bound of this pass: the next one goes on and nothing changes.
            (false, false) => job.entry_reason(key.task),
        })
    }

    /// Starts up to `most` tasks, lowest index first; answers how many, and whether it stopped for lack of room.
    fn start_tasks(
        &mut self,
        job: &Job,
        task: Option<u32>,
        (lane, shape): (&Lane, &Shape<'a>),
        most: usize,
    ) -> (usize, bool) {
        let mut taken = self.decided.taken.get(&job.id).copied().unwrap_or_default();
        let together = || {
            let again = job.requeued.iter().filter(|index| !job.apart.contains(*index));
            again.chain(job.pending.iter()).skip(usize::try_from(taken.together).unwrap_or(usize::MAX))
        };
        let indices: Box<dyn Iterator<Item = u32>> = match task {
            Some(index) => Box::new(std::iter::once(index)),
            None => Box::new(together()),
        };
        let several = self.scene.cluster.terms_of_entry(job, task).partitions.len() > 1;
        let without_number = job.waiting_count() - job.requeued.len();
        let mut from = 0;
        let mut placements: Vec<Placement> = Vec::new();
        let mut full = false;
        for index in indices.take(most) {
            let Some(chosen) = self.find(shape, from) else {
                full = true;
                break;
            };
            from = if chosen.len() == 1 { chosen[0].slot } else { from };
            let (id, attempt) = match job.tasks.get(&index) {
                Some(row) => (row.id, row.attempts + 1),
                None => {
                    taken.new += 1;
                    (self.own_id(job, without_number - taken.new), 1)
                }
            };
            if let Some(forecast) = &mut self.forecast {
                forecast.keep(shape, self.scene.now, &chosen);
            }
            let shares = self.board.take(&chosen).into();
            let partition = several.then(|| lane.name.clone());
            placements.push(Placement { index, id, attempt, shares, partition });
        }
        let started = placements.len();
        taken.all += started as u64;
        taken.together += if task.is_none() { started as u64 } else { 0 };
        self.decided.taken.insert(job.id, taken);
        self.decided.starts += started;
        self.decided.started.extend(by_node(job.id, placements));
        (started, full)
    }

    /// Where one task can start now without delaying a job above.
    fn find(&mut self, shape: &Shape<'a>, from: usize) -> Option<Chosen> {
        if self.unfit.iter().any(|unfit| unfit.limit <= shape.limit && unfit.asks_for_the_same(shape)) {
            return None;
        }
        let Some(chosen) = self.board.find(&shape.candidates, shape.request, from, |slot| self.board.free(slot)) else {
            self.unfit.push(Shape { limit: TimeLimit::Minutes(NonZeroU32::MIN), ..shape.clone() });
            return None;
        };
        if self.above.is_empty() && self.forecast.is_none() {
            return Some(chosen);
        }
        self.place_above();
        let forecast = self.forecast.as_ref()?;
        let free = |slot| forecast.free(slot, shape, self.scene.now);
        let chosen = self.board.find(&shape.candidates, shape.request, from, free);
        if chosen.is_none() {
            self.unfit.push(shape.clone());
        }
        chosen
    }

    /// Keeps places for all that waits so far.
    fn place_above(&mut self) {
        let Scene { cluster, now, .. } = self.scene;
        let forecast =
            self.forecast.get_or_insert_with(|| Forecast::of(cluster, self.board, now, &self.decided.started));
        for Above { entry, shape, tasks, first } in self.above.drain(..) {
            for _ in 0..tasks.min(ARRAY_PLACES_MAX) {
                if self.places >= PLACES_MAX && !first {
                    break;
                }
                self.places += 1;
                match forecast.earliest(self.board, shape.clone()) {
                    Ok((at, chosen)) => {
                        forecast.keep(&shape, at, &chosen);
                        let nodes = chosen.iter().map(|seat| self.board.node(seat.slot)).collect();
                        self.decided.places.push((entry, at, nodes));
                    }
                    Err(at) => {
                        forecast.hold(&shape, at, self.board);
                        break;
                    }
                }
            }
        }
    }

    /// The number of a task that leaves the remainder: the last one takes the job's own.
    fn own_id(&mut self, job: &Job, left: u64) -> JobId {
        if left == 0 && !job.own_id_taken {
            return job.id;
        }
        let id = self.scene.cluster.id_after(self.decided.last_id);
        self.decided.last_id = Some(id);
        id
    }

    /// Whether the job could start on the nodes that are up if nothing else ran.
    fn could_start_idle(&mut self, shape: &Shape<'a>) -> bool {
        if self.hopeless.as_ref().is_some_and(|hopeless| hopeless.asks_for_the_same(shape)) {
            return false;
        }
        let could = self.board.fits_idle(&shape.candidates, shape.request);
        if !could {
            self.hopeless = Some(shape.clone());
        }
        could
    }

    /// The slots of a partition that a request will have; the same ones for all that are as choosy.
    fn candidates_of(&mut self, lane: &'a Lane, request: &'a Request) -> Arc<Candidates> {
        if !request.is_choosy() {
            return lane.candidates.clone();
        }
        let is_same = |(of, other, _): &&Narrowed<'a>| Arc::ptr_eq(of, &lane.candidates) && other.chooses_as(request);
        if let Some((_, _, known)) = self.narrowed.iter().find(is_same) {
            return known.clone();
        }
        let narrowed = Arc::new(self.board.narrowed(&lane.candidates, request));
        self.narrowed.push((lane.candidates.clone(), request, narrowed.clone()));
        narrowed
    }

    /// For how many more tasks of a request there are licenses.
    fn licensed(&self, request: &Request) -> usize {
        let tasks = |ask: &LicenseAsk| {
            let total = self.scene.settings.licenses.get(&ask.name).copied().unwrap_or(0);
            let held = self.scene.cluster.licenses_held(&ask.name);
            let taken = self.decided.licenses.get(&ask.name).copied().unwrap_or(0);
            u64::from(total).saturating_sub(held + taken) / u64::from(ask.count)
        };
        let least = request.licenses.iter().map(tasks).min();
        least.map_or(usize::MAX, |tasks| usize::try_from(tasks).unwrap_or(usize::MAX))
    }

    fn note_licenses(&mut self, request: &Request, started: usize) {
        for ask in &request.licenses {
            *self.decided.licenses.entry(ask.name.clone()).or_insert(0) += u64::from(ask.count) * started as u64;
        }
    }
}

impl Decided {
    /// Why an entry waits: as the first of its partitions says that has more to say than that others are ahead. That much holds
    /// of one that was not looked at, too, and how far a walk looks must not show.
    fn note(&mut self, entry: Entry, reason: Option<Reason>) {
        let says_little = |known: Reason| known == Reason::Priority || known.is_of_partition();
        let known = self.looked_at.entry(entry).or_insert(reason);
        if reason.is_none() || known.is_some_and(says_little) {
            *known = reason;
        }
    }
}

/// One event for each batch node, in the order of the nodes' numbers.
fn by_node(job: JobId, mut placements: Vec<Placement>) -> Vec<Event> {
    let node = |placement: &Placement| -> NodeId { placement.shares[0].node };
    placements.sort_by_key(node);
    let groups = placements.chunk_by(|a, b| node(a) == node(b));
    groups.map(|group| Event::Started { job, placements: group.to_vec() }).collect()
}
