//! Judging the end of an attempt: from how its process left to how its task ended, or to another attempt.

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, NodeId};
use crate::job::{TaskState, Usage};
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
    let ending = match why_stopped(&task.state) {
        Some(StopWhy::Cancelled(uid)) => Ending::Cancelled(uid),
        Some(StopWhy::Deadline) => Ending::Deadline,
        Some(StopWhy::TimeLimit | StopWhy::Requeue | StopWhy::NodeDown) | None => Ending::NodeFail,
    };
    let (outcome, usage) = (Outcome::bare(ending), Usage::default());
    Some(Event::Ended { key, node, outcome, age_ms: 0, usage })
}

/// Why a task was told to stop whose processes are still going away.
fn why_stopped(state: &TaskState) -> Option<StopWhy> {
    match state {
        TaskState::Finishing { why, .. } => Some(*why),
        TaskState::Running { .. } | TaskState::Pending { .. } => None,
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
    let (again, exit) = (Some(Event::Requeued { key, node }), exit_of(end.how));
    let (ending, exit) = match (why_stopped(&task.state), end.how) {
        (Some(StopWhy::Cancelled(uid)), _) => (Ending::Cancelled(uid), exit),
        (Some(StopWhy::Deadline), _) => (Ending::Deadline, exit),
        (Some(StopWhy::Requeue), _) => return again,
        (Some(StopWhy::NodeDown), _) if job.spec.requeue => return again,
        (Some(StopWhy::NodeDown), _) => (Ending::NodeFail, exit),
        (Some(StopWhy::TimeLimit) | None, How::Exited(Exit { code: 0, signal: 0 })) => (Ending::Completed, exit),
        (Some(StopWhy::TimeLimit) | None, How::Exited(_)) => (Ending::Failed, exit),
        (Some(StopWhy::TimeLimit) | None, How::TimedOut(_)) => (Ending::Timeout, exit),
        (Some(StopWhy::TimeLimit) | None, How::OutOfMemory) => (Ending::OutOfMemory, OUT_OF_MEMORY),
        (Some(StopWhy::TimeLimit) | None, How::NotStarted) => (Ending::LaunchFailed, LAUNCH_FAILED),
        (Some(StopWhy::TimeLimit) | None, How::Lost) if job.spec.requeue && key.attempt <= settings.requeues_max => {
            return again;
        }
        (Some(StopWhy::TimeLimit) | None, How::Lost) => (Ending::NodeFail, exit),
    };
    let outcome = Outcome { ending, exit, note: end.note.as_deref().map(note) };
    Some(Event::Ended { key, node, outcome, age_ms: end.age_ms, usage: end.usage })
}

/// How the process left, where there was one that somebody saw leave.
fn exit_of(how: How) -> Exit {
    match how {
        How::Exited(exit) | How::TimedOut(exit) => exit,
        How::OutOfMemory | How::NotStarted | How::Lost => Exit::default(),
    }
}
