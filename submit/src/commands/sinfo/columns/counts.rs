//! Numbers of nodes, CPUs and memory: sums over a line, and the least of what differs.

use proto::v1::NodeRow;

use super::super::state::{Count, counts_as, is_other};
use super::{Line, column};
use crate::table::{Column, NO_LETTER};

pub(super) const COLUMNS: &[Column<Line>] = &[
    column('D', &["nodes"], "NODES", |line| line.nodes.len().to_string()),
    column('A', &["nodeai"], "NODES(A/I)", |line| {
        let [allocated, idle, ..] = nodes(line);
        format!("{allocated}/{idle}")
    }),
    column('F', &["nodeaiot"], "NODES(A/I/O/T)", |line| four(nodes(line))),
    column('C', &["cpusstate"], "CPUS(A/I/O/T)", |line| four(cpus(line))),
    column('c', &["cpus"], "CPUS", |line| least(line, |node| node.cpus.into())),
    column('m', &["memory"], "MEMORY", |line| least(line, |node| node.memory_mib)),
    column('e', &["freemem"], "FREE_MEM", |line| {
        least(line, |node| node.memory_mib.saturating_sub(node.memory_held_mib))
    }),
    column(NO_LETTER, &["allocmem"], "ALLOCMEM", |line| {
        line.nodes.first().map_or(0, |node| node.memory_held_mib).to_string()
    }),
    column('d', &["disk"], "TMP_DISK", |_| "0".into()),
    column('w', &["weight"], "WEIGHT", |line| least(line, |_| 1)),
    column('O', &["cpusload"], "CPU_LOAD", |_| "N/A".into()),
];

/// The least of some numbers, with a `+` where another is larger.
pub(super) fn least(line: &Line, value: fn(&NodeRow) -> u64) -> String {
    let numbers = || line.nodes.iter().map(value);
    let (least, most) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
    format!("{least}{}", if most > least { "+" } else { "" })
}

/// Nodes in use, idle, other, and all.
pub(in super::super) fn nodes(line: &Line) -> [u64; 4] {
    let mut sums = [0; 4];
    for node in &line.nodes {
        let at = match counts_as(node) {
            Count::Allocated => 0,
            Count::Idle => 1,
            Count::Other => 2,
        };
        sums[at] += 1;
        sums[3] += 1;
    }
    sums
}

/// CPUs in use, idle, other, and all. What is free of a node that is drained or down is nobody's: it counts as other.
pub(in super::super) fn cpus(line: &Line) -> [u64; 4] {
    let sum = |amount: fn(&NodeRow) -> u32| line.nodes.iter().map(|node| u64::from(amount(node))).sum::<u64>();
    let (held, total) = (sum(|node| node.cpus_held), sum(|node| node.cpus));
    let other = sum(|node| if is_other(node) { node.cpus.saturating_sub(node.cpus_held) } else { 0 });
    [held, total.saturating_sub(held + other), other, total]
}

fn four([allocated, idle, other, total]: [u64; 4]) -> String {
    format!("{allocated}/{idle}/{other}/{total}")
}
