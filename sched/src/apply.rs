//! The only place that changes a [`Cluster`]: each event, applied. It decides nothing, and replaying the journal runs it
//! again over every fact since the last checkpoint.
//!
//! An event that does not fit the state is a defect of whoever decided it, so it panics with both in the message.

use std::sync::Arc;

use imbl::OrdMap;

use crate::cluster::{Cluster, NodeOrder, blobs_of, namesake, targets};
use crate::depend::Waits;
use crate::devices::Devices;
use crate::event::{Event, Placement};
use crate::ids::{AttemptKey, JobId, Name, NodeId, RequestId, Timestamp};
use crate::job::{CancelledTasks, Done, Job, Tally, Task, TaskState, Usage};
use crate::node::{Health, Node, Offer};
use crate::reason::{Ending, Outcome, Reason, StopWhy};
use crate::resources::{Amount, Share};
use crate::spec::dependency::{After, Term};
use crate::spec::duration::TimeLimit;
use crate::spec::index_set::IndexSet;
use crate::spec::job::JobSpec;

/// So many nodes that left are remembered by name, for jobs that ran there; the first to join go first.
pub const DEPARTED_MAX: usize = 10_000;
/// So many request ids are remembered at most; the oldest go first.
pub const REQUESTS_MAX: usize = 1_000_000;
/// How long a request id is remembered, so that a repeated submit finds its job: 24 hours.
pub const REQUEST_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// An attempt that a change took off its nodes, and what it held there.
type Released = Option<(AttemptKey, Arc<[Share]>)>;

impl Cluster {
    /// Makes one fact true. `at` is the time of the commit that holds it.
    ///
    /// # Panics
    /// When the event speaks of what is not there: the journal and this code then disagree, and going on would corrupt
    /// the books.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::Submitted { job, request, spec, partition, time_limit, priority } => {
                self.remember_request(at, *request, *job);
                self.submitted(at, *job, spec, partition, *time_limit, *priority);
            }
            Event::Started { job, placements } => self.started(at, *job, placements),
            Event::Cancelled { job, tasks, uid } => self.change_job(*job, |job| {
                cancel_waiting(job, at, tasks, *uid);
                None
            }),
            Event::Stopped { key, why, .. } => self.change_job(key.job, |job| {
                stop(job, at, *key, *why);
                None
            }),
            Event::Ended { key, outcome, age_ms, usage, .. } => {
                self.ended(at, *age_ms, *key, outcome, *usage);
            }
            Event::Requeued { key, .. } => self.requeued(at, *key),
            Event::Waiting { job, reason } => self.change_job(*job, |job| {
                job.reason = *reason;
                None
            }),
            Event::Held { job, held } => self.change_job(*job, |job| {
                job.held = *held;
                job.reason = if *held { Reason::JobHeldUser } else { Reason::None };
                None
            }),
            Event::Settled { job, term, met } => {
                self.change_waits(*job, |job| {
                    settle(job, term, *met, at);
                    None
                });
            }
            Event::Began { job } => self.change_waits(*job, |job| {
                job.begin = None;
                None
            }),
            Event::TasksSettled { job, term, met, failed } => {
                self.change_waits(*job, |job| {
                    settle_tasks(job, term, met, failed);
                    None
                });
            }
            Event::Forgotten { job } => self.forgotten(*job),
            Event::NodeRegistered { node, name, offer } => self.node_registered(at, *node, name, offer),
            Event::NodeSilent { node } => self.change_node(*node, |node| node.health = Health::Silent { since: at }),
            Event::NodeDown { node } => self.change_node(*node, |node| node.health = Health::Down { since: at }),
            Event::NodeRemoved { node } => {
                let node = self.nodes.remove(node).expect("a node that leaves is there");
                self.index.by_name.remove(&NodeOrder::of(&node.name));
                self.departed.insert(node.id, node.name.clone());
                if self.departed.len() > DEPARTED_MAX {
                    self.departed = self.departed.without_min().1;
                }
            }
            Event::PartitionSet { partition } => {
                self.partitions.insert(partition.name.clone(), Arc::new(partition.clone()));
                self.reorder_queue();
            }
            Event::PartitionRemoved { name } => {
                self.partitions.remove(name);
                self.reorder_queue();
            }
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

    fn submitted(
        &mut self,
        at: Timestamp,
        id: JobId,
        spec: &Arc<JobSpec>,
        partition: &Name,
        time_limit: TimeLimit,
        priority: u32,
    ) {
        let tasks: IndexSet = spec.array.as_ref().map_or_else(|| 0.into(), |array| array.tasks().clone());
        let waits = spec.dependency.as_ref().map(|dependency| Waits::of(self, dependency, &tasks));
        let mut pending = tasks;
        let mut blocked = IndexSet::new();
        for wait in waits.iter().flat_map(|waits| &waits.terms) {
            blocked.union_with(&wait.open);
        }
        pending.subtract(&blocked);
        let job = Job {
            id,
            spec: spec.clone(),
            partition: partition.clone(),
            time_limit,
            submitted: at,
            priority,
            pending,
            blocked,
            hopeless: IndexSet::new(),
            waits,
            begin: spec.begin.filter(|begin| *begin > at),
            reason: if spec.hold { Reason::JobHeldUser } else { Reason::None },
            held: spec.hold,
            tasks: OrdMap::new(),
            requeued: IndexSet::new(),
            done: OrdMap::new(),
            cancelled: None,
            tally: Tally::default(),
            own_id_taken: false,
            ended: None,
        };
        for hash in blobs_of(spec) {
            *self.index.blob_uses.entry(hash).or_insert(0) += 1;
        }
        if let Some(key) = self.queue_key(&job) {
            self.index.queue.insert(key);
        }
        self.index.namesakes.insert(namesake(&job));
        self.index.begins.extend(job.begin.map(|begin| (begin, id)));
        self.index.dependents.extend(targets(&job));
        self.last_job = Some(id);
        let before = self.jobs.insert(id, Arc::new(job));
        assert!(before.is_none(), "job {id} was submitted twice");
    }

    fn started(&mut self, at: Timestamp, id: JobId, placements: &[Placement]) {
        for placement in placements {
            if placement.id != id {
                self.index.task_ids.insert(placement.id, (id, placement.index));
                self.last_job = self.last_job.max(Some(placement.id));
            }
            let batch_node = Job::batch_node(&placement.shares).expect("an attempt has a node");
            let key = AttemptKey { job: id, index: placement.index, attempt: placement.attempt };
            self.index.attempts.insert((batch_node, key));
            self.hold(&placement.shares);
            self.index.hold_licenses(&self.jobs[&id].spec.request);
        }
        self.change_job(id, |job| {
            for placement in placements {
                start(job, at, placement);
            }
            None
        });
    }

    /// The task ended when its node says; the job's age counts from when that became known, so that it can be seen.
    fn ended(&mut self, at: Timestamp, age_ms: u64, key: AttemptKey, outcome: &Outcome, usage: Usage) {
        self.change_job(key.job, |job| {
            let (started, shares, task) = take_running(job, key);
            job.tally.count(outcome);
            let (outcome, ended) = (outcome.clone(), at.minus_ms(age_ms));
            let done =
                Done { id: task.id, attempts: key.attempt, started, ended, shares: shares.clone(), outcome, usage };
            job.done.insert(key.index, done);
            if job.is_done() {
                job.ended = Some(at);
            }
            Some((key, shares))
        });
    }

    fn requeued(&mut self, at: Timestamp, key: AttemptKey) {
        self.change_job(key.job, |job| {
            let (_, shares, task) = take_running(job, key);
            let state = TaskState::Pending { since: at };
            job.tasks.insert(key.index, Task { state, ..task });
            job.requeued.insert(key.index);
            Some((key, shares))
        });
    }

    fn forgotten(&mut self, id: JobId) {
        let job = self.jobs.remove(&id).expect("a job that is forgotten is there");
        let at = job.ended.expect("only a job that has ended is forgotten");
        self.index.done.remove(&(at, id));
        for done in job.done.values() {
            self.index.task_ids.remove(&done.id);
        }
        for hash in blobs_of(&job.spec) {
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
            let (held, devices) = (Amount::default(), Devices::default());
            let node = Node {
                id,
                name: name.clone(),
                offer: offer.clone(),
                held,
                attempts: 0,
                health,
                devices,
                gres_next: None,
            };
            self.nodes.insert(id, Arc::new(node));
        }
    }

    /// Changes one job and what is computed from it. The change answers with the attempt that it took off its nodes.
    fn change_job(&mut self, id: JobId, change: impl FnOnce(&mut Job) -> Released) {
        let job = self.jobs.get(&id).unwrap_or_else(|| panic!("job {id} is not there"));
        let (queued, ended) = (self.queue_key(job), job.ended);
        let released = change(Arc::make_mut(self.jobs.get_mut(&id).expect("it was there a moment ago")));
        let job = &self.jobs[&id];
        let now_ended = job.ended;
        let queue_key = self.queue_key(job);
        if queued != queue_key {
            queued.map(|key| self.index.queue.remove(&key));
            queue_key.map(|key| self.index.queue.insert(key));
        }
        if let (None, Some(at)) = (ended, now_ended) {
            let job = job.clone();
            self.unindex_waits(&job);
            self.index.done.insert((at, id));
            self.index.namesakes.remove(&namesake(&job));
        }
        if let Some((key, shares)) = released {
            self.release(key, &shares);
        }
    }

    /// As [`Cluster::change_job`], for a change of what the job waits for.
    fn change_waits(&mut self, id: JobId, change: impl FnOnce(&mut Job) -> Released) {
        if let Some(job) = self.jobs.get(&id).cloned() {
            self.unindex_waits(&job);
        }
        self.change_job(id, change);
        let job = &self.jobs[&id];
        self.index.dependents.extend(targets(job));
        self.index.begins.extend(job.begin.map(|begin| (begin, id)));
    }

    fn unindex_waits(&mut self, job: &Job) {
        for target in targets(job) {
            self.index.dependents.remove(&target);
        }
        if let Some(begin) = job.begin {
            self.index.begins.remove(&(begin, job.id));
        }
    }

    fn hold(&mut self, shares: &[Share]) {
        for share in shares {
            self.change_node(share.node, |node| node.hold(share));
        }
    }

    fn release(&mut self, key: AttemptKey, shares: &[Share]) {
        let batch_node = Job::batch_node(shares).expect("an attempt has a node");
        self.index.attempts.remove(&(batch_node, key));
        self.index.release_licenses(&self.jobs[&key.job].spec.request);
        for share in shares {
            self.change_node(share.node, |node| node.release(share));
        }
    }

    fn change_node(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) {
        let node = self.nodes.get_mut(&id).expect("an event speaks of a node that is there");
        change(Arc::make_mut(node));
    }

    /// A partition's tier is part of every queue key in it.
    fn reorder_queue(&mut self) {
        self.index.queue = self.jobs.values().filter_map(|job| self.queue_key(job)).collect();
    }
}

/// A term is decided: one that is met is gone, and with any-of-them so are the others.
fn settle(job: &mut Job, term: &Term, met: bool, at: Timestamp) {
    let Some(waits) = &mut job.waits else { return };
    if let (true, Term::On { what: After::Started { minutes: minutes @ 1.. }, .. }) = (met, term) {
        job.begin = job.begin.max(Some(at.plus_ms(u64::from(*minutes) * 60_000)));
    }
    match (met, waits.any) {
        (true, true) => waits.terms.clear(),
        (true, false) => waits.terms.retain(|wait| wait.term != *term),
        (false, _) => waits.terms.iter_mut().filter(|wait| wait.term == *term).for_each(|wait| wait.failed = true),
    }
    if waits.terms.is_empty() {
        job.waits = None;
    }
}

/// Tasks are decided: those that no other term keeps may start, and those that failed never will.
fn settle_tasks(job: &mut Job, term: &Term, met: &IndexSet, failed: &IndexSet) {
    let Some(waits) = &mut job.waits else { return };
    for wait in waits.terms.iter_mut().filter(|wait| wait.term == *term) {
        wait.open.subtract(met);
        wait.open.subtract(failed);
    }
    let mut still = IndexSet::new();
    waits.terms.iter().for_each(|wait| still.union_with(&wait.open));
    waits.terms.retain(|wait| wait.term != *term || !wait.open.is_empty());
    if waits.terms.is_empty() {
        job.waits = None;
    }
    let mut never = failed.clone();
    never.intersect_with(&job.blocked);
    job.blocked.subtract(&never);
    job.hopeless.union_with(&never);
    let mut free = met.clone();
    free.intersect_with(&job.blocked);
    free.subtract(&still);
    job.blocked.subtract(&free);
    job.pending.union_with(&free);
}

fn start(job: &mut Job, at: Timestamp, placement: &Placement) {
    let waited = job.pending.remove(placement.index) || job.requeued.remove(placement.index);
    assert!(waited, "task {} of job {} was started without waiting", placement.index, job.id);
    job.own_id_taken |= placement.id == job.id;
    let state = TaskState::Running { since: at, shares: placement.shares.clone() };
    job.tasks.insert(placement.index, Task { id: placement.id, attempts: placement.attempt, state });
}

fn stop(job: &mut Job, at: Timestamp, key: AttemptKey, why: StopWhy) {
    let task = job.tasks.get_mut(&key.index).expect("a task that is stopped has a row");
    if let TaskState::Running { since, shares } = &task.state {
        task.state = TaskState::Finishing { since: *since, shares: shares.clone(), why, stopped: at };
    }
}

fn cancel_waiting(job: &mut Job, at: Timestamp, tasks: &IndexSet, uid: u32) {
    let outcome = Outcome::bare(Ending::Cancelled(uid));
    let mut rows = job.requeued.clone();
    rows.intersect_with(tasks);
    for index in rows.iter() {
        let task = job.tasks.remove(&index).expect("a requeued task has a row");
        job.tally.count(&outcome);
        let done = Done {
            id: task.id,
            attempts: task.attempts,
            started: None,
            ended: at,
            shares: Arc::new([]),
            outcome: outcome.clone(),
            usage: Usage::default(),
        };
        job.done.insert(index, done);
    }
    job.requeued.subtract(&rows);
    let mut plain = job.waiting_tasks();
    plain.intersect_with(tasks);
    if !plain.is_empty() {
        for set in [&mut job.pending, &mut job.blocked, &mut job.hopeless] {
            set.subtract(&plain);
        }
        for wait in job.waits.iter_mut().flat_map(|waits| &mut waits.terms) {
            wait.open.subtract(&plain);
        }
        job.tally.cancelled += u32::try_from(plain.len()).expect("an index is 32 bits wide");
        let mut all = job.cancelled.take().map_or_else(IndexSet::new, |before| before.tasks);
        all.union_with(&plain);
        job.cancelled = Some(CancelledTasks { tasks: all, last: plain, uid, at });
    }
    if job.is_done() {
        job.ended = Some(at);
    }
}

/// Takes the row of a running attempt out of its job.
fn take_running(job: &mut Job, key: AttemptKey) -> (Option<Timestamp>, Arc<[Share]>, Task) {
    let task = job.tasks.remove(&key.index).expect("a task that ends has a row");
    assert_eq!(task.attempts, key.attempt, "only the newest attempt of {key} can end");
    match &task.state {
        TaskState::Running { since, shares } | TaskState::Finishing { since, shares, .. } => {
            (Some(*since), shares.clone(), task)
        }
        TaskState::Pending { .. } => panic!("{key} ended while it waited"),
    }
}
