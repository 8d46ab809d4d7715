//! What is computed from the rest of a [`Cluster`] and kept beside it: the queue, the clocks, and who waits for whom.
//!
//! [`Cluster::restored`] computes all of it anew, and [`Cluster::check`] compares that with what the changes kept.

mod keep;
mod stand;
mod task_ids;

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use imbl::OrdMap;

use crate::cluster::{Cluster, NodeOrder, blobs_of};
use crate::ids::{AttemptKey, BlobHash, JobId, Name, NodeId, RequestId, StepKey, Timestamp};
use crate::job::Job;
use crate::spec::job::{JobSpec, Request};
use crate::steps::Step;
use crate::task::Task;
use crate::terms::Terms;
use keep::{Keep, Lists, Trees, holds};
pub(crate) use stand::{Entry, QueueKey, Rows, Standing, queue_keys};
pub(crate) use task_ids::TaskIds;

/// What [`Cluster::restored`] computes from the rest, and every change keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index<K: Keep = Trees> {
    /// What may start, in the order in which it is tried.
    pub(crate) queue: K::Set<QueueKey>,
    /// Nodes in the order of their names, numbers in names counted as numbers.
    pub(crate) by_name: OrdMap<NodeOrder, NodeId>,
    /// Tasks whose own number is not their job's.
    pub(crate) task_ids: TaskIds,
    /// The attempts on each node, by the node of their batch process.
    pub(crate) attempts: K::Set<(NodeId, AttemptKey)>,
    /// Jobs that are done, by when.
    pub(crate) done: K::Set<(Timestamp, JobId)>,
    /// The job that each remembered request made.
    pub(crate) request_jobs: OrdMap<RequestId, JobId>,
    /// What waits for a time.
    pub(crate) begins: K::Set<(Timestamp, Entry)>,
    /// What can no longer meet its deadline from then on.
    pub(crate) deadlines: K::Set<(Timestamp, Entry)>,
    /// Jobs that wait for a job.
    pub(crate) dependents: K::Set<(JobId, JobId)>,
    /// Jobs that are not done, by user and name: what a singleton waits behind.
    pub(crate) namesakes: K::Set<(u32, Name, JobId)>,
    /// How many of them wait behind their namesakes.
    pub(crate) singletons: usize,
    /// What each user has.
    pub(crate) loads: OrdMap<u32, Load>,
    /// What each of them submitted last, for [`Terms::beside`].
    pub(crate) newest: Newest,
    /// How many jobs use each journal blob.
    pub(crate) blob_uses: OrdMap<BlobHash, u32>,
    /// How many of each license are held by attempts.
    pub(crate) licenses: OrdMap<Name, u64>,
    /// The step that each remembered request made.
    pub(crate) step_requests: OrdMap<RequestId, StepKey>,
    /// Steps that have not ended.
    pub(crate) running_steps: K::Set<StepKey>,
    /// Their parts that have not ended.
    pub(crate) step_parts: K::Set<(NodeId, StepKey)>,
    /// When those that run reach a limit of their own.
    pub(crate) step_limits: K::Set<(Timestamp, StepKey)>,
}

/// The terms of the newest job of each user who has any. Who shares memory with whom is no part of the state: two of these read alike.
#[derive(Clone, Default)]
pub(crate) struct Newest(OrdMap<u32, Given>);

/// Terms as they came, and as they are kept.
#[derive(Clone)]
struct Given {
    /// A record names equal terms once: the next event that brings these is told by their address.
    came: Arc<Terms>,
    kept: Arc<Terms>,
}

impl fmt::Debug for Newest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Newest")
    }
}

impl Newest {
    /// These terms, sharing what they can with what the same user submitted last.
    pub(crate) fn beside(&self, terms: &Arc<Terms>) -> Arc<Terms> {
        match self.0.get(&terms.spec.user.uid) {
            Some(newest) if Arc::ptr_eq(&newest.came, terms) => newest.kept.clone(),
            Some(newest) => terms.beside(&newest.kept),
            None => terms.clone(),
        }
    }

    /// Terms that a job is about to have, which are the newest of its user from now on.
    pub(crate) fn taken_in(&mut self, terms: &Arc<Terms>) -> Arc<Terms> {
        let kept = self.beside(terms);
        if self.0.get(&terms.spec.user.uid).is_some_and(|newest| Arc::ptr_eq(&newest.came, terms)) {
            return kept;
        }
        self.0.insert(terms.spec.user.uid, Given { came: terms.clone(), kept: kept.clone() });
        kept
    }
}

/// What a user has, for the limits on one user.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Load {
    /// Jobs that are not done.
    pub(crate) open: usize,
    /// Bytes that came with all jobs in memory: scripts, environments, names of blobs.
    pub(crate) bytes: u64,
}

impl Cluster {
    /// A cluster read from a checkpoint, with everything computed that a checkpoint leaves out.
    #[must_use]
    pub fn restored(mut self) -> Cluster {
        let mut newest = Newest::default();
        let jobs = self.jobs.values().map(|job| (job.id, &job.terms, newest.taken_in(&job.terms)));
        // What was written together shares already.
        let apart = jobs.filter(|(_, terms, kept)| !Arc::ptr_eq(kept, terms)).map(|(id, _, kept)| (id, kept));
        for (id, kept) in apart.collect::<Vec<_>>() {
            Arc::make_mut(self.jobs.get_mut(&id).expect("it was there a moment ago")).terms = kept;
        }
        self.index = thread::scope(|scope| {
            let requests = scope.spawn(|| self.requests_indexed().into_iter().collect());
            let index = self.jobs_indexed();
            Index { newest, request_jobs: requests.join().unwrap_or_else(|panic| resume_unwind(panic)), ..index }
        });
        self
    }

    /// The jobs of all remembered requests, in the order of the requests: a tree grows faster by what stands in order.
    fn requests_indexed(&self) -> Vec<(RequestId, JobId)> {
        let mut rows: Vec<_> = self.requests.iter().map(|(_, request, job)| (*request, *job)).collect();
        rows.sort_unstable();
        rows
    }

    /// Whether the index knows the job of each remembered request, and no more.
    pub(crate) fn requests_are_indexed(&self) -> bool {
        let kept = self.index.request_jobs.iter().map(|(request, job)| (*request, *job));
        kept.eq(self.requests_indexed())
    }

    /// Whether the index is what computing it anew gives, but for the requests and the newest terms.
    pub(crate) fn jobs_are_indexed(&self) -> bool {
        self.index.equals(self.jobs_indexed())
    }

    /// All of the index computed anew, but for the requests and the newest terms.
    fn jobs_indexed<K: Keep>(&self) -> Index<K> {
        let mut index = Index::default();
        for (id, node) in &self.nodes {
            index.by_name.insert(NodeOrder::of(&node.name), *id);
        }
        for job in self.jobs.values() {
            index.take_in_job(job, Standing::of(&self.partitions, job, Rows::All));
        }
        index
    }

    /// Where an entry stands in the queue; `None` while nothing of it may start.
    pub(crate) fn queue_key(&self, job: &Job, entry: Option<u32>) -> Option<QueueKey> {
        stand::queue_key(&self.partitions, job, entry)
    }

    /// The tier of a partition; of one that is gone, the usual one.
    pub(crate) fn tier_of(&self, partition: &str) -> u16 {
        stand::tier_of(&self.partitions, partition)
    }

    /// What holds for an entry of the queue.
    pub(crate) fn terms_of_entry<'a>(&self, job: &'a Job, entry: Option<u32>) -> &'a Arc<Terms> {
        entry.and_then(|index| job.tasks.get(&index)).map_or(&job.terms, |task| job.terms_of(task))
    }
}

impl Index {
    /// Whether this is what was computed anew, but for the requests and the newest terms.
    fn equals(&self, anew: Index<Lists>) -> bool {
        // Named one by one, so that none can be forgotten.
        let Index {
            queue,
            by_name,
            task_ids,
            attempts,
            done,
            request_jobs: _,
            begins,
            deadlines,
            dependents,
            namesakes,
            singletons,
            loads,
            newest: _,
            blob_uses,
            licenses,
            step_requests,
            running_steps,
            step_parts,
            step_limits,
        } = anew;
        holds(&self.queue, queue)
            && self.by_name == by_name
            && self.task_ids == task_ids
            && holds(&self.attempts, attempts)
            && holds(&self.done, done)
            && holds(&self.begins, begins)
            && holds(&self.deadlines, deadlines)
            && holds(&self.dependents, dependents)
            && holds(&self.namesakes, namesakes)
            && self.singletons == singletons
            && self.loads == loads
            && self.blob_uses == blob_uses
            && self.licenses == licenses
            && self.step_requests == step_requests
            && holds(&self.running_steps, running_steps)
            && holds(&self.step_parts, step_parts)
            && holds(&self.step_limits, step_limits)
    }

    /// Takes out where a job stood, and puts in where it stands now.
    pub(crate) fn exchange(&mut self, job: JobId, before: Standing, mut after: Standing) {
        // Most changes leave most as it is.
        if before.entries == after.entries {
            after.entries.clear();
        } else {
            for (entry, stand) in before.entries {
                stand.queue.map(|key| self.queue.remove(&key));
                stand.begin.map(|at| self.begins.remove(&(at, (job, entry))));
                stand.deadline.map(|at| self.deadlines.remove(&(at, (job, entry))));
            }
        }
        for target in before.targets {
            self.dependents.remove(&target);
        }
        if before.namesake == after.namesake {
            after.namesake = None;
        } else {
            before.namesake.map(|namesake| self.namesakes.remove(&namesake));
        }
        self.singletons -= usize::from(before.singleton);
        before.done.map(|done| self.done.remove(&done));
        self.take_in(job, after);
    }
}

impl<K: Keep> Index<K> {
    /// Changes what the user of a job has; the change is told the bytes that came with the job.
    pub(crate) fn change_load(&mut self, spec: &JobSpec, change: impl FnOnce(&mut Load, u64)) {
        let uid = spec.user.uid;
        let mut load = self.load_of(uid);
        change(&mut load, spec.bytes);
        if load == Load::default() {
            self.loads.remove(&uid);
            self.newest.0.remove(&uid);
        } else {
            self.loads.insert(uid, load);
        }
    }

    /// What a user has.
    pub(crate) fn load_of(&self, uid: u32) -> Load {
        self.loads.get(&uid).copied().unwrap_or_default()
    }

    pub(crate) fn hold_licenses(&mut self, request: &Request) {
        for ask in &request.licenses {
            *self.licenses.entry(ask.name.clone()).or_insert(0) += u64::from(ask.count);
        }
    }

    pub(crate) fn release_licenses(&mut self, request: &Request) {
        for ask in &request.licenses {
            let held = self.licenses.get_mut(&ask.name).expect("a license that is given back is held");
            *held -= u64::from(ask.count);
            if *held == 0 {
                self.licenses.remove(&ask.name);
            }
        }
    }

    /// Takes in all of a job, of which nothing is here, with where it stands.
    pub(crate) fn take_in_job(&mut self, job: &Job, standing: Standing) {
        for hash in blobs_of(&job.terms.spec) {
            *self.blob_uses.entry(hash).or_insert(0) += 1;
        }
        self.change_load(&job.terms.spec, |load, bytes| {
            load.open += usize::from(job.ended.is_none());
            load.bytes += bytes;
        });
        self.take_in(job.id, standing);
        let rows = job.tasks.iter().map(|(index, task)| (*index, task.id));
        for (row, id) in rows.chain(job.done.iter().map(|(row, done)| (row, done.id))) {
            if id != job.id {
                self.task_ids.insert(id, job.id, row);
            }
        }
        for (row, task) in &job.tasks {
            if let Some(node) = task.state.shares().and_then(|shares| Job::batch_node(shares)) {
                self.attempts.extend([(node, AttemptKey { job: job.id, index: *row, attempt: task.attempts })]);
                self.hold_licenses(&job.terms_of(task).spec.request);
            }
        }
        for ((row, number), step) in &job.steps {
            let attempt = AttemptKey { job: job.id, index: *row, attempt: step.attempt };
            self.take_in_step(StepKey { attempt, step: *number }, step, job.tasks.get(row));
        }
    }

    fn take_in_step(&mut self, key: StepKey, step: &Step, task: Option<&Task>) {
        self.step_requests.insert(step.request, key);
        if step.left().is_empty() {
            return;
        }
        self.running_steps.extend([key]);
        self.step_parts.extend(step.left().iter().map(|node| (*node, key)));
        self.step_limits.extend(task.and_then(|task| step.ends_by(task)).map(|at| (at, key)));
    }

    fn take_in(&mut self, job: JobId, standing: Standing) {
        for (entry, stand) in standing.entries {
            self.queue.extend(stand.queue);
            self.begins.extend(stand.begin.map(|at| (at, (job, entry))));
            self.deadlines.extend(stand.deadline.map(|at| (at, (job, entry))));
        }
        self.dependents.extend(standing.targets);
        self.namesakes.extend(standing.namesake);
        self.singletons += usize::from(standing.singleton);
        self.done.extend(standing.done);
    }
}
