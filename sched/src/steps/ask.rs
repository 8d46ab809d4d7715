//! What is asked of steps: a new one, its stop, a signal to it.

use std::sync::Arc;

use crate::allow::Verb;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, JobId, RequestId, StepKey};
use crate::job::Job;
use crate::node::Health;
use crate::reason::{Scope, StopWhy};
use crate::refusal::Refusal;
use crate::resources::{Cpus, Share};
use crate::select::{Asker, not_running, resolve};
use crate::spec::array::{JobRef, TaskSelector};
use crate::spec::index_set::IndexSet;
use crate::spec::programs::Programs;
use crate::spec::step::StepSpec;
use crate::steps::layout::{NoPlace, Room, lay};
use crate::steps::{Part, STEPS_MAX};
use crate::task::{Task, TaskState};

/// A step that is to be.
#[derive(Clone, Debug)]
pub struct NewStep {
    /// Made by `srun` before its first try.
    pub request: RequestId,
    /// The job's own number, or a task's.
    pub job: JobId,
    /// What it is.
    pub spec: Arc<StepSpec>,
    /// What its stepds will show; random.
    pub secret: u128,
    /// Who asks.
    pub asker: Asker,
}

/// What a command names: a job or task, and of it a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTarget {
    /// The job or task.
    pub job: JobRef,
    /// Which step.
    pub step: StepSelector,
}

/// A step by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepSelector {
    /// `.batch`.
    Batch,
    /// `.0` and on.
    Number(u32),
}

/// What is to happen to steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepWish {
    /// They end: TERM, and KILL after the kill wait.
    Stop(StopWhy),
    /// They get a signal.
    Signal(i32),
    /// They stand still or go on by this signal, as their attempt does. Its state says so again to a node that has missed it.
    Pace(i32),
}

/// The attempt and place for a new step, as the cluster stands: what [`create`] decides, and what a step that waits asks again.
///
/// # Errors
/// Why there is none; [`Refusal::StepBusy`] where waiting helps.
pub fn place(cluster: &Cluster, new: &NewStep) -> Result<(AttemptKey, Vec<Part>), Refusal> {
    let (job, index, task) = find(cluster, new.job)?;
    new.asker.may(Verb::StartStep, job)?;
    let task = task.ok_or_else(|| not_running(job, Some(&IndexSet::from(index))))?;
    let shares = match &task.state {
        TaskState::Running { shares, .. } => shares,
        TaskState::Pending { .. } => return Err(Refusal::StillPending),
        TaskState::Suspended { .. } => return Err(Refusal::NotRunning),
        TaskState::Finishing { .. } | TaskState::Closing { .. } => return Err(Refusal::AlreadyDone),
    };
    let attempt = AttemptKey { job: job.id, index, attempt: task.attempts };
    if next_number(job, index, task.attempts) >= STEPS_MAX {
        return Err(Refusal::TooManySteps(STEPS_MAX));
    }
    let parts = lay(&new.spec, &job.terms_of(task).spec.request, &rooms(cluster, attempt, shares));
    let parts = parts.map_err(|why| match why {
        NoPlace::Busy => Refusal::StepBusy,
        NoPlace::TooMany => Refusal::TooManyProcesses,
        NoPlace::NotThere(detail) => Refusal::NeverFits { detail },
    })?;
    let tasks = parts.iter().map(|part| part.tasks).sum();
    if let Some(task) = Programs::read(&new.spec.programs).ok().and_then(|programs| programs.without(tasks)) {
        return Err(Refusal::NeverFits {
            detail: format!("the file of --multi-prog names no program for task {task}"),
        });
    }
    Ok((attempt, parts))
}

/// Makes a step, once for each request.
pub(crate) fn create(cluster: &Cluster, new: &NewStep) -> Result<(Option<Event>, StepKey), Refusal> {
    if let Some(key) = cluster.step_of_request(new.request) {
        return Ok((None, key));
    }
    let (attempt, parts) = place(cluster, new)?;
    let job = &cluster.jobs[&attempt.job];
    let key = StepKey { attempt, step: next_number(job, attempt.index, attempt.attempt) };
    let (request, spec, secret) = (new.request, new.spec.clone(), new.secret);
    Ok((Some(Event::StepCreated { key, request, spec, parts: parts.into(), secret }), key))
}

fn next_number(job: &Job, index: u32, attempt: u32) -> u32 {
    let last = job.steps_of(index).next_back().filter(|(_, step)| step.attempt == attempt);
    last.map_or(0, |(number, _)| number + 1)
}

/// The task that has this number, or the job's only one.
fn find(cluster: &Cluster, id: JobId) -> Result<(&Job, u32, Option<&Task>), Refusal> {
    let (job, index) = match (cluster.task_of(id), cluster.job(id)) {
        (Some((job, index)), _) => (cluster.job(job).ok_or(Refusal::UnknownJob)?, index),
        (None, Some(job)) if job.is_array() => {
            // One of the tasks of an array has the array's own number.
            let row = job.tasks.iter().find(|(_, task)| task.id == id).map(|(index, _)| *index);
            let done = || job.done.iter().find(|(_, done)| done.id == id).map(|(index, _)| index);
            (job, row.or_else(done).ok_or(Refusal::StillPending)?)
        }
        (None, Some(job)) => (job, 0),
        (None, None) => return Err(Refusal::UnknownJob),
    };
    Ok((job, index, job.tasks.get(&index)))
}

fn rooms(cluster: &Cluster, attempt: AttemptKey, shares: &[Share]) -> Vec<Room> {
    let running: Vec<_> = cluster.running_steps(attempt).filter_map(|key| cluster.step(key)).collect();
    let room = |share: &Share| {
        let taken = running.iter().map(|step| step.taken_on(share.node));
        Room {
            node: share.node,
            name: cluster.node_name(share.node).cloned().unwrap_or_else(|| "".into()),
            cpus: share.amount.cpus,
            taken: taken.fold(Cpus::default(), |all, cpus| all + cpus),
            processes: share.processes,
            up: cluster.node(share.node).is_some_and(|node| matches!(node.health, Health::Up { .. })),
        }
    };
    shares.iter().map(room).collect()
}

/// Stops steps or sends them signals. Answers for each target whether it could be done. The batch step gets signals alone, and its
/// stop is KILL to the batch script, as in Slurm.
pub(crate) fn wish(
    cluster: &Cluster,
    targets: &[StepTarget],
    wish: StepWish,
    asker: Asker,
) -> (Vec<Event>, Vec<Result<(), Refusal>>) {
    let verb = match wish {
        StepWish::Stop(_) => Verb::Cancel,
        StepWish::Signal(_) => Verb::Signal,
        StepWish::Pace(_) => Verb::Suspend,
    };
    let mut events = Vec::new();
    let found = targets.iter().map(|target| {
        let (job, tasks) = resolve(cluster, &target.job)?;
        asker.may(verb, job)?;
        if tasks.is_none() && job.is_array() && target.job.tasks == TaskSelector::All {
            return Err(Refusal::UnknownJob);
        }
        let meant = |index: u32| tasks.as_ref().is_none_or(|tasks| tasks.contains(index));
        let mut done = false;
        for (index, task) in job.tasks.iter().filter(|(index, _)| meant(**index)) {
            let attempt = AttemptKey { job: job.id, index: *index, attempt: task.attempts };
            let event = match target.step {
                StepSelector::Batch => batch_signal(attempt, task, wish),
                StepSelector::Number(step) => of_step(cluster, StepKey { attempt, step }, wish),
            };
            done |= event.is_some();
            events.extend(event);
        }
        if done {
            return Ok(());
        }
        let ended = |index: u32| match target.step {
            StepSelector::Batch => job.done.contains(index),
            StepSelector::Number(step) => job.steps.contains_key(&(index, step)),
        };
        let known = job.tasks.keys().copied().chain(job.done.indices()).any(|index| meant(index) && ended(index));
        Err(if known { Refusal::AlreadyDone } else { Refusal::UnknownStep })
    });
    let found = found.collect();
    (events, found)
}

/// What becomes of one step; `None` where there is none that runs.
pub(crate) fn of_step(cluster: &Cluster, key: StepKey, wish: StepWish) -> Option<Event> {
    let step = cluster.step(key).filter(|step| !step.left().is_empty())?;
    let nodes = step.left().to_vec();
    Some(match wish {
        StepWish::Stop(why) => Event::StepStopped { key, nodes, why },
        StepWish::Signal(signal) => Event::StepSignalled { key, nodes, signal, number: step.signals.next() },
        StepWish::Pace(signal) => Event::StepSignalled { key, nodes, signal, number: 0 },
    })
}

fn batch_signal(key: AttemptKey, task: &Task, wish: StepWish) -> Option<Event> {
    const KILL: i32 = 9;
    let TaskState::Running { shares, .. } = &task.state else { return None };
    let signal = match wish {
        StepWish::Stop(_) => KILL,
        StepWish::Signal(signal) | StepWish::Pace(signal) => signal,
    };
    let (node, number) = (Job::batch_node(shares)?, task.signals.next());
    Some(Event::Signalled { key, node, signal, scope: Scope::Batch, number })
}

/// Ends an allocation with its holder's exit code: what waits is cancelled. Nothing is left to do where it is over already.
pub(crate) fn release(cluster: &Cluster, id: JobId, code: u8) -> Result<Option<Event>, Refusal> {
    let job = cluster.job(id).ok_or(Refusal::UnknownJob)?;
    let Some(task) = job.tasks.get(&0) else {
        let (tasks, uid) = (job.waiting_tasks(), job.terms.spec.user.uid);
        return Ok((!tasks.is_empty()).then_some(Event::Cancelled { job: id, tasks, uid }));
    };
    let key = AttemptKey { job: id, index: 0, attempt: task.attempts };
    Ok(match &task.state {
        TaskState::Running { shares, .. } | TaskState::Suspended { shares, .. } => {
            let node = Job::batch_node(shares).ok_or(Refusal::NotRunning)?;
            Some(Event::Stopped { key, node, why: StopWhy::Released(code) })
        }
        TaskState::Pending { .. } => {
            Some(Event::Cancelled { job: id, tasks: job.waiting_tasks(), uid: job.terms.spec.user.uid })
        }
        TaskState::Finishing { .. } | TaskState::Closing { .. } => None,
    })
}
