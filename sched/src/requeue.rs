//! `scontrol requeue` and `requeuehold`: what runs is stopped and waits again, and so does what is done.
//!
//! Slurm lets a requeued job wait until the credential of its last launch has run out; an attempt here starts at most once, so
//! the next one may start as soon as the last is known dead; one that was given up with its node is not, until that is back.

use std::collections::BTreeSet;

use crate::allow::Verb;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, JobId, Name};
use crate::job::Job;
use crate::node::Health;
use crate::reason::StopWhy;
use crate::refusal::Refusal;
use crate::select::{Asker, not_running, resolve};
use crate::spec::array::JobRef;
use crate::spec::index_set::IndexSet;
use crate::task::{Done, TaskState};
use crate::terms::Hold;

/// How to requeue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requeue {
    /// Held from then on.
    pub hold: bool,
    /// Only what runs, not what is done.
    pub incomplete: bool,
    /// Where it is held: in state SPECIAL_EXIT.
    pub special_exit: bool,
}

impl Requeue {
    /// How it is held from then on.
    fn kind(self) -> Option<Hold> {
        self.hold.then_some(if self.special_exit { Hold::SpecialExit } else { Hold::User })
    }
}

/// Requeues. Answers for each target whether it could be done.
pub(crate) fn requeue(
    cluster: &Cluster,
    targets: &[JobRef],
    how: Requeue,
    asker: Asker,
) -> (Vec<Event>, Vec<Result<(), Refusal>>) {
    let mut events = Vec::new();
    // Named twice, as a job and as its task, is taken back once.
    let mut undone: BTreeSet<(JobId, u32)> = BTreeSet::new();
    let found = targets.iter().map(|target| {
        let (job, tasks) = resolve(cluster, target)?;
        asker.may(Verb::Requeue, job)?;
        if !job.terms.spec.requeue {
            return Err(Refusal::NotRequeueable);
        }
        let meant = |index: &u32| !how.incomplete && tasks.as_ref().is_none_or(|tasks| tasks.contains(*index));
        let (mut lingers, mut again) = (None, IndexSet::new());
        for (index, done) in job.done.iter().filter(|(index, _)| meant(index)) {
            match may_still_run(cluster, job, index, &done) {
                None => {
                    again.insert(index);
                }
                node => lingers = lingers.or(node),
            }
        }
        let fresh: IndexSet = again.iter().filter(|index| undone.insert((job.id, *index))).collect();
        let asked = of_job(job, tasks.as_ref(), fresh, how.kind());
        match lingers {
            _ if !asked.is_empty() || !again.is_empty() => {
                events.extend(asked);
                Ok(())
            }
            Some(node) => Err(Refusal::MayStillRun { node }),
            None => Err(not_running(job, tasks.as_ref())),
        }
    });
    let found = found.collect();
    (events, found)
}

/// The node that was given up with the last attempt of a task that is done, where nothing has said since that it is dead.
fn may_still_run(cluster: &Cluster, job: &Job, index: u32, done: &Done) -> Option<Name> {
    let node = cluster.node(Job::batch_node(&done.shares)?)?;
    let key = AttemptKey { job: job.id, index, attempt: done.attempts };
    let given_up = matches!(node.health, Health::Down { since } if done.ended >= since);
    (given_up || node.unwanted.contains(&key)).then(|| node.name.clone())
}

/// What is asked of a job, of which these tasks are done and are to run again.
fn of_job(job: &Job, tasks: Option<&IndexSet>, again: IndexSet, hold: Option<Hold>) -> Vec<Event> {
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
            TaskState::Pending { .. } if hold.is_some() => held.push((*index, task.id)),
            TaskState::Pending { .. } | TaskState::Finishing { .. } | TaskState::Closing { .. } => {}
        }
    }
    if hold.is_some() && !held.is_empty() {
        events.push(Event::Held { job: job.id, hold, tasks: Some(held) });
    }
    if !again.is_empty() {
        events.push(Event::Undone { job: job.id, tasks: again, hold });
    }
    if hold.is_some() && tasks.is_none() && !job.pending.is_empty() && job.held.is_none() {
        events.push(Event::Held { job: job.id, hold, tasks: None });
    }
    events
}
