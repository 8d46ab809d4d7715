//! What is to be said of tasks that have nodes, or had: where, since when and until when, and how they ended.

use std::sync::Arc;

use super::{Finding, Kind, LISTED_MAX, Scene, listed, outcome_text};
use crate::ids::{Name, Timestamp};
use crate::job::Job;
use crate::reason::{Ending, Outcome, StopWhy};
use crate::resources::Share;
use crate::spec::duration;
use crate::task::{Done, Task, TaskState};

/// A task that runs, is suspended, or whose processes are going away.
pub(super) fn running(scene: Scene<'_>, job: &Job, task: &Task) -> Vec<Finding> {
    match &task.state {
        TaskState::Pending { .. } => Vec::new(),
        TaskState::Running { since, shares } => {
            vec![on_nodes(scene, "It runs on", shares, "since {at}").at(*since), limit(job, task)]
        }
        TaskState::Suspended { at, shares, .. } => {
            let resume = format!("since {{at}}, without its CPUs; scontrol resume {} lets it go on", task.id);
            vec![on_nodes(scene, "It is suspended on", shares, &resume).at(*at)]
        }
        TaskState::Finishing { shares, why, stopped, .. } => {
            let since = format!("since {{at}}: it was stopped {}", stopped_text(*why));
            vec![on_nodes(scene, "Its processes are going away on", shares, &since).at(*stopped)]
        }
        TaskState::Closing { shares, ended, .. } => {
            vec![on_nodes(scene, "It has ended, and steps of it are going away on", shares, "since {at}").at(*ended)]
        }
    }
}

/// A task that has ended.
pub(super) fn ended(scene: Scene<'_>, job: &Job, index: u32, done: &Done) -> Vec<Finding> {
    let text = format!("It ended at {{at}}: {}.", outcome_text(&done.outcome));
    let mut findings = vec![Finding::new(Kind::Ended, text).at(done.ended)];
    findings.extend(done.outcome.note.as_deref().map(|note| Finding::new(Kind::Ended, note)));
    findings.push(match done.started {
        Some(started) => {
            let paused_s = done.paused_ms / 1000;
            let ran = duration::short((done.ended.ms_since(started) / 1000).saturating_sub(paused_s));
            on_nodes(scene, "It ran on", &done.shares, &format!("from {{at}} on, for {ran}")).at(started)
        }
        None => Finding::new(Kind::Placed, "It never started."),
    });
    if done.attempts > 1 {
        let text = format!("That was attempt {}. sacct -j {} has what it used.", done.attempts, job.label(index));
        findings.push(Finding::new(Kind::Placed, text));
    }
    findings
}

/// A task that ended before it had a row.
pub(super) fn never_started(job: &Job) -> Vec<Finding> {
    let ended = job.ended_waiting.as_ref().map(|ended| {
        let text = format!("It ended at {{at}}: {}. It never started.", outcome_text(&Outcome::bare(ended.ending)));
        Finding::new(Kind::Ended, text).at(ended.at)
    });
    ended.into_iter().collect()
}

/// How many tasks are where.
pub(super) fn tally(job: &Job) -> Finding {
    let (waiting, running, ended) = (job.waiting_count(), job.running_count(), &job.tally);
    let total = waiting + running + u64::from(ended.total());
    let text = format!(
        "Of its {total} tasks {waiting} wait, {running} run, {} completed, {} failed and {} were cancelled.",
        ended.completed, ended.failed, ended.cancelled
    );
    Finding::new(Kind::Tasks, text)
}

/// The first tasks of an array that have nodes; when all is done, the first that did not end well.
pub(super) fn of_tasks(scene: Scene<'_>, job: &Job) -> Vec<Finding> {
    let placed = job.tasks.iter().filter_map(|(index, task)| {
        let (since, shares) = match &task.state {
            TaskState::Running { since, shares } => (*since, shares),
            TaskState::Suspended { at, shares, .. } => (*at, shares),
            TaskState::Finishing { stopped: at, shares, .. } | TaskState::Closing { ended: at, shares, .. } => {
                (*at, shares)
            }
            TaskState::Pending { .. } => return None,
        };
        let word = match &task.state {
            TaskState::Suspended { .. } => "is suspended",
            TaskState::Finishing { .. } | TaskState::Closing { .. } => "is completing",
            TaskState::Running { .. } | TaskState::Pending { .. } => "runs",
        };
        let label = job.label(*index);
        Some(on_nodes(scene, &format!("{label} {word} on"), shares, "since {at}").at(since).job(label))
    });
    let unwell = job.done.iter().filter(|(_, done)| done.outcome.ending != Ending::Completed).map(|(index, done)| {
        let label = job.label(index);
        let note = done.outcome.note.as_deref().map(|note| format!(" {note}")).unwrap_or_default();
        let text = format!("{label} ended at {{at}}: {}.{note}", outcome_text(&done.outcome));
        Finding::new(Kind::Ended, text).at(done.ended).job(label)
    });
    placed.chain(unwell).take(LISTED_MAX).collect()
}

/// The latest end of a task by its limit; `None` without one, and while nobody knows.
pub(super) fn latest_end(job: &Job, task: &Task) -> Option<Timestamp> {
    let TaskState::Running { since, .. } = &task.state else { return None };
    let limit_s = job.terms_of(task).time_limit.seconds()?;
    Some(since.plus_ms(task.paused_ms).plus_ms(limit_s * 1000))
}

fn limit(job: &Job, task: &Task) -> Finding {
    match latest_end(job, task) {
        Some(end) => {
            let limit = job.terms_of(task).time_limit;
            Finding::new(Kind::Limit, format!("It ends at {{at}} at the latest, by its time limit of {limit}.")).at(end)
        }
        None => Finding::new(Kind::Limit, "It has no time limit."),
    }
}

/// A sentence about nodes: what, where, and the rest of it.
fn on_nodes(scene: Scene<'_>, what: &str, shares: &Arc<[Share]>, rest: &str) -> Finding {
    let names: Vec<Name> = shares.iter().filter_map(|share| scene.cluster.node_name(share.node)).cloned().collect();
    let where_to = listed(&names[..names.len().min(LISTED_MAX)], names.len());
    Finding { nodes: names, ..Finding::new(Kind::Placed, format!("{what} {where_to} {rest}.")) }
}

fn stopped_text(why: StopWhy) -> String {
    match why {
        StopWhy::Cancelled(uid) => format!("because uid {uid} cancelled it"),
        StopWhy::TimeLimit => "by its time limit".to_owned(),
        StopWhy::Requeue => "to be requeued".to_owned(),
        StopWhy::NodeDown => "because its node was taken down".to_owned(),
        StopWhy::Deadline => "by its deadline".to_owned(),
        StopWhy::Released(_) => "because its holder is done with it".to_owned(),
        StopWhy::JobOver => "because its job is over".to_owned(),
    }
}
