//! What a job's place in the queue is computed from: Slurm's multifactor priority, as far as there are factors for it.
//!
//! `age·W + size·W + partition·W - nice` (slurm.conf(5), `PriorityType=priority/multifactor`), each factor between 0 and 1. It
//! is not cut at 1 here, so that nice counts without any weights; listings show at least 1.

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{JobId, Timestamp};
use crate::settings::{Settings, Weights};
use crate::terms::Terms;

/// The most jobs whose priority one event changes; the next tick goes on.
const CHANGES_MAX: usize = 50_000;

/// The factors of a priority, each from 0 to 1; 0 where its weight is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Factors {
    /// How long it has waited, by `PriorityMaxAge`.
    pub age: f64,
    /// How much of the cluster it asks for.
    pub size: f64,
    /// Its partition's `PriorityJobFactor`, by the largest.
    pub partition: f64,
}

/// The factors of a job whose tasks have been free to start for so long.
#[must_use]
pub fn factors(cluster: &Cluster, weights: &Weights, terms: &Terms, waited_ms: u64) -> Factors {
    let weighed = |weight: u32, factor: &dyn Fn() -> f64| if weight > 0 { factor().clamp(0.0, 1.0) } else { 0.0 };
    Factors {
        age: weighed(weights.age, &|| waited_ms as f64 / (weights.age_s_max.max(1) as f64 * 1000.0)),
        size: weighed(weights.size, &|| size_of(cluster, weights, terms)),
        partition: weighed(weights.partition, &|| partition_of(cluster, terms)),
    }
}

/// The priority of a job whose tasks have been free to start for so long.
pub(crate) fn priority(cluster: &Cluster, weights: &Weights, terms: &Terms, waited_ms: u64) -> i64 {
    if terms.fixed {
        return terms.priority;
    }
    let part = |weight: u32, factor: f64| (f64::from(weight) * factor).round() as i64;
    let Factors { age, size, partition } = factors(cluster, weights, terms, waited_ms);
    let parts = part(weights.age, age) + part(weights.size, size) + part(weights.partition, partition);
    parts - i64::from(terms.spec.nice)
}

/// The mean of the job's shares of all nodes and of all CPUs.
fn size_of(cluster: &Cluster, weights: &Weights, terms: &Terms) -> f64 {
    let (mut nodes, mut cpus_milli) = (0_u64, 0_u64);
    for node in cluster.nodes() {
        nodes += 1;
        cpus_milli += u64::from(node.offer.amount.cpus.milli());
    }
    let request = &terms.spec.request;
    let share = |part: f64, whole: u64| (part / whole.max(1) as f64).min(1.0);
    let of_nodes = share(f64::from(request.nodes_min), nodes);
    let size = (of_nodes + share(f64::from(request.cpus().milli()), cpus_milli)) / 2.0;
    if weights.favor_small { 1.0 - size } else { size }
}

/// The partition's own factor by the largest of all.
fn partition_of(cluster: &Cluster, terms: &Terms) -> f64 {
    let largest = cluster.partitions().map(|partition| partition.priority_factor).max().unwrap_or(0).max(1);
    let own =
        terms.partitions.iter().filter_map(|name| cluster.partition(name)).map(|partition| partition.priority_factor);
    f64::from(own.max().unwrap_or(0)) / f64::from(largest)
}

/// When priorities are next computed anew; never while nothing makes them change by themselves.
pub(crate) fn next_at(cluster: &Cluster, weights: &Weights) -> Option<Timestamp> {
    let changes = weights.age > 0 && cluster.index.queue.get_min().is_some();
    changes.then(|| cluster.prioritized.plus_ms(weights.calc_period_s.max(1) * 1000))
}

/// The priorities that have changed, once their time has come.
pub(crate) fn recomputed(cluster: &Cluster, settings: &Settings, now: Timestamp) -> Option<Event> {
    next_at(cluster, &settings.weights).filter(|at| *at <= now)?;
    let mut jobs: Vec<(JobId, i64)> = Vec::new();
    let mut seen = None;
    for key in &cluster.index.queue {
        let job = &cluster.jobs[&key.job];
        if key.task.is_some() || seen == Some(job.id) || jobs.len() >= CHANGES_MAX {
            continue;
        }
        seen = Some(job.id);
        let waited_ms = job.eligible.map_or(0, |since| now.ms_since(since));
        let priority = priority(cluster, &settings.weights, &job.terms, waited_ms);
        if priority != job.terms.priority {
            jobs.push((job.id, priority));
        }
    }
    Some(Event::Prioritized { jobs })
}
