//! `ListNodes`.

use proto::v1;
use sched::cluster::Cluster;
use sched::mark::{NOT_RESPONDING, RETIRING};
use sched::node::{Health, MarkKind, Node, NodeWord};
use sched::partition::{Partition, PartitionState};
use sched::spec::duration::TimeLimit;

use super::Desk;
use crate::clock;

pub(super) fn list(desk: &Desk) -> v1::ListNodesReply {
    let cluster = desk.published.cluster();
    v1::ListNodesReply {
        nodes: cluster.nodes().map(|node| node_row(&cluster, node)).collect(),
        partitions: cluster.partitions().map(|partition| partition_row(&cluster, partition)).collect(),
        now_ms: clock::now().0,
        cluster: desk.config.load().settings.cluster_name.clone(),
    }
}

fn node_row(cluster: &Cluster, node: &Node) -> v1::NodeRow {
    let shown = node.state();
    let state = match shown.word {
        NodeWord::Idle => v1::NodeState::Idle,
        NodeWord::Mixed => v1::NodeState::Mixed,
        NodeWord::Allocated => v1::NodeState::Allocated,
        NodeWord::Down => v1::NodeState::Down,
    };
    let (Health::Up { since } | Health::Silent { since } | Health::Down { since }) = node.health;
    let gres = node.gres_next.as_ref().unwrap_or(&node.offer.gres);
    let mine = cluster.partitions().filter(|partition| partition.has(&node.name));
    let reason = match (&node.mark, node.health) {
        (Some(mark), _) => Some(v1::NodeReason {
            text: mark.reason.to_string(),
            user: mark.user.to_string(),
            uid: mark.uid,
            at_ms: mark.at.0,
            resume_ms: mark.until.map_or(0, |until| until.0),
        }),
        (None, Health::Down { since }) => Some(own_reason(NOT_RESPONDING, since.0)),
        (None, Health::Up { since }) if node.offer.retiring => Some(own_reason(RETIRING, since.0)),
        (None, Health::Up { .. } | Health::Silent { .. }) => None,
    };
    v1::NodeRow {
        name: node.name.to_string(),
        state: state.into(),
        responds: shown.responds,
        cpus: node.offer.amount.cpus.count(),
        cpus_held: node.held.cpus.count(),
        memory_mib: node.offer.amount.memory_mib,
        memory_held_mib: node.held.memory_mib,
        address: node.offer.address.clone(),
        since_ms: since.0,
        attempts: node.attempts,
        partitions: mine.map(|partition| partition.name.to_string()).collect(),
        abilities: node.offer.abilities.to_string(),
        drain: shown.leaving == Some(MarkKind::Drain),
        fail: shown.leaving == Some(MarkKind::Fail),
        completing: cluster.is_completing(node.id),
        reason,
        features: node.offer.features.iter().map(ToString::to_string).collect(),
        gres: gres.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        gres_held: super::gres::held(&node.offer.gres, &node.held.gres, node.devices),
    }
}

/// A reason that no user has given.
fn own_reason(text: &str, at_ms: i64) -> v1::NodeReason {
    v1::NodeReason { text: text.to_owned(), user: "slurm".to_owned(), at_ms, ..v1::NodeReason::default() }
}

fn partition_row(cluster: &Cluster, partition: &Partition) -> v1::PartitionRow {
    let avail = match partition.state {
        PartitionState::Up => "up",
        PartitionState::Down => "down",
        PartitionState::Drain => "drain",
        PartitionState::Inactive => "inact",
    };
    let members = cluster.nodes().filter(|node| partition.has(&node.name));
    v1::PartitionRow {
        name: partition.name.to_string(),
        default: partition.default,
        avail: avail.to_owned(),
        time_max_minutes: minutes(partition.time_max),
        time_default_minutes: partition.time_default.and_then(minutes),
        nodes: members.map(|node| node.name.to_string()).collect(),
        tier: partition.tier.into(),
        nodes_max: partition.nodes_max,
        nodes_min: partition.nodes_min,
        memory_per_cpu_mib_default: partition.memory_per_cpu_mib_default,
        memory_per_cpu_mib_max: partition.memory_per_cpu_mib_max,
        priority_factor: partition.priority_factor.into(),
        hidden: partition.hidden,
    }
}

/// Whole minutes; `None` without a limit.
pub(super) fn minutes(limit: TimeLimit) -> Option<u64> {
    match limit {
        TimeLimit::Minutes(minutes) => Some(u64::from(minutes.get())),
        TimeLimit::Unlimited => None,
    }
}
