//! `covey rerun`: runs again what of a map is needed: what failed, whose output is missing, or whose input has changed.
//!
//! The tasks keep their job and their numbers. What is needed is decided here, by the job's rows and by what the stores hold; that it
//! is done again is a requeue like any other. Start at [`rerun`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;

use blobs::{BlobError, BlobStore, Environment, StoreUrl};
use clap::{ArgGroup, Parser};
use proto::v1::{GetScriptRequest, JobRow, JobState, ListJobsRequest, Map, RequeueRequest};
use sched::spec::array::ArraySpec;
use sched::spec::index_set::IndexSet;
use sched::spec::output_name::OutputName;

use super::squeue::load;
use crate::call::{CallError, Channel, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::local::arguments::parsed;
use crate::show::state_names;

/// Runs again those tasks of a map that failed, whose output is missing, or whose input has changed since.
///
/// One line for each task says why it runs again, or why it does not. The job must still be listed by squeue -t all: how long that is
/// after its end, MinJobAge in covey.toml says. Later, submit the map again.
#[derive(Debug, Parser)]
#[command(
    name = "covey rerun",
    group = ArgGroup::new("what").required(true).multiple(true),
    after_help = "Examples:\n  covey rerun 12 --failed                what did not end well\n  \
                  covey rerun 12 --missing --changed     what has no output, or one that is older than its input\n  \
                  covey rerun 12 --missing --dry-run     say what would run, and run nothing"
)]
pub(super) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: u32,
    /// Tasks that ended in any other way than COMPLETED
    #[arg(long, group = "what")]
    failed: bool,
    /// Tasks of a map whose output is not there
    #[arg(long, group = "what")]
    missing: bool,
    /// Tasks of a map whose input is newer than their output
    #[arg(long, group = "what")]
    changed: bool,
    /// Say what would run again, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Say nothing of tasks that are skipped
    #[arg(short = 'Q', long)]
    quiet: bool,
    /// Seconds to look for the controller
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| block_on(rerun(&args))))
}

async fn rerun(args: &Args) -> Outcome<ExitCode> {
    let channel = connect(args.connect_timeout).await.map_err(|error| refused(&error))?;
    let request = ListJobsRequest { ids: vec![args.job.to_string()], ended: true, ..ListJobsRequest::default() };
    let (rows, _) = load(&channel, &request).await.map_err(|error| refused(&error))?;
    if rows.is_empty() {
        let hint =
            "what ended a while ago is in history (sacct): submit the map again, or raise MinJobAge in covey.toml";
        return Err(Failure::new("covey rerun: error: Invalid job id specified").hint(Some(hint)));
    }
    let stores = if args.missing || args.changed { Some(Stores::of(args.job, &channel).await?) } else { None };
    let mut again = IndexSet::new();
    for row in rows.iter().filter(|row| row.index.is_some() || row.array_id == 0) {
        let index = row.index.unwrap_or(0);
        let found = stores.as_ref().map(|stores| stores.look(index, args.job));
        let (why, is_needed) = match needed(args, row, found.as_ref()) {
            Ok(why) => (format!("run again: {why}"), true),
            Err(why) => (format!("skipped: {why}"), false),
        };
        if is_needed {
            again.insert(index);
        }
        if is_needed || !args.quiet {
            let blob = found.map(|found| format!(" {}", found.input)).unwrap_or_default();
            print(format!("{}{blob} {why}\n", name(row, args.job)))?;
        }
    }
    // What waits together has no rows of its own.
    let waiting = rows.iter().filter(|row| !row.remainder.is_empty());
    for row in waiting.filter(|_| !args.quiet) {
        print(format!("{}_[{}] skipped: it is PENDING\n", args.job, row.remainder))?;
    }
    if !again.is_empty() && !args.dry_run {
        let plain = rows.iter().all(|row| row.array_id == 0);
        requeue(&channel, args.job, &again, plain).await?;
    }
    let verb = if args.dry_run { "would run" } else { "run" };
    print(format!("{} of {} tasks {verb} again\n", again.len(), rows.iter().map(tasks).sum::<u64>()))
}

/// Why a task has to run again, or why not.
fn needed(args: &Args, row: &JobRow, found: Option<&Look>) -> Result<String, String> {
    let state = row.state();
    if row.completing || matches!(state, JobState::Pending | JobState::Running | JobState::Suspended) {
        return Err(format!("it is {}", state_name(state)));
    }
    let mut kept = Vec::new();
    if args.failed {
        if state != JobState::Completed {
            let said = if row.note.is_empty() { String::new() } else { format!(": {}", row.note) };
            return Ok(format!("{}{said}", state_name(state)));
        }
        kept.push("it is COMPLETED".to_owned());
    }
    let Some(look) = found else { return Err(kept.join(", ")) };
    match (look.output_ms, look.input_ms) {
        (None, _) if args.missing => return Ok(format!("{} is missing", look.output)),
        (None, _) => kept.push(format!("{} is missing, which was not asked for", look.output)),
        (Some(_), None) => kept.push(format!("{} is there, and its input is gone", look.output)),
        (Some(output_ms), Some(input_ms)) if args.changed && input_ms > output_ms => {
            return Ok(format!("{} is newer than {}", look.input, look.output));
        }
        (Some(_), Some(_)) => kept.push(format!("{} is there", look.output)),
    }
    if args.changed && look.output_ms.is_some() {
        kept.push("its input has not changed since".to_owned());
    }
    Err(kept.join(", "))
}

/// What a map reads and writes, and what is there of it.
struct Stores {
    names: Vec<String>,
    template: OutputName,
    inputs: BTreeMap<String, i64>,
    outputs: BTreeMap<String, i64>,
}

/// What is there for one task.
struct Look {
    input: String,
    output: String,
    input_ms: Option<i64>,
    output_ms: Option<i64>,
}

impl Stores {
    async fn of(job: u32, channel: &Channel) -> Outcome<Stores> {
        let request = GetScriptRequest { id: job.to_string(), map: true };
        let reply = client(channel).get_script(request).await;
        let reply = reply.map_err(|status| refused(&status.into()))?.into_inner();
        let Some(map) = reply.map else {
            let text = format!("covey rerun: error: job {job} is no map: only --failed can be asked of it");
            return Err(Failure::new(text));
        };
        let Map { from, to, output_name, .. } = map;
        let template = output_name.parse().map_err(|error| Failure::chain("covey rerun: error: ", &error))?;
        let failed = |error: BlobError| Failure::chain("covey rerun: error: ", &error).hint(error.hint());
        let (inputs, outputs) = (times(&from).await.map_err(failed)?, times(&to).await.map_err(failed)?);
        Ok(Stores { names: reply.manifest, template, inputs, outputs })
    }

    fn look(&self, index: u32, job: u32) -> Look {
        let input = self.names.get(index as usize).cloned().unwrap_or_default();
        let output = self.template.fill(&input, job, index);
        let (input_ms, output_ms) = (self.inputs.get(&input).copied(), self.outputs.get(&output).copied());
        Look { input, output, input_ms, output_ms }
    }
}

/// When each blob of a store was last written. A store that holds nothing has none.
async fn times(url: &str) -> Result<BTreeMap<String, i64>, BlobError> {
    let url: StoreUrl = url.parse()?;
    let store = BlobStore::open(&url.without_pattern(), &Environment::from_environment()?)?;
    match store.list().await {
        Err(BlobError::NothingListed { .. } | BlobError::NoContainer { .. }) => Ok(BTreeMap::new()),
        listed => {
            let times = listed?.into_iter().map(|blob| (blob.name.as_str().to_owned(), blob.modified_ms));
            Ok(times.collect())
        }
    }
}

async fn requeue(channel: &Channel, job: u32, again: &IndexSet, plain: bool) -> Outcome<()> {
    let id = if plain { job.to_string() } else { format!("{job}_[{again}]") };
    let request = RequeueRequest { ids: vec![id], ..RequeueRequest::default() };
    let reply = client(channel).requeue(request).await.map_err(|status| refused(&status.into()))?.into_inner();
    match reply.verdicts.iter().find(|verdict| !verdict.refusal.is_empty()) {
        None => Ok(()),
        Some(verdict) => {
            let hint = Some(&verdict.detail).filter(|detail| !detail.is_empty());
            Err(Failure::new(format_args!("covey rerun: error: {}", verdict.refusal)).hint(hint))
        }
    }
}

fn refused(error: &CallError) -> Failure {
    Failure::call("covey rerun", "covey rerun: error: ", error)
}

fn name(row: &JobRow, job: u32) -> impl fmt::Display {
    row.index.map_or_else(|| job.to_string(), |index| format!("{job}_{index}"))
}

fn tasks(row: &JobRow) -> u64 {
    if row.remainder.is_empty() {
        return 1;
    }
    ArraySpec::parse(&row.remainder, u32::MAX).map_or(0, |array| array.count())
}

fn state_name(state: JobState) -> &'static str {
    state_names(state).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Args {
        let words: Vec<OsString> = ["12"].iter().chain(words).map(OsString::from).collect();
        parsed(&words).expect("good")
    }

    fn row(state: JobState) -> JobRow {
        JobRow { array_id: 12, index: Some(3), state: state.into(), note: "exit 1".into(), ..JobRow::default() }
    }

    fn look(input_ms: Option<i64>, output_ms: Option<i64>) -> Look {
        Look { input: "a.png".into(), output: "b.png".into(), input_ms, output_ms }
    }

    #[test]
    fn what_failed_runs_again_and_what_runs_is_left_alone() {
        let failed = args(&["--failed"]);
        assert_eq!(needed(&failed, &row(JobState::Failed), None), Ok("FAILED: exit 1".into()));
        assert_eq!(needed(&failed, &row(JobState::Completed), None), Err("it is COMPLETED".into()));
        assert_eq!(needed(&failed, &row(JobState::Running), None), Err("it is RUNNING".into()));
        let going = JobRow { completing: true, ..row(JobState::Failed) };
        assert!(needed(&failed, &going, None).is_err());
    }

    #[test]
    fn outputs_decide_where_they_are_asked_for() {
        let done = row(JobState::Completed);
        let (missing, changed) = (args(&["--missing"]), args(&["--changed"]));
        let both = args(&["--missing", "--changed"]);
        assert_eq!(needed(&missing, &done, Some(&look(Some(5), None))), Ok("b.png is missing".into()));
        assert_eq!(needed(&missing, &done, Some(&look(Some(9), Some(5)))), Err("b.png is there".into()));
        assert_eq!(needed(&changed, &done, Some(&look(Some(9), Some(5)))), Ok("a.png is newer than b.png".into()));
        let same = needed(&both, &done, Some(&look(Some(5), Some(5))));
        assert_eq!(same, Err("b.png is there, its input has not changed since".into()));
        let gone = needed(&changed, &done, Some(&look(None, None)));
        assert_eq!(gone, Err("b.png is missing, which was not asked for".into()));
    }

    #[test]
    fn something_has_to_be_asked_for() {
        let words: Vec<OsString> = vec!["12".into()];
        assert!(parsed::<Args>(&words).expect_err("what?").text().contains("--failed"));
    }
}
