//! What is computed from the rest of a [`Cluster`] and kept beside it: the queue, the clocks, and who waits for whom.
//!
//! [`Cluster::restored`] computes all of it anew, and [`Cluster::check`] compares that with what the changes kept.

mod task_ids;

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use crate::cluster::{Cluster, NodeOrder, blobs_of, namesake, targets};
use crate::depend::Waits;
use crate::ids::{AttemptKey, BlobHash, JobId, Name, NodeId, RequestId, StepKey, Timestamp};
use crate::job::Job;
use crate::spec::job::{JobSpec, Request};
use crate::steps::Step;
use crate::task::{Task, TaskState};
use crate::terms::Terms;
pub(crate) use task_ids::TaskIds;

/// What stands in the queue: the tasks of a job that wait together, or one task that stands for itself.
pub(crate) type Entry = (JobId, Option<u32>);

/// What [`Cluster::restored`] computes from the rest, and every change keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Index {
    /// What may start, in the order in which it is tried.
    pub(crate) queue: OrdSet<QueueKey>,
    /// Nodes in the order of their names, numbers in names counted as numbers.
    pub(crate) by_name: OrdMap<NodeOrder, NodeId>,
    /// Tasks whose own number is not their job's.
    pub(crate) task_ids: TaskIds,
    /// The attempts on each node, by the node of their batch process.
    pub(crate) attempts: OrdSet<(NodeId, AttemptKey)>,
    /// Jobs that are done, by when.
    pub(crate) done: OrdSet<(Timestamp, JobId)>,
    /// The job that each remembered request made.
    pub(crate) request_jobs: OrdMap<RequestId, JobId>,
    /// What waits for a time.
    pub(crate) begins: OrdSet<(Timestamp, Entry)>,
    /// What can no longer meet its deadline from then on.
    pub(crate) deadlines: OrdSet<(Timestamp, Entry)>,
    /// Jobs that wait for a job.
    pub(crate) dependents: OrdSet<(JobId, JobId)>,
    /// Jobs that are not done, by user and name: what a singleton waits behind.
    pub(crate) namesakes: OrdSet<(u32, Name, JobId)>,
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
    pub(crate) running_steps: OrdSet<StepKey>,
    /// Their parts that have not ended.
    pub(crate) step_parts: OrdSet<(NodeId, StepKey)>,
    /// When those that run reach a limit of their own.
    pub(crate) step_limits: OrdSet<(Timestamp, StepKey)>,
}

/// The terms of the newest job of each user who has any. Who shares memory with whom is no part of the state: two of these are always
/// equal, and read alike.
#[derive(Clone, Default)]
pub(crate) struct Newest(OrdMap<u32, Given>);

/// Terms as they came, and as they are kept.
#[derive(Clone)]
struct Given {
    /// A record names equal terms once: the next event that brings these is told by their address.
    came: Arc<Terms>,
    kept: Arc<Terms>,
}

impl PartialEq for Newest {
    fn eq(&self, _: &Newest) -> bool {
        true
    }
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
    pub(crate) queue: Option<QueueKey>,
    begin: Option<Timestamp>,
    deadline: Option<Timestamp>,
}

impl Cluster {
    /// A cluster read from a checkpoint, with everything computed that a checkpoint leaves out.
    #[must_use]
    pub fn restored(mut self) -> Cluster {
        let mut newest = Newest::default();
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in ids {
            let terms = &self.jobs[&id].terms;
            let kept = newest.taken_in(terms);
            // What was written together shares already.
            if !Arc::ptr_eq(&kept, terms) {
                Arc::make_mut(self.jobs.get_mut(&id).expect("it was there a moment ago")).terms = kept;
            }
        }
        self.index.newest = newest;
        self.indexed()
    }

    /// The same with the index computed anew.
    fn indexed(self) -> Cluster {
        let request_jobs = self.requests_indexed();
        let mut cluster = self.jobs_indexed();
        cluster.index.request_jobs = request_jobs;
        cluster
    }

    /// The jobs of all remembered requests.
    pub(crate) fn requests_indexed(&self) -> OrdMap<RequestId, JobId> {
        self.requests.iter().map(|(_, request, job)| (*request, *job)).collect()
    }

    /// The same with all of the index computed anew but for the requests.
    pub(crate) fn jobs_indexed(mut self) -> Cluster {
        let mut index = Index { newest: std::mem::take(&mut self.index.newest), ..Index::default() };
        for (id, node) in &self.nodes {
            index.by_name.insert(NodeOrder::of(&node.name), *id);
        }
        self.index = index;
        let jobs: Vec<Arc<Job>> = self.jobs.values().cloned().collect();
        for job in &jobs {
            self.index_job(job);
        }
        self
    }

    /// Puts all of a job into the index, where nothing of it is.
    pub(crate) fn index_job(&mut self, job: &Job) {
        for hash in blobs_of(&job.terms.spec) {
            *self.index.blob_uses.entry(hash).or_insert(0) += 1;
        }
        self.index.change_load(&job.terms.spec, |load, bytes| {
            load.open += usize::from(job.ended.is_none());
            load.bytes += bytes;
        });
        for (entry, stand) in self.stands(job, Rows::All) {
            self.index.take_in((job.id, entry), stand);
        }
        if let Some(at) = job.ended {
            self.index.done.insert((at, job.id));
        } else {
            self.index.namesakes.insert(namesake(job));
            self.index.dependents.extend(targets(job));
        }
        let rows = job.tasks.iter().map(|(index, task)| (*index, task.id));
        for (index, id) in rows.chain(job.done.iter().map(|(index, done)| (index, done.id))) {
            if id != job.id {
                self.index.task_ids.insert(id, job.id, index);
            }
        }
        for (index, task) in &job.tasks {
            if let Some(node) = task.state.shares().and_then(|shares| Job::batch_node(shares)) {
                let key = AttemptKey { job: job.id, index: *index, attempt: task.attempts };
                self.index.attempts.insert((node, key));
                self.index.hold_licenses(&job.terms_of(task).spec.request);
            }
        }
        for ((index, number), step) in &job.steps {
            let attempt = AttemptKey { job: job.id, index: *index, attempt: step.attempt };
            self.index.take_in_step(StepKey { attempt, step: *number }, step, job.tasks.get(index));
        }
    }

    /// Where the entries of a job stand that a change of these rows may touch.
    pub(crate) fn stands(&self, job: &Job, rows: Rows<'_>) -> Vec<(Option<u32>, Stand)> {
        let shared = std::iter::once(None);
        let entries: Vec<Option<u32>> = match rows {
            Rows::Listed(listed) => shared.chain(listed.iter().copied().map(Some)).collect(),
            // Only rows with something of their own stand anywhere, and those that run towards a deadline.
            Rows::All => {
                let stands =
                    |task: &crate::task::Task| task.own.is_some() || job.terms_of(task).spec.deadline.is_some();
                let rows = job.tasks.iter().filter(|(_, task)| stands(task)).map(|(index, _)| Some(*index));
                shared.chain(rows).collect()
            }
        };
        entries.into_iter().map(|entry| (entry, self.stand(job, entry))).collect()
    }

    fn stand(&self, job: &Job, entry: Option<u32>) -> Stand {
        let queue = self.queue_key(job, entry);
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
    pub(crate) fn queue_key(&self, job: &Job, entry: Option<u32>) -> Option<QueueKey> {
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
        let tier = terms.partitions.iter().map(|name| self.tier_of(name)).max().unwrap_or(1);
        Some(QueueKey { tier: Reverse(tier), priority: Reverse(terms.priority), job: job.id, task: entry })
    }

    /// The tier of a partition; of one that is gone, the usual one.
    pub(crate) fn tier_of(&self, partition: &str) -> u16 {
        self.partitions.get(partition).map_or(1, |partition| partition.tier)
    }

    /// What holds for an entry of the queue.
    pub(crate) fn terms_of_entry<'a>(&self, job: &'a Job, entry: Option<u32>) -> &'a Arc<Terms> {
        entry.and_then(|index| job.tasks.get(&index)).map_or(&job.terms, |task| job.terms_of(task))
    }
}

impl Index {
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

    fn take_in_step(&mut self, key: StepKey, step: &Step, task: Option<&Task>) {
        self.step_requests.insert(step.request, key);
        if step.left().is_empty() {
            return;
        }
        self.running_steps.insert(key);
        self.step_parts.extend(step.left().iter().map(|node| (*node, key)));
        self.step_limits.extend(task.and_then(|task| step.ends_by(task)).map(|at| (at, key)));
    }

    pub(crate) fn take_in(&mut self, entry: Entry, stand: Stand) {
        self.queue.extend(stand.queue);
        self.begins.extend(stand.begin.map(|at| (at, entry)));
        self.deadlines.extend(stand.deadline.map(|at| (at, entry)));
    }

    pub(crate) fn leave_out(&mut self, entry: Entry, stand: Stand) {
        stand.queue.map(|key| self.queue.remove(&key));
        stand.begin.map(|at| self.begins.remove(&(at, entry)));
        stand.deadline.map(|at| self.deadlines.remove(&(at, entry)));
    }
}
