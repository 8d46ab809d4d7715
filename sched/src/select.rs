//! Which jobs and tasks a command means, cancelling them, and sending them signals.

use std::collections::BTreeSet;

use crate::allow::{Role, Verb, What, allow};
use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, JobId, Name};
use crate::job::Job;
use crate::reason::{Scope, StopWhy};
use crate::refusal::Refusal;
use crate::spec::array::{JobRef, TaskSelector};
use crate::spec::index_set::IndexSet;
use crate::task::TaskState;

/// Jobs and tasks by name, or all that match the filters; with both, those named that match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Named ones; empty means every job that the filters let pass.
    pub targets: Vec<JobRef>,
    /// The user's name.
    pub user: Option<String>,
    /// The job's name.
    pub name: Option<String>,
    /// The partition's name.
    pub partition: Option<String>,
    /// Only what waits, or only what runs, ...
    pub phase: Option<Phase>,
    /// `--account`.
    pub account: Option<String>,
    /// `--qos`.
    pub qos: Option<String>,
    /// `--reservation`.
    pub reservation: Option<String>,
    /// `--wckey`.
    pub wckey: Option<String>,
    /// Only what runs on one of these nodes; empty for anywhere.
    pub nodes: Vec<Name>,
}

/// Who asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Numeric user.
    pub uid: u32,
    /// What that is to the cluster.
    pub role: Role,
}

impl Asker {
    /// Whether this may be done to a job, by the table of roles.
    ///
    /// # Errors
    /// Which role it takes.
    pub fn may(self, verb: Verb, job: &Job) -> Result<(), Refusal> {
        self.may_for(verb, job.terms.spec.user.uid)
    }

    /// Whether this may be done to something of a user's.
    ///
    /// # Errors
    /// Which role it takes.
    pub fn may_for(self, verb: Verb, owner: u32) -> Result<(), Refusal> {
        let what = if owner == self.uid { What::Own } else { What::Anothers };
        allow(self.role, verb, what).map_err(Refusal::NotAllowed)
    }

    /// Whether this may be done to the cluster.
    ///
    /// # Errors
    /// Which role it takes.
    pub fn may_here(self, verb: Verb) -> Result<(), Refusal> {
        allow(self.role, verb, What::Cluster).map_err(Refusal::NotAllowed)
    }
}

/// The part of a job's life that a filter names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting tasks.
    Pending,
    /// Tasks that run, or that are suspended.
    Running,
    /// Tasks that are suspended.
    Suspended,
}

/// Ends what is selected: waiting tasks at once, running ones by a stop. Filters pass over what the asker may not cancel. Answers for
/// each target whether it was there.
pub(crate) fn cancel(cluster: &Cluster, selection: &Selection, asker: Asker) -> (Vec<Event>, Vec<Result<(), Refusal>>) {
    let mut events = Vec::new();
    if selection.targets.is_empty() {
        for job in selection.jobs(cluster, asker, Verb::Cancel) {
            let tasks = selection.on_nodes(cluster, job, None);
            events.extend(cancel_tasks(job, tasks.as_ref(), selection.phase, asker.uid));
        }
        return (events, Vec::new());
    }
    let mut found = Vec::with_capacity(selection.targets.len());
    for target in &selection.targets {
        let cancelled = cancel_target(cluster, target, selection, asker);
        found.push(cancelled.map(|more| events.extend(more)));
    }
    (events, found)
}

fn cancel_target(
    cluster: &Cluster,
    target: &JobRef,
    selection: &Selection,
    asker: Asker,
) -> Result<Vec<Event>, Refusal> {
    let (job, tasks) = resolve(cluster, target)?;
    asker.may(Verb::Cancel, job)?;
    if !selection.lets_pass(job) {
        return Ok(Vec::new());
    }
    let tasks = selection.on_nodes(cluster, job, tasks);
    let events = cancel_tasks(job, tasks.as_ref(), selection.phase, asker.uid);
    if events.is_empty() && selection.phase.is_none() && selection.nodes.is_empty() {
        return Err(Refusal::AlreadyDone);
    }
    Ok(events)
}

/// Sends a signal to the attempts that run among what is selected; filters pass over what the asker may not signal. Answers for each
/// target whether it could be done.
pub(crate) fn signal(
    cluster: &Cluster,
    selection: &Selection,
    signal: i32,
    scope: Scope,
    asker: Asker,
) -> (Vec<Event>, Vec<Result<(), Refusal>>) {
    let for_running = matches!(selection.phase, None | Some(Phase::Running));
    let one = |job: &Job, tasks: Option<&IndexSet>| -> Vec<Event> {
        let meant = job.tasks.iter().filter(|(index, _)| tasks.is_none_or(|tasks| tasks.contains(**index)));
        let signalled = meant.filter_map(|(index, task)| match &task.state {
            TaskState::Running { shares, .. } => {
                let key = AttemptKey { job: job.id, index: *index, attempt: task.attempts };
                Some(Event::Signalled {
                    key,
                    node: Job::batch_node(shares)?,
                    signal,
                    scope,
                    number: task.signals.next(),
                })
            }
            TaskState::Pending { .. }
            | TaskState::Suspended { .. }
            | TaskState::Finishing { .. }
            | TaskState::Closing { .. } => None,
        });
        signalled.collect()
    };
    let mut events = Vec::new();
    if selection.targets.is_empty() {
        let jobs = selection.jobs(cluster, asker, Verb::Signal).filter(|_| for_running);
        events.extend(jobs.flat_map(|job| one(job, selection.on_nodes(cluster, job, None).as_ref())));
        return (events, Vec::new());
    }
    let target = |target: &JobRef| -> Result<Vec<Event>, Refusal> {
        let (job, tasks) = resolve(cluster, target)?;
        asker.may(Verb::Signal, job)?;
        if !selection.lets_pass(job) || !for_running {
            return Ok(Vec::new());
        }
        let tasks = selection.on_nodes(cluster, job, tasks);
        let signalled = one(job, tasks.as_ref());
        if signalled.is_empty() { Err(not_running(job, tasks.as_ref())) } else { Ok(signalled) }
    };
    let found = selection.targets.iter().map(|named| target(named).map(|more| events.extend(more))).collect();
    // What is named twice in one breath is signalled once.
    let mut named = BTreeSet::new();
    events.retain(|event| !matches!(event, Event::Signalled { key, .. } if !named.insert(*key)));
    (events, found)
}

/// Why nothing can be done that takes a running task: the tasks wait, stand still or are being ended, or are done.
pub(crate) fn not_running(job: &Job, tasks: Option<&IndexSet>) -> Refusal {
    let meant = |index: u32| tasks.is_none_or(|tasks| tasks.contains(index));
    if job.waiting_tasks().iter().any(meant) {
        Refusal::StillPending
    } else if job.tasks.keys().copied().any(meant) {
        Refusal::NotRunning
    } else {
        Refusal::AlreadyDone
    }
}

/// The job and the tasks that a name means; no set means all of them.
///
/// # Errors
/// [`Refusal::UnknownJob`] when there is no such job, or none of the tasks.
pub fn resolve<'a>(cluster: &'a Cluster, target: &JobRef) -> Result<(&'a Job, Option<IndexSet>), Refusal> {
    let id = JobId(target.job);
    let whole = target.tasks == TaskSelector::All;
    let (job, only) = match cluster.job(id) {
        // The task that took the array's number is meant by `A_i` alone; `A` is the whole array.
        Some(job) => (job, None),
        // A task's own number says which task already.
        None if !whole => return Err(Refusal::UnknownJob),
        None => {
            let (job, index) = cluster.task_of(id).ok_or(Refusal::UnknownJob)?;
            (cluster.job(job).ok_or(Refusal::UnknownJob)?, Some(IndexSet::from(index)))
        }
    };
    let tasks = match &target.tasks {
        TaskSelector::All => only,
        TaskSelector::One(index) => Some(IndexSet::from(*index)),
        TaskSelector::Listed(tasks) => Some(tasks.clone()),
    };
    if !whole && !tasks.as_ref().is_some_and(|tasks| job.has_any(tasks)) {
        return Err(Refusal::UnknownJob);
    }
    Ok((job, tasks))
}

fn cancel_tasks(job: &Job, tasks: Option<&IndexSet>, phase: Option<Phase>, uid: u32) -> Vec<Event> {
    let mut events = Vec::new();
    let meant = |index: u32| tasks.is_none_or(|tasks| tasks.contains(index));
    if phase != Some(Phase::Pending) {
        let running = job.tasks.iter().filter(|(index, _)| meant(**index));
        events.extend(running.filter_map(|(index, task)| match &task.state {
            TaskState::Running { .. } if phase == Some(Phase::Suspended) => None,
            TaskState::Running { shares, .. } | TaskState::Suspended { shares, .. } => {
                let key = AttemptKey { job: job.id, index: *index, attempt: task.attempts };
                let node = Job::batch_node(shares)?;
                Some(Event::Stopped { key, node, why: StopWhy::Cancelled(uid) })
            }
            TaskState::Pending { .. } | TaskState::Finishing { .. } | TaskState::Closing { .. } => None,
        }));
    }
    if matches!(phase, None | Some(Phase::Pending)) {
        let mut waiting = job.waiting_tasks();
        if let Some(tasks) = tasks {
            waiting.intersect_with(tasks);
        }
        if !waiting.is_empty() {
            events.push(Event::Cancelled { job: job.id, tasks: waiting, uid });
        }
    }
    events
}

impl Selection {
    /// The jobs that the filters mean, of those to which the asker may do this.
    fn jobs<'a>(&'a self, cluster: &'a Cluster, asker: Asker, verb: Verb) -> impl Iterator<Item = &'a Job> {
        let jobs = cluster.jobs().map(|job| &**job);
        jobs.filter(move |job| !job.is_done() && self.lets_pass(job) && asker.may(verb, job).is_ok())
    }

    /// Whether a job matches every filter that is set.
    fn lets_pass(&self, job: &Job) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        let is_in = |wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| job.terms.partitions.iter().any(|name| &**name == wanted))
        };
        let (spec, labels) = (&job.terms.spec, &job.terms.spec.labels);
        is(&self.user, &spec.user.name)
            && is(&self.name, &spec.name)
            && is_in(&self.partition)
            && is(&self.account, &labels.account)
            && is(&self.qos, &labels.qos)
            && is(&self.reservation, &labels.reservation)
            && is(&self.wckey, &labels.wckey)
    }

    /// Of these tasks those that run on the wanted nodes, where any are wanted.
    fn on_nodes(&self, cluster: &Cluster, job: &Job, tasks: Option<IndexSet>) -> Option<IndexSet> {
        if self.nodes.is_empty() {
            return tasks;
        }
        let wanted = |node| cluster.node_name(node).is_some_and(|name| self.nodes.iter().any(|node| node == name));
        let meant = |index: &u32| tasks.as_ref().is_none_or(|tasks| tasks.contains(*index));
        let there = job.tasks.iter().filter(|(index, task)| {
            meant(index) && task.state.shares().is_some_and(|shares| shares.iter().any(|share| wanted(share.node)))
        });
        Some(there.map(|(index, _)| *index).collect())
    }
}
