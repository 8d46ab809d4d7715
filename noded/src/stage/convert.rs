//! The three pieces of work: an operation from blob to blob, a blob into a work folder, and a result out of one.

use blobs::Content;
use bytes::Bytes;
use ops::{Limits, Op};
use proto::link::Work;
use rustix::time::{ClockId, clock_gettime};
use sched::reason::Exit;
use sched::reconcile::{AttemptEnd, How};
use sched::task::Usage;
use tokio::sync::oneshot;

use super::{MoveError, Shared, folder};
use crate::roster::Job;

/// Fetch, convert on the pool, put. The output appears whole or not at all.
pub(super) async fn convert(shared: &Shared, job: &Job) -> Result<AttemptEnd, MoveError> {
    let (map, blob) = shared.source(job)?;
    let name = blob.to_string();
    let Work::Op(op) = &job.brief.work else { return Err(MoveError::NoBlob) };
    let op: Op = op.parse()?;
    // What is wrong with the output's name is told before anything is moved.
    shared.output_name(job, map, &blob)?;
    folder::claim(&shared.folder, job.key()).map_err(|(path, source)| MoveError::Folder { path, source })?;
    let before = shared.before(job).await?;
    let (input, fetched) = shared.fetch(job).await?;
    let limits = Limits { picture_bytes_max: shared.working.bytes_max, ..Limits::default() };
    let failed = |source| MoveError::Op { blob: name.clone(), source };
    let cost = ops::cost_bytes(op, &input, &limits).map_err(failed)?;
    let bytes_in = input.len() as u64;
    let converted = {
        let room = shared.working.take(cost).await;
        let (sender, receiver) = oneshot::channel();
        shared.pool.spawn(move || {
            let before_us = thread_cpu_us();
            let converted = ops::run(op, &input, &limits);
            // Nobody waits any more when the attempt was abandoned.
            sender.send((converted, thread_cpu_us() - before_us)).ok();
            drop((input, room));
        });
        receiver.await.map_err(|_| MoveError::Broken { blob: name.clone() })?
    };
    drop(fetched);
    let (converted, user_us) = converted;
    let output_bytes = Bytes::from(converted.map_err(failed)?);
    let bytes_out = output_bytes.len() as u64;
    shared.put(job, &Content::Bytes(output_bytes), &before).await?;
    Ok(good(Usage { user_us, bytes_in, bytes_out, ..Usage::default() }))
}

/// Fetches the blob into the work folder, and asks what a login sets.
pub(super) async fn stage(shared: &Shared, job: &Job) -> Result<AttemptEnd, MoveError> {
    if job.brief.login_environment {
        shared.logins.of(job.brief.user.uid).await;
    }
    if job.brief.map.is_none() {
        return Ok(good(Usage::default()));
    }
    let folder = shared.work_folder(job)?;
    let before = shared.before(job).await?;
    folder.make(job, &before).map_err(|(path, source)| MoveError::Folder { path, source })?;
    shared.fetch_file(job, &folder.input()).await?;
    Ok(good(Usage::default()))
}

/// Publishes what the command made under its name.
pub(super) async fn publish(shared: &Shared, job: &Job) -> Result<AttemptEnd, MoveError> {
    let (_, blob) = shared.source(job)?;
    let folder = shared.work_folder(job)?;
    let path = folder.output();
    let Ok(content) = Content::of_file(&path) else {
        return Err(MoveError::NoOutput { blob: blob.to_string(), path });
    };
    let bytes = content.size_bytes();
    shared.put(job, &content, &folder.before()).await?;
    Ok(good(Usage { bytes_in: folder.input_bytes(), bytes_out: bytes, ..Usage::default() }))
}

fn good(usage: Usage) -> AttemptEnd {
    AttemptEnd { how: How::Exited(Exit::default()), age_ms: 0, usage, note: None }
}

/// What this thread has computed so far, in microseconds.
fn thread_cpu_us() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_nsec / 1_000).unwrap_or(0)
}
