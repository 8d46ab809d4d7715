//! The cluster as it is at the moment, under the names that Slurm's usual exporter gives its figures (`slurm_cpus_alloc`,
//! `slurm_queue_running`, ...), so that dashboards made for it go on; and what only Covey has, under `covey_`.
//!
//! Jobs are counted by the rows that squeue prints, with one for each task as after `squeue -r`.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use proto::job_columns::Fields;
use proto::v1::{JobRow, JobState};
use sched::cluster::Cluster;
use sched::job::Job;
use sched::node::{Health, MarkKind, Node, NodeWord};
use sched::reason::Outcome;

use super::{Figures, Passes};
use crate::rpc::rows::{RowMaker, state_of};

/// Values of one label; what is beyond them counts under [`OTHERS`].
const VALUES_MAX: usize = 1_000;
const OTHERS: &str = "(others)";

/// A label and its value.
type Label = Vec<(&'static str, String)>;
/// The end of a name, and what it tells of a thing.
type Figure<T> = (&'static str, fn(&T) -> u64);
type Floats = Gauge<f64, AtomicU64>;

/// All of it.
pub(super) fn registry(cluster: &Cluster, figures: &Figures, calls_open: i64) -> Registry {
    let mut registry = Registry::default();
    let jobs = Jobs::of(cluster);
    add_queue(&mut registry, &jobs);
    for (label, groups) in [("account", &jobs.accounts), ("user", &jobs.users)] {
        add_groups(&mut registry, label, groups);
    }
    add_nodes(&mut registry, cluster);
    add_partitions(&mut registry, cluster, &jobs);
    add_scheduler(&mut registry, figures, calls_open);
    registry
}

/// What squeue's rows add up to.
#[derive(Default)]
struct Jobs {
    /// By the exporter's word for a state.
    states: BTreeMap<&'static str, u64>,
    /// By partition and that word.
    by_partition: BTreeMap<(String, &'static str), u64>,
    accounts: BTreeMap<String, Group>,
    users: BTreeMap<String, Group>,
    records: u64,
}

/// What belongs to one account or user.
#[derive(Clone, Copy, Default)]
struct Group {
    pending: u64,
    running: u64,
    suspended: u64,
    cpus_running: u64,
}

/// The words of `slurm_queue_*`, all of which are shown, also at 0.
const STATES: [&str; 14] = [
    "pending",
    "pending_dependency",
    "running",
    "suspended",
    "cancelled",
    "completing",
    "completed",
    "configuring",
    "failed",
    "timeout",
    "preempted",
    "node_fail",
    "out_of_memory",
    "deadline",
];

impl Jobs {
    fn of(cluster: &Cluster) -> Jobs {
        let mut jobs = Jobs::default();
        let maker = RowMaker { cluster, detail: false, steps: false, starts: None, fields: Fields::ALL };
        for job in cluster.jobs() {
            jobs.records += 1;
            let mut add = |row: JobRow| {
                jobs.add(&row, if row.remainder.is_empty() { 1 } else { remaining(job) });
                Ok(())
            };
            // Nothing that is added breaks the listing off.
            maker.rows(job, None, false, &mut add).ok();
            jobs.add_ended(job);
        }
        jobs
    }

    fn add(&mut self, row: &JobRow, tasks: u64) {
        let word = match (row.completing, row.state()) {
            (true, _) => "completing",
            (_, JobState::Pending) if row.reason.starts_with("Dependency") => "pending_dependency",
            (_, state) => word(state),
        };
        *self.states.entry(word).or_default() += tasks;
        if let Some(partition) = row.partition.split(',').next() {
            *self.by_partition.entry((partition.to_owned(), word)).or_default() += tasks;
        }
        for (groups, name) in [(&mut self.accounts, &row.account), (&mut self.users, &row.user)] {
            let group = group_of(groups, name);
            match row.state() {
                _ if row.completing => {}
                JobState::Pending => group.pending += tasks,
                JobState::Suspended => group.suspended += tasks,
                _ => {
                    group.running += tasks;
                    group.cpus_running += u64::from(row.cpus) * tasks;
                }
            }
        }
    }

    /// What is done and still in memory.
    fn add_ended(&mut self, job: &Job) {
        for (_, done) in job.done.iter() {
            *self.states.entry(word(state_of(&done.outcome))).or_default() += 1;
        }
        if let Some(ended) = &job.ended_waiting {
            let tasks = if ended.tasks.is_empty() { &ended.last } else { &ended.tasks };
            *self.states.entry(word(state_of(&Outcome::bare(ended.ending)))).or_default() += tasks.len();
        }
    }
}

/// The tasks that the row of a remainder stands for.
fn remaining(job: &Job) -> u64 {
    job.waiting_count() - job.requeued.len()
}

fn group_of<'a>(groups: &'a mut BTreeMap<String, Group>, name: &str) -> &'a mut Group {
    let room = groups.len() < VALUES_MAX || groups.contains_key(name);
    groups.entry(if room { name.to_owned() } else { OTHERS.to_owned() }).or_default()
}

fn word(state: JobState) -> &'static str {
    match state {
        JobState::Unspecified | JobState::Pending => "pending",
        JobState::Running => "running",
        JobState::Suspended => "suspended",
        JobState::Completed => "completed",
        JobState::Cancelled => "cancelled",
        JobState::Failed | JobState::BootFail => "failed",
        JobState::Timeout => "timeout",
        JobState::NodeFail => "node_fail",
        JobState::Preempted => "preempted",
        JobState::Deadline => "deadline",
        JobState::OutOfMemory => "out_of_memory",
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn family(registry: &mut Registry, name: &str, help: &str, values: impl Iterator<Item = (Label, u64)>) {
    let family: Family<Label, Gauge> = Family::default();
    for (label, value) in values {
        family.get_or_create(&label).set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    registry.register(name, help, family);
}

fn add_queue(registry: &mut Registry, jobs: &Jobs) {
    for state in STATES {
        let count = jobs.states.get(state).copied().unwrap_or(0);
        gauge(registry, &format!("slurm_queue_{state}"), &format!("Tasks that are {state}"), count);
    }
    gauge(registry, "covey_jobs", "Jobs in memory, done ones included", jobs.records);
    let tasks = jobs.by_partition.iter().map(|((partition, state), count)| {
        (vec![("partition", partition.clone()), ("state", (*state).to_owned())], *count)
    });
    family(registry, "covey_queue_tasks", "Tasks that are not done, by partition and state", tasks);
}

fn add_groups(registry: &mut Registry, label: &'static str, groups: &BTreeMap<String, Group>) {
    let parts: [Figure<Group>; 4] = [
        ("jobs_pending", |group| group.pending),
        ("jobs_running", |group| group.running),
        ("jobs_suspended", |group| group.suspended),
        ("cpus_running", |group| group.cpus_running),
    ];
    for (part, value) in parts {
        let values = groups.iter().map(|(name, group)| (vec![(label, name.clone())], value(group)));
        family(registry, &format!("slurm_{label}_{part}"), &format!("By {label}: {}", part.replace('_', " ")), values);
    }
}

/// CPUs in Slurm's three parts: what is held, what is free, and what is out of service.
#[derive(Clone, Copy, Default)]
struct Cpus {
    alloc: u64,
    idle: u64,
    other: u64,
    total: u64,
}

impl Cpus {
    fn of(node: &Node) -> Cpus {
        let (total, alloc) = (u64::from(node.offer.amount.cpus.count()), u64::from(node.held.cpus.count()));
        let rest = total.saturating_sub(alloc);
        let (idle, other) = if node.takes_work() { (rest, 0) } else { (0, rest) };
        Cpus { alloc, idle, other, total }
    }

    fn plus(self, more: Cpus) -> Cpus {
        Cpus {
            alloc: self.alloc + more.alloc,
            idle: self.idle + more.idle,
            other: self.other + more.other,
            total: self.total + more.total,
        }
    }
}

fn add_nodes(registry: &mut Registry, cluster: &Cluster) {
    let cpus = cluster.nodes().map(|node| Cpus::of(node)).fold(Cpus::default(), Cpus::plus);
    for (part, value) in [("alloc", cpus.alloc), ("idle", cpus.idle), ("other", cpus.other), ("total", cpus.total)] {
        gauge(registry, &format!("slurm_cpus_{part}"), &format!("CPUs: {part}"), value);
    }
    let mut states = BTreeMap::from(
        ["alloc", "comp", "down", "drain", "err", "fail", "idle", "maint", "mix", "resv"].map(|state| (state, 0_u64)),
    );
    for node in cluster.nodes() {
        *states.entry(node_state(cluster, node)).or_default() += 1;
    }
    for (state, count) in states {
        gauge(registry, &format!("slurm_nodes_{state}"), &format!("Nodes that are {state}"), count);
    }
    let parts: [Figure<Node>; 6] = [
        ("cpu_alloc", |node| Cpus::of(node).alloc),
        ("cpu_idle", |node| Cpus::of(node).idle),
        ("cpu_other", |node| Cpus::of(node).other),
        ("cpu_total", |node| Cpus::of(node).total),
        ("mem_alloc", |node| node.held.memory_mib),
        ("mem_total", |node| node.offer.amount.memory_mib),
    ];
    for (part, value) in parts {
        let values = cluster.nodes().take(VALUES_MAX).map(|node| {
            let label = vec![("node", node.name.to_string()), ("status", node_state(cluster, node).to_owned())];
            (label, value(node))
        });
        family(registry, &format!("slurm_node_{part}"), &format!("By node: {}", part.replace('_', " ")), values);
    }
}

/// The exporter's word for a node.
fn node_state(cluster: &Cluster, node: &Node) -> &'static str {
    match (&node.mark, node.health) {
        (_, Health::Down { .. } | Health::Silent { .. }) => "down",
        (Some(mark), _) if mark.kind == MarkKind::Fail => "fail",
        (Some(mark), _) if mark.kind == MarkKind::Drain => "drain",
        (Some(_), _) => "down",
        (None, Health::Up { .. }) if cluster.is_completing(node.id) => "comp",
        (None, Health::Up { .. }) => match node.state().word {
            NodeWord::Idle => "idle",
            NodeWord::Mixed => "mix",
            NodeWord::Allocated => "alloc",
            NodeWord::Down => "down",
        },
    }
}

fn add_partitions(registry: &mut Registry, cluster: &Cluster, jobs: &Jobs) {
    let all: Vec<(String, Cpus)> = cluster
        .partitions()
        .map(|partition| {
            let members = cluster.nodes().filter(|node| partition.has(&node.name));
            (partition.name.to_string(), members.map(|node| Cpus::of(node)).fold(Cpus::default(), Cpus::plus))
        })
        .collect();
    let parts: [Figure<Cpus>; 4] = [
        ("cpus_allocated", |cpus| cpus.alloc),
        ("cpus_idle", |cpus| cpus.idle),
        ("cpus_other", |cpus| cpus.other),
        ("cpus_total", |cpus| cpus.total),
    ];
    for (part, value) in parts {
        let values = all.iter().map(|(name, cpus)| (vec![("partition", name.clone())], value(cpus)));
        family(
            registry,
            &format!("slurm_partition_{part}"),
            &format!("By partition: {}", part.replace('_', " ")),
            values,
        );
    }
    let pending = all.iter().map(|(name, _)| {
        let of = |state| jobs.by_partition.get(&(name.clone(), state)).copied().unwrap_or(0);
        (vec![("partition", name.clone())], of("pending") + of("pending_dependency"))
    });
    family(registry, "slurm_partition_jobs_pending", "By partition: tasks that wait", pending);
}

fn add_scheduler(registry: &mut Registry, figures: &Figures, calls_open: i64) {
    let Passes { count, last_us, total_us, last, total_tried, backfilled, backfilled_ever, .. } = figures.passes;
    let mean = |total: u64| total as f64 / count.max(1) as f64;
    let minutes = (crate::clock::now().ms_since(figures.since) as f64 / 60_000.0).max(1.0);
    let plain = [
        ("threads", "Calls that are being answered", u64::try_from(calls_open).unwrap_or(0)),
        ("queue_size", "Messages kept for a retry: there are none", 0),
        ("dbd_queue_size", "Records that wait for a database: there is none", 0),
        ("last_cycle", "Microseconds of the last scheduling pass", last_us),
        ("backfill_last_cycle", "Microseconds of the last scheduling pass, which also backfills", last_us),
        ("last_queue_length", "Jobs that waited before the last pass", last.queued as u64),
    ];
    for (name, help, value) in plain {
        gauge(registry, &format!("slurm_scheduler_{name}"), help, value);
    }
    let floats = [
        ("mean_cycle", "Mean microseconds of scheduling passes", mean(total_us)),
        ("cycle_per_minute", "Scheduling passes in a minute", count as f64 / minutes),
        ("backfill_mean_cycle", "Mean microseconds of scheduling passes, which also backfill", mean(total_us)),
        ("backfill_depth_mean", "Mean count of jobs that a pass looks at", mean(total_tried)),
    ];
    for (name, help, value) in floats {
        let gauge: Floats = Gauge::default();
        gauge.set(value);
        registry.register(format!("slurm_scheduler_{name}"), help, gauge);
    }
    let counters = [
        ("start", "Tasks that started past one that waits, since the controller's start", backfilled_ever),
        ("cycle", "Tasks that started past one that waits, since the last reset", backfilled),
    ];
    for (since, help, value) in counters {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        registry.register(format!("slurm_scheduler_backfilled_jobs_since_{since}"), help, counter);
    }
}
