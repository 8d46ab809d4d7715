//! Every invariant of a [`Cluster`], walked. Always on in tests and in the simulator; it costs time in proportion to all
//! that there is, so the controller runs it on start only.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::cluster::Cluster;
use crate::devices::Devices;
use crate::ids::{JobId, Name, NodeId};
use crate::job::Job;
use crate::node::Node;
use crate::resources::{Amount, Cpus};
use crate::settings::Settings;
use crate::task::{Task, TaskState};

/// A rule that the books break.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum Broken {
    /// A node's `held` or `attempts` is not the sum of the shares on it.
    #[error("node {node:?} is booked with {booked:?}, and its attempts hold {held:?}")]
    Held {
        /// The node.
        node: NodeId,
        /// What its record says.
        booked: (Amount, u32),
        /// What the shares add up to.
        held: (Amount, u32),
    },
    /// A node's GPUs are held twice, or are not those of the shares on it, or not as many as are counted.
    #[error("node {0:?} is booked with other GPUs than its attempts hold")]
    Devices(NodeId),
    /// More is held of a license than there is.
    #[error("{held} of the license {name} are held, and there are {total}")]
    Licenses {
        /// The license.
        name: Name,
        /// What attempts hold.
        held: u64,
        /// What the settings say.
        total: u32,
    },
    /// More is held of a node than it offers.
    #[error("node {0:?} is over-committed")]
    OverCommitted(NodeId),
    /// An attempt or step is wanted and unwanted at once.
    #[error("node {0:?} is to end an attempt or step that it is to run")]
    Unwanted(NodeId),
    /// A task is in two places, or the counts of a job do not add up to its tasks.
    #[error("job {job}: {what}")]
    Tasks {
        /// The job.
        job: JobId,
        /// What does not add up.
        what: &'static str,
    },
    /// A computed index is not what computing it anew gives.
    #[error("the computed indexes differ from what the jobs say")]
    Index,
}

impl Cluster {
    /// Walks every invariant.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check(&self) -> Result<(), Broken> {
        self.check_books()?;
        self.check_index()
    }

    /// Half of [`Cluster::check`]: jobs, what they hold of nodes, and which requests made them.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn check_books(&self) -> Result<(), Broken> {
        self.jobs().try_for_each(|job| check_job(job).and_then(|()| check_steps(job)))?;
        self.check_nodes()?;
        if self.requests_are_indexed() { Ok(()) } else { Err(Broken::Index) }
    }

    /// The other half: what else is computed from jobs and kept beside them.
    ///
    /// # Errors
    /// When it is not what computing it anew gives.
    pub fn check_index(&self) -> Result<(), Broken> {
        if self.jobs_are_indexed() { Ok(()) } else { Err(Broken::Index) }
    }

    fn check_nodes(&self) -> Result<(), Broken> {
        let wanted = |node: &&Arc<Node>| node.unwanted.iter().any(|key| self.index.attempts.contains(&(node.id, *key)));
        if let Some(node) = self.nodes.values().find(wanted) {
            return Err(Broken::Unwanted(node.id));
        }
        let wanted =
            |node: &&Arc<Node>| node.unwanted_steps.iter().any(|key| self.index.step_parts.contains(&(node.id, *key)));
        if let Some(node) = self.nodes.values().find(wanted) {
            return Err(Broken::Unwanted(node.id));
        }
        let mut held: BTreeMap<NodeId, (Amount, u32)> = BTreeMap::new();
        let mut devices: BTreeMap<NodeId, Devices> = BTreeMap::new();
        let shares = self.jobs().flat_map(|job| job.tasks.values()).filter_map(|task| task.state.shares());
        for share in shares.flat_map(|shares| shares.iter()) {
            let (amount, attempts) = held.entry(share.node).or_default();
            *amount += &share.amount;
            *attempts += 1;
            let devices = devices.entry(share.node).or_default();
            *devices = devices.joined(share.devices).ok_or(Broken::Devices(share.node))?;
        }
        for node in self.nodes.values() {
            let held = held.remove(&node.id).unwrap_or_default();
            let booked = (node.held, node.attempts);
            if booked != held {
                return Err(Broken::Held { node: node.id, booked, held });
            }
            let devices = devices.remove(&node.id).unwrap_or_default();
            if node.devices != devices || devices.count() != Devices::counted(&node.offer.gres, &node.held.gres) {
                return Err(Broken::Devices(node.id));
            }
        }
        held.keys().next().map_or(Ok(()), |node| Err(Broken::OverCommitted(*node)))
    }

    /// Whether no node holds more than it offers. Not part of [`Cluster::check`]: a node may come back smaller than what still
    /// runs on it.
    ///
    /// # Errors
    /// The first node of which more is held.
    pub fn check_commitments(&self) -> Result<(), Broken> {
        // Also while a node offers none of its gres, what is held fits what it had.
        let had = |node: &Node| node.offer.clone().with_gres(node.offer.gres.clone()).amount;
        let over = self.nodes.values().find(|node| !had(node).covers(&node.held));
        over.map_or(Ok(()), |node| Err(Broken::OverCommitted(node.id)))
    }

    /// Whether no more of a license is held than these settings give. Not part of [`Cluster::check`]: settings may change.
    ///
    /// # Errors
    /// The first license of which more is held.
    pub fn check_licenses(&self, settings: &Settings) -> Result<(), Broken> {
        for (name, held) in &self.index.licenses {
            let total = settings.licenses.get(name).copied().unwrap_or(0);
            if *held > u64::from(total) {
                return Err(Broken::Licenses { name: name.clone(), held: *held, total });
            }
        }
        Ok(())
    }
}

fn check_job(job: &Job) -> Result<(), Broken> {
    let broken = |what| Err(Broken::Tasks { job: job.id, what });
    let asked = job.terms.spec.array.as_ref().map_or(1, |array| array.count());
    let without_row = job.ended_waiting.as_ref().map_or(0, |ended| ended.tasks.len());
    let all = job.pending.len()
        + job.blocked.len()
        + job.hopeless.len()
        + job.tasks.len() as u64
        + job.done.len() as u64
        + without_row;
    if all != asked {
        return broken("its tasks are not those that were submitted");
    }
    if u64::from(job.tally.total()) != job.done.len() as u64 + without_row {
        return broken("its tally is not the number of its ended tasks");
    }
    if job.pending.iter().take(1).chain(job.tasks.keys().copied()).any(|index| job.done.contains(index)) {
        return broken("a task that is done still waits or runs");
    }
    let waiting = |(_, task): &(&u32, &Task)| matches!(task.state, TaskState::Pending { .. });
    if !job.tasks.iter().filter(waiting).map(|(index, _)| *index).eq(job.requeued.iter()) {
        return broken("the set of its requeued tasks is not that of the rows that wait");
    }
    if !job.apart.is_subset(&job.requeued) || job.apart.iter().any(|index| job.tasks[&index].own.is_none()) {
        return broken("a task stands apart without waiting, or without anything of its own");
    }
    if !job.tasks.values().all(|task| task.signals.is_sound())
        || !job.steps.values().all(|step| step.signals.is_sound())
    {
        return broken("what was sent to one of its attempts or steps is out of order, or more than is remembered");
    }
    if job.ended.is_some() != job.is_done() {
        return broken("it is done without an end, or has an end without being done");
    }
    Ok(())
}

/// Steps run in attempts that run, on their nodes, and do not take more CPUs than those hold.
fn check_steps(job: &Job) -> Result<(), Broken> {
    let broken = |what| Err(Broken::Tasks { job: job.id, what });
    let mut taken: BTreeMap<(u32, NodeId), Cpus> = BTreeMap::new();
    for ((index, _), step) in job.steps.iter().filter(|(_, step)| !step.left().is_empty()) {
        let task = job.tasks.get(index).filter(|task| task.attempts == step.attempt);
        let shares = task.and_then(|task| match &task.state {
            TaskState::Suspended { full, .. } => Some(full),
            state => state.shares(),
        });
        let Some(shares) = shares else { return broken("a step runs without its attempt") };
        for node in step.left() {
            let Some(share) = shares.iter().find(|share| share.node == *node) else {
                return broken("a step runs where its attempt has nothing");
            };
            let sum = taken.entry((*index, *node)).or_default();
            *sum = *sum + step.taken_on(*node);
            let known = matches!(task, Some(Task { state: TaskState::Running { .. }, .. }));
            if known && *sum > share.amount.cpus {
                return broken("its steps take more CPUs than their attempt has");
            }
        }
    }
    let closing = |(index, task): (&u32, &Task)| {
        matches!(task.state, TaskState::Closing { .. })
            && job.steps_of(*index).all(|(_, step)| step.attempt != task.attempts || step.left().is_empty())
    };
    if job.tasks.iter().any(closing) {
        return broken("a task waits for steps of which none runs");
    }
    Ok(())
}
