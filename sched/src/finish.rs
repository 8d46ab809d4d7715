//! Judging the end of an attempt: from how its process left to how its task ended, or to another attempt.

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, NodeId};
use crate::job::{Job, TaskState, Usage};
use crate::reason::{Ending, Exit, Outcome, StopWhy, note};
use crate::reconcile::{AttemptEnd, How};
use crate::settings::Settings;

/// The exit of a task whose files or program could not be opened; Slurm's `0:53`.
const LAUNCH_FAILED: Exit = Exit { code: 0, signal: 53 };

/// The exit of a task that was killed for its memory; Slurm's `0:125`.
const OUT_OF_MEMORY: Exit = Exit { code: 0, signal: 125 };

/// The end of an attempt whose node is given up: nobody knows whether it still runs, so its task is not tried again.
pub(crate) fn give_up(cluster: &Cluster, node: NodeId, key: AttemptKey) -> Option<Event> {
    let task = cluster.job(key.job)?.tasks.get(&key.index)?;
    let ending = cancelled_by(&task.state).map_or(Ending::NodeFail, Ending::Cancelled);
    let (outcome, usage) = (Outcome::bare(ending), Usage::default());
    Some(Event::Ended { key, node, outcome, age_ms: 0, usage })
}

/// An attempt that went with its node: it waits again where its user lets it and it was not lost too often.
fn lost_with_node(job: &Job, settings: &Settings, node: NodeId, key: AttemptKey, end: &AttemptEnd) -> Event {
    if job.spec.requeue && key.attempt <= settings.requeues_max {
        return Event::Requeued { key, node };
    }
    let outcome = Outcome { note: end.note.as_deref().map(note), ..Outcome::bare(Ending::NodeFail) };
    Event::Ended { key, node, outcome, age_ms: end.age_ms, usage: end.usage }
}

/// Who has cancelled a task whose processes are still going away.
fn cancelled_by(state: &TaskState) -> Option<u32> {
    match state {
        TaskState::Finishing { why: StopWhy::Cancelled(uid), .. } => Some(*uid),
        TaskState::Finishing { why: StopWhy::TimeLimit | StopWhy::NodeDown, .. }
        | TaskState::Running { .. }
        | TaskState::Pending { .. } => None,
    }
}

/// The fact that follows from an attempt's end; `None` when it has been counted before, or was never this node's.
pub(crate) fn judge(
    cluster: &Cluster,
    settings: &Settings,
    node: NodeId,
    key: AttemptKey,
    end: &AttemptEnd,
) -> Option<Event> {
    let job = cluster.job(key.job)?;
    let task = job.tasks.get(&key.index).filter(|task| task.attempts == key.attempt)?;
    if task.state.shares()?.first()?.node != node {
        return None;
    }
    let cancelled = cancelled_by(&task.state);
    if let TaskState::Finishing { why: StopWhy::NodeDown, .. } = task.state {
        // However it left: a script that catches its TERM may end well without being done.
        return Some(lost_with_node(job, settings, node, key, end));
    }
    let (ending, exit) = match (end.how, cancelled) {
        (How::Exited(exit) | How::TimedOut(exit), Some(uid)) => (Ending::Cancelled(uid), exit),
        (How::Lost | How::NotStarted | How::OutOfMemory, Some(uid)) => (Ending::Cancelled(uid), Exit::default()),
        (How::Exited(exit), None) if exit == Exit::default() => (Ending::Completed, exit),
        (How::Exited(exit), None) => (Ending::Failed, exit),
        (How::TimedOut(exit), None) => (Ending::Timeout, exit),
        (How::OutOfMemory, None) => (Ending::OutOfMemory, OUT_OF_MEMORY),
        (How::NotStarted, None) => (Ending::LaunchFailed, LAUNCH_FAILED),
        (How::Lost, None) => return Some(lost_with_node(job, settings, node, key, end)),
    };
    let outcome = Outcome { ending, exit, note: end.note.as_deref().map(note) };
    Some(Event::Ended { key, node, outcome, age_ms: end.age_ms, usage: end.usage })
}
