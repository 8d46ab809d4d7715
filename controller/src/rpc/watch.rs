//! Watch: a job's progress, now and at every change. Changes that come faster than the watcher reads are told as one.

use futures::stream;
use proto::v1;
use sched::ids::JobId;
use sched::job::Job;
use tonic::Status;

use super::{Answers, Desk, refuse};
use crate::driver::Published;

pub(super) fn watch(desk: &Desk, request: &v1::WatchRequest) -> Result<Answers<v1::Progress>, Status> {
    let id = JobId(request.job_id);
    // The task that was split off under this number is watched through its job.
    let id = desk.published.cluster().task_of(id).map_or(id, |(job, _)| job);
    let first = progress_of(&desk.published, id).ok_or_else(|| refuse(&sched::refusal::Refusal::UnknownJob))?;
    let (published, changes) = (desk.published.clone(), desk.published.changes());
    let seen = (changes, None::<v1::Progress>, Some(first));
    let told = stream::unfold(seen, move |(mut changes, last, mut next)| {
        let published = published.clone();
        async move {
            if last.as_ref().is_some_and(|last| last.done) {
                return None;
            }
            loop {
                if let Some(progress) = next.filter(|progress| Some(progress) != last.as_ref()) {
                    return Some((Ok(progress.clone()), (changes, Some(progress), None)));
                }
                changes.changed().await.ok()?;
                // A job that was forgotten in the meantime is done: the stream ends.
                next = Some(progress_of(&published, id)?);
            }
        }
    });
    Ok(Box::pin(told))
}

fn progress_of(published: &Published, id: JobId) -> Option<v1::Progress> {
    published.cluster().job(id).map(|job| progress(job))
}

pub(super) fn progress(job: &Job) -> v1::Progress {
    let (pending, running) = (job.waiting_count(), job.running_count());
    v1::Progress {
        total: pending + running + u64::from(job.tally.total()),
        pending,
        running,
        completed: job.tally.completed.into(),
        failed: job.tally.failed.into(),
        cancelled: job.tally.cancelled.into(),
        done: job.is_done(),
        wait_status: job.tally.wait_status.into(),
        reason: if pending > 0 { job.waiting_reason().to_string() } else { String::new() },
    }
}
