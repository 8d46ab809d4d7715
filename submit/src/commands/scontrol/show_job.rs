//! `scontrol show job`: Slurm's keys in Slurm's order. What Covey does not have yet prints what Slurm prints where it
//! is not used.

use proto::v1::{HeldShare, JobRow};
use sched::spec::duration;
use sched::spec::size::Mebibytes;

use super::block::Block;
use crate::row::{elapsed_s, ends_ms, restarts, start_ms, state, tasks_text, tres_asked, tres_held};
use crate::show::{or_null, time};

const NONE: &str = "(null)";

/// The block of one row.
pub(super) fn block(row: &JobRow, now_ms: i64, details: bool) -> Block {
    let mut block = Block::default();
    identity(row, &mut block);
    how_it_stands(row, details, &mut block);
    times(row, now_ms, &mut block);
    place(row, &mut block);
    shape(row, details, &mut block);
    files(row, details, &mut block);
    block
}

fn identity(row: &JobRow, block: &mut Block) {
    let name = or_null(&row.name);
    let throttle = row.throttle.to_string();
    let tasks = tasks_text(row);
    let mut first: Vec<(&str, &dyn std::fmt::Display)> = vec![("JobId", &row.id)];
    if let Some(tasks) = &tasks {
        first.extend([("ArrayJobId", &row.array_id as &dyn std::fmt::Display), ("ArrayTaskId", tasks)]);
        if row.throttle != 0 {
            first.push(("ArrayTaskThrottle", &throttle));
        }
    }
    first.push(("JobName", &name));
    block.line(&first);
    let (user, group) = (format!("{}({})", row.user, row.uid), format!("{}({})", row.group, row.gid));
    block.line(&[("UserId", &user), ("GroupId", &group), ("MCS_label", &"N/A")]);
    let (account, qos) = (or_null(&row.account), or_null(&row.qos));
    let mut worth: Vec<(&str, &dyn std::fmt::Display)> =
        vec![("Priority", &row.priority), ("Nice", &row.nice), ("Account", &account), ("QOS", &qos)];
    let wckey = or_null(&row.wckey);
    if !row.wckey.is_empty() {
        worth.push(("WCKey", &wckey));
    }
    block.line(&worth);
}

fn how_it_stands(row: &JobRow, details: bool, block: &mut Block) {
    let detail = row.detail.clone().unwrap_or_default();
    // A blank in a value would end it for whoever reads the line.
    let reason = row.reason.replace(' ', "_");
    block.line(&[("JobState", &state(row).0), ("Reason", &reason), ("Dependency", &or_null(&row.dependency))]);
    let exit = format!("{}:{}", row.exit_code, row.exit_signal);
    let (requeue, batch) = (u8::from(detail.requeue), u8::from(detail.batch));
    let restarts = restarts(row);
    block.line(&[
        ("Requeue", &requeue),
        ("Restarts", &restarts),
        ("BatchFlag", &batch),
        ("Reboot", &0),
        ("ExitCode", &exit),
    ]);
    if details {
        let derived = format!("{}:{}", row.derived_exit_code, row.derived_exit_signal);
        block.line(&[("DerivedExitCode", &derived)]);
    }
}

fn times(row: &JobRow, now_ms: i64, block: &mut Block) {
    let limit = row.time_limit_minutes.map_or_else(|| "UNLIMITED".into(), |minutes| duration::padded(minutes * 60));
    let ran = duration::padded(elapsed_s(row, now_ms));
    let least = row.detail.as_ref().and_then(|detail| detail.time_min_minutes);
    let least = least.map_or_else(|| "N/A".into(), |minutes| duration::padded(minutes * 60));
    block.line(&[("RunTime", &ran), ("TimeLimit", &limit), ("TimeMin", &least)]);
    let known = |unix_ms| time(unix_ms).unwrap_or_else(|| "Unknown".into());
    let (submitted, eligible) = (known(row.submitted_ms), known(row.eligible_ms));
    block.line(&[("SubmitTime", &submitted), ("EligibleTime", &eligible)]);
    block.line(&[("AccrueTime", &eligible)]);
    let started = row.started_ms != 0 || row.ended_ms != 0;
    let end = if started { ends_ms(row).and_then(time) } else { None }.unwrap_or_else(|| "Unknown".into());
    // A job that was cancelled while it waited began and ended at once.
    let start = known(if start_ms(row) == 0 { row.ended_ms } else { start_ms(row) });
    let scheduled = known(if row.started_ms == 0 { row.ended_ms } else { row.started_ms });
    let deadline = time(row.deadline_ms).unwrap_or_else(|| "N/A".into());
    block.line(&[("StartTime", &start), ("EndTime", &end), ("Deadline", &deadline)]);
    let suspended = time(row.suspended_ms).unwrap_or_else(|| "None".into());
    let before_s = if row.suspended_ms == 0 { 0 } else { elapsed_s(row, row.suspended_ms) };
    block.line(&[
        ("SuspendTime", &suspended),
        ("SecsPreSuspend", &before_s),
        ("LastSchedEval", &scheduled),
        ("Scheduler", &"Main"),
    ]);
}

fn place(row: &JobRow, block: &mut Block) {
    let detail = row.detail.clone().unwrap_or_default();
    let host = format!("{}:{}", or_null(&detail.submit_host), detail.submit_session);
    block.line(&[("Partition", &row.partition), ("AllocNode:Sid", &host)]);
    block.line(&[("ReqNodeList", &or_null(&detail.nodes_asked)), ("ExcNodeList", &or_null(&detail.nodes_excluded))]);
    if row.expected_nodes.is_empty() {
        block.line(&[("NodeList", &row.nodes)]);
    } else {
        block.line(&[("NodeList", &row.nodes), ("SchedNodeList", &row.expected_nodes)]);
    }
    if !row.batch_host.is_empty() {
        block.line(&[("BatchHost", &row.batch_host)]);
    }
}

fn shape(row: &JobRow, details: bool, block: &mut Block) {
    let detail = row.detail.clone().unwrap_or_default();
    let cpus_per_process = row.cpus_per_process.max(1);
    block.line(&[
        ("NumNodes", &row.node_count),
        ("NumCPUs", &row.cpus),
        ("NumTasks", &row.processes),
        ("CPUs/Task", &cpus_per_process),
        ("ReqB:S:C:T", &"0:0:*:*"),
    ]);
    let requested = tres_asked(row);
    let held = tres_held(row).unwrap_or_else(|| NONE.to_owned());
    block.line(&[("ReqTRES", &requested)]);
    block.line(&[("AllocTRES", &held)]);
    let per_node = format!("{}:0:*:*", detail.processes_per_node);
    block.line(&[("Socks/Node", &"*"), ("NtasksPerN:B:S:C", &per_node), ("CoreSpec", &"*")]);
    if details {
        shares(row, block);
    }
    let memory = Mebibytes(row.memory_mib);
    let memory_key = if row.memory_per_cpu { "MinMemoryCPU" } else { "MinMemoryNode" };
    block.line(&[("MinCPUsNode", &cpus_per_process), (memory_key, &memory), ("MinTmpDiskNode", &0)]);
    block.line(&[("Features", &or_null(&detail.constraint)), ("DelayBoot", &"00:00:00")]);
    if !row.reservation.is_empty() {
        block.line(&[("Reservation", &row.reservation)]);
    }
    let over_subscribe = if detail.exclusive { "NO" } else { "OK" };
    let licenses = or_null(&detail.licenses);
    block.line(&[("OverSubscribe", &over_subscribe), ("Contiguous", &0), ("Licenses", &licenses), ("Network", &NONE)]);
}

fn files(row: &JobRow, details: bool, block: &mut Block) {
    let detail = row.detail.clone().unwrap_or_default();
    block.line(&[("Command", &detail.command)]);
    // It is full of blanks, and client programs cut the one-line form at blanks.
    if details && !detail.submit_line.is_empty() {
        block.line(&[("SubmitLine", &detail.submit_line)]);
    }
    block.line(&[("WorkDir", &detail.work_dir)]);
    for (key, value) in [
        ("AdminComment", &detail.admin_comment),
        ("Comment", &detail.comment),
        ("Extra", &detail.extra),
        ("InjectFailure", &detail.inject_failure),
        ("Note", &row.note),
    ] {
        if !value.is_empty() {
            block.line(&[(key, value)]);
        }
    }
    block.line(&[("StdErr", &detail.stderr)]);
    block.line(&[("StdIn", &detail.stdin)]);
    block.line(&[("StdOut", &detail.stdout)]);
    for (key, value) in [
        ("TresPerJob", &detail.gres_in_all),
        ("TresPerNode", &detail.gres_per_node),
        ("TresPerTask", &detail.gres_per_process),
    ] {
        if !value.is_empty() {
            block.line(&[(key, value)]);
        }
    }
    if !detail.mail_user.is_empty() || !detail.mail_type.is_empty() {
        block.line(&[("MailUser", &or_null(&detail.mail_user)), ("MailType", &or_null(&detail.mail_type))]);
    }
}

/// What it holds on each of its nodes. Covey counts CPUs and gives none by its number.
fn shares(row: &JobRow, block: &mut Block) {
    if row.shares.is_empty() {
        return;
    }
    let gres = row
        .detail
        .as_ref()
        .map_or(NONE, |detail| if detail.gres_per_node.is_empty() { NONE } else { &detail.gres_per_node });
    block.line(&[("JOB_GRES", &gres)]);
    for share in &row.shares {
        let HeldShare { nodes, memory_mib, gres, .. } = share;
        block.text_line(format!("  Nodes={nodes} CPU_IDs=N/A Mem={memory_mib} GRES={}", or_null(gres)));
    }
}
