//! What differs between two states of the cluster, for whoever watches jobs.
//!
//! States share what they have in common, so that comparing costs time by what differs and not by all there is. How a difference is told is not
//! known here.

use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use crate::cluster::Cluster;
use crate::ids::JobId;
use crate::job::Job;
use crate::spec::index_set::IndexSet;

/// How a job differs.
#[derive(Clone, Debug)]
pub enum JobChange<'a> {
    /// It is there and new, or other than before.
    Now {
        /// As it is.
        job: &'a Arc<Job>,
        /// The tasks that have a row which is new or may be shown otherwise.
        rows: IndexSet,
    },
    /// It has left memory.
    Forgotten(JobId),
}

/// The jobs that differ between two states, by number.
pub fn between<'a>(before: &'a Cluster, after: &'a Cluster) -> impl Iterator<Item = JobChange<'a>> {
    before.jobs.diff(&after.jobs).map(|item| match item {
        DiffItem::Add(_, job) => JobChange::Now { job, rows: rows(job) },
        DiffItem::Update { old: (_, old), new: (_, job) } => JobChange::Now { job, rows: rows_changed(old, job) },
        DiffItem::Remove(id, _) => JobChange::Forgotten(*id),
    })
}

/// The tasks that have a row of their own.
#[must_use]
pub fn rows(job: &Job) -> IndexSet {
    let mut rows = IndexSet::new();
    for index in job.tasks.keys().copied().chain(job.done.indices()) {
        rows.insert(index);
    }
    rows
}

fn rows_changed(old: &Job, job: &Job) -> IndexSet {
    // What all rows show of their job.
    let shared = |job: &Job| (job.throttle, job.eligible, job.held, job.begin);
    let same_terms = Arc::ptr_eq(&old.terms, &job.terms) || old.terms == job.terms;
    if !same_terms || shared(old) != shared(job) || old.waits != job.waits {
        return rows(job);
    }
    // And those of what waits.
    let mut changed = if old.reason == job.reason { IndexSet::new() } else { job.requeued.clone() };
    keys_changed(&old.tasks, &job.tasks, |index| *index, &mut changed);
    for index in old.done.changed(&job.done) {
        changed.insert(index);
    }
    keys_changed(&old.steps, &job.steps, |(index, _)| *index, &mut changed);
    changed
}

fn keys_changed<K: Ord, V: PartialEq>(
    old: &OrdMap<K, V>,
    new: &OrdMap<K, V>,
    index: impl Fn(&K) -> u32,
    changed: &mut IndexSet,
) {
    for item in old.diff(new) {
        let (DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. }) = item;
        changed.insert(index(key));
    }
}
