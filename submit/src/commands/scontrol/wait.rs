//! `wait_job`: until a job has started, or can no more.

use std::process::ExitCode;

use proto::v1::WatchRequest;

use crate::call::{CallError, client, connect};
use crate::failure::{Failure, Outcome};

/// Waits for a job by its number.
pub(super) async fn wait_job(words: &[&str], timeout: Option<u32>) -> Outcome<ExitCode> {
    let word = match words {
        [] => return Err(Failure::new("missing argument for keyword:wait_job")),
        [word] => *word,
        _ => return Err(Failure::new("too many arguments for keyword:wait_job")),
    };
    let problem = || Failure::new(format_args!("scontrol: Problem running job {word}"));
    let job_id = word.parse().map_err(|_| Failure::new(format_args!("Invalid job_id {word}")))?;
    match has_started(job_id, timeout).await {
        Ok(true) => {
            eprintln!("scontrol: Nodes are ready for job {job_id}");
            Ok(ExitCode::SUCCESS)
        }
        Ok(false) => Err(problem()),
        Err(error) if error.code() == Some(tonic::Code::NotFound) => Err(problem()),
        Err(error) => Err(Failure::call("scontrol", "slurm_job_node_ready error: ", &error)),
    }
}

/// True once something of it runs, false when all of it has ended without.
async fn has_started(job_id: u32, timeout: Option<u32>) -> Result<bool, CallError> {
    let channel = connect(timeout).await?;
    let mut progress = client(&channel).watch(WatchRequest { job_id }).await?.into_inner();
    while let Some(now) = progress.message().await? {
        if now.running > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
