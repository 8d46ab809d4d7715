//! The only place that changes a [`Cluster`]: each event, applied. It decides nothing, and replaying the journal runs it
//! again over every fact since the last checkpoint.
//!
//! An event that does not fit the state is a defect of whoever decided it, so it panics with both in the message.

mod rows;
mod steps;
mod waits;

use std::sync::Arc;

use imbl::OrdMap;

use crate::cluster::{Cluster, NodeOrder, blobs_of};
use crate::depend::Waits;
use crate::done::DoneTasks;
use crate::event::{Event, Placement};
use crate::failures::{self, FailureRun};
use crate::ids::{AttemptKey, JobId, Name, NodeId, RequestId, StepKey, Timestamp};
use crate::index::{Rows, Standing, queue_keys};
use crate::job::{Job, Tally};
use crate::lease;
use crate::node::{Health, Node, Offer};
use crate::reason::{Ending, Outcome, Reason, Scope};
use crate::resources::Share;
use crate::signals::Sent;
use crate::spec::index_set::IndexSet;
use crate::task::{Done, Usage};
use crate::terms::{Hold, Terms};
use rows::{Exchanged, Rest};

/// So many nodes that left are remembered by name, for jobs that ran there; the first to join go first.
pub const DEPARTED_MAX: usize = 10_000;
/// So many request ids are remembered at most; the oldest go first.
pub const REQUESTS_MAX: usize = 1_000_000;
/// How long a request id is remembered, so that a repeated submit finds its job: 24 hours.
pub const REQUEST_MS_MAX: u64 = 24 * 60 * 60 * 1000;

impl Cluster {
    /// Makes one fact true. `at` is the time of the commit that holds it.
    ///
    /// # Panics
    /// When the event speaks of what is not there: the journal and this code then disagree, and going on would corrupt
    /// the books.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::Submitted { job, request, terms } => {
                self.remember_request(at, *request, *job);
                self.submitted(at, *job, terms);
            }
            Event::Started { job, placements } => self.started(at, *job, placements),
            Event::Cancelled { job, tasks, uid } => self.ended_waiting(at, *job, tasks, Ending::Cancelled(*uid)),
            Event::Expired { job, tasks } => self.ended_waiting(at, *job, tasks, Ending::Deadline),
            Event::Stopped { key, why, .. } => {
                let stop = |job: &mut Job| rows::stop(job, at, *key, *why);
                self.with_limits(*key, |cluster| cluster.change_job(at, key.job, Rows::Listed(&[key.index]), stop));
            }
            Event::Ended { key, node, outcome, age_ms, usage } => {
                self.note_failure(at, *age_ms, *node, *key, outcome);
                self.ended(at, *age_ms, *key, outcome, *usage);
            }
            Event::Requeued { key, until, hold, failed, .. } => {
                self.requeued(at, *key, Rest { until: *until, hold: *hold, failed: *failed });
            }
            Event::Undone { job, tasks, hold } => {
                self.change_job(at, *job, Rows::All, |job| rows::undo(job, at, tasks, *hold));
            }
            Event::Suspended { key, .. } => {
                self.with_limits(*key, |cluster| cluster.exchange(at, *key, rows::suspend));
            }
            Event::Resumed { key, .. } => self.with_limits(*key, |cluster| cluster.exchange(at, *key, rows::resume)),
            Event::Closing { key, verdict, age_ms, .. } => self.closing(at, *key, verdict, *age_ms),
            Event::StepCreated { key, request, spec, parts, secret } => {
                self.step_created(at, *key, *request, (spec, *secret), parts);
            }
            Event::StepStopped { key, why, .. } => self.step_stopped(*key, *why),
            Event::StepPartEnded { key, node, outcome, usage, age_ms } => {
                self.step_part_ended(at.minus_ms(*age_ms), *key, *node, outcome, *usage);
            }
            Event::StepCleared { key, node } => self.clear_step(*node, key),
            Event::Signalled { key, signal, scope, number, .. } => {
                self.signalled(*key, Sent { number: *number, signal: *signal, scope: *scope });
            }
            Event::StepSignalled { key, signal, number, .. } => {
                self.step_signalled(*key, Sent { number: *number, signal: *signal, scope: Scope::Steps });
            }
            Event::Limited { .. } => {}
            Event::Revised { job, tasks, terms, begin, running_too } => {
                self.revised(at, *job, tasks.as_deref(), terms, *begin, *running_too);
            }
            Event::Throttled { job, throttle } => {
                self.change_job(at, *job, Rows::Listed(&[]), |job| job.throttle = *throttle);
            }
            Event::Prioritized { jobs } => self.prioritized(at, jobs),
            Event::Waiting { job, reason, task: None } => {
                self.change_job(at, *job, Rows::Listed(&[]), |job| job.reason = *reason);
            }
            Event::Waiting { job, reason, task: Some(task) } => {
                self.change_own(at, *job, *task, |own| own.reason = *reason);
            }
            Event::Held { job, hold, tasks } => self.held(at, *job, *hold, tasks.as_deref()),
            Event::Settled { job, term, met } => {
                self.change_job(at, *job, Rows::All, |job| waits::settle(job, term, *met, at));
            }
            Event::Began { job, task: None } => {
                self.change_job(at, *job, Rows::Listed(&[]), |job| job.begin = None);
            }
            Event::Began { job, task: Some(task) } => self.change_own(at, *job, *task, |own| own.begin = None),
            Event::TasksSettled { job, term, met, failed } => {
                self.change_job(at, *job, Rows::All, |job| waits::settle_tasks(job, term, met, failed));
            }
            Event::Forgotten { job } => self.forgotten(*job),
            Event::NodeRegistered { node, name, offer, unwanted, unwanted_steps, patience_ms } => {
                self.node_registered(at, *node, name, offer);
                self.change_node(*node, |node| {
                    node.patience_ms = *patience_ms;
                    node.unwanted = unwanted.iter().copied().collect();
                    node.unwanted_steps = unwanted_steps.iter().copied().collect();
                });
            }
            Event::Cleared { key, node } => self.change_node(*node, |node| {
                node.unwanted.remove(key);
            }),
            Event::NodeSilent { node } => self.change_node(*node, |node| node.health = Health::Silent { since: at }),
            Event::NodeDown { node } => self.change_node(*node, |node| node.health = Health::Down { since: at }),
            Event::NodeMarked { node, mark } => self.change_node(*node, |node| node.mark = Some(mark.clone())),
            Event::NodeUnmarked { node, .. } => self.change_node(*node, |node| {
                node.mark = None;
                node.failures = FailureRun::default();
            }),
            Event::NodeRemoved { node } => self.node_removed(*node),
            Event::PartitionSet { partition } => {
                self.partitions.insert(partition.name.clone(), partition.clone());
                self.reorder_queue();
            }
            Event::PartitionRemoved { name } => {
                self.partitions.remove(name);
                self.reorder_queue();
            }
            Event::Membership(fact) => self.members.apply(at, fact),
        }
    }

    fn node_removed(&mut self, node: NodeId) {
        let node = self.nodes.remove(&node).expect("a node that leaves is there");
        self.index.by_name.remove(&NodeOrder::of(&node.name));
        self.departed.insert(node.id, node.name.clone());
        if self.departed.len() > DEPARTED_MAX {
            self.departed = self.departed.without_min().1;
        }
    }

    fn remember_request(&mut self, at: Timestamp, request: RequestId, job: JobId) {
        while let Some((seen, old, _)) = self.requests.front().copied()
            && (at.ms_since(seen) > REQUEST_MS_MAX || self.requests.len() >= REQUESTS_MAX)
        {
            self.requests.pop_front();
            self.index.request_jobs.remove(&old);
        }
        self.requests.push_back((at, request, job));
        self.index.request_jobs.insert(request, job);
    }

    fn submitted(&mut self, at: Timestamp, id: JobId, terms: &Arc<Terms>) {
        let spec = &terms.spec;
        let tasks: IndexSet = spec.array.as_ref().map_or_else(|| 0.into(), |array| array.tasks().clone());
        let waits = spec.dependency.as_ref().map(|dependency| Waits::of(self, dependency, &tasks));
        let mut pending = tasks;
        let mut blocked = IndexSet::new();
        for wait in waits.iter().flat_map(|waits| &waits.terms) {
            blocked.union_with(&wait.open);
        }
        pending.subtract(&blocked);
        let held = spec.hold.then_some(Hold::User);
        let mut job = Job {
            id,
            terms: self.index.newest.taken_in(terms),
            throttle: spec.array.as_ref().and_then(|array| array.throttle()),
            submitted: at,
            eligible: None,
            pending,
            blocked,
            hopeless: IndexSet::new(),
            waits,
            begin: spec.begin.filter(|begin| *begin > at),
            reason: Reason::of_hold(held),
            held,
            tasks: OrdMap::new(),
            requeued: IndexSet::new(),
            apart: IndexSet::new(),
            done: DoneTasks::default(),
            ended_waiting: None,
            tally: Tally::default(),
            own_id_taken: false,
            ended: None,
            steps: OrdMap::new(),
        };
        job.eligible = job.is_eligible().then_some(at);
        self.last_job = Some(id);
        self.index.take_in_job(&job, Standing::of(&self.partitions, &job, Rows::All));
        let before = self.jobs.insert(id, Arc::new(job));
        assert!(before.is_none(), "job {id} was submitted twice");
    }

    fn started(&mut self, at: Timestamp, id: JobId, placements: &[Placement]) {
        for placement in placements {
            self.note_id(id, placement.index, placement.id);
            self.drop_steps(id, placement.index);
            let batch_node = Job::batch_node(&placement.shares).expect("an attempt has a node");
            let key = AttemptKey { job: id, index: placement.index, attempt: placement.attempt };
            self.index.attempts.insert((batch_node, key));
            self.hold(&placement.shares);
            let job = &self.jobs[&id];
            let terms = job.tasks.get(&placement.index).map_or(&job.terms, |task| job.terms_of(task)).clone();
            self.index.hold_licenses(&terms.spec.request);
        }
        let indices: Vec<u32> = placements.iter().map(|placement| placement.index).collect();
        let covered: Vec<bool> = placements.iter().map(|placement| lease::covers(self, placement)).collect();
        self.change_job(at, id, Rows::Listed(&indices), |job| {
            for (placement, covered) in placements.iter().zip(covered) {
                rows::start(job, at, placement, covered);
            }
        });
    }

    /// A task has been given a number of its own.
    fn note_id(&mut self, job: JobId, index: u32, id: JobId) {
        if id != job {
            self.index.task_ids.insert(id, job, index);
            self.last_job = self.last_job.max(Some(id));
        }
    }

    fn ended_waiting(&mut self, at: Timestamp, id: JobId, tasks: &IndexSet, ending: Ending) {
        self.change_job(at, id, Rows::All, |job| rows::end_waiting(job, at, tasks, ending));
    }

    /// The task ended when its node says; the job's age counts from when that became known, so that it can be seen.
    fn ended(&mut self, at: Timestamp, age_ms: u64, key: AttemptKey, outcome: &Outcome, usage: Usage) {
        let terms = self.terms_of(key);
        let shares = self.change_job(at, key.job, Rows::Listed(&[key.index]), |job| {
            let closed = rows::closed_at(job, key);
            let (started, shares, task) = rows::take_running(job, key);
            job.tally.count(outcome);
            let done = Done {
                id: task.id,
                attempts: key.attempt,
                started: Some(started),
                ended: closed.unwrap_or_else(|| at.minus_ms(age_ms)),
                shares: shares.clone(),
                outcome: outcome.clone(),
                usage,
                terms: task.own.as_ref().and_then(|own| own.terms.clone()),
                partition: task.partition,
                paused_ms: task.paused_ms,
            };
            job.done.insert(key.index, done);
            if job.is_done() {
                job.ended = Some(at);
            }
            shares
        });
        self.release(key, &terms, &shares);
    }

    /// Keeps the run of jobs that fail at once on a node.
    fn note_failure(&mut self, at: Timestamp, age_ms: u64, id: NodeId, key: AttemptKey, outcome: &Outcome) {
        let (Some(node), Some(job)) = (self.nodes.get(&id), self.jobs.get(&key.job)) else { return };
        let mut run = node.failures.clone();
        run.note(job, outcome, failures::ran_ms(job, key.index, at, age_ms));
        if run != node.failures {
            self.change_node(id, |node| node.failures = run);
        }
    }

    fn requeued(&mut self, at: Timestamp, key: AttemptKey, rest: Rest) {
        let terms = self.terms_of(key);
        let shares = self.change_job(at, key.job, Rows::Listed(&[key.index]), |job| {
            let (_, shares, task) = rows::take_running(job, key);
            rows::wait_again(job, at, key.index, task, rest);
            shares
        });
        self.release(key, &terms, &shares);
    }

    /// An attempt holds something else from now on.
    fn exchange(&mut self, at: Timestamp, key: AttemptKey, change: fn(&mut Job, Timestamp, AttemptKey) -> Exchanged) {
        let (before, after) = self.change_job(at, key.job, Rows::Listed(&[key.index]), |job| change(job, at, key));
        for (before, after) in before.iter().zip(after.iter()) {
            self.change_node(before.node, |node| node.exchange(&before.amount, &after.amount));
        }
    }

    fn revised(
        &mut self,
        at: Timestamp,
        id: JobId,
        tasks: Option<&[(u32, JobId)]>,
        terms: &Arc<Terms>,
        begin: Option<Timestamp>,
        running_too: bool,
    ) {
        let begin = begin.filter(|begin| *begin > at);
        if let Some(tasks) = tasks {
            tasks.iter().for_each(|(index, own)| self.note_id(id, *index, *own));
            let change = |own: &mut crate::task::Own| (own.terms, own.begin) = (Some(terms.clone()), begin);
            self.change_job(at, id, Rows::All, |job| {
                rows::part(job, at, tasks, change);
                rows::release_leases(job);
            });
            return;
        }
        let job = &self.jobs[&id];
        let other_dependency = job.terms.spec.dependency != terms.spec.dependency;
        let waits = terms.spec.dependency.as_ref().map(|dependency| Waits::of(self, dependency, &job.waiting_tasks()));
        self.change_job(at, id, Rows::All, |job| {
            rows::revise(job, terms, running_too);
            job.begin = begin;
            if other_dependency {
                waits::wait_for(job, waits);
            }
        });
    }

    fn prioritized(&mut self, at: Timestamp, jobs: &[(JobId, i64)]) {
        self.prioritized = at;
        for (id, priority) in jobs {
            self.change_job(at, *id, Rows::All, |job| Arc::make_mut(&mut job.terms).priority = *priority);
        }
    }

    /// Holds or releases tasks, or a whole job with all that stands apart in it. A release lets the priority be computed again.
    fn held(&mut self, at: Timestamp, id: JobId, hold: Option<Hold>, tasks: Option<&[(u32, JobId)]>) {
        if let Some(tasks) = tasks {
            tasks.iter().for_each(|(index, own)| self.note_id(id, *index, *own));
            self.change_job(at, id, Rows::All, |job| rows::part(job, at, tasks, |own| own.held = hold));
            return;
        }
        self.change_job(at, id, Rows::All, |job| {
            (job.held, job.reason) = (hold, Reason::of_hold(hold));
            let apart: Vec<(u32, JobId)> = job.apart.iter().map(|index| (index, job.tasks[&index].id)).collect();
            rows::part(job, at, &apart, |own| own.held = hold);
            if hold.is_none() && job.terms.fixed {
                Arc::make_mut(&mut job.terms).fixed = false;
            }
        });
    }

    fn change_own(&mut self, at: Timestamp, id: JobId, index: u32, change: impl FnOnce(&mut crate::task::Own)) {
        self.change_job(at, id, Rows::Listed(&[index]), |job| {
            let task = job.tasks.get_mut(&index).expect("a task that stands for itself has a row");
            change(Arc::make_mut(task.own.as_mut().expect("a task that stands for itself has something of its own")));
        });
    }

    fn forgotten(&mut self, id: JobId) {
        let job = self.jobs.remove(&id).expect("a job that is forgotten is there");
        let at = job.ended.expect("only a job that has ended is forgotten");
        self.index.done.remove(&(at, id));
        for (_, done) in job.done.iter() {
            self.index.task_ids.remove(done.id);
        }
        for step in job.steps.values() {
            self.index.step_requests.remove(&step.request);
        }
        self.index.change_load(&job.terms.spec, |load, bytes| load.bytes -= bytes);
        for hash in blobs_of(&job.terms.spec) {
            let uses = self.index.blob_uses.get_mut(&hash).expect("a job's blobs are counted");
            *uses -= 1;
            if *uses == 0 {
                self.index.blob_uses.remove(&hash);
            }
        }
    }

    fn node_registered(&mut self, at: Timestamp, id: NodeId, name: &Name, offer: &Offer) {
        self.last_node = self.last_node.max(Some(id));
        let health = Health::Up { since: at };
        self.index.by_name.insert(NodeOrder::of(name), id);
        if self.nodes.contains_key(&id) {
            self.change_node(id, |node| {
                node.renew(offer);
                (node.name, node.health) = (name.clone(), health);
            });
        } else {
            self.nodes.insert(id, Arc::new(Node::new(id, name.clone(), offer.clone(), health)));
        }
    }

    /// Changes one job, and what is computed from it: of its rows, those that the change may touch.
    fn change_job<T>(&mut self, at: Timestamp, id: JobId, rows: Rows<'_>, change: impl FnOnce(&mut Job) -> T) -> T {
        let job = self.jobs.get_mut(&id).unwrap_or_else(|| panic!("job {id} is not there"));
        let before = Standing::of(&self.partitions, job, rows);
        let was_open = job.ended.is_none();
        let job = Arc::make_mut(job);
        let changed = change(job);
        job.eligible = if job.is_eligible() { job.eligible.or(Some(at)) } else { None };
        match (was_open, job.ended.is_none()) {
            (true, false) => self.index.change_load(&job.terms.spec, |load, _| load.open -= 1),
            (false, true) => self.index.change_load(&job.terms.spec, |load, _| load.open += 1),
            (true, true) | (false, false) => {}
        }
        self.index.exchange(id, before, Standing::of(&self.partitions, job, rows));
        changed
    }

    fn hold(&mut self, shares: &[Share]) {
        for share in shares {
            self.change_node(share.node, |node| node.hold(share));
        }
    }

    /// Gives back what an attempt held that ran on these terms.
    fn release(&mut self, key: AttemptKey, terms: &Terms, shares: &[Share]) {
        let batch_node = Job::batch_node(shares).expect("an attempt has a node");
        self.index.attempts.remove(&(batch_node, key));
        self.index.release_licenses(&terms.spec.request);
        for share in shares {
            self.change_node(share.node, |node| node.release(share));
        }
    }

    /// The terms of a task that has a row.
    fn terms_of(&self, key: AttemptKey) -> Arc<Terms> {
        let job = &self.jobs[&key.job];
        job.terms_of(job.tasks.get(&key.index).expect("a task that ends has a row")).clone()
    }

    fn clear_step(&mut self, node: NodeId, key: &StepKey) {
        if self.nodes.get(&node).is_some_and(|node| node.unwanted_steps.contains(key)) {
            self.change_node(node, |node| {
                node.unwanted_steps.remove(key);
            });
        }
    }

    fn change_node(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) {
        let node = self.nodes.get_mut(&id).expect("an event speaks of a node that is there");
        change(Arc::make_mut(node));
    }

    /// A partition's tier is part of every queue key in it.
    fn reorder_queue(&mut self) {
        self.index.queue = self.jobs.values().flat_map(|job| queue_keys(&self.partitions, job)).collect();
    }
}
