//! Judging the end of an attempt: from how its process left to how its task ended, or to another attempt.

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, NodeId, Timestamp};
use crate::reason::{Ending, Exit, Outcome, StopWhy, note};
use crate::reconcile::{AttemptEnd, How};
use crate::settings::Settings;
use crate::steps::ends::close;
use crate::task::{Task, TaskState, Usage};
use crate::terms::Hold;

/// The exit of a task whose files or program could not be opened; Slurm's `0:53`.
pub(crate) const LAUNCH_FAILED: Exit = Exit { code: 0, signal: 53 };

/// The exit of a task that was killed for its memory; Slurm's `0:125`.
pub(crate) const OUT_OF_MEMORY: Exit = Exit { code: 0, signal: 125 };

/// The end of an attempt whose node is given up: nobody knows whether it still runs, so its task is not tried again.
pub(crate) fn give_up(cluster: &Cluster, node: NodeId, key: AttemptKey) -> Option<Event> {
    let task = cluster.job(key.job)?.tasks.get(&key.index)?;
    let ending = match why_stopped(&task.state) {
        Some(StopWhy::Cancelled(uid)) => Ending::Cancelled(uid),
        Some(StopWhy::Deadline) => Ending::Deadline,
        Some(StopWhy::TimeLimit | StopWhy::Requeue | StopWhy::NodeDown | StopWhy::Released(_) | StopWhy::JobOver)
        | None => Ending::NodeFail,
    };
    let (outcome, usage) = (Outcome::bare(ending), Usage::default());
    Some(close(cluster, Event::Ended { key, node, outcome, age_ms: 0, usage }))
}

/// Why a task was told to stop whose processes are still going away.
fn why_stopped(state: &TaskState) -> Option<StopWhy> {
    match state {
        TaskState::Finishing { why, .. } => Some(*why),
        TaskState::Running { .. }
        | TaskState::Suspended { .. }
        | TaskState::Pending { .. }
        | TaskState::Closing { .. } => None,
    }
}

/// The fact that follows from an attempt's end; `None` when it has been counted before, or was never this node's. An end waits for
/// the steps that still run.
pub(crate) fn judge(
    cluster: &Cluster,
    settings: &Settings,
    now: Timestamp,
    node: NodeId,
    key: AttemptKey,
    end: &AttemptEnd,
) -> Option<Event> {
    let job = cluster.job(key.job)?;
    let task = job.tasks.get(&key.index).filter(|task| task.attempts == key.attempt)?;
    if task.state.shares()?.first()?.node != node || matches!(task.state, TaskState::Closing { .. }) {
        return None;
    }
    let spec = &job.terms_of(task).spec;
    let again = |hold| Some(close(cluster, Event::Requeued { key, node, until: None, hold, failed: false }));
    let exit = exit_of(end.how);
    let (ending, exit) = match (why_stopped(&task.state), end.how) {
        (Some(StopWhy::Cancelled(uid)), _) => (Ending::Cancelled(uid), exit),
        (Some(StopWhy::Deadline), _) => (Ending::Deadline, exit),
        (Some(StopWhy::Released(0)), _) => (Ending::Completed, Exit::default()),
        (Some(StopWhy::Released(code)), _) => (Ending::Failed, Exit { code, signal: 0 }),
        (Some(StopWhy::Requeue), _) => return again(None),
        (Some(StopWhy::NodeDown), _) if spec.requeue => return again(None),
        (Some(StopWhy::NodeDown), _) => (Ending::NodeFail, exit),
        (Some(StopWhy::TimeLimit | StopWhy::JobOver) | None, How::Exited(Exit { code: 0, signal: 0 })) => {
            (Ending::Completed, exit)
        }
        (Some(StopWhy::TimeLimit | StopWhy::JobOver) | None, How::Exited(_)) => (Ending::Failed, exit),
        (Some(StopWhy::TimeLimit | StopWhy::JobOver) | None, How::TimedOut(_)) => (Ending::Timeout, exit),
        (Some(StopWhy::TimeLimit | StopWhy::JobOver) | None, How::OutOfMemory) => (Ending::OutOfMemory, OUT_OF_MEMORY),
        (Some(StopWhy::TimeLimit | StopWhy::JobOver) | None, How::NotStarted) => (Ending::LaunchFailed, LAUNCH_FAILED),
        (Some(StopWhy::TimeLimit | StopWhy::JobOver) | None, How::Lost) if spec.requeue => {
            let too_often = key.attempt.saturating_sub(task.retried) > settings.requeues_max;
            return again(too_often.then_some(Hold::MaxRequeue));
        }
        (Some(StopWhy::TimeLimit | StopWhy::JobOver) | None, How::Lost) => (Ending::NodeFail, exit),
    };
    let mut outcome = Outcome { ending, exit, note: end.note.as_deref().map(note) };
    if let Some(inject) = spec.inject_failure.filter(|_| ending == Ending::Completed)
        && inject.hits(key.index, key.attempt)
    {
        let said = format!("it ended well and failed on purpose (--inject-failure {inject})");
        outcome = Outcome { ending: Ending::Failed, exit: Exit { code: 1, signal: 0 }, note: Some(note(&said)) };
    }
    if spec.retry.as_ref().is_some_and(|retry| retry.covers(&outcome, task.retried)) {
        let until = Some(now.plus_ms(retry_wait_ms(settings, task)));
        return Some(close(cluster, Event::Requeued { key, node, until, hold: None, failed: true }));
    }
    Some(close(cluster, Event::Ended { key, node, outcome, age_ms: end.age_ms, usage: end.usage }))
}

/// The longest that a retry waits.
const RETRY_WAIT_MS_MAX: u64 = 5 * 60 * 1000;

/// How long the next retry waits: each time twice as long.
fn retry_wait_ms(settings: &Settings, task: &Task) -> u64 {
    settings.retry_wait_ms.saturating_mul(1 << task.retried.min(20)).min(RETRY_WAIT_MS_MAX)
}

/// The fact that follows from the end of an attempt that was counted long ago, when its node was given up with it.
pub(crate) fn clear(cluster: &Cluster, node: NodeId, key: AttemptKey) -> Option<Event> {
    cluster.node(node)?.unwanted.contains(&key).then_some(Event::Cleared { key, node })
}

/// How the process left, where there was one that somebody saw leave.
pub(crate) fn exit_of(how: How) -> Exit {
    match how {
        How::Exited(exit) | How::TimedOut(exit) => exit,
        How::OutOfMemory | How::NotStarted | How::Lost => Exit::default(),
    }
}
