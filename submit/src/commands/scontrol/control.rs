//! `scontrol hold`, `uhold`, `release`, `requeue`, `requeuehold`, `suspend` and `resume`: jobs and tasks by their ids. Silent where
//! all goes well.

use std::collections::BTreeSet;
use std::process::ExitCode;

use proto::v1::{ControlReply, HoldRequest, HoldVerb, ListJobsRequest, RequeueRequest, SuspendRequest, Verdict};
use sched::spec::array::JobRef;
use tokio::signal::unix::{SignalKind, signal};

use crate::call::{CallError, client, connect};
use crate::commands::squeue::load;
use crate::failure::{Failure, Outcome};
use crate::show::items;

/// The verbs, as `scontrol` takes them.
pub(super) const VERBS: [&str; 7] = ["hold", "uhold", "release", "requeue", "requeuehold", "suspend", "resume"];

/// What `requeuehold` takes beside ids: the jobs are held in a state of its own.
const SPECIAL_EXIT: &str = "State=SpecialExit";

/// Does what the verb says to all jobs that are named.
pub(super) async fn run(verb: &str, words: &[&str], timeout_s: Option<u32>) -> Outcome<ExitCode> {
    // What Slurm lets stand before the ids of jobs to requeue.
    let is = |word: &&&str, options: &[&str]| options.iter().any(|option| word.eq_ignore_ascii_case(option));
    let (options, ids): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| match verb {
        "requeue" => is(word, &["incomplete"]),
        "requeuehold" => is(word, &["incomplete", SPECIAL_EXIT]),
        _ => false,
    });
    let ids = items(&ids.join(","));
    if ids.is_empty() {
        return Err(Failure::new(format_args!("too few arguments for keyword:{verb}")));
    }
    // Only where it changes holds does Slurm say it a second time.
    let prefix = matches!(verb, "hold" | "uhold" | "release").then_some("slurm_suspend error");
    let ids = if prefix.is_some() { of_names(ids, timeout_s).await? } else { ids };
    if ids.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    check(&ids, prefix)?;
    let reply = ask(verb, ids.clone(), &options, timeout_s).await;
    let verdicts = reply.map_err(|error| Failure::call("scontrol", "slurm_suspend error: ", &error))?.verdicts;
    answer(&ids, &verdicts, prefix)
}

/// The ids, with those of all jobs that are not done in the place of `jobname=NAME`; a name that none has stands for none.
async fn of_names(ids: Vec<String>, timeout_s: Option<u32>) -> Outcome<Vec<String>> {
    let name_of = |id: &str| {
        let (key, name) = id.split_once('=')?;
        (key.eq_ignore_ascii_case("jobname") || key.eq_ignore_ascii_case("name")).then(|| name.to_owned())
    };
    let names: Vec<String> = ids.iter().filter_map(|id| name_of(id)).collect();
    if names.is_empty() {
        return Ok(ids);
    }
    let refused = |error| Failure::call("scontrol", "slurm_load_jobs error: ", &error);
    let channel = connect(timeout_s).await.map_err(refused)?;
    let request = ListJobsRequest { names, ..ListJobsRequest::default() };
    let (rows, _) = load(&channel, &request).await.map_err(refused)?;
    let named: BTreeSet<u32> = rows.iter().map(|row| if row.array_id == 0 { row.id } else { row.array_id }).collect();
    let plain = ids.into_iter().filter(|id| name_of(id).is_none());
    Ok(plain.chain(named.iter().map(u32::to_string)).collect())
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
    options: &[&str],
    timeout_s: Option<u32>,
) -> Result<ControlReply, CallError> {
    let channel = connect(timeout_s).await?;
    let mut client = client(&channel);
    let reply = match verb {
        "requeue" | "requeuehold" => {
            // A job that requeues itself is told to end before its own command has returned, and wants to hear how that went.
            let _outlived = signal(SignalKind::terminate()).ok();
            let has = |wanted: &str| options.iter().any(|option| option.eq_ignore_ascii_case(wanted));
            let (hold, incomplete, special_exit) = (verb == "requeuehold", has("incomplete"), has(SPECIAL_EXIT));
            client.requeue(RequeueRequest { ids, hold, incomplete, special_exit }).await?
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
        let unknown =
            Verdict { refusal: "Invalid job id specified".into(), detail: "look again".into(), ..Verdict::default() };
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
