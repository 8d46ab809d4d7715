//! `ListPriorities`: what the priorities of waiting jobs are made of, in pages.

use proto::v1;
use sched::cluster::Cluster;
use sched::ids::{JobId, Timestamp};
use sched::job::Job;
use sched::priority::factors;
use sched::settings::Weights;
use sched::terms::{Hold, Terms};

use super::listing::{Gone, Outlet, listing};
use super::{Answers, Desk};
use crate::clock;

/// Rows of one page.
const PAGE_ROWS: usize = 1_000;

pub(super) fn list(desk: &Desk, uid: u32) -> Answers<v1::PrioritiesPage> {
    let (cluster, weights) = (desk.published.cluster(), desk.config.load().settings.weights);
    listing(uid, move |outlet| send(&cluster, &weights, outlet))
}

fn send(cluster: &Cluster, weights: &Weights, outlet: &mut Outlet<v1::PrioritiesPage>) -> Result<(), Gone> {
    let shown = v1::PriorityWeights { age: weights.age, job_size: weights.size, partition: weights.partition };
    let mut page = v1::PrioritiesPage { weights: Some(shown), rows: Vec::new() };
    let now = clock::now();
    for job in cluster.jobs() {
        for (id, terms, held) in waiting(job) {
            page.rows.push(row(cluster, weights, now, (job, id, terms, held)));
            if page.rows.len() >= PAGE_ROWS {
                outlet.put(Ok(std::mem::take(&mut page)))?;
            }
        }
    }
    outlet.put(Ok(page))
}

/// What of a job waits: what waits together, and each task that waits by itself.
fn waiting(job: &Job) -> Vec<(JobId, &Terms, Option<Hold>)> {
    let together = job.waiting_count() > job.apart.len();
    let mut found: Vec<(JobId, &Terms, Option<Hold>)> = Vec::new();
    if together {
        found.push((job.id, &job.terms, job.held));
    }
    for index in job.apart.iter() {
        if let Some(task) = job.tasks.get(&index) {
            found.push((task.id, job.terms_of(task), task.own.as_ref().map_or(job.held, |own| own.held)));
        }
    }
    found
}

fn row(
    cluster: &Cluster,
    weights: &Weights,
    now: Timestamp,
    (job, id, terms, held): (&Job, JobId, &Terms, Option<Hold>),
) -> v1::PriorityRow {
    let waited_ms = job.eligible.map_or(0, |since| now.ms_since(since));
    let factors = factors(cluster, weights, terms, waited_ms);
    v1::PriorityRow {
        id: id.0,
        user: terms.spec.user.name.to_string(),
        uid: terms.spec.user.uid,
        partition: terms.partition().to_string(),
        priority: if held.is_some() { 0 } else { u32::try_from(terms.priority.max(1)).unwrap_or(u32::MAX) },
        nice: terms.spec.nice,
        age: factors.age,
        job_size: factors.size,
        partition_factor: factors.partition,
    }
}
