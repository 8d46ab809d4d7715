//! Judging the end of an attempt: from how its process left to how its task ended, or to another attempt.

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, NodeId};
use crate::job::TaskState;
use crate::reason::{Ending, Exit, Outcome, StopWhy, note};
use crate::reconcile::{AttemptEnd, How};
use crate::settings::Settings;

/// The exit of a task whose files or program could not be opened; Slurm's `0:53`.
const LAUNCH_FAILED: Exit = Exit { code: 0, signal: 53 };

/// The exit of a task that was killed for its memory; Slurm's `0:125`.
const OUT_OF_MEMORY: Exit = Exit { code: 0, signal: 125 };

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
    let cancelled = match &task.state {
        TaskState::Finishing { why: StopWhy::Cancelled(uid), .. } => Some(*uid),
        TaskState::Finishing { why: StopWhy::TimeLimit, .. }
        | TaskState::Running { .. }
        | TaskState::Pending { .. } => None,
    };
    let (ending, exit) = match (end.how, cancelled) {
        (How::Exited(exit) | How::TimedOut(exit), Some(uid)) => (Ending::Cancelled(uid), exit),
        (How::Lost | How::NotStarted | How::OutOfMemory, Some(uid)) => (Ending::Cancelled(uid), Exit::default()),
        (How::Exited(exit), None) if exit == Exit::default() => (Ending::Completed, exit),
        (How::Exited(exit), None) => (Ending::Failed, exit),
        (How::TimedOut(exit), None) => (Ending::Timeout, exit),
        (How::OutOfMemory, None) => (Ending::OutOfMemory, OUT_OF_MEMORY),
        (How::NotStarted, None) => (Ending::LaunchFailed, LAUNCH_FAILED),
        (How::Lost, None) if job.spec.requeue && key.attempt <= settings.requeues_max => {
            return Some(Event::Requeued { key, node });
        }
        (How::Lost, None) => (Ending::NodeFail, Exit::default()),
    };
    let outcome = Outcome { ending, exit, note: end.note.as_deref().map(note) };
    Some(Event::Ended { key, node, outcome, age_ms: end.age_ms, usage: end.usage })
}
