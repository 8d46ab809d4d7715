//! Jobs as `squeue --json` and `scontrol show job --json` write them. Start at [`document`].

use proto::v1::{JobDetail, JobRow, JobState};
use serde_json::{Value, json};

use super::number::{exit_code, nonzero, or_infinite, or_unset, set, time, unset};
use super::{Document, Meta, joined, list};
use crate::row::{elapsed_s, ends_ms, has_started, restarts, start_ms, tasks_text, tres_asked, tres_held};
use crate::show::state_names;

/// All of them.
pub(crate) fn document<'a>(rows: &'a [JobRow], meta: &'a Meta, now_ms: i64) -> Document<'a> {
    let rest = json!({ "last_backfill": unset(), "last_update": time(now_ms) });
    meta.around("jobs", move || rows.iter().map(|row| job(row, &meta.cluster)), rest)
}

fn job(row: &JobRow, cluster: &str) -> Value {
    let none = JobDetail::default();
    let detail = row.detail.as_deref().unwrap_or(&none);
    joined([
        identity(row, cluster),
        course(row, detail),
        times(row, detail),
        shape(row, detail),
        files(row, detail),
        wishes(detail),
        absent(),
        absent_numbers(),
    ])
}

/// The words of a state: the base state, and what it is on the way to.
pub(super) fn states(row: &JobRow) -> Vec<&'static str> {
    let completing = row.completing.then_some("COMPLETING");
    let special = row.special_exit.then_some("SPECIAL_EXIT");
    std::iter::once(state_names(row.state()).0).chain(completing).chain(special).collect()
}

fn identity(row: &JobRow, cluster: &str) -> Value {
    let waits_as_array = row.index.is_none() && row.array_id != 0;
    let tasks = if waits_as_array { tasks_text(row).unwrap_or_default() } else { String::new() };
    json!({
        "job_id": row.id,
        "array_job_id": set(row.array_id),
        "array_task_id": or_unset(row.index),
        "array_max_tasks": set(row.throttle),
        "array_task_string": tasks,
        "name": row.name,
        "user_id": row.uid,
        "user_name": row.user,
        "group_id": row.gid,
        "group_name": row.group,
        "account": row.account,
        "qos": row.qos,
        "wckey": row.wckey,
        "resv_name": row.reservation,
        "partition": row.partition,
        "cluster": cluster,
        "association_id": 0,
        "het_job_id": unset(),
        "het_job_id_set": "",
        "het_job_offset": unset(),
    })
}

fn course(row: &JobRow, detail: &JobDetail) -> Value {
    json!({
        "job_state": states(row),
        "state_reason": row.reason,
        "state_description": row.note,
        "dependency": row.dependency,
        "priority": set(row.priority),
        "nice": row.nice,
        "hold": row.priority == 0 && row.state() == JobState::Pending,
        "exit_code": exit_code(row.exit_code, row.exit_signal),
        "derived_exit_code": exit_code(row.derived_exit_code, row.derived_exit_signal),
        "restart_cnt": restarts(row),
        "requeue": detail.requeue,
        "batch_flag": detail.batch,
        "batch_host": row.batch_host,
        "nodes": row.nodes,
        "scheduled_nodes": row.expected_nodes,
        "failed_node": "",
        "flags": [],
        "priority_by_partition": [],
        "reboot": false,
    })
}

fn times(row: &JobRow, detail: &JobDetail) -> Value {
    let started = row.started_ms != 0 || row.ended_ms != 0;
    let end_ms = if started { ends_ms(row).unwrap_or(0) } else { 0 };
    json!({
        "submit_time": time(row.submitted_ms),
        "eligible_time": time(row.eligible_ms),
        "accrue_time": time(row.eligible_ms),
        "start_time": time(start_ms(row)),
        "end_time": time(end_ms),
        "suspend_time": time(row.suspended_ms),
        "deadline": time(row.deadline_ms),
        "last_sched_evaluation": time(row.started_ms),
        "time_limit": or_infinite(row.time_limit_minutes),
        "time_minimum": or_unset(detail.time_min_minutes),
        "pre_sus_time": nonzero(suspended_after_s(row)),
        "preempt_time": unset(),
        "preemptable_time": unset(),
        "resize_time": unset(),
        "delay_boot": unset(),
    })
}

/// How long it ran before it was suspended; 0 where it is not.
fn suspended_after_s(row: &JobRow) -> u64 {
    if row.suspended_ms == 0 { 0 } else { elapsed_s(row, row.suspended_ms) }
}

fn shape(row: &JobRow, detail: &JobDetail) -> Value {
    let memory = |per_cpu| or_unset(Some(row.memory_mib).filter(|mib| *mib != 0 && row.memory_per_cpu == per_cpu));
    let resources = json!({
        "select_type": [],
        "nodes": {
            "count": row.node_count, "select_type": [], "list": row.nodes, "whole": detail.exclusive, "allocation": [],
        },
        "cpus": row.cpus,
        "threads_per_core": unset(),
    });
    json!({
        "cpus": set(row.cpus),
        "node_count": set(row.node_count),
        "tasks": set(row.processes),
        "cpus_per_task": set(row.cpus_per_process.max(1)),
        "tasks_per_node": nonzero(detail.processes_per_node.into()),
        "max_cpus": unset(),
        "max_nodes": unset(),
        "memory_per_cpu": memory(true),
        "memory_per_node": memory(false),
        "minimum_cpus_per_node": set(row.cpus_per_process.max(1)),
        "minimum_tmp_disk_per_node": unset(),
        "billable_tres": if has_started(row) { set(f64::from(row.cpus)) } else { unset() },
        "tres_req_str": tres_asked(row),
        "tres_alloc_str": tres_held(row).unwrap_or_default(),
        "tres_per_job": detail.gres_in_all,
        "tres_per_node": detail.gres_per_node,
        "tres_per_task": detail.gres_per_process,
        "tres_per_socket": "",
        "gres_detail": [],
        "job_resources": if row.nodes.is_empty() { json!({}) } else { resources },
        "job_size_str": [],
    })
}

fn files(row: &JobRow, detail: &JobDetail) -> Value {
    json!({
        "command": detail.command,
        "current_working_directory": detail.work_dir,
        "standard_input": detail.stdin,
        "standard_output": detail.stdout,
        "standard_error": detail.stderr,
        "stdin_expanded": detail.stdin,
        "stdout_expanded": detail.stdout,
        "stderr_expanded": detail.stderr,
        "submit_line": detail.submit_line,
        "allocating_node": detail.submit_host,
        "comment": detail.comment,
        "extra": detail.extra,
        "mail_type": list(&detail.mail_type),
        "mail_user": if detail.mail_user.is_empty() && !detail.mail_type.is_empty() { &row.user } else { &detail.mail_user },
        "admin_comment": "",
        "system_comment": "",
    })
}

fn wishes(detail: &JobDetail) -> Value {
    json!({
        "required_nodes": detail.nodes_asked,
        "excluded_nodes": detail.nodes_excluded,
        "features": detail.constraint,
        "licenses": detail.licenses,
        "licenses_allocated": "",
        "shared": if detail.exclusive { vec!["none"] } else { Vec::new() },
        "contiguous": false,
        "profile": ["NOT_SET"],
        "batch_features": "",
        "cluster_features": "",
        "prefer": "",
    })
}

/// What Slurm has and Covey has not, as Slurm writes it where it is not used.
fn absent() -> Value {
    json!({
        "burst_buffer": "",
        "burst_buffer_state": "",
        "container": "",
        "container_id": "",
        "cpus_per_tres": "",
        "cron": "",
        "federation_origin": "",
        "federation_siblings_active": "",
        "federation_siblings_viable": "",
        "mcs_label": "",
        "memory_per_tres": "",
        "network": "",
        "power": { "flags": [] },
        "selinux_context": "",
        "tres_bind": "",
        "tres_freq": "",
    })
}

fn absent_numbers() -> Value {
    json!({
        "core_spec": 0,
        "thread_spec": 0,
        "required_switches": 0,
        "maximum_switch_wait_time": 0,
        "segment_size": 0,
        "sockets_per_board": 0,
        "cores_per_socket": unset(),
        "sockets_per_node": unset(),
        "threads_per_core": unset(),
        "cpu_frequency_minimum": unset(),
        "cpu_frequency_maximum": unset(),
        "cpu_frequency_governor": unset(),
        "tasks_per_board": unset(),
        "tasks_per_core": unset(),
        "tasks_per_socket": unset(),
        "tasks_per_tres": unset(),
    })
}
