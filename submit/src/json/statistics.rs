//! What the controller has done, as `sdiag --json` writes it. Of one pass Slurm's main and backfill schedulers are told both.

use proto::v1::{CallCount, GetStatisticsReply, Passes};
use serde_json::{Value, json};

use super::number::{set, time};
use super::{Document, Meta, joined};

/// All figures.
pub(crate) fn document<'a>(reply: &GetStatisticsReply, meta: &Meta) -> Document<'a> {
    let passes = reply.passes.unwrap_or_default();
    meta.object("statistics", joined([jobs(reply), main_cycle(reply, passes), backfill(passes), calls(reply)]))
}

fn jobs(reply: &GetStatisticsReply) -> Value {
    json!({
        "parts_packed": 1,
        "req_time": time(reply.now_ms),
        "req_time_start": time(reply.since_ms),
        "server_thread_count": reply.calls_open,
        // No call waits for another try, and nothing for a database.
        "agent_queue_size": 0,
        "agent_count": 0,
        "agent_thread_count": 0,
        "dbd_agent_queue_size": 0,
        "jobs_submitted": reply.submitted,
        "jobs_started": reply.started,
        "jobs_completed": reply.completed,
        "jobs_canceled": reply.cancelled,
        "jobs_failed": reply.failed,
        "jobs_pending": reply.pending,
        "jobs_running": reply.running,
        "job_states_ts": time(reply.now_ms),
    })
}

fn main_cycle(reply: &GetStatisticsReply, passes: Passes) -> Value {
    let minutes = u64::try_from((reply.now_ms - reply.since_ms) / 60_000).unwrap_or(0).max(1);
    json!({
        "schedule_cycle_max": passes.max_us,
        "schedule_cycle_last": passes.last_us,
        "schedule_cycle_sum": passes.total_us,
        "schedule_cycle_total": passes.count,
        "schedule_cycle_mean": mean(passes.total_us, passes),
        "schedule_cycle_mean_depth": mean(passes.total_depth, passes),
        "schedule_cycle_per_minute": passes.count / minutes,
        "schedule_cycle_depth": passes.total_depth,
        "schedule_queue_length": passes.last_queue,
    })
}

fn backfill(passes: Passes) -> Value {
    json!({
        "bf_backfilled_jobs": passes.backfilled_ever,
        "bf_last_backfilled_jobs": passes.backfilled,
        "bf_backfilled_het_jobs": 0,
        "bf_cycle_counter": passes.count,
        "bf_cycle_mean": mean(passes.total_us, passes),
        "bf_cycle_sum": passes.total_us,
        "bf_cycle_last": passes.last_us,
        "bf_cycle_max": passes.max_us,
        "bf_last_depth": passes.last_depth,
        "bf_last_depth_try": passes.last_depth,
        "bf_depth_sum": passes.total_depth,
        "bf_depth_try_sum": passes.total_depth,
        "bf_depth_mean": mean(passes.total_depth, passes),
        "bf_depth_mean_try": mean(passes.total_depth, passes),
        "bf_queue_len": passes.last_queue,
        "bf_queue_len_sum": passes.total_queue,
        "bf_queue_len_mean": mean(passes.total_queue, passes),
        "bf_when_last_cycle": time(passes.last_ms),
        "bf_active": false,
    })
}

fn calls(reply: &GetStatisticsReply) -> Value {
    let average = |call: &CallCount| set(call.total_us / call.count.max(1));
    let by_method = (1_u32..).zip(&reply.by_method).map(|(number, call)| {
        json!({
            "type_id": number,
            "message_type": call.name,
            "count": call.count,
            "total_time": call.total_us,
            "average_time": average(call),
        })
    });
    let by_user = reply.by_user.iter().map(|call| {
        json!({
            "user_id": call.uid,
            "user": call.name,
            "count": call.count,
            "total_time": call.total_us,
            "average_time": average(call),
        })
    });
    json!({
        "rpcs_by_message_type": by_method.collect::<Vec<_>>(),
        "rpcs_by_user": by_user.collect::<Vec<_>>(),
        "pending_rpcs": [],
        "pending_rpcs_by_hostlist": [],
    })
}

fn mean(total: u64, passes: Passes) -> u64 {
    total / passes.count.max(1)
}
