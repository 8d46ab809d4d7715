//! Submitting: one client stream, however large the job, that can be repeated without making a second job.
//!
//! What is submitted is made elsewhere (`commands/sbatch`, `mapping`). Start at [`send`].

use std::time::Duration;

use proto::v1::submit_part::Part;
use proto::v1::{JobSpec, Names, SubmitHead, SubmitPart, SubmitReply};
use tokio::time::{Instant, sleep};

use crate::call::{CallError, Channel, client, is_lost, patience};

/// The size of the pieces in which script, environment and names cross the wire, in bytes; one more name may pass it.
const PIECE_BYTES_MAX: usize = 1024 * 1024;
/// How long a submit is repeated whose connection was lost, or that found the controller too busy, where nobody says how long
/// (`--connect-timeout`).
const REPEAT_MAX: Duration = Duration::from_secs(30);
/// The pause before the first repetition; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause, so that whoever waited out a long restart is not kept waiting for as long once more.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A job, ready to go.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Submission {
    /// What is asked for.
    pub(crate) spec: JobSpec,
    /// The batch script.
    pub(crate) script: Option<Vec<u8>>,
    /// `NAME=value` records, each ended by a NUL byte.
    pub(crate) environment: Vec<u8>,
    /// The sorted blob names of a map.
    pub(crate) manifest: Vec<String>,
}

/// Asks when and where a job would start, and submits nothing.
///
/// # Errors
/// What [`send`] would be refused with.
pub(crate) async fn forecast(
    channel: &Channel,
    submission: &Submission,
    timeout_s: Option<u32>,
) -> Result<SubmitReply, CallError> {
    call(channel, submission, timeout_s, true).await
}

/// Submits a job and gives its id and cluster, once the controller has made it durable. A call that is lost on its way is repeated
/// with the same request id, so that it counts once; one that came too soon after others is repeated as well. `timeout_s` is
/// `--connect-timeout`.
///
/// # Errors
/// When the controller refuses the job, or stays away or busy for all that time.
pub(crate) async fn send(
    channel: &Channel,
    submission: &Submission,
    timeout_s: Option<u32>,
) -> Result<SubmitReply, CallError> {
    call(channel, submission, timeout_s, false).await
}

async fn call(
    channel: &Channel,
    submission: &Submission,
    timeout_s: Option<u32>,
    test_only: bool,
) -> Result<SubmitReply, CallError> {
    let request_id = uuid::Uuid::new_v4().into_bytes();
    let deadline = Instant::now() + patience(timeout_s)?.unwrap_or(REPEAT_MAX);
    let mut pause = PAUSE_MIN;
    loop {
        let parts = futures::stream::iter(parts(submission, &request_id, test_only).collect::<Vec<_>>());
        match client(channel).submit(parts).await {
            Ok(reply) => return Ok(reply.into_inner()),
            Err(status) if is_lost(&status) && Instant::now() + pause < deadline => sleep(pause).await,
            Err(status) => return Err(status.into()),
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The messages of one submit, head first.
fn parts<'a>(
    submission: &'a Submission,
    request_id: &[u8],
    test_only: bool,
) -> impl Iterator<Item = SubmitPart> + use<'a> {
    let head = SubmitHead { request_id: request_id.to_vec(), spec: Some(submission.spec.clone()), test_only };
    let script = submission.script.iter().flat_map(|script| script.chunks(PIECE_BYTES_MAX));
    let environment = submission.environment.chunks(PIECE_BYTES_MAX);
    let parts = std::iter::once(Part::Head(head))
        .chain(script.map(|piece| Part::Script(piece.to_vec().into())))
        .chain(environment.map(|piece| Part::Environment(piece.to_vec().into())))
        .chain(batches(&submission.manifest).map(|names| Part::Manifest(Names { names: names.to_vec() })));
    parts.map(|part| SubmitPart { part: Some(part) })
}

/// Cuts a list of names where [`PIECE_BYTES_MAX`] is reached.
fn batches(names: &[String]) -> impl Iterator<Item = &[String]> {
    let mut rest = names;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |name: &&String| {
            let room = bytes < PIECE_BYTES_MAX;
            bytes += name.len() + 8;
            room
        };
        let (batch, after) = rest.split_at(rest.iter().take_while(fits).count());
        rest = after;
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[tokio::test]
    async fn a_submit_whose_answer_is_lost_is_repeated_under_the_same_id() {
        let fake = Fake::default();
        fake.0.lock().expect("nobody else has it").losses = 2;
        let channel = fake.start().await;
        let submission = Submission { manifest: vec!["a".into(), "b".into()], ..Submission::default() };
        assert_eq!(send(&channel, &submission, None).await.expect("the third one is answered").job_id, 7);
        fake.0.lock().expect("nobody else has it").losses = 1;
        let impatient = send(&channel, &submission, Some(0)).await;
        assert!(matches!(impatient, Err(CallError::Lost(_))), "no time, no second try: {impatient:?}");
        let mut seen = fake.0.lock().expect("nobody else has it");
        assert_ne!(seen.request_ids.pop(), Some(seen.request_ids[0].clone()), "another submit is another request");
        assert_eq!((seen.request_ids.len(), seen.request_ids[0].len()), (3, 16));
        assert!(seen.request_ids.iter().all(|id| *id == seen.request_ids[0]));
        assert_eq!(seen.names, ["a", "b"]);
    }

    #[test]
    fn a_large_job_goes_in_pieces_that_join_to_what_they_were() {
        let script: Vec<u8> = (0..=255).cycle().take(PIECE_BYTES_MAX + 5).collect();
        let manifest: Vec<String> = (0..200_000).map(|i| format!("pictures/{i:06}.jpg")).collect();
        let submission = Submission {
            script: Some(script.clone()),
            environment: b"A=b\0".to_vec(),
            manifest,
            ..Submission::default()
        };
        let (mut scripts, mut environment, mut names, mut batches) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (at, part) in parts(&submission, &[7; 16], false).enumerate() {
            match part.part.expect("every part is one") {
                Part::Head(head) => assert_eq!((at, head.request_id), (0, vec![7; 16])),
                Part::Script(piece) => scripts.push(piece),
                Part::Environment(piece) => environment.extend(piece),
                Part::Manifest(batch) => {
                    batches += 1;
                    assert!(batch.names.iter().map(String::len).sum::<usize>() < 2 * PIECE_BYTES_MAX);
                    names.extend(batch.names);
                }
            }
        }
        assert_eq!(scripts.iter().map(|piece| piece.len()).collect::<Vec<_>>(), [PIECE_BYTES_MAX, 5]);
        assert_eq!(scripts.concat(), script);
        assert_eq!(environment, b"A=b\0");
        assert_eq!((names == submission.manifest, batches), (true, 6));
    }
}
