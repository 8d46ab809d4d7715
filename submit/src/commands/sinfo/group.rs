//! Which nodes share a line: those of one partition whose columns say the same.
//!
//! Numbers such as memory do not part nodes unless `--exact` asks for it: the least is shown with a `+`. Start at
//! [`lines`].

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use proto::v1::{NodeRow, NodeState, PartitionRow};

use super::columns::{parts_nodes, tells_of_partition};
use crate::table::Format;

/// What was listed, and is to be shown.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) partitions: Vec<PartitionRow>,
    pub(super) nodes: Vec<NodeRow>,
    /// The cluster's name.
    pub(super) cluster: String,
}

/// How the nodes of a listing become lines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Grouping {
    /// A line for every node of every partition: `-N`.
    pub(super) by_node: bool,
    /// Nodes on one line are the same in every column: `-e`.
    pub(super) exact: bool,
    /// A partition of which nothing is to be shown has no line: `-R`.
    pub(super) skip_empty: bool,
}

/// Nodes of a partition on one line. Without nodes it stands for a partition of which nothing is shown.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Shared, because it names all its nodes and there may be a line for each.
    pub(super) partition: Rc<PartitionRow>,
    /// Where the partition stands among all.
    pub(super) rank: usize,
    pub(super) nodes: Vec<NodeRow>,
    pub(super) cluster: String,
}

/// The lines of a table, in Slurm's order: by partition and state, or by node.
pub(super) fn lines(listing: &Listing, format: &Format<Line>, grouping: Grouping) -> Vec<Line> {
    let Grouping { by_node, exact, skip_empty } = grouping;
    let by_name: HashMap<&str, &NodeRow> = listing.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
    let of_partitions = format.columns().any(tells_of_partition);
    let mut all = Vec::new();
    for (rank, partition) in partitions(listing, of_partitions || by_node).into_iter().enumerate() {
        let line = |nodes| Line { partition: partition.clone(), rank, nodes, cluster: listing.cluster.clone() };
        let members = partition.nodes.iter().filter_map(|name| by_name.get(name.as_str()));
        let mut lines: Vec<Line> = Vec::new();
        let mut places: HashMap<Vec<String>, usize> = HashMap::new();
        for node in members {
            let alone = line(vec![(*node).clone()]);
            let mut key = key(&alone, format, exact);
            if by_node {
                key.push(node.name.clone());
            }
            let place = *places.entry(key).or_insert(lines.len());
            match lines.get_mut(place) {
                Some(known) => known.nodes.extend(alone.nodes),
                None => lines.push(alone),
            }
        }
        if lines.is_empty() && of_partitions && !by_node && !skip_empty {
            lines.push(line(Vec::new()));
        }
        lines.sort_by_key(|line| Reverse(line.nodes.first().map(state_rank)));
        all.extend(lines);
    }
    if by_node {
        all.sort_by(|a, b| a.nodes.first().map(|node| &node.name).cmp(&b.nodes.first().map(|node| &node.name)));
    }
    all
}

/// The partitions, each with its own lines; all of them as one where no column speaks of partitions. By node there is always
/// one line for each pair, as in Slurm.
fn partitions(listing: &Listing, apart: bool) -> Vec<Rc<PartitionRow>> {
    match listing.partitions.as_slice() {
        [first, _, ..] if !apart => {
            let members: HashSet<&String> = listing.partitions.iter().flat_map(|partition| &partition.nodes).collect();
            let nodes = listing.nodes.iter().map(|node| &node.name).filter(|name| members.contains(name));
            vec![Rc::new(PartitionRow { nodes: nodes.cloned().collect(), ..first.clone() })]
        }
        all => all.iter().cloned().map(Rc::new).collect(),
    }
}

/// What the columns say that part nodes from each other.
fn key(line: &Line, format: &Format<Line>, exact: bool) -> Vec<String> {
    let columns = format.columns().filter(|column| parts_nodes(column, exact));
    columns.map(|column| column.text(line)).collect()
}

/// Slurm's number for a node's state: a flag weighs more than any base state, and the flags in this order.
pub(super) fn state_rank(node: &NodeRow) -> ([bool; 4], u8) {
    let base = match node.state() {
        NodeState::Unspecified => 0,
        NodeState::Down => 1,
        NodeState::Idle => 2,
        NodeState::Allocated => 3,
        NodeState::Mixed => 5,
    };
    ([node.fail, !node.responds, node.completing, node.drain], base)
}
