//! `scontrol suspend` and `resume`: an attempt is stopped in its tracks, and goes on.
//!
//! A suspended attempt gives its CPUs to others and keeps its memory. Slurm lets it go on beside those others; here nothing is
//! ever held twice, so it goes on when its CPUs are free, and is refused until then.

use std::collections::{BTreeMap, BTreeSet};

use crate::allow::Verb;
use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, NodeId};
use crate::job::Job;
use crate::node::Health;
use crate::refusal::Refusal;
use crate::resources::{Amount, Share};
use crate::select::{Asker, not_running, resolve};
use crate::spec::array::JobRef;
use crate::task::{Task, TaskState};

/// Suspends, or resumes. Answers for each target whether it could be done: of an array, for at least one of its tasks.
pub(crate) fn pause(
    cluster: &Cluster,
    targets: &[JobRef],
    suspend: bool,
    asker: Asker,
) -> (Vec<Event>, Vec<Result<(), Refusal>>) {
    let mut free = Free { cluster, left: BTreeMap::new() };
    let mut events = Vec::new();
    // Named twice, as a job and as its task, is changed once.
    let mut changed = BTreeSet::new();
    let found = targets.iter().map(|target| {
        let (job, tasks) = resolve(cluster, target)?;
        asker.may(Verb::Suspend, job)?;
        let meant = job.tasks.iter().filter(|(index, _)| tasks.as_ref().is_none_or(|tasks| tasks.contains(**index)));
        let mut refused = not_running(job, tasks.as_ref());
        let mut done = 0;
        for (index, task) in meant {
            let key = AttemptKey { job: job.id, index: *index, attempt: task.attempts };
            if changed.contains(&key) {
                done += 1;
                continue;
            }
            match if suspend { suspended(key, task) } else { free.resumed(key, task) } {
                Ok(event) => {
                    events.push(event);
                    changed.insert(key);
                    done += 1;
                }
                Err(why) => refused = why,
            }
        }
        if done > 0 { Ok(()) } else { Err(refused) }
    });
    let found = found.collect();
    (events, found)
}

fn suspended(key: AttemptKey, task: &Task) -> Result<Event, Refusal> {
    match &task.state {
        TaskState::Running { shares, .. } => Ok(Event::Suspended { key, node: first_node(shares) }),
        TaskState::Pending { .. } => Err(Refusal::StillPending),
        TaskState::Suspended { .. } | TaskState::Finishing { .. } | TaskState::Closing { .. } => {
            Err(Refusal::NotRunning)
        }
    }
}

fn first_node(shares: &[Share]) -> NodeId {
    Job::batch_node(shares).expect("an attempt has a node")
}

/// What is left of nodes while several attempts go on in one breath.
struct Free<'a> {
    cluster: &'a Cluster,
    left: BTreeMap<NodeId, Amount>,
}

impl Free<'_> {
    fn resumed(&mut self, key: AttemptKey, task: &Task) -> Result<Event, Refusal> {
        let TaskState::Suspended { shares, full, .. } = &task.state else { return Err(Refusal::NotSuspended) };
        let mut after = self.left.clone();
        for (kept, whole) in shares.iter().zip(full.iter()) {
            let node = self.cluster.node(whole.node).ok_or(Refusal::NotRunning)?;
            // A node that does not answer may not have heard of the suspend that lends these CPUs. One that was given up lends none,
            // and what runs on goes on without it.
            if matches!(node.health, Health::Silent { .. }) {
                return Err(Refusal::NodeAway { node: node.name.clone() });
            }
            let free = after.entry(whole.node).or_insert_with(|| node.offer.amount.saturating_sub(&node.held));
            let more = whole.amount - &kept.amount;
            *free = free.checked_sub(&more).ok_or_else(|| Refusal::CpusInUse { node: node.name.clone() })?;
        }
        self.left = after;
        Ok(Event::Resumed { key, node: first_node(full) })
    }
}
