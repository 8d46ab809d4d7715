//! What time alone brings about: begins, deadlines, nodes that stay silent, priorities that age, and old jobs that are forgotten.

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, JobId, Timestamp};
use crate::job::Job;
use crate::lease::{self, give_up_at};
use crate::reason::StopWhy;
use crate::settings::Settings;
use crate::spec::index_set::IndexSet;
use crate::steps::ends;
use crate::task::TaskState;
use crate::{mark, priority};

/// The most jobs that one tick forgets; the next tick goes on at once.
const FORGET_MAX: usize = 1_000;

/// When the next tick is due; `None` while nothing waits for time to pass.
#[must_use]
pub fn next_wake(cluster: &Cluster, settings: &Settings) -> Option<Timestamp> {
    let forget = cluster.index.done.get_min().map(|(at, _)| at.plus_ms(settings.job_age_s_min * 1000));
    let give_up = cluster.nodes.values().filter_map(|node| give_up_at(node.health, node.patience_ms, settings)).min();
    let begin = cluster.index.begins.get_min().map(|(at, _)| *at);
    let deadline = cluster.index.deadlines.get_min().map(|(at, _)| at.plus_ms(1));
    let resume = cluster.nodes.values().filter_map(|node| mark::resume_at(node)).min();
    let priorities = priority::next_at(cluster, &settings.weights);
    let step = cluster.index.step_limits.get_min().map(|(at, _)| *at);
    forget.into_iter().chain(give_up).chain(begin).chain(deadline).chain(resume).chain(priorities).chain(step).min()
}

/// What has become true by now.
pub(crate) fn tick(cluster: &Cluster, settings: &Settings, now: Timestamp) -> Vec<Event> {
    let too_old = |(at, _): &&(Timestamp, JobId)| at.plus_ms(settings.job_age_s_min * 1000) <= now;
    let old = cluster.index.done.iter().take_while(too_old).take(FORGET_MAX);
    let mut events: Vec<Event> = old.map(|(_, job)| Event::Forgotten { job: *job }).collect();
    let begun = cluster.index.begins.iter().take_while(|(at, _)| *at <= now);
    events.extend(begun.map(|(_, (job, task))| Event::Began { job: *job, task: *task }));
    let late = cluster.index.deadlines.iter().take_while(|(at, _)| *at < now);
    events.extend(late.filter_map(|(_, (job, task))| missed(cluster.job(*job)?, *task)));
    events.extend(mark::resume_due(cluster, now));
    for node in cluster.nodes.values() {
        if give_up_at(node.health, node.patience_ms, settings).is_some_and(|at| at <= now) {
            events.push(Event::NodeDown { node: node.id });
            events.extend(ends::lost(cluster, node.id));
            for key in cluster.attempts_on(node.id) {
                events.extend(lease::run_out(cluster, settings, now, node.id, key));
            }
        }
    }
    events.extend(ends::overdue(cluster, now));
    events.extend(priority::recomputed(cluster, settings, now));
    events
}

/// The end of what can no longer be done by its deadline: at once where it waits, by a stop where it runs.
fn missed(job: &Job, task: Option<u32>) -> Option<Event> {
    let Some(index) = task else {
        let mut tasks = job.waiting_tasks();
        tasks.subtract(&job.apart);
        return Some(Event::Expired { job: job.id, tasks });
    };
    let row = job.tasks.get(&index)?;
    match &row.state {
        TaskState::Pending { .. } => Some(Event::Expired { job: job.id, tasks: IndexSet::from(index) }),
        TaskState::Running { shares, .. } | TaskState::Suspended { shares, .. } => {
            let key = AttemptKey { job: job.id, index, attempt: row.attempts };
            Some(Event::Stopped { key, node: Job::batch_node(shares)?, why: StopWhy::Deadline })
        }
        TaskState::Finishing { .. } | TaskState::Closing { .. } => None,
    }
}
