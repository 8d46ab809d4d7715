//! Where a job stands in the sets of the index that change while it waits, runs and ends.

use std::cmp::Reverse;
use std::sync::Arc;

use imbl::OrdMap;
use smallvec::SmallVec;

use crate::cluster::{namesake, targets};
use crate::depend::Waits;
use crate::ids::{JobId, Name, Timestamp};
use crate::job::Job;
use crate::partition::Partition;
use crate::task::{Task, TaskState};

/// What stands in the queue: the tasks of a job that wait together, or one task that stands for itself.
pub(crate) type Entry = (JobId, Option<u32>);

/// The partitions of a cluster, by name.
type Partitions = OrdMap<Name, Arc<Partition>>;

/// A place in the queue: tier, then priority, then the job's number; what waits together before what stands for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct QueueKey {
    pub(crate) tier: Reverse<u16>,
    pub(crate) priority: Reverse<i64>,
    pub(crate) job: JobId,
    pub(crate) task: Option<u32>,
}

impl QueueKey {
    pub(crate) fn entry(&self) -> Entry {
        (self.job, self.task)
    }
}

/// The rows of a job that a change may touch, beside what waits together.
#[derive(Clone, Copy)]
pub(crate) enum Rows<'a> {
    Listed(&'a [u32]),
    All,
}

/// Where an entry stands, and which clocks it keeps.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Stand {
    pub(super) queue: Option<QueueKey>,
    pub(super) begin: Option<Timestamp>,
    pub(super) deadline: Option<Timestamp>,
}

/// Where a job stands with some of its rows.
#[derive(PartialEq)]
pub(crate) struct Standing {
    pub(super) entries: SmallVec<[(Option<u32>, Stand); 1]>,
    /// The jobs that it waits for, while it is not done.
    pub(super) targets: Vec<(JobId, JobId)>,
    /// What a singleton of its user would wait behind, while it is not done.
    pub(super) namesake: Option<(u32, Name, JobId)>,
    /// Whether it waits behind its namesakes, while it is not done.
    pub(super) singleton: bool,
    /// When it was done.
    pub(super) done: Option<(Timestamp, JobId)>,
}

impl Standing {
    pub(crate) fn of(partitions: &Partitions, job: &Job, rows: Rows<'_>) -> Standing {
        let open = job.ended.is_none();
        Standing {
            entries: entries(job, rows).map(|entry| (entry, stand(partitions, job, entry))).collect(),
            targets: if open { targets(job).collect() } else { Vec::new() },
            namesake: open.then(|| namesake(job)),
            singleton: open && job.waits.as_ref().is_some_and(Waits::behind_namesakes),
            done: job.ended.map(|at| (at, job.id)),
        }
    }
}

/// Where all entries of a job stand in the queue.
pub(crate) fn queue_keys(partitions: &Partitions, job: &Job) -> impl Iterator<Item = QueueKey> {
    entries(job, Rows::All).filter_map(|entry| queue_key(partitions, job, entry))
}

/// What may stand anywhere of a job: what waits together, and these of its rows.
fn entries(job: &Job, rows: Rows<'_>) -> impl Iterator<Item = Option<u32>> {
    // Of all, only rows with something of their own stand anywhere, and those that run towards a deadline.
    let stands = |task: &Task| task.own.is_some() || job.terms_of(task).spec.deadline.is_some();
    let (listed, all) = match rows {
        Rows::Listed(listed) => (listed, None),
        Rows::All => (&[][..], Some(&job.tasks)),
    };
    let all = all.into_iter().flatten().filter(move |(_, task)| stands(task)).map(|(index, _)| *index);
    std::iter::once(None).chain(listed.iter().copied().chain(all).map(Some))
}

fn stand(partitions: &Partitions, job: &Job, entry: Option<u32>) -> Stand {
    let queue = queue_key(partitions, job, entry);
    let Some(index) = entry else {
        // To count them means to look into the sets, which lie elsewhere in memory.
        let waits = job.ended.is_none() && (job.has_remainder() || job.waiting_count() > job.apart.len());
        let deadline = job.terms.start_by().filter(|_| waits);
        return Stand { queue, begin: job.begin.filter(|_| job.ended.is_none()), deadline };
    };
    let Some(task) = job.tasks.get(&index) else { return Stand::default() };
    let terms = job.terms_of(task);
    match task.state {
        TaskState::Pending { .. } if job.apart.contains(index) => {
            Stand { queue, begin: task.own.as_ref().and_then(|own| own.begin), deadline: terms.start_by() }
        }
        TaskState::Pending { .. } | TaskState::Finishing { .. } | TaskState::Closing { .. } => Stand::default(),
        TaskState::Running { .. } | TaskState::Suspended { .. } => {
            Stand { deadline: terms.spec.deadline, ..Stand::default() }
        }
    }
}

/// Where an entry stands in the queue; `None` while nothing of it may start.
pub(super) fn queue_key(partitions: &Partitions, job: &Job, entry: Option<u32>) -> Option<QueueKey> {
    if job.waits.as_ref().is_some_and(Waits::hold_all) {
        return None;
    }
    let terms = match entry {
        None if job.held.is_some() || job.begin.is_some() => return None,
        None if job.pending.is_empty() && job.pending_count() == 0 => return None,
        None => &job.terms,
        Some(index) => {
            let task = job.tasks.get(&index).filter(|_| job.apart.contains(index))?;
            task.own.as_ref().filter(|own| own.held.is_none() && own.begin.is_none())?;
            job.terms_of(task)
        }
    };
    let tier = terms.partitions.iter().map(|name| tier_of(partitions, name)).max().unwrap_or(1);
    Some(QueueKey { tier: Reverse(tier), priority: Reverse(terms.priority), job: job.id, task: entry })
}

/// The tier of a partition; of one that is gone, the usual one.
pub(super) fn tier_of(partitions: &Partitions, name: &str) -> u16 {
    partitions.get(name).map_or(1, |partition| partition.tier)
}
