//! Waiting for a job's end without polling: the controller tells every change. A controller that restarts is found
//! again.

use std::time::Duration;

use proto::v1::{Progress, WatchRequest};
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::call::{CallError, Channel, client};

/// How long a controller may be away before the wait is given up; the job itself is in no danger.
const AWAY_MAX: Duration = Duration::from_secs(600);
/// The pause before a new try; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Waits until every task of a job has ended and gives the last word on it; `seen` gets every word.
///
/// # Errors
/// When there is no such job, or the controller stays away for [`AWAY_MAX`].
pub(crate) async fn wait(
    channel: &Channel,
    job_id: u32,
    mut seen: impl FnMut(&Progress),
) -> Result<Progress, CallError> {
    let (mut deadline, mut pause) = (Instant::now() + AWAY_MAX, PAUSE_MIN);
    loop {
        let ended = watch(channel, job_id, |progress| {
            (deadline, pause) = (Instant::now() + AWAY_MAX, PAUSE_MIN);
            seen(progress);
        });
        match ended.await.map_err(CallError::from) {
            Ok(progress) => return Ok(progress),
            Err(error @ CallError::Refused(_)) => return Err(error),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(pause).await,
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Follows one stream. One that ends before the job does, as when a controller stops, counts as lost.
async fn watch(channel: &Channel, job_id: u32, mut seen: impl FnMut(&Progress)) -> Result<Progress, Status> {
    let mut words = client(channel).watch(WatchRequest { job_id }).await?.into_inner();
    while let Some(progress) = words.message().await? {
        seen(&progress);
        if progress.done {
            return Ok(progress);
        }
    }
    Err(Status::unavailable("the controller ended the stream"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[tokio::test]
    async fn a_wait_outlives_lost_streams_and_ends_with_the_job() {
        let fake = Fake::default();
        fake.0.lock().expect("nobody else has it").losses = 2;
        let channel = fake.start().await;
        let mut words = 0;
        let last = wait(&channel, 7, |_| words += 1).await.expect("the third stream goes on to the end");
        assert_eq!((last.wait_status, last.failed, words), (3, 1, 4));
        assert_eq!(fake.0.lock().expect("nobody else has it").watched, [7, 7, 7]);
        assert!(matches!(wait(&channel, 0, |_| ()).await, Err(CallError::Refused(_))), "there is no such job");
    }
}
