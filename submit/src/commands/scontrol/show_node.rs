//! `scontrol show node`: Slurm's keys in Slurm's order.

use proto::v1::{NodeRow, NodeState};

use super::block::Block;
use crate::commands::sinfo::state::joined;
use crate::getopt::SLURM_VERSION;
use crate::row::tres_memory;
use crate::show::{or_null, time};

const NONE: &str = "(null)";

/// The block of a node.
pub(super) fn node(row: &NodeRow) -> Block {
    let mut block = Block::default();
    block.line(&[("NodeName", &row.name), ("Arch", &std::env::consts::ARCH), ("CoresPerSocket", &row.cpus)]);
    block.blank();
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
    block.line(&[
        ("State", &joined(row)),
        ("ThreadsPerCore", &1),
        ("TmpDisk", &0),
        ("Weight", &1),
        ("Owner", &"N/A"),
        ("MCS_label", &"N/A"),
    ]);
    let partitions = row.partitions.join(",");
    block.line(&[("Partitions", &partitions)]);
    block.blank();
    let since = time(row.since_ms).unwrap_or_else(|| "None".into());
    let away = row.state() == NodeState::Down && !row.responds;
    block.line(&[("BootTime", &"None"), ("SlurmdStartTime", if away { &"None" } else { &since })]);
    let resumed = row.reason.as_ref().and_then(|reason| time(reason.resume_ms)).unwrap_or_else(|| "None".into());
    block.line(&[("LastBusyTime", &"Unknown"), ("ResumeAfterTime", &resumed)]);
    block.line(&[("CfgTRES", &format!("cpu={},mem={},billing={}", row.cpus, tres_memory(row.memory_mib), row.cpus))]);
    let held = format!("cpu={},mem={}", row.cpus_held, tres_memory(row.memory_held_mib));
    block.line(&[("AllocTRES", if row.cpus_held == 0 { &NONE } else { &held })]);
    block.line(&[("CurrentWatts", &"0"), ("AveWatts", &"0")]);
    if let Some(reason) = &row.reason {
        let at = time(reason.at_ms).unwrap_or_else(|| "Unknown".into());
        block.line(&[("Reason", &format!("{} [{}@{at}]", reason.text, reason.user))]);
    }
    // Covey's own line: whether a task is held to the memory and CPUs that it asked for, and by what.
    if !row.abilities.is_empty() {
        block.line(&[("Enforces", &row.abilities)]);
    }
    block
}
