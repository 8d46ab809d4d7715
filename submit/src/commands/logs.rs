//! `covey logs`: what a task has written, from its node, through the controller.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use proto::v1::ReadOutputRequest;
use tonic::Code;

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended};
use crate::local::arguments::parsed;

/// Prints what a job or a task of an array has written, wherever it runs or ran.
///
/// It is read from the file on its node, while it runs and afterwards; only its user and administrators may.
#[derive(Debug, Parser)]
#[command(
    name = "covey logs",
    after_help = "Examples:\n  covey logs 12\n  covey logs 12_3 --stderr\n  covey logs -f 12        waits for it to start, and goes on until its run has ended"
)]
pub(super) struct Args {
    /// A job, or one task of an array, as in 12 or 12_3
    #[arg(value_name = "JOB[_TASK]")]
    job: String,
    /// Go on until the run has ended; a job that waits is waited for
    #[arg(short, long)]
    follow: bool,
    /// What went to stderr, where that has a file of its own (--error)
    #[arg(long)]
    stderr: bool,
    /// Read on this node [default: the one on which it ran, or runs]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    node: String,
    /// Seconds to look for the controller
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| block_on(copy(&args, &mut io::stdout()))))
}

async fn copy(args: &Args, out: &mut impl Write) -> Outcome<ExitCode> {
    let failed = |error: CallError| refused(&args.job, &error);
    let channel = connect(args.connect_timeout).await.map_err(failed)?;
    let Args { job, follow, stderr, node, .. } = args;
    let request = ReadOutputRequest { id: job.clone(), errors: *stderr, follow: *follow, node: node.clone() };
    let pieces = client(&channel).read_output(request).await.map_err(|status| failed(status.into()))?;
    let mut pieces = pieces.into_inner();
    while let Some(piece) = pieces.message().await.map_err(|status| failed(status.into()))? {
        out.write_all(&piece.data)?;
        // Whoever follows wants to see it now.
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn refused(job: &str, error: &CallError) -> Failure {
    match error.code() {
        Some(Code::NotFound) => Failure::new(format_args!("covey logs: error: there is no job {job}"))
            .hint(Some("squeue and sacct list the jobs that are known")),
        _ => Failure::call("covey logs", "covey logs: error: ", error),
    }
}

#[cfg(test)]
mod tests {
    use proto::reason::ErrorReason;
    use tonic::Status;

    use super::*;

    #[test]
    fn an_unknown_job_is_named_and_other_refusals_say_why() {
        let text = refused("7_1", &CallError::from(Status::not_found("Invalid job id specified"))).text();
        assert!(text.starts_with("covey logs: error: there is no job 7_1\n"), "{text}");
        let status = proto::error::refused(ErrorReason::NoOutput, "Job/step has no output", Some("it waits"));
        let text = refused("7", &CallError::from(status)).text();
        assert_eq!(text, "covey logs: error: it waits\ncovey logs: error: Job/step has no output\n");
    }
}
