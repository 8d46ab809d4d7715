//! The columns of sinfo, by Slurm's letters and under Slurm's headers. Start at [`COLUMNS`].

use proto::v1::{NodeReason, NodeRow};
use sched::spec::{duration, hostlist};

use super::group::Line;
use super::state::{Count, counts_as, is_other, words};
use crate::show;
use crate::table::Column;

const fn column(letter: char, header: &'static str, value: fn(&Line) -> String) -> Column<Line> {
    Column { letter, header, cut: true, value }
}

/// Every letter that `-o` takes.
pub(super) const COLUMNS: &[Column<Line>] = &[
    column('A', "NODES(A/I)", |line| {
        let [allocated, idle, ..] = counts(line, |_| 1);
        format!("{allocated}/{idle}")
    }),
    column('a', "AVAIL", |line| line.partition.avail.clone()),
    column('B', "MAX_CPUS_PER_NODE", |_| "UNLIMITED".into()),
    column('C', "CPUS(A/I/O/T)", cpus),
    column('c', "CPUS", |line| least(line, |node| node.cpus.into())),
    column('D', "NODES", |line| line.nodes.len().to_string()),
    column('d', "TMP_DISK", |_| "0".into()),
    column('E', "REASON", |line| {
        first(line, |node| node.reason.as_ref().map_or_else(|| "none".into(), |reason| reason.text.clone()))
    }),
    column('e', "FREE_MEM", |line| least(line, |node| node.memory_mib.saturating_sub(node.memory_held_mib))),
    column('F', "NODES(A/I/O/T)", |line| four(counts(line, |_| 1))),
    column('f', "AVAIL_FEATURES", |line| first(line, |node| show::or_null(&node.features.join(",")))),
    column('b', "ACTIVE_FEATURES", |line| first(line, |node| show::or_null(&node.features.join(",")))),
    column('G', "GRES", |line| first(line, |node| show::or_null(&node.gres))),
    column('g', "GROUPS", |_| "all".into()),
    column('H', "TIMESTAMP", |line| {
        let at = |reason: &NodeReason| show::time(reason.at_ms);
        first(line, move |node| node.reason.as_ref().and_then(at).unwrap_or_else(|| "Unknown".into()))
    }),
    column('h', "OVERSUBS", |_| "NO".into()),
    column('i', "RESERVATION", |_| String::new()),
    column('L', "DEFAULTTIME", |line| line.partition.time_default_minutes.map_or_else(|| "n/a".into(), minutes)),
    column('l', "TIMELIMIT", |line| line.partition.time_max_minutes.map_or_else(|| "infinite".into(), minutes)),
    column('M', "PREEMPT_MODE", |_| "OFF".into()),
    column('m', "MEMORY", |line| least(line, |node| node.memory_mib)),
    column('N', "NODELIST", |line| hostlist::compress(line.nodes.iter().map(|node| node.name.as_str()))),
    column('n', "HOSTNAMES", |line| hostlist::compress(line.nodes.iter().map(|node| node.name.as_str()))),
    column('O', "CPU_LOAD", |_| "N/A".into()),
    column('o', "NODE_ADDR", |line| first(line, |node| node.address.clone())),
    column('P', "PARTITION", |line| {
        format!("{}{}", line.partition.name, if line.partition.default { "*" } else { "" })
    }),
    column('p', "PRIO_TIER", |line| line.partition.tier.to_string()),
    column('R', "PARTITION", |line| line.partition.name.clone()),
    column('r', "ROOT", |_| "no".into()),
    column('S', "ALLOWED_ALLOC_NODES", |_| "all".into()),
    column('s', "JOB_SIZE", |line| {
        let most = line.partition.nodes_max.map_or_else(|| "infinite".into(), |most| most.to_string());
        format!("{}-{most}", line.partition.nodes_min.max(1))
    }),
    column('T', "STATE", |line| first(line, |node| starred(words(node).0, node))),
    column('t', "STATE", |line| first(line, |node| starred(words(node).1, node))),
    column('U', "USER", |line| {
        let user = |reason: &NodeReason| format!("{}({})", reason.user, reason.uid);
        first(line, move |node| node.reason.as_ref().map_or_else(|| "Unknown".into(), user))
    }),
    column('u', "USER", |line| {
        first(line, |node| node.reason.as_ref().map_or_else(|| "Unknown".into(), |reason| reason.user.clone()))
    }),
    column('v', "VERSION", |_| crate::getopt::SLURM_VERSION.into()),
    column('w', "WEIGHT", |_| "1".into()),
    column('X', "SOCKETS", |_| "1".into()),
    column('Y', "CORES", |line| least(line, |node| node.cpus.into())),
    column('Z', "THREADS", |_| "1".into()),
    column('z', "S:C:T", |line| format!("1:{}:1", least(line, |node| node.cpus.into()))),
];

/// Whether different values in this column put nodes on different lines.
pub(super) fn parts_nodes(letter: char, exact: bool) -> bool {
    match letter {
        'A' | 'C' | 'D' | 'F' | 'N' => false,
        'c' | 'e' | 'm' | 'Y' | 'z' => exact,
        _ => true,
    }
}

/// Whether a column is the same for all nodes of a partition.
pub(super) fn tells_of_partition(letter: char) -> bool {
    "aBghLlMPpRrSs".contains(letter)
}

fn starred(name: &str, node: &NodeRow) -> String {
    format!("{name}{}", if node.responds { "" } else { "*" })
}

/// A value that all nodes of the line share.
fn first(line: &Line, value: impl Fn(&NodeRow) -> String) -> String {
    line.nodes.first().map_or_else(|| "n/a".into(), value)
}

/// The least of some numbers, with a `+` where another is larger.
fn least(line: &Line, value: fn(&NodeRow) -> u64) -> String {
    let numbers = || line.nodes.iter().map(value);
    let (least, most) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
    format!("{least}{}", if most > least { "+" } else { "" })
}

/// Sums over nodes: in use, idle, other, total.
fn counts(line: &Line, amount: fn(&NodeRow) -> u64) -> [u64; 4] {
    let mut sums = [0; 4];
    for node in &line.nodes {
        let at = match counts_as(node) {
            Count::Allocated => 0,
            Count::Idle => 1,
            Count::Other => 2,
        };
        sums[at] += amount(node);
        sums[3] += amount(node);
    }
    sums
}

/// What is free of a node that is drained or down is nobody's: it counts as other.
fn cpus(line: &Line) -> String {
    let sum = |amount: fn(&NodeRow) -> u32| line.nodes.iter().map(|node| u64::from(amount(node))).sum::<u64>();
    let (held, total) = (sum(|node| node.cpus_held), sum(|node| node.cpus));
    let other = sum(|node| if is_other(node) { node.cpus.saturating_sub(node.cpus_held) } else { 0 });
    four([held, total.saturating_sub(held + other), other, total])
}

fn four([allocated, idle, other, total]: [u64; 4]) -> String {
    format!("{allocated}/{idle}/{other}/{total}")
}

fn minutes(minutes: u64) -> String {
    duration::short(minutes * 60)
}
