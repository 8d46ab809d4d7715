//! `scontrol hold`, `uhold`, `release`, `requeue`, `requeuehold`, `suspend` and `resume`: jobs and tasks by their ids. Silent where
//! all goes well.

use std::process::ExitCode;

use proto::v1::{ControlReply, HoldRequest, HoldVerb, RequeueRequest, SuspendRequest, Verdict};

use sched::spec::array::JobRef;

use crate::call::{CallError, client, connect};
use crate::failure::{Failure, Outcome};
use crate::show::items;

/// The verbs, as `scontrol` takes them.
pub(super) const VERBS: [&str; 7] = ["hold", "uhold", "release", "requeue", "requeuehold", "suspend", "resume"];

/// Does what the verb says to all jobs that are named.
pub(super) async fn run(verb: &str, words: &[&str], timeout_s: Option<u32>) -> Outcome<ExitCode> {
    // `requeue incomplete 5`, and what Slurm sets beside it, stand before the ids.
    let (settings, ids): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.eq_ignore_ascii_case("incomplete") || word.contains('='));
    let incomplete = settings.iter().any(|word| word.eq_ignore_ascii_case("incomplete"));
    if let Some(setting) = settings.iter().find(|word| word.contains('=')) {
        return Err(Failure::new(format_args!(
            "scontrol: error: {setting} is not built in Covey yet; name jobs by their ids"
        )));
    }
    let ids = items(&ids.join(","));
    if ids.is_empty() {
        return Err(Failure::new(format_args!("too few arguments for keyword:{verb}")));
    }
    // Only where it changes holds does Slurm say it a second time.
    let prefix = matches!(verb, "hold" | "uhold" | "release").then_some("slurm_suspend error");
    check(&ids, prefix)?;
    let reply = ask(verb, ids.clone(), incomplete, timeout_s).await;
    let verdicts = reply.map_err(|error| Failure::call("scontrol", "slurm_suspend error: ", &error))?.verdicts;
    answer(&ids, &verdicts, prefix)
}

/// Refuses what can be no job's id, before anything is changed.
pub(super) fn check(ids: &[String], prefix: Option<&str>) -> Outcome<()> {
    match ids.iter().find_map(|id| Some((id, id.parse::<JobRef>().err()?))) {
        None => Ok(()),
        Some((id, error)) => Err(Failure::new(refusal(id, "Invalid job id specified", prefix)).hint(Some(error))),
    }
}

fn refusal(id: &str, text: &str, prefix: Option<&str>) -> String {
    let again = prefix.map(|prefix| format!("\n{prefix}: {text}")).unwrap_or_default();
    format!("{text} for job {id}{again}")
}

async fn ask(
    verb: &str,
    ids: Vec<String>,
    incomplete: bool,
    timeout_s: Option<u32>,
) -> Result<ControlReply, CallError> {
    let channel = connect(timeout_s).await?;
    let mut client = client(&channel);
    let reply = match verb {
        "requeue" | "requeuehold" => {
            client.requeue(RequeueRequest { ids, hold: verb == "requeuehold", incomplete }).await?
        }
        "suspend" | "resume" => client.suspend(SuspendRequest { ids, suspend: verb == "suspend" }).await?,
        verb => {
            let verb = match verb {
                "hold" => HoldVerb::Hold,
                "uhold" => HoldVerb::UserHold,
                _ => HoldVerb::Release,
            };
            client.hold(HoldRequest { ids, verb: verb.into() }).await?
        }
    };
    Ok(reply.into_inner())
}

/// Says which jobs were refused and why, as Slurm does; what Covey adds is a hint.
pub(super) fn answer(ids: &[String], verdicts: &[Verdict], prefix: Option<&str>) -> Outcome<ExitCode> {
    let refused: Vec<(&String, &Verdict)> =
        ids.iter().zip(verdicts).filter(|(_, verdict)| !verdict.refusal.is_empty()).collect();
    let line = |(id, verdict): &(&String, &Verdict)| refusal(id, &verdict.refusal, prefix);
    let hint = refused.iter().map(|(id, verdict)| (id, &verdict.detail)).find(|(_, detail)| !detail.is_empty());
    match refused.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::new(refused.iter().map(line).collect::<Vec<_>>().join("\n"))
            .hint(hint.map(|(id, detail)| format!("{id}: {detail}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refused_job_is_named() {
        let ids = ["5", "6"].map(String::from);
        let done = Verdict::default();
        assert!(answer(&ids, &[done.clone(), done.clone()], None).is_ok());
        let unknown = Verdict { refusal: "Invalid job id specified".into(), detail: "look again".into() };
        let failure = answer(&ids, &[done, unknown], Some("slurm_suspend error")).expect_err("one is refused");
        let text = "Invalid job id specified for job 6\nslurm_suspend error: Invalid job id specified\n\
                    covey: hint: 6: look again\n";
        assert_eq!((failure.text().as_str(), failure.code()), (text, 1));
        let failure = check(&["5".into(), "5_x".into()], None).expect_err("no index");
        assert!(
            failure.text().starts_with("Invalid job id specified for job 5_x\ncovey: hint: "),
            "{}",
            failure.text()
        );
    }
}
