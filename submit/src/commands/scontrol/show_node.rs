//! `scontrol show node` and `show partition`: Slurm's keys in Slurm's order.

use proto::v1::{NodeRow, NodeState, PartitionRow};
use sched::spec::{duration, hostlist};

use super::block::Block;
use crate::commands::sinfo::state;
use crate::getopt::SLURM_VERSION;
use crate::show::{or_null, time};

const NONE: &str = "(null)";

/// The block of a node.
pub(super) fn node(row: &NodeRow) -> Block {
    let mut block = Block::default();
    block.line(&[("NodeName", &row.name), ("Arch", &std::env::consts::ARCH), ("CoresPerSocket", &row.cpus)]);
    block.line(&[("CPUAlloc", &row.cpus_held), ("CPUEfctv", &row.cpus), ("CPUTot", &row.cpus), ("CPULoad", &"N/A")]);
    let features = or_null(&row.features.join(","));
    block.line(&[("AvailableFeatures", &features)]);
    block.line(&[("ActiveFeatures", &features)]);
    block.line(&[("Gres", &or_null(&row.gres))]);
    if !row.gres.is_empty() {
        block.line(&[("GresUsed", &row.gres_held)]);
    }
    let address = or_null(&row.address);
    block.line(&[("NodeAddr", &address), ("NodeHostName", &row.name), ("Version", &SLURM_VERSION)]);
    let free = row.memory_mib.saturating_sub(row.memory_held_mib);
    block.line(&[
        ("RealMemory", &row.memory_mib),
        ("AllocMem", &row.memory_held_mib),
        ("FreeMem", &free),
        ("Sockets", &1),
        ("Boards", &1),
    ]);
    let word = state(row.state()).0.to_uppercase() + if row.responds { "" } else { "*" };
    block.line(&[
        ("State", &word),
        ("ThreadsPerCore", &1),
        ("TmpDisk", &0),
        ("Weight", &1),
        ("Owner", &"N/A"),
        ("MCS_label", &"N/A"),
    ]);
    let partitions = row.partitions.join(",");
    block.line(&[("Partitions", &partitions)]);
    let since = time(row.since_ms).unwrap_or_else(|| "None".into());
    let is_down = row.state() == NodeState::Down;
    block.line(&[("BootTime", &"None"), ("SlurmdStartTime", if is_down { &"None" } else { &since })]);
    block.line(&[("CfgTRES", &format!("cpu={},mem={}M,billing={}", row.cpus, row.memory_mib, row.cpus))]);
    let held = format!("cpu={},mem={}M", row.cpus_held, row.memory_held_mib);
    block.line(&[("AllocTRES", if row.cpus_held == 0 { &NONE } else { &held })]);
    if is_down {
        block.line(&[("Reason", &format!("Not responding [slurm@{since}]"))]);
    }
    block
}

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
    block.line(&[("AllocNodes", &"ALL"), ("Default", if row.default { &"YES" } else { &"NO" }), ("QoS", &"N/A")]);
    block.line(&[
        ("DefaultTime", &limit(row.time_default_minutes, "NONE")),
        ("DisableRootJobs", &"NO"),
        ("ExclusiveUser", &"NO"),
        ("GraceTime", &0),
        ("Hidden", &"NO"),
    ]);
    block.line(&[
        ("MaxNodes", &"UNLIMITED"),
        ("MaxTime", &limit(row.time_max_minutes, "UNLIMITED")),
        ("MinNodes", &0),
        ("LLN", &"NO"),
        ("MaxCPUsPerNode", &"UNLIMITED"),
    ]);
    block.line(&[("Nodes", &hostlist::compress(&row.nodes))]);
    block.line(&[
        ("PriorityJobFactor", &1),
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
    block.line(&[("DefMemPerNode", &"UNLIMITED"), ("MaxMemPerNode", &"UNLIMITED")]);
    let total = format!("cpu={cpus},mem={memory_mib}M,node={},billing={cpus}", row.nodes.len());
    block.line(&[("TRES", &total)]);
    block
}
