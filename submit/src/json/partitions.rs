//! Partitions as `scontrol show partitions --json` writes them, and as `sinfo --json` repeats them. Start at [`document`].

use proto::v1::{ListNodesReply, NodeRow, PartitionRow};
use sched::spec::hostlist;
use serde_json::{Value, json};

use super::number::{or_infinite, or_unset, time, unset};
use super::{Document, Meta};
use crate::row::tres_memory;

/// The partitions that a test lets pass.
pub(crate) fn document<'a>(
    reply: &'a ListNodesReply,
    wanted: impl Fn(&PartitionRow) -> bool + Copy + 'a,
    meta: &'a Meta,
) -> Document<'a> {
    let shown = move || reply.partitions.iter().filter(move |row| wanted(row));
    let rows = move || shown().map(|row| partition(row, &reply.nodes, &meta.cluster));
    meta.around("partitions", rows, json!({ "last_update": time(reply.now_ms) }))
}

/// One of them.
pub(crate) fn partition(row: &PartitionRow, nodes: &[NodeRow], cluster: &str) -> Value {
    let members = || nodes.iter().filter(|node| row.nodes.contains(&node.name));
    let cpus: u64 = members().map(|node| u64::from(node.cpus)).sum();
    let memory_mib: u64 = members().map(|node| node.memory_mib).sum();
    let state = if row.avail == "inact" { "INACTIVE".into() } else { row.avail.to_uppercase() };
    json!({
        "name": row.name,
        "cluster": cluster,
        "nodes": { "allowed_allocation": "", "configured": hostlist::compress(&row.nodes), "total": row.nodes.len() },
        "node_sets": "",
        "accounts": { "allowed": "", "deny": "" },
        "groups": { "allowed": "" },
        "qos": { "allowed": "", "deny": "", "assigned": "" },
        "alternate": "",
        "tres": {
            "billing_weights": "",
            "configured": format!("cpu={cpus},mem={},node={},billing={cpus}", tres_memory(memory_mib), row.nodes.len()),
        },
        "select_type": [],
        "cpus": { "task_binding": 0, "total": cpus },
        "defaults": {
            "memory_per_cpu": row.memory_per_cpu_mib_default.unwrap_or(0),
            "partition_memory_per_cpu": or_unset(row.memory_per_cpu_mib_default),
            "partition_memory_per_node": unset(),
            "time": or_unset(row.time_default_minutes),
            "job": "",
        },
        "grace_time": 0,
        "maximums": maximums(row),
        "minimums": { "nodes": row.nodes_min },
        "priority": { "job_factor": row.priority_factor, "tier": row.tier },
        "timeouts": { "resume": unset(), "suspend": unset() },
        "suspend_time": unset(),
        "topology": "",
        "partition": { "state": [state] },
    })
}

fn maximums(row: &PartitionRow) -> Value {
    json!({
        "cpus_per_node": or_infinite(None::<u32>),
        "cpus_per_socket": or_infinite(None::<u32>),
        "memory_per_cpu": row.memory_per_cpu_mib_max.unwrap_or(0),
        "partition_memory_per_cpu": or_unset(row.memory_per_cpu_mib_max),
        "partition_memory_per_node": unset(),
        "nodes": or_infinite(row.nodes_max),
        "shares": 1,
        "oversubscribe": { "jobs": 1, "flags": [] },
        "time": or_infinite(row.time_max_minutes),
        "over_time_limit": unset(),
    })
}
