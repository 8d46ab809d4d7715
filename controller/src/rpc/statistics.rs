//! `GetStatistics`: what the controller has counted of itself.

use std::collections::BTreeMap;

use proto::v1;
use sched::task::TaskState;

use super::Desk;
use crate::clock;
use crate::statistics::{Calls, Figures, Passes};

pub(super) fn get(desk: &Desk, reset: bool) -> v1::GetStatisticsReply {
    let (now, statistics) = (clock::now(), &desk.published.statistics);
    let figures = statistics.read(now, reset);
    let cluster = desk.published.cluster();
    let (mut pending, mut running) = (0, 0);
    // Names of the users whose jobs are known: the others are shown by their uid.
    let mut names: BTreeMap<u32, String> = BTreeMap::from([(0, "root".to_owned())]);
    for job in cluster.jobs() {
        pending += job.waiting_count();
        running += job.tasks.values().filter(|task| matches!(task.state, TaskState::Running { .. })).count() as u64;
        let user = &job.terms.spec.user;
        if figures.by_user.contains_key(&user.uid) && !names.contains_key(&user.uid) {
            names.insert(user.uid, user.name.to_string());
        }
    }
    let user = |(uid, calls): (&u32, &Calls)| {
        let name = names.get(uid).cloned().unwrap_or_else(|| uid.to_string());
        call(name, *uid, *calls)
    };
    v1::GetStatisticsReply {
        now_ms: now.0,
        since_ms: figures.since.0,
        calls_open: u32::try_from(statistics.meters.calls_open.get()).unwrap_or(0),
        pending,
        running,
        by_user: figures.by_user.iter().map(user).collect(),
        by_method: figures.by_method.iter().map(|(name, calls)| call((*name).to_owned(), 0, *calls)).collect(),
        ..of_figures(&figures)
    }
}

fn of_figures(figures: &Figures) -> v1::GetStatisticsReply {
    v1::GetStatisticsReply {
        submitted: figures.submitted,
        started: figures.started,
        completed: figures.completed,
        cancelled: figures.cancelled,
        failed: figures.failed,
        passes: Some(passes(figures.passes)),
        ..v1::GetStatisticsReply::default()
    }
}

fn passes(passes: Passes) -> v1::Passes {
    v1::Passes {
        count: passes.count,
        last_us: passes.last_us,
        max_us: passes.max_us,
        total_us: passes.total_us,
        last_depth: passes.last.tried as u64,
        total_depth: passes.total_tried,
        last_queue: passes.last.queued as u64,
        total_queue: passes.total_queued,
        last_ms: passes.last_at.0,
        backfilled: passes.backfilled,
        backfilled_ever: passes.backfilled_ever,
    }
}

fn call(name: String, uid: u32, calls: Calls) -> v1::CallCount {
    v1::CallCount { name, uid, count: calls.count, total_us: calls.total_us }
}
