//! What will be free when, by the time limits of what runs: the earliest start of a job that waits, kept for it, so that
//! what comes behind it may use only what that leaves.
//!
//! A job that is put in here takes its place out of the lines of its nodes ([`crate::line`]), in the order of the queue. Whoever
//! comes later starts only where its whole time limit fits into what is left; so, while everything ends by its limit,
//! nothing that starts moves the start of a job that has a place. The reasons why that holds from pass to pass: a place is
//! the first of a fixed order (time, then [`crate::place`]'s), and taking away what a place does not use leaves it first.
//! Real ends come earlier than limits; then everything is placed anew, and the first in line never later than before.
//! Start at [`Forecast::earliest`].

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::candidates::Candidates;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::Timestamp;
use crate::line::{Line, NEVER};
use crate::place::{Board, Chosen};
use crate::resources::{Amount, Share};
use crate::spec::duration::TimeLimit;
use crate::spec::job::Request;
use crate::task::TaskState;

/// How far ahead starts are looked for (`bf_window`'s default). A job that cannot start within it keeps what lies behind it.
pub(crate) const WINDOW_MS: u64 = 24 * 60 * 60 * 1000;
/// The most tasks that get a place in one pass, among partitions that share nodes; the first job that waits in each partition
/// gets one all the same. Those after them may be passed by anything that fits.
pub(crate) const PLACES_MAX: usize = 100;
/// The most tasks of one job that get a place in one pass, as `bf_max_job_array_resv`.
pub(crate) const ARRAY_PLACES_MAX: u64 = 20;
/// The most looks at a node at some time in one forecast. Once they are used up, a job keeps its nodes from where the search stopped.
const LOOKS_MAX: usize = 1_000_000;
/// What should have ended is expected this much later than now: less than the shortest limit, so that nothing slips in.
const OVERDUE_MS: u64 = 1_000;

/// The nodes of a board in time.
pub(crate) struct Forecast<'a> {
    lines: Vec<Line>,
    /// When more of a slot becomes free. Nothing can start first at any other time.
    rises: BTreeSet<(Timestamp, usize)>,
    /// Where the last search for tasks of the same shape ended. What is free only shrinks, so the next one goes on there.
    searched: Vec<(Shape<'a>, (Timestamp, usize))>,
    now: Timestamp,
    window_end: Timestamp,
    looks_left: usize,
}

/// What the place of a task depends on.
#[derive(Clone)]
pub(crate) struct Shape<'a> {
    /// The slots that may serve it.
    pub(crate) candidates: Arc<Candidates>,
    /// What it asks for.
    pub(crate) request: &'a Request,
    /// How long it may run.
    pub(crate) limit: TimeLimit,
}

impl Shape<'_> {
    /// Whether both ask for the same of the same partition, for however long.
    pub(crate) fn asks_for_the_same(&self, other: &Shape<'_>) -> bool {
        Arc::ptr_eq(&self.candidates, &other.candidates) && self.request == other.request
    }

    /// The end by its limit of a task that starts then.
    pub(crate) fn until(&self, start: Timestamp) -> Timestamp {
        end_by_limit(start, self.limit)
    }
}

fn end_by_limit(start: Timestamp, limit: TimeLimit) -> Timestamp {
    limit.seconds().map_or(NEVER, |seconds| start.plus_ms(seconds * 1000))
}

impl<'a> Forecast<'a> {
    /// The lines of all nodes, by what runs and by what this pass has `started`, which the board counts as held.
    pub(crate) fn of(cluster: &Cluster, board: &Board, now: Timestamp, started: &[Event]) -> Forecast<'a> {
        let mut ends: Vec<Vec<(Timestamp, Amount)>> = vec![Vec::new(); board.len()];
        let mut note = |end: Timestamp, shares: &[Share]| {
            for share in shares {
                if let Some(slot) = board.slot_of(share.node).filter(|_| end != NEVER) {
                    ends[slot].push((end.max(now.plus_ms(OVERDUE_MS)), share.amount));
                }
            }
        };
        for (_, key) in &cluster.index.attempts {
            let job = &cluster.jobs[&key.job];
            let task = &job.tasks[&key.index];
            let limit = job.terms_of(task).time_limit;
            match &task.state {
                TaskState::Running { since, shares } => {
                    note(end_by_limit(since.plus_ms(task.paused_ms), limit), shares);
                }
                // Nobody knows when it goes on.
                TaskState::Suspended { .. } => {}
                // It has been told to go.
                TaskState::Finishing { shares, .. } | TaskState::Closing { shares, .. } => note(now, shares),
                TaskState::Pending { .. } => {}
            }
        }
        for event in started {
            if let Event::Started { job, placements } = event {
                let job = &cluster.jobs[job];
                for placement in placements {
                    let limit =
                        job.tasks.get(&placement.index).map_or(&job.terms, |task| job.terms_of(task)).time_limit;
                    note(end_by_limit(now, limit), &placement.shares);
                }
            }
        }
        let mut rises = Vec::new();
        let line = |(slot, mut ends): (usize, Vec<(Timestamp, Amount)>)| {
            ends.sort_unstable_by_key(|(at, _)| *at);
            rises.extend(ends.iter().map(|(at, _)| (*at, slot)));
            Line::new(now, board.offer(slot).amount, board.held(slot), &ends)
        };
        let lines = ends.into_iter().enumerate().map(line).collect();
        let rises = rises.into_iter().collect();
        let window_end = now.plus_ms(WINDOW_MS);
        Forecast { lines, rises, searched: Vec::new(), now, window_end, looks_left: LOOKS_MAX }
    }

    /// What is free of a slot for as long as a task that starts at `at` may run.
    pub(crate) fn free(&self, slot: usize, shape: &Shape<'_>, at: Timestamp) -> Amount {
        self.lines[slot].least(at, shape.until(at))
    }

    /// The first moment after now at which a task of this shape fits for all of its time, and where.
    ///
    /// # Errors
    /// The moment before which it cannot start, where nothing better is known: the end of the window, or of the search.
    pub(crate) fn earliest(&mut self, board: &Board, shape: Shape<'a>) -> Result<(Timestamp, Chosen), Timestamp> {
        let is_same = |other: &Shape<'_>| other.limit == shape.limit && other.asks_for_the_same(&shape);
        let known = self.searched.iter().position(|(other, _)| is_same(other));
        let from = known.map_or((self.now, 0), |known| self.searched[known].1);
        let (found, stopped) = self.search(board, &shape, from);
        match known {
            Some(known) => self.searched[known].1 = stopped,
            None => self.searched.push((shape, stopped)),
        }
        found.ok_or(stopped.0)
    }

    /// Looks from rise to rise; answers what was found and where the search ended.
    fn search(
        &mut self,
        board: &Board,
        shape: &Shape<'_>,
        from: (Timestamp, usize),
    ) -> (Option<(Timestamp, Chosen)>, (Timestamp, usize)) {
        let window = (self.window_end, usize::MAX);
        let mut rooms = shape.request.may_spread().then(|| self.rooms(board, shape, from.0));
        let mut looks = self.looks_left;
        let mut found = None;
        let mut stopped = window;
        for &(at, slot) in
            self.rises.range(from.min(window)..=window).filter(|(_, slot)| shape.candidates.members[*slot])
        {
            let free = self.free(slot, shape, at);
            let alone = || board.seat_alone(shape.request, &shape.candidates, slot, &free);
            if let Some(seat) = (shape.request.nodes_min == 1).then(alone).flatten() {
                found = Some((at, vec![seat]));
            } else if let Some(rooms) = &mut rooms {
                rooms.set(slot, shape.request.room(board.offer(slot), &free));
                if rooms.suffice(shape.request) {
                    looks = looks.saturating_sub(self.lines.len());
                    *rooms = self.rooms(board, shape, at);
                    found = self.choose(board, shape, at).map(|chosen| (at, chosen));
                }
            }
            looks = looks.saturating_sub(1);
            if found.is_some() || looks == 0 {
                stopped = (at, slot);
                break;
            }
        }
        self.looks_left = looks;
        (found, stopped)
    }

    fn choose(&self, board: &Board, shape: &Shape<'_>, at: Timestamp) -> Option<Chosen> {
        let slots = || (0..self.lines.len()).filter(|slot| shape.candidates.members[*slot]);
        board.choose(shape.request, &shape.candidates, slots(), slots(), |slot| self.free(slot, shape, at))
    }

    fn rooms(&self, board: &Board, shape: &Shape<'_>, at: Timestamp) -> Rooms {
        let room = |slot: usize| shape.request.room(board.offer(slot), &self.free(slot, shape, at));
        let of: Vec<u32> =
            (0..self.lines.len()).map(|slot| if shape.candidates.members[slot] { room(slot) } else { 0 }).collect();
        Rooms { together: of.iter().map(|room| u64::from(*room)).sum(), of }
    }

    /// Keeps a place for a task: what it holds is free for nobody else from its start to its end by its limit.
    pub(crate) fn keep(&mut self, shape: &Shape<'_>, at: Timestamp, chosen: &Chosen) {
        let until = shape.until(at);
        for seat in chosen {
            self.lines[seat.slot].take(at, until, &seat.amount);
            self.rises.insert((until, seat.slot));
        }
    }

    /// Keeps all that a task could ever use from `at` on, for want of a place.
    pub(crate) fn hold(&mut self, shape: &Shape<'_>, at: Timestamp, board: &Board) {
        for (slot, line) in self.lines.iter_mut().enumerate().filter(|(slot, _)| shape.candidates.members[*slot]) {
            let offer = board.offer(slot);
            if shape.request.room(offer, &offer.amount) > 0 {
                line.close(at);
            }
        }
    }
}

/// How many processes of one shape fit on each slot: exact when made, then never too low.
struct Rooms {
    of: Vec<u32>,
    together: u64,
}

impl Rooms {
    fn set(&mut self, slot: usize, room: u32) {
        self.together = self.together - u64::from(self.of[slot]) + u64::from(room);
        self.of[slot] = room;
    }

    fn suffice(&self, request: &Request) -> bool {
        self.together >= u64::from(request.process_count())
    }
}
