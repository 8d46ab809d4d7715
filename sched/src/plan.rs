//! One scheduling pass: which waiting tasks start where, and why the others do not.
//!
//! It reads the cluster and answers with events; it changes nothing. Jobs are tried in the order of the queue, strictly: once
//! a job of a partition waits for resources, the later ones of that partition wait behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::event::{Event, Placement};
use crate::ids::{JobId, Name, NodeId};
use crate::job::Job;
use crate::partition::{Partition, PartitionState};
use crate::place::Board;
use crate::reason::Reason;
use crate::spec::job::Request;

/// The most tasks that one pass starts; the rest wait for the next one, so that a commit stays small.
pub const STARTS_MAX: usize = 10_000;

/// Decides what starts now.
#[must_use]
pub fn plan(cluster: &Cluster) -> Vec<Event> {
    let mut pass = Pass {
        cluster,
        board: Board::of(cluster),
        last_id: cluster.last_job,
        blocked: BTreeSet::new(),
        starts: 0,
        hopeless: None,
        events: Vec::new(),
    };
    for key in &cluster.index.queue {
        let job = &cluster.jobs[&key.job];
        let reason = pass.try_job(job);
        if let Some(reason) = reason.filter(|reason| *reason != job.reason) {
            pass.events.push(Event::Waiting { job: job.id, reason });
        }
        if pass.starts >= STARTS_MAX {
            break;
        }
    }
    pass.events
}

struct Pass<'a> {
    cluster: &'a Cluster,
    board: Board<'a>,
    last_id: Option<JobId>,
    /// Partitions whose first waiting job has found no room.
    blocked: BTreeSet<&'a Name>,
    starts: usize,
    /// The last request that no node that is up could ever serve: the next job often asks for the same.
    hopeless: Option<(&'a Name, &'a Request)>,
    events: Vec<Event>,
}

impl<'a> Pass<'a> {
    /// Starts what fits of one job; answers why the rest of it waits, `None` when nothing is left.
    fn try_job(&mut self, job: &'a Job) -> Option<Reason> {
        let partition = match self.admitted(job) {
            Ok(partition) => partition,
            Err(reason) => return Some(reason),
        };
        if self.blocked.contains(&job.partition) {
            return Some(Reason::Priority);
        }
        let room = usize::try_from(job.throttle_room()).unwrap_or(usize::MAX);
        let (started, full) = self.start_tasks(job, partition, room.min(STARTS_MAX - self.starts));
        self.starts += started;
        if started as u64 == job.pending_count() {
            return None;
        }
        if !full {
            // Either the array's own limit, or the bound of this pass: then the next pass goes on and nothing changes.
            return Some(if started == room { Reason::JobArrayTaskLimit } else { job.reason });
        }
        if self.is_hopeless(job, partition) {
            return Some(Reason::NodesUnavailable);
        }
        self.blocked.insert(&job.partition);
        Some(Reason::Resources)
    }

    /// The partition, when it lets the job start at all.
    fn admitted(&self, job: &Job) -> Result<&'a Partition, Reason> {
        let partition = self.cluster.partitions.get(&job.partition).ok_or(Reason::PartitionDown)?;
        match partition.state {
            PartitionState::Down => Err(Reason::PartitionDown),
            PartitionState::Inactive => Err(Reason::PartitionInactive),
            PartitionState::Up | PartitionState::Drain if job.time_limit > partition.time_max => {
                Err(Reason::PartitionTimeLimit)
            }
            PartitionState::Up | PartitionState::Drain => Ok(partition),
        }
    }

    /// Starts up to `most` tasks, lowest index first; answers how many, and whether it stopped for lack of room.
    fn start_tasks(&mut self, job: &'a Job, partition: &Partition, most: usize) -> (usize, bool) {
        let mut left = job.pending.len();
        let mut from = 0;
        let mut placements: Vec<Placement> = Vec::new();
        let waiting = job.requeued.iter().chain(job.pending.iter());
        let mut full = false;
        for index in waiting.take(most) {
            let Some(place) = self.board.take(partition, &job.spec.request, from) else {
                full = true;
                break;
            };
            from = place.from;
            let (id, attempt) = match job.tasks.get(&index) {
                Some(row) => (row.id, row.attempts + 1),
                None => {
                    left -= 1;
                    (self.own_id(job, left), 1)
                }
            };
            placements.push(Placement { index, id, attempt, shares: place.shares });
        }
        let started = placements.len();
        self.events.extend(by_node(job.id, placements));
        (started, full)
    }

    /// The number of a task that leaves the remainder: the last one takes the job's own.
    fn own_id(&mut self, job: &Job, left: u64) -> JobId {
        if left == 0 && !job.own_id_taken {
            return job.id;
        }
        let id = self.cluster.id_after(self.last_id);
        self.last_id = Some(id);
        id
    }

    /// Whether the job could not start on the nodes that are up even if nothing else ran.
    fn is_hopeless(&mut self, job: &'a Job, partition: &Partition) -> bool {
        let asked = (&job.partition, &job.spec.request);
        let hopeless = self.hopeless == Some(asked)
            || Board::idle(self.cluster, true).take(partition, &job.spec.request, 0).is_none();
        if hopeless {
            self.hopeless = Some(asked);
        }
        hopeless
    }
}

/// Whether nodes are known for this request that could serve it if nothing else ran. A partition without any known node
/// counts as able: its nodes have yet to join.
#[must_use]
pub(crate) fn could_ever_start(cluster: &Cluster, partition: &Arc<Partition>, request: &Request) -> bool {
    let mut board = Board::idle(cluster, false);
    !board.serves(partition) || board.take(partition, request, 0).is_some()
}

/// One event for each batch node, in the order of the nodes' numbers.
fn by_node(job: JobId, mut placements: Vec<Placement>) -> Vec<Event> {
    let node = |placement: &Placement| -> NodeId { placement.shares[0].node };
    placements.sort_by_key(node);
    let groups = placements.chunk_by(|a, b| node(a) == node(b));
    groups.map(|group| Event::Started { job, placements: group.to_vec() }).collect()
}
