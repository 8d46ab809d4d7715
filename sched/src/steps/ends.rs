//! How parts of steps end, and what that means for their attempts: one whose batch process is over is done when its last step is.

use crate::cluster::Cluster;
use crate::event::Event;
use crate::finish::{LAUNCH_FAILED, OUT_OF_MEMORY, exit_of};
use crate::ids::{AttemptKey, NodeId, StepKey, Timestamp};
use crate::reason::{Ending, Exit, Outcome, Scope, StopWhy, note};
use crate::reconcile::{AttemptEnd, How};
use crate::steps::ask::{StepWish, of_step};
use crate::task::{TaskState, Usage, Verdict};

/// By which the tasks of a suspended step stand still, and by which they go on.
pub const STOP: i32 = 19;
/// See [`STOP`].
pub const CONTINUE: i32 = 18;

/// The fact that follows from the end of a step's part; where it has been counted before, or nobody knows of it, that its record
/// may go.
pub(crate) fn part(cluster: &Cluster, node: NodeId, key: StepKey, end: &AttemptEnd) -> Event {
    let step = cluster.step(key).filter(|step| step.left().contains(&node));
    let Some(step) = step else { return Event::StepCleared { key, node } };
    let user = cluster.job(key.attempt.job).map_or(0, |job| job.terms.spec.user.uid);
    let outcome = judge(step.stopped(), user, end);
    Event::StepPartEnded { key, node, outcome, usage: end.usage, age_ms: end.age_ms }
}

/// The ends of all parts on a node that is given up or has lost its records.
pub(crate) fn lost(cluster: &Cluster, node: NodeId) -> impl Iterator<Item = Event> {
    let end = AttemptEnd::lost();
    cluster.steps_on(node).map(move |key| part(cluster, node, key, &end))
}

fn judge(stop: Option<StopWhy>, user: u32, end: &AttemptEnd) -> Outcome {
    let exit = exit_of(end.how);
    let left_well = end.how == How::Exited(Exit::default());
    let (ending, exit) = match (stop, end.how) {
        (_, How::OutOfMemory) => (Ending::OutOfMemory, OUT_OF_MEMORY),
        (_, How::NotStarted) => (Ending::LaunchFailed, LAUNCH_FAILED),
        (Some(StopWhy::Cancelled(uid)), _) => (Ending::Cancelled(uid), exit),
        (Some(StopWhy::JobOver | StopWhy::Released(_) | StopWhy::Requeue), _) if !left_well => {
            (Ending::Cancelled(user), exit)
        }
        (Some(StopWhy::TimeLimit), _) if !left_well => (Ending::Timeout, exit),
        (Some(StopWhy::Deadline), _) if !left_well => (Ending::Deadline, exit),
        (Some(StopWhy::NodeDown), _) | (_, How::Lost) => (Ending::NodeFail, exit),
        (_, How::TimedOut(_)) => (Ending::Timeout, exit),
        (_, How::Exited(_)) if left_well => (Ending::Completed, exit),
        (_, How::Exited(_)) => (Ending::Failed, exit),
    };
    Outcome { ending, exit, note: end.note.as_deref().map(note) }
}

/// Two parts of a step taken together: the worse end, the higher exit code, and all that was used.
pub(crate) fn together(before: Option<(Outcome, Usage)>, outcome: &Outcome, usage: Usage) -> (Outcome, Usage) {
    let Some((worst, used)) = before else { return (outcome.clone(), usage) };
    let exit = worst.exit.max(outcome.exit);
    let (ending, note) = if badness(outcome.ending) > badness(worst.ending) {
        (outcome.ending, outcome.note.clone().or(worst.note))
    } else {
        (worst.ending, worst.note.or_else(|| outcome.note.clone()))
    };
    let usage = Usage {
        user_us: used.user_us + usage.user_us,
        system_us: used.system_us + usage.system_us,
        rss_kib_max: used.rss_kib_max.max(usage.rss_kib_max),
        bytes_in: used.bytes_in + usage.bytes_in,
        bytes_out: used.bytes_out + usage.bytes_out,
    };
    (Outcome { ending, exit, note }, usage)
}

fn badness(ending: Ending) -> u8 {
    match ending {
        Ending::Completed => 0,
        Ending::Failed => 1,
        Ending::LaunchFailed => 2,
        Ending::Cancelled(_) => 3,
        Ending::Deadline => 4,
        Ending::Timeout => 5,
        Ending::OutOfMemory => 6,
        Ending::NodeFail => 7,
    }
}

/// The end of an attempt, or that it only waits for its steps: those that run are stopped by then.
pub(crate) fn close(cluster: &Cluster, end: Event) -> Event {
    let (key, node, verdict, age_ms) = match &end {
        Event::Ended { key, node, outcome, age_ms, usage } => {
            (*key, *node, Verdict::Ended { outcome: outcome.clone(), usage: *usage }, *age_ms)
        }
        Event::Requeued { key, node, until, hold, failed } => {
            (*key, *node, Verdict::Requeued { until: *until, hold: *hold, failed: *failed }, 0)
        }
        _ => return end,
    };
    if cluster.running_steps(key).next().is_none() { end } else { Event::Closing { key, node, verdict, age_ms } }
}

/// What follows for an attempt that is closing: its end, where no step of it runs any more.
pub(crate) fn closed(cluster: &Cluster, key: AttemptKey) -> Option<Event> {
    let task = cluster.job(key.job)?.tasks.get(&key.index).filter(|task| task.attempts == key.attempt)?;
    let TaskState::Closing { shares, verdict, .. } = &task.state else { return None };
    if cluster.running_steps(key).next().is_some() {
        return None;
    }
    let node = shares.first()?.node;
    Some(match verdict.clone() {
        // When it ended, its row says.
        Verdict::Ended { outcome, usage } => Event::Ended { key, node, outcome, age_ms: 0, usage },
        Verdict::Requeued { until, hold, failed } => Event::Requeued { key, node, until, hold, failed },
    })
}

/// What follows from facts about an attempt for its steps, and from facts about steps for their attempt.
pub(crate) fn follow(cluster: &Cluster, event: &Event) -> Vec<Event> {
    let all = |key: AttemptKey, wish: StepWish| -> Vec<Event> {
        let told = |step: &StepKey| {
            matches!(wish, StepWish::Stop(_)) && cluster.step(*step).is_some_and(|step| step.stopped().is_some())
        };
        let steps = cluster.running_steps(key).filter(|step| !told(step));
        steps.filter_map(|step| of_step(cluster, step, wish)).collect()
    };
    match event {
        Event::Stopped { key, why, .. } => all(*key, StepWish::Stop(*why)),
        Event::Suspended { key, .. } => all(*key, StepWish::Pace(STOP)),
        Event::Resumed { key, .. } => all(*key, StepWish::Pace(CONTINUE)),
        Event::Signalled { key, signal, scope: Scope::Steps | Scope::Full, .. } => all(*key, StepWish::Signal(*signal)),
        Event::Closing { key, verdict, .. } => {
            let why = match verdict {
                Verdict::Ended { outcome, .. } if outcome.ending == Ending::Timeout => StopWhy::TimeLimit,
                Verdict::Requeued { .. } => StopWhy::Requeue,
                Verdict::Ended { .. } => StopWhy::JobOver,
            };
            let mut events = all(*key, StepWish::Stop(why));
            events.extend(closed(cluster, *key));
            events
        }
        Event::StepPartEnded { key, .. } => closed(cluster, key.attempt).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The stops of steps whose own limit is reached.
pub(crate) fn overdue(cluster: &Cluster, now: Timestamp) -> impl Iterator<Item = Event> {
    let due = cluster.index.step_limits.iter().take_while(move |(at, _)| *at <= now);
    due.filter_map(|(_, key)| of_step(cluster, *key, StepWish::Stop(StopWhy::TimeLimit)))
}
