//! Jobs as `sacct --json` writes them: the shape of Slurm's database, which is another one than that of the queue. Start at
//! [`document`].

use proto::v1::{JobDetail, JobRow, Usage};
use serde_json::{Value, json};

use super::jobs::states;
use super::number::{cpu_time, exit_code, or_infinite, or_unset, seconds, set, unset};
use super::{Document, Meta, joined, steps};
use crate::row::{elapsed_s, has_started, restarts, tasks_text};

/// All of them, each with its steps.
pub(crate) fn document<'a>(rows: &'a [JobRow], meta: &'a Meta, now_ms: i64) -> Document<'a> {
    meta.around("jobs", move || rows.iter().map(move |row| job(row, &meta.cluster, now_ms)), json!({}))
}

fn job(row: &JobRow, cluster: &str, now_ms: i64) -> Value {
    let none = JobDetail::default();
    let detail = row.detail.as_deref().unwrap_or(&none);
    let batch = (detail.batch && row.started_ms != 0).then(|| steps::batch(row, now_ms));
    let numbered = row.steps.iter().map(|step| steps::step(row, step, now_ms));
    let steps: Vec<Value> = batch.into_iter().chain(numbered).collect();
    let steps = json!({ "steps": steps });
    joined([identity(row, detail, cluster), course(row, detail), times(row, now_ms), shape(row), steps])
}

fn identity(row: &JobRow, detail: &JobDetail, cluster: &str) -> Value {
    let tasks = if row.index.is_none() { tasks_text(row).unwrap_or_default() } else { String::new() };
    json!({
        "job_id": row.id,
        "array": {
            "job_id": row.array_id,
            "limits": { "max": { "running": { "tasks": row.throttle } } },
            "task_id": or_unset(row.index),
            "task": tasks,
        },
        "het": { "job_id": 0, "job_offset": unset() },
        "name": row.name,
        "user": row.user,
        "group": row.group,
        "account": row.account,
        "association": {
            "account": row.account, "cluster": cluster, "partition": "", "user": row.user, "id": 0,
        },
        "cluster": cluster,
        "partition": row.partition,
        "qos": row.qos,
        "qosreq": row.qos,
        "wckey": { "wckey": row.wckey, "flags": [] },
        "reservation": { "id": 0, "name": row.reservation },
        "comment": { "administrator": "", "job": detail.comment, "system": "" },
        "extra": detail.extra,
        "mcs": { "label": "" },
    })
}

fn course(row: &JobRow, detail: &JobDetail) -> Value {
    json!({
        "state": { "current": states(row), "reason": row.reason },
        "exit_code": exit_code(row.exit_code, row.exit_signal),
        "derived_exit_code": exit_code(row.derived_exit_code, row.derived_exit_signal),
        "priority": set(row.priority),
        "hold": row.priority == 0 && row.ended_ms == 0,
        "restart_cnt": restarts(row),
        "kill_request_user": row.cancelled_by.map(|uid| uid.to_string()).unwrap_or_default(),
        "nodes": if row.nodes.is_empty() { "None assigned" } else { &row.nodes },
        "allocation_nodes": if has_started(row) { row.node_count } else { 0 },
        "failed_node": "",
        "flags": [],
        "block": "",
        "container": "",
        "constraints": detail.constraint,
        "licenses": detail.licenses,
        "script": "",
        "segment_size": 0,
        "submit_line": detail.submit_line,
        "working_directory": detail.work_dir,
        "stdin": detail.stdin,
        "stdout": detail.stdout,
        "stderr": detail.stderr,
        "stdin_expanded": detail.stdin,
        "stdout_expanded": detail.stdout,
        "stderr_expanded": detail.stderr,
    })
}

fn times(row: &JobRow, now_ms: i64) -> Value {
    let Usage { user_us, system_us, .. } = row.usage.unwrap_or_default();
    let since_ms = if row.suspended_ms == 0 { 0 } else { now_ms - row.suspended_ms };
    let suspended_ms = row.paused_ms + u64::try_from(since_ms).unwrap_or(0);
    let waited_ms = (row.started_ms != 0 && row.eligible_ms != 0).then(|| (row.started_ms - row.eligible_ms).max(0));
    json!({
        "time": {
            "elapsed": elapsed_s(row, now_ms),
            "submission": seconds(row.submitted_ms),
            "eligible": seconds(row.eligible_ms),
            "start": seconds(row.started_ms),
            "end": seconds(row.ended_ms),
            "planned": or_unset(waited_ms.map(|ms| ms / 1000)),
            "suspended": suspended_ms / 1000,
            "limit": or_infinite(row.time_limit_minutes),
            "system": cpu_time(system_us),
            "user": cpu_time(user_us),
            "total": cpu_time(system_us + user_us),
        },
    })
}

fn shape(row: &JobRow) -> Value {
    let memory = |per_cpu| or_unset(Some(row.memory_mib).filter(|mib| *mib != 0 && row.memory_per_cpu == per_cpu));
    let times = u64::from(if row.memory_per_cpu { row.cpus } else { row.node_count });
    let held = row.memory_held_mib * u64::from(row.node_count);
    let allocated = if has_started(row) { tres(row, held) } else { Vec::new() };
    json!({
        "required": { "CPUs": row.cpus, "memory_per_cpu": memory(true), "memory_per_node": memory(false) },
        "tres": { "allocated": allocated, "requested": tres(row, row.memory_mib * times) },
        "used_gres": "",
    })
}

fn tres(row: &JobRow, memory_mib: u64) -> Vec<Value> {
    let cpus = u64::from(row.cpus);
    let counts = [("cpu", cpus), ("mem", memory_mib), ("node", row.node_count.into()), ("billing", cpus)];
    let counts = counts.into_iter().filter(|(_, count)| *count != 0);
    counts.map(|(name, count)| json!({ "type": name, "name": "", "id": tres_id(name), "count": count })).collect()
}

/// Slurm's number for a kind of resource.
pub(super) fn tres_id(name: &str) -> u32 {
    match name {
        "cpu" => 1,
        "mem" => 2,
        "node" => 4,
        _ => 5,
    }
}
