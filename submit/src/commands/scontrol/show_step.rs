//! `scontrol show step`, and `completing`: the steps that run, and the jobs that are going away.

use std::process::ExitCode;

use proto::v1::{JobRow, JobState, ListJobsRequest, StepRow};
use sched::spec::duration;

use super::Options;
use super::block::{Block, Style};
use crate::call::{CallError, connect};
use crate::commands::squeue::load;
use crate::failure::{Failure, Outcome, print};
use crate::row::{display_id, tres_memory};
use crate::show::{self, or_null, state_names, time};

const REFUSED: &str = "slurm_get_job_steps error: ";

/// Shows the steps of all jobs, of one, or one step (`ID.STEP`).
pub(super) async fn steps(options: &Options, id: &str) -> Outcome<ExitCode> {
    let (job, step) = id.split_once('.').unwrap_or((id, ""));
    let refused = |error: CallError| match error.code() {
        Some(tonic::Code::InvalidArgument | tonic::Code::NotFound) => {
            Failure::new(format_args!("{REFUSED}Invalid job id specified"))
        }
        _ => Failure::call("scontrol", REFUSED, &error),
    };
    let channel = connect(options.connect_timeout).await.map_err(refused)?;
    let request = ListJobsRequest { ids: show::items(job), steps: true, detail: true, ..ListJobsRequest::default() };
    let (rows, _) = load(&channel, &request).await.map_err(refused)?;
    let style = Style::of(options.oneliner);
    let mut text = String::new();
    for row in &rows {
        let wanted = |name: &str| step.is_empty() || step.eq_ignore_ascii_case(name);
        for (name, shown) in running(row).filter(|(name, _)| wanted(name)) {
            text += &block(row, &name, &shown).text(style);
        }
    }
    if text.is_empty() && !id.is_empty() {
        print(format_args!("Job step {id} not found\n"))?;
        return Err(Failure::silent(1));
    }
    print(if text.is_empty() { "No job steps in the system\n" } else { &text })
}

/// The steps of a job that run, with the names behind its id: the batch script's first, as in Slurm.
fn running(row: &JobRow) -> impl Iterator<Item = (String, StepRow)> {
    let runs = matches!(row.state(), JobState::Running | JobState::Suspended) && !row.completing;
    let batch = runs && row.detail.as_ref().is_some_and(|detail| detail.batch);
    let batch = batch.then(|| {
        let step = StepRow {
            name: "batch".into(),
            state: row.state,
            nodes: row.batch_host.clone(),
            node_count: 1,
            tasks: 1,
            started_ms: row.started_ms,
            ..StepRow::default()
        };
        ("batch".to_owned(), step)
    });
    let steps = row.steps.iter().filter(|step| step.ended_ms == 0);
    batch.into_iter().chain(steps.map(|step| (step.step.to_string(), step.clone())).collect::<Vec<_>>())
}

fn block(row: &JobRow, name: &str, step: &StepRow) -> Block {
    let limit = step.time_limit_minutes.map_or_else(|| "UNLIMITED".into(), |minutes| duration::padded(minutes * 60));
    let mut block = Block::default();
    let id = format!("{}.{name}", display_id(row));
    let started = time(step.started_ms).unwrap_or_else(|| "Unknown".into());
    block.line(&[("StepId", &id), ("UserId", &row.uid), ("StartTime", &started), ("TimeLimit", &limit)]);
    block.line(&[("State", &state_names(step.state()).0), ("Partition", &row.partition), ("NodeList", &step.nodes)]);
    block.line(&[
        ("Nodes", &step.node_count),
        ("CPUs", &step.cpus),
        ("Tasks", &step.tasks),
        ("Name", &or_null(&step.name)),
        ("Network", &"(null)"),
    ]);
    let memory = match row.memory_held_mib {
        0 => String::new(),
        mib => format!("mem={},", tres_memory(mib.saturating_mul(step.node_count.into()))),
    };
    let tres = format!("cpu={},{memory}node={}", step.cpus, step.node_count);
    // A batch script holds nothing but its job's.
    block.line(&[("TRES", if name == "batch" { &"(null)" } else { &tres })]);
    block.line(&[("ResvPorts", &"(null)")]);
    if name == "batch" {
        block.line(&[("CPUFreqReq", &"Default")]);
    } else {
        block.line(&[("CPUFreqReq", &"Default"), ("Dist", &"Block")]);
    }
    block.line(&[("SrunHost:Pid", &"(null):0")]);
    block
}

/// The jobs whose processes are going away, and where they are.
pub(super) async fn completing(timeout: Option<u32>) -> Outcome<ExitCode> {
    let refused = |error| Failure::call("scontrol", "slurm_load_jobs error: ", &error);
    let channel = connect(timeout).await.map_err(refused)?;
    let (rows, now_ms) = load(&channel, &ListJobsRequest::default()).await.map_err(refused)?;
    let line = |row: &JobRow| {
        let unknown = || "Unknown".to_owned();
        let end_ms = if row.ended_ms == 0 { now_ms } else { row.ended_ms };
        let end = time(end_ms).unwrap_or_else(unknown);
        let since = duration::padded(u64::try_from((now_ms - end_ms) / 1000).unwrap_or(0));
        let (id, nodes) = (display_id(row), &row.nodes);
        format!("JobId={id} EndTime={end} CompletingTime={since} Nodes(COMPLETING)={nodes}\n")
    };
    print(rows.iter().filter(|row| row.completing).map(line).collect::<String>())
}
