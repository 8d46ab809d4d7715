//! What a scheduling pass costs: from nothing over queues and clusters of several sizes, and after one task has ended.
//!
//! Every node is nearly full: six of its eight CPUs run for an hour or more, so that what waits has to be looked at. The
//! figures to stay below stand beside each case.

#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[path = "../tests/rig/mod.rs"]
mod rig;

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rig::{Rig, array, ended, wide};
use sched::cluster::Cluster;
use sched::event::Event;
use sched::ids::{NodeId, RequestId, Timestamp};
use sched::plan::{Planner, expected_starts, plan};
use sched::reason::Exit;
use sched::reconcile::How;
use sched::settings::Settings;
use sched::spec::duration::TimeLimit;
use sched::spec::job::{JobDraft, JobSpec};
use sched::step::{Input, decide};

fn limited(draft: JobDraft, minutes: u32) -> JobDraft {
    JobDraft { time_limit: Some(TimeLimit::Minutes(minutes.try_into().expect("not 0"))), ..draft }
}

/// A cluster of nodes with eight CPUs, of which so many are in use.
fn busy(nodes: u32, cpus: u32) -> Rig {
    let mut rig = Rig::new();
    rig.unchecked = true;
    for i in 1..=nodes {
        rig.register(&format!("n{i}"), 8, &[]);
    }
    let tasks = array(&format!("0-{}", nodes * cpus - 1));
    rig.submit(limited(tasks, 60)).expect("accepted");
    while rig.plan().more {}
    rig
}

/// The same with a queue: first a job that needs all nodes, behind it all sizes and limits. Many would fit, and none may pass.
fn queued(nodes: u32, jobs: u32) -> Rig {
    let mut rig = busy(nodes, 6);
    let mut all = limited(wide(nodes, 8), 60);
    all.request.nodes_min = nodes;
    rig.submit(all).expect("accepted");
    for i in 0..jobs {
        rig.submit(limited(wide(1, 8 - i % 8), 61 + i % 600)).expect("accepted");
    }
    while !rig.plan().events.is_empty() {}
    rig
}

fn passes(c: &mut Criterion) {
    let mut group = c.benchmark_group("pass");
    group.sample_size(20);
    for (nodes, bound) in [(1_000, "30 ms"), (10_000, "150 ms")] {
        let rig = queued(nodes, 100_000);
        group.bench_function(format!("100000 jobs, {nodes} nodes (below {bound})"), |b| {
            b.iter(|| black_box(plan(&rig.cluster, rig.now, &rig.settings)));
        });
        let mut planner = Planner::default();
        group.bench_function(format!("100000 jobs, {nodes} nodes, by a planner that remembers"), |b| {
            b.iter(|| black_box(planner.pass(&rig.cluster, rig.now, &rig.settings)));
        });
        group.bench_function(format!("expected starts, 100000 jobs, {nodes} nodes"), |b| {
            b.iter(|| black_box(expected_starts(&rig.cluster, rig.now, &rig.settings)));
        });
    }
    for (what, cpus) in [("full", 8), ("with room for 2000", 6)] {
        let mut rig = busy(1_000, cpus);
        for _ in 0..100 {
            rig.submit(array("0-9999")).expect("accepted");
        }
        group.bench_function(format!("1000000 array tasks, 1000 nodes, {what} (below 5 ms)"), |b| {
            b.iter(|| black_box(plan(&rig.cluster, rig.now, &rig.settings)));
        });
    }
    group.finish();
}

/// A cluster and the planner that follows it.
struct Followed {
    cluster: Cluster,
    planner: Planner,
    settings: Settings,
    now: Timestamp,
    turns: u32,
}

impl Followed {
    fn input(&mut self, input: Input) {
        let (events, _) = decide(&self.cluster, &self.settings, self.now, input);
        self.apply(&events);
    }

    fn plan(&mut self) -> usize {
        let pass = self.planner.pass(&self.cluster, self.now, &self.settings);
        self.apply(&pass.events);
        pass.events.len()
    }

    fn apply(&mut self, events: &[Event]) {
        for event in events {
            self.planner.note(&self.cluster, event);
            self.cluster.apply(self.now, event);
        }
    }

    /// One more job in the queue, and those that are done forgotten; and an end to come of what runs on the next node.
    fn next_end(&mut self, spec: &Arc<JobSpec>) -> Input {
        self.turns += 1;
        self.input(Input::Tick);
        let request = RequestId(u128::MAX - u128::from(self.turns));
        self.input(Input::Submit { request, spec: spec.clone() });
        let node = NodeId(1 + self.turns % 10_000);
        let key = self.cluster.attempts_on(node).next().expect("every node is full");
        Input::Ends { node, ends: vec![(key, ended(How::Exited(Exit::default())))], steps: Vec::new() }
    }
}

/// One task ends and the first that waits takes its place: judging, booking and planning together.
fn one_completion(c: &mut Criterion) {
    let mut rig = busy(10_000, 8);
    for _ in 0..100_000 {
        rig.submit(limited(wide(1, 1), 60)).expect("accepted");
    }
    let (planner, now) = (Planner::default(), rig.now);
    let settings = Settings { job_age_s_min: 0, ..rig.settings.clone() };
    let mut followed = Followed { cluster: rig.cluster.clone(), planner, settings, now, turns: 0 };
    while followed.plan() > 0 {}
    let spec = Arc::new(limited(wide(1, 1), 60).check().expect("in bounds"));
    let followed = RefCell::new(followed);
    let mut group = c.benchmark_group("one completion");
    group.bench_function("100000 jobs, 10000 nodes (below 50 us)", |b| {
        b.iter_batched(
            || followed.borrow_mut().next_end(&spec),
            |input| {
                let mut followed = followed.borrow_mut();
                followed.input(input);
                assert!(followed.plan() > 0, "the first job that waits starts");
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, passes, one_completion);
criterion_main!(benches);
