//! `scontrol show partition`: Slurm's keys in Slurm's order.

use std::fmt::Display;

use proto::v1::{NodeRow, PartitionRow};
use sched::spec::{duration, hostlist};

use super::block::Block;
use crate::row::tres_memory;

const NONE: &str = "(null)";

/// The block of a partition.
pub(super) fn partition(row: &PartitionRow, nodes: &[NodeRow]) -> Block {
    let members = || nodes.iter().filter(|node| row.nodes.contains(&node.name));
    let cpus: u64 = members().map(|node| u64::from(node.cpus)).sum();
    let memory_mib: u64 = members().map(|node| node.memory_mib).sum();
    let limit =
        |minutes: Option<u64>, none: &str| minutes.map_or_else(|| none.to_owned(), |m| duration::padded(m * 60));
    let mut block = Block::default();
    block.line(&[("PartitionName", &row.name)]);
    block.line(&[("AllowGroups", &"ALL"), ("AllowAccounts", &"ALL"), ("AllowQos", &"ALL")]);
    block.line(&[("AllocNodes", &"ALL"), ("Default", yes(row.default)), ("QoS", &"N/A")]);
    block.line(&[
        ("DefaultTime", &limit(row.time_default_minutes, "NONE")),
        ("DisableRootJobs", &"NO"),
        ("ExclusiveUser", &"NO"),
        ("GraceTime", &0),
        ("Hidden", yes(row.hidden)),
    ]);
    block.line(&[
        ("MaxNodes", &or_unlimited(row.nodes_max)),
        ("MaxTime", &limit(row.time_max_minutes, "UNLIMITED")),
        ("MinNodes", &row.nodes_min),
        ("LLN", &"NO"),
        ("MaxCPUsPerNode", &"UNLIMITED"),
    ]);
    block.line(&[("Nodes", &hostlist::compress(&row.nodes))]);
    block.line(&[
        ("PriorityJobFactor", &row.priority_factor),
        ("PriorityTier", &row.tier),
        ("RootOnly", &"NO"),
        ("ReqResv", &"NO"),
        ("OverSubscribe", &"NO"),
    ]);
    block.line(&[("OverTimeLimit", &"NONE"), ("PreemptMode", &"OFF")]);
    let state = if row.avail == "inact" { "INACTIVE".to_owned() } else { row.avail.to_uppercase() };
    block.line(&[
        ("State", &state),
        ("TotalCPUs", &cpus),
        ("TotalNodes", &row.nodes.len()),
        ("SelectTypeParameters", &"NONE"),
    ]);
    block.line(&[("JobDefaults", &NONE)]);
    let default = if row.memory_per_cpu_mib_default.is_some() { "DefMemPerCPU" } else { "DefMemPerNode" };
    let max = if row.memory_per_cpu_mib_max.is_some() { "MaxMemPerCPU" } else { "MaxMemPerNode" };
    let limits = (or_unlimited(row.memory_per_cpu_mib_default), or_unlimited(row.memory_per_cpu_mib_max));
    block.line(&[(default, &limits.0), (max, &limits.1)]);
    let total = match row.nodes.len() {
        0 => NONE.to_owned(),
        nodes => format!("cpu={cpus},mem={},node={nodes},billing={cpus}", tres_memory(memory_mib)),
    };
    block.line(&[("TRES", &total)]);
    block
}

fn yes(set: bool) -> &'static dyn Display {
    if set { &"YES" } else { &"NO" }
}

fn or_unlimited(limit: Option<impl Display>) -> String {
    limit.map_or_else(|| "UNLIMITED".into(), |limit| limit.to_string())
}
