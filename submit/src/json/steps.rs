//! Steps as `scontrol show step --json` and, within a job, `sacct --json` write them.

use proto::v1::{JobRow, StepRow, Usage};
use sched::spec::hostlist;
use serde_json::{Value, json};

use super::number::{cpu_time, exit_code, or_infinite, time};
use super::{Document, Meta};
use crate::row::{display_id, elapsed_s};
use crate::show::state_names;

/// The steps of these jobs that run.
pub(crate) fn document<'a>(rows: &'a [JobRow], meta: &'a Meta, now_ms: i64) -> Document<'a> {
    let of_row = move |row: &'a JobRow| {
        row.steps.iter().filter(|step| step.ended_ms == 0).map(move |one| step(row, one, now_ms))
    };
    meta.around("steps", move || rows.iter().flat_map(of_row), json!({ "last_update": time(now_ms) }))
}

/// A numbered step.
pub(super) fn step(row: &JobRow, step: &StepRow, now_ms: i64) -> Value {
    let end_ms = if step.ended_ms == 0 { now_ms } else { step.ended_ms };
    part(
        &Part {
            id: format!("{}.{}", display_id(row), step.step),
            name: &step.name,
            state: state_names(step.state()).0,
            nodes: &step.nodes,
            node_count: step.node_count,
            tasks: step.tasks,
            cpus: step.cpus,
            times_ms: (step.started_ms, step.ended_ms),
            elapsed_s: u64::try_from(end_ms - step.started_ms).unwrap_or(0) / 1000,
            exit: (step.exit_code, step.exit_signal),
            usage: step.usage.as_ref(),
        },
        or_infinite(step.time_limit_minutes),
    )
}

/// The batch script of a job, which is a step for accounting.
pub(super) fn batch(row: &JobRow, now_ms: i64) -> Value {
    part(
        &Part {
            id: format!("{}.batch", display_id(row)),
            name: "batch",
            state: state_names(row.state()).0,
            nodes: &row.batch_host,
            node_count: 1,
            tasks: 1,
            cpus: row.cpus,
            times_ms: (row.started_ms, row.ended_ms),
            elapsed_s: elapsed_s(row, now_ms),
            exit: (row.exit_code, row.exit_signal),
            usage: row.usage.as_ref(),
        },
        super::number::unset(),
    )
}

/// What all steps have.
struct Part<'a> {
    id: String,
    name: &'a str,
    state: &'a str,
    nodes: &'a str,
    node_count: u32,
    tasks: u32,
    cpus: u32,
    times_ms: (i64, i64),
    elapsed_s: u64,
    exit: (u32, u32),
    usage: Option<&'a Usage>,
}

fn part(it: &Part<'_>, limit: Value) -> Value {
    let usage = it.usage.copied().unwrap_or_default();
    let peak = |name: &str, count: u64| json!({ "type": name, "name": "", "id": super::history::tres_id(name), "count": count, "task": 0, "node": it.nodes });
    let peaks = if it.usage.is_some() { vec![peak("mem", usage.rss_kib_max * 1024)] } else { Vec::new() };
    json!({
        "time": {
            "elapsed": it.elapsed_s,
            "start": time(it.times_ms.0),
            "end": time(it.times_ms.1),
            "suspended": 0,
            "limit": limit,
            "system": cpu_time(usage.system_us),
            "user": cpu_time(usage.user_us),
            "total": cpu_time(usage.system_us + usage.user_us),
        },
        "exit_code": exit_code(it.exit.0, it.exit.1),
        "nodes": { "count": it.node_count, "range": it.nodes, "list": hostlist::expand(it.nodes).unwrap_or_default() },
        "tasks": { "count": it.tasks },
        "pid": "",
        "CPU": { "requested_frequency": { "min": super::number::unset(), "max": super::number::unset() }, "governor": "" },
        "kill_request_user": "",
        "state": [it.state],
        "statistics": { "CPU": { "actual_frequency": 0 }, "energy": { "consumed": super::number::unset() } },
        "step": { "id": it.id, "name": it.name, "stdin": "", "stdout": "", "stderr": "" },
        "task": { "distribution": "" },
        "tres": {
            "requested": { "max": peaks, "min": [], "average": [], "total": [] },
            "consumed": { "max": [], "min": [], "average": [], "total": [] },
            "allocated": [
                { "type": "cpu", "name": "", "id": 1, "count": it.cpus },
                { "type": "node", "name": "", "id": 4, "count": it.node_count },
            ],
        },
    })
}
