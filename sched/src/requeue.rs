//! `scontrol requeue` and `requeuehold`: what runs is stopped and waits again, and so does what is done.
//!
//! Slurm lets a requeued job wait until the credential of its last launch has run out; an attempt here starts at most once, so
//! the next one may start as soon as the last is known dead.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, JobId};
use crate::job::Job;
use crate::reason::StopWhy;
use crate::refusal::Refusal;
use crate::select::resolve;
use crate::spec::array::JobRef;
use crate::spec::index_set::IndexSet;
use crate::task::TaskState;
use crate::terms::Hold;

/// How to requeue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requeue {
    /// Held from then on.
    pub hold: bool,
    /// Only what runs, not what is done.
    pub incomplete: bool,
}

/// Requeues. Answers for each target whether it could be done.
pub(crate) fn requeue(cluster: &Cluster, targets: &[JobRef], how: Requeue) -> (Vec<Event>, Vec<Result<(), Refusal>>) {
    let mut events = Vec::new();
    // Named twice, as a job and as its task, is taken back once.
    let mut undone: BTreeSet<(JobId, u32)> = BTreeSet::new();
    let found = targets.iter().map(|target| {
        let (job, tasks) = resolve(cluster, target)?;
        if !job.terms.spec.requeue {
            return Err(Refusal::NotRequeueable);
        }
        let mut asked = of_job(job, tasks.as_ref(), how);
        let named = !asked.is_empty();
        asked.retain_mut(|event| match event {
            Event::Undone { job, tasks, .. } => {
                *tasks = tasks.iter().filter(|index| undone.insert((*job, *index))).collect();
                !tasks.is_empty()
            }
            _ => true,
        });
        match !named {
            true if job.waiting_count() > 0 => Err(Refusal::StillPending),
            true => Err(Refusal::AlreadyDone),
            false => {
                events.extend(asked);
                Ok(())
            }
        }
    });
    let found = found.collect();
    (events, found)
}

fn of_job(job: &Job, tasks: Option<&IndexSet>, how: Requeue) -> Vec<Event> {
    let meant = |index: u32| tasks.is_none_or(|tasks| tasks.contains(index));
    let mut events = Vec::new();
    let mut held: Vec<(u32, JobId)> = Vec::new();
    for (index, task) in job.tasks.iter().filter(|(index, _)| meant(**index)) {
        match &task.state {
            TaskState::Running { shares, .. } | TaskState::Suspended { shares, .. } => {
                let key = AttemptKey { job: job.id, index: *index, attempt: task.attempts };
                let node = shares[0].node;
                events.push(Event::Stopped { key, node, why: StopWhy::Requeue });
                held.push((*index, task.id));
            }
            TaskState::Pending { .. } if how.hold => held.push((*index, task.id)),
            TaskState::Pending { .. } | TaskState::Finishing { .. } => {}
        }
    }
    if how.hold && !held.is_empty() {
        events.push(Event::Held { job: job.id, hold: Some(Hold::User), tasks: Some(held) });
    }
    let done: IndexSet = job.done.keys().copied().filter(|index| meant(*index)).collect();
    if !how.incomplete && !done.is_empty() {
        let hold = how.hold.then_some(Hold::User);
        events.push(Event::Undone { job: job.id, tasks: done, hold });
    }
    if how.hold && tasks.is_none() && !job.pending.is_empty() && job.held.is_none() {
        events.push(Event::Held { job: job.id, hold: Some(Hold::User), tasks: None });
    }
    events
}
