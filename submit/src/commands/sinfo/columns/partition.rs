//! What is the same for all nodes of a partition.

use sched::spec::duration;

use super::{Line, column};
use crate::table::{Column, Cut};

pub(super) const COLUMNS: &[Column<Line>] = &[
    Column {
        cut: Cut::KeepStar,
        ..column('P', &["partition"], "PARTITION", |line| {
            format!("{}{}", line.partition.name, if line.partition.default { "*" } else { "" })
        })
    },
    column('R', &["partitionname"], "PARTITION", |line| line.partition.name.clone()),
    column('a', &["available"], "AVAIL", |line| line.partition.avail.clone()),
    column('l', &["time"], "TIMELIMIT", |line| {
        line.partition.time_max_minutes.map_or_else(|| "infinite".into(), minutes)
    }),
    column('L', &["defaulttime"], "DEFAULTTIME", |line| {
        line.partition.time_default_minutes.map_or_else(|| "n/a".into(), minutes)
    }),
    column('s', &["size"], "JOB_SIZE", job_size),
    column('p', &["prioritytier", "priority"], "PRIO_TIER", |line| line.partition.tier.to_string()),
    column('I', &["priorityjobfactor"], "PRIO_JOB_FACTOR", |line| line.partition.priority_factor.to_string()),
    column('r', &["root"], "ROOT", |_| "no".into()),
    column('h', &["oversubscribe", "share"], "OVERSUBSCRIBE", |_| "NO".into()),
    column('g', &["groups"], "GROUPS", |_| "all".into()),
    column('S', &["allocnodes"], "ALLOCNODES", |_| "all".into()),
    column('M', &["preemptmode"], "PREEMPT_MODE", |_| "OFF".into()),
    column('B', &["maxcpuspernode"], "MAX_CPUS_PER_NODE", |_| "UNLIMITED".into()),
];

fn minutes(minutes: u64) -> String {
    duration::short(minutes * 60)
}

/// The least and the most nodes of a job, or one number where they are the same.
fn job_size(line: &Line) -> String {
    let least = line.partition.nodes_min.max(1);
    match line.partition.nodes_max {
        None => format!("{least}-infinite"),
        Some(most) if most == least => least.to_string(),
        Some(most) => format!("{least}-{most}"),
    }
}
