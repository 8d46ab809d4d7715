//! All that the controller knows, as one value: cheap to clone, changed only by [`Cluster::apply`] (in `apply/`).
//!
//! Maps are persistent, so a clone shares everything with its original: the driver publishes one after each commit, and
//! listings read it while the next commit is being made. What can be computed from the rest is not stored: it is built
//! again by [`Cluster::restored`] (in `index.rs`).

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use crate::ids::{AttemptKey, BlobHash, JobId, Name, NodeId, RequestId, Timestamp};
use crate::index::Index;
use crate::job::Job;
use crate::members::Members;
use crate::node::Node;
use crate::partition::Partition;
use crate::spec::job::{JobSpec, User, Work};

/// Jobs, nodes and partitions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cluster {
    pub(crate) jobs: OrdMap<JobId, Arc<Job>>,
    pub(crate) nodes: OrdMap<NodeId, Arc<Node>>,
    pub(crate) partitions: OrdMap<Name, Arc<Partition>>,
    pub(crate) last_job: Option<JobId>,
    pub(crate) last_node: Option<NodeId>,
    /// The names of nodes that left, for what ran there.
    #[serde(default)]
    pub(crate) departed: OrdMap<NodeId, Name>,
    /// When priorities were last computed anew.
    pub(crate) prioritized: Timestamp,
    /// Requests in the order in which they came, for [`crate::apply::REQUEST_MS_MAX`].
    pub(crate) requests: Vector<(Timestamp, RequestId, JobId)>,
    /// Join tokens, and what has joined by them.
    #[serde(default)]
    pub(crate) members: Members,
    #[serde(skip)]
    pub(crate) index: Index,
}

/// A node's name as listings sort it: `linux2` before `linux10`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeOrder {
    stem: Name,
    number: u64,
    name: Name,
}

impl NodeOrder {
    pub(crate) fn of(name: &Name) -> NodeOrder {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        NodeOrder { stem: stem.into(), number: name[stem.len()..].parse().unwrap_or(0), name: name.clone() }
    }
}

impl Cluster {
    /// A job by the number that `sbatch` printed.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.jobs.get(&id)
    }

    /// All jobs, by number.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &Arc<Job>> {
        self.jobs.values()
    }

    /// How many jobs there are, done ones included.
    #[must_use]
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    /// The job and task that own a number: a task's own number, or a job's.
    #[must_use]
    pub fn task_of(&self, id: JobId) -> Option<(JobId, u32)> {
        self.index.task_ids.get(id)
    }

    /// The job that this request made, if it was seen before.
    #[must_use]
    pub fn job_of_request(&self, request: RequestId) -> Option<JobId> {
        self.index.request_jobs.get(&request).copied()
    }

    /// A node by its number.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    /// The name of a node, also of one that has left.
    #[must_use]
    pub fn node_name(&self, id: NodeId) -> Option<&Name> {
        self.nodes.get(&id).map(|node| &node.name).or_else(|| self.departed.get(&id))
    }

    /// A node by its name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<&Arc<Node>> {
        let id = self.index.by_name.get(&NodeOrder::of(&name.into()))?;
        self.nodes.get(id)
    }

    /// All nodes, in the order of their names.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.index.by_name.values().map(|id| &self.nodes[id])
    }

    /// Who may be a node.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// A partition by its name.
    #[must_use]
    pub fn partition(&self, name: &str) -> Option<&Arc<Partition>> {
        self.partitions.get(name)
    }

    /// All partitions, by name.
    pub fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.values()
    }

    /// The partition of jobs that name none.
    #[must_use]
    pub fn default_partition(&self) -> Option<&Arc<Partition>> {
        self.partitions.values().find(|partition| partition.default)
    }

    /// The attempts that a node should know of.
    pub fn attempts_on(&self, node: NodeId) -> impl Iterator<Item = AttemptKey> {
        let least = AttemptKey { job: JobId(0), index: 0, attempt: 0 };
        self.index.attempts.range((node, least)..).take_while(move |(on, _)| *on == node).map(|(_, key)| *key)
    }

    /// The user with this number of whom an attempt or a step runs on a node, as its job has it; where several jobs have another
    /// group each, the one with this group.
    #[must_use]
    pub fn user_on(&self, node: NodeId, uid: u32, gid: u32) -> Option<&User> {
        let jobs = self.attempts_on(node).map(|key| key.job).chain(self.steps_on(node).map(|key| key.attempt.job));
        let users = jobs.filter_map(|job| self.jobs.get(&job)).map(|job| &*job.terms.spec.user);
        users.filter(|user| user.uid == uid).max_by_key(|user| user.gid == gid)
    }

    /// The journal blobs that no other job uses: what goes when `job` is forgotten.
    #[must_use]
    pub fn blobs_of_last_use(&self, job: &Job) -> Vec<BlobHash> {
        blobs_of(&job.terms.spec).filter(|hash| self.index.blob_uses.get(hash) == Some(&1)).collect()
    }

    /// How many of a license the attempts hold.
    #[must_use]
    pub fn licenses_held(&self, name: &str) -> u64 {
        self.index.licenses.get(name).copied().unwrap_or(0)
    }

    /// Whether any job uses this journal blob.
    #[must_use]
    pub fn uses_blob(&self, hash: &BlobHash) -> bool {
        self.index.blob_uses.contains_key(hash)
    }

    /// The journal blobs that jobs name, each with the job.
    pub fn blobs(&self) -> impl Iterator<Item = (JobId, BlobHash)> {
        self.jobs().flat_map(|job| blobs_of(&job.terms.spec).map(|hash| (job.id, hash)))
    }

    /// Leaves so many numbers out, which jobs may have that came after the backup from which this was restored: nobody else gets them.
    pub fn skip_job_numbers(&mut self, count: u32) {
        let last = u64::from(self.last_job.map_or(0, |last| last.0)) + u64::from(count);
        let wrapped = last.checked_sub(1).map(|before| before % u64::from(JobId::LAST.0) + 1);
        self.last_job = wrapped.map(|last| JobId(u32::try_from(last).expect("it is no more than the last number")));
    }

    /// The jobs that wait for this one.
    pub(crate) fn dependents_of(&self, target: JobId) -> impl Iterator<Item = JobId> {
        self.index.dependents.range((target, JobId(0))..).take_while(move |(on, _)| *on == target).map(|(_, job)| *job)
    }

    /// The first job that is not done among those with this one's user and name.
    pub(crate) fn first_namesake(&self, job: &Job) -> Option<JobId> {
        let least = (job.terms.spec.user.uid, job.terms.spec.name.clone(), JobId(0));
        let first = self.index.namesakes.get_next(&least)?;
        (first.0 == least.0 && first.1 == least.1).then_some(first.2)
    }

    /// Whether any job waits behind its namesakes.
    pub(crate) fn has_singletons(&self) -> bool {
        self.index.singletons > 0
    }

    /// The number that the next job gets.
    #[must_use]
    pub fn next_job(&self) -> JobId {
        self.id_after(self.last_job)
    }

    /// The free number that the next job or task gets after `last`.
    #[must_use]
    pub(crate) fn id_after(&self, last: Option<JobId>) -> JobId {
        let mut id = last.map_or(JobId::FIRST, JobId::next);
        while self.jobs.contains_key(&id) || self.index.task_ids.get(id).is_some() {
            id = id.next();
        }
        id
    }
}

/// A job's place among those of its user and name.
pub(crate) fn namesake(job: &Job) -> (u32, Name, JobId) {
    (job.terms.spec.user.uid, job.terms.spec.name.clone(), job.id)
}

/// The jobs that a job waits for, each with the job.
pub(crate) fn targets(job: &Job) -> impl Iterator<Item = (JobId, JobId)> {
    let terms = job.waits.iter().flat_map(|waits| &waits.terms).filter(|wait| !wait.failed);
    terms.filter_map(|wait| wait.on.map(|on| (on, job.id)))
}

/// The journal blobs that a job needs, each named once.
pub(crate) fn blobs_of(spec: &JobSpec) -> impl Iterator<Item = BlobHash> {
    let script = match &*spec.work {
        Work::Script { script, .. } => Some(*script),
        Work::Command(_) | Work::Op(_) | Work::Allocation => None,
    };
    let mut blobs = [Some(spec.environment), script, spec.map.as_ref().map(|map| map.manifest)];
    for i in 1..blobs.len() {
        if blobs[..i].contains(&blobs[i]) {
            blobs[i] = None;
        }
    }
    blobs.into_iter().flatten()
}
