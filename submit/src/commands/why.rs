//! `covey why`: why a job waits, what runs of it, or how it ended, in a few sentences. The controller finds them ([`sched::why`]);
//! here times are put in and all is printed.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use proto::v1::{Finding, WhyReply, WhyRequest};
use serde_json::json;
use tonic::Code;

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::local::arguments::parsed;
use crate::show;

/// Bold, and the end of it.
const BOLD: [&str; 2] = ["\x1b[1m", "\x1b[0m"];

/// Tells why a job waits: who holds it, what it waits for, what is missing where and who has that, what is ahead, and when it should start.
///
/// Of a job that runs or has ended it tells where, since when and how.
#[derive(Debug, Parser)]
#[command(
    name = "covey why",
    after_help = "Examples:\n  covey why 12\n  covey why 12_3 --json\n\nsqueue --start lists the expected starts of all jobs."
)]
pub(super) struct Args {
    /// A job, or one task of an array, as in 12 or 12_3
    #[arg(value_name = "JOB")]
    job: String,
    /// For programs: one JSON object with id, state, reason and findings, each with kind, text, at_ms, jobs and nodes
    #[arg(long)]
    json: bool,
    /// Seconds to look for the controller
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| tell(&args)))
}

fn tell(args: &Args) -> Outcome<ExitCode> {
    let reply = block_on(async {
        let channel = connect(args.connect_timeout).await?;
        Ok(client(&channel).why(WhyRequest { id: args.job.clone() }).await?.into_inner())
    });
    let reply = reply.map_err(|error| refused(&args.job, &error))?;
    if args.json {
        return print(format_args!("{}\n", object(&reply)));
    }
    print(text(&reply, std::io::stdout().is_terminal()))
}

fn refused(job: &str, error: &CallError) -> Failure {
    match error.code() {
        // What no job's name can be made of is no job id either.
        Some(Code::NotFound | Code::InvalidArgument) => Failure::new("covey why: error: Invalid job id specified")
            .hint(Some(format!("what ended a while ago is in history: sacct -j {job}"))),
        _ => Failure::call("covey why", "covey why: error: ", error),
    }
}

/// A heading, and a line for each sentence; the heading is bold on a terminal.
fn text(reply: &WhyReply, coloured: bool) -> String {
    let WhyReply { id, state, reason, findings } = reply;
    let heading = match state.as_str() {
        "PENDING" => format!("job {id} waits: {reason}"),
        state if reason == "None" => format!("job {id} is {state}"),
        state => format!("job {id} is {state}: {reason}"),
    };
    let [on, off] = if coloured { BOLD } else { [""; 2] };
    let lines = findings.iter().map(|finding| format!("{}\n", sentence(finding)));
    format!("{on}{heading}{off}\n{}", lines.collect::<String>())
}

/// A finding with its time in it.
fn sentence(finding: &Finding) -> String {
    match show::time(finding.at_ms) {
        Some(at) => finding.text.replacen("{at}", &at, 1),
        None => finding.text.clone(),
    }
}

fn object(reply: &WhyReply) -> serde_json::Value {
    let finding = |finding: &Finding| {
        let Finding { kind, at_ms, jobs, nodes, .. } = finding;
        let at_ms = (*at_ms != 0).then_some(at_ms);
        json!({ "kind": kind, "text": sentence(finding), "at_ms": at_ms, "jobs": jobs, "nodes": nodes })
    };
    let findings: Vec<_> = reply.findings.iter().map(finding).collect();
    json!({ "id": reply.id, "state": reply.state, "reason": reply.reason, "findings": findings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> WhyReply {
        let drained = Finding {
            kind: "unavailable".into(),
            text: "n2 was drained at {at} by root: {at} last.".into(),
            at_ms: 1_800_000_000_000,
            nodes: vec!["n2".into()],
            ..Finding::default()
        };
        let ahead = Finding {
            kind: "ahead".into(),
            text: "Ahead of it: 3.".into(),
            jobs: vec!["3".into()],
            ..Finding::default()
        };
        WhyReply {
            id: "12".into(),
            state: "PENDING".into(),
            reason: "Resources".into(),
            findings: vec![drained, ahead],
        }
    }

    #[test]
    fn sentences_have_their_times_and_colours_only_on_a_terminal() {
        let at = show::time(1_800_000_000_000).expect("a time");
        let plain = format!("job 12 waits: Resources\nn2 was drained at {at} by root: {{at}} last.\nAhead of it: 3.\n");
        assert_eq!(text(&reply(), false), plain);
        assert!(text(&reply(), true).starts_with("\x1b[1mjob 12 waits: Resources\x1b[0m\n"));
        let failed = WhyReply {
            state: "FAILED".into(),
            reason: "NonZeroExitCode".into(),
            id: "5_3".into(),
            findings: Vec::new(),
        };
        assert_eq!(text(&failed, false), "job 5_3 is FAILED: NonZeroExitCode\n");
        assert_eq!(text(&WhyReply { reason: "None".into(), ..failed }, false), "job 5_3 is FAILED\n");
    }

    #[test]
    fn programs_get_the_same_as_fields() {
        let object = object(&reply());
        assert_eq!((&object["id"], &object["reason"]), (&json!("12"), &json!("Resources")));
        assert_eq!(object["findings"][0]["at_ms"], json!(1_800_000_000_000_i64));
        assert_eq!((&object["findings"][1]["at_ms"], &object["findings"][1]["jobs"]), (&json!(null), &json!(["3"])));
    }

    #[test]
    fn an_unknown_job_is_told_in_slurms_words() {
        let status = proto::error::refused(proto::reason::ErrorReason::UnknownJob, "Invalid job id specified", None);
        let failure = refused("99", &CallError::from(status));
        assert_eq!((failure.code(), failure.text().contains("Invalid job id specified\n")), (1, true));
    }
}
