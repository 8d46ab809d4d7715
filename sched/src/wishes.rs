//! What a request names that there is not: nodes, features, gres and licenses; and the numbers to show when no node could ever
//! serve it. Asked once, at submit.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::cluster::Cluster;
use crate::ids::Name;
use crate::node::Node;
use crate::partition::{Members, Partition};
use crate::refusal::Refusal;
use crate::resources::{Amount, Cpus};
use crate::settings::Settings;
use crate::spec::gres::Gres;
use crate::spec::job::{Memory, Request};

/// Refuses names of what there is not. As long as no node is known, any feature and gres may yet come.
pub(crate) fn check(
    cluster: &Cluster,
    settings: &Settings,
    partition: &Partition,
    request: &Request,
) -> Result<(), Refusal> {
    for (field, names) in [("--nodelist", &request.nodes), ("--exclude", &request.exclude)] {
        if let Some(name) = names.iter().find(|name| !is_node(cluster, name)) {
            return Err(Refusal::NoSuchNode { field, name: name.clone() });
        }
    }
    if let Some(name) = request.nodes.iter().find(|name| !partition.has(name)) {
        return Err(Refusal::NodeElsewhere { name: name.clone(), partition: partition.name.clone() });
    }
    for ask in &request.licenses {
        if settings.licenses.get(&ask.name).is_none_or(|total| *total < ask.count) {
            let known = settings.licenses.iter().map(|(name, total)| format!("{name}:{total}"));
            return Err(Refusal::License { ask: ask.to_string(), known: listed(known) });
        }
    }
    if cluster.nodes().next().is_none() {
        return Ok(());
    }
    let has_feature = |name: &Name| cluster.nodes().any(|node| node.offer.features.contains(name));
    let features = request.constraint.iter().flat_map(|constraint| constraint.names());
    if let Some(name) = features.into_iter().find(|name| !has_feature(name)) {
        let known: BTreeSet<String> =
            cluster.nodes().flat_map(|node| &node.offer.features).map(ToString::to_string).collect();
        return Err(Refusal::UnknownFeature { name: name.clone(), known: listed(known) });
    }
    if let Some(ask) = request.gres.iter().find(|ask| !cluster.nodes().any(|node| gres_of(node).any(|g| ask.takes(g))))
    {
        let known: BTreeSet<String> = cluster.nodes().flat_map(|node| gres_of(node)).map(Gres::label).collect();
        return Err(Refusal::UnknownGres { ask: ask.label(), known: listed(known) });
    }
    Ok(())
}

/// A node that has joined, or that a partition waits for.
fn is_node(cluster: &Cluster, name: &Name) -> bool {
    let is_listed = |partition: &Partition| match &partition.nodes {
        Members::All => false,
        Members::Listed(names) => names.contains(name),
    };
    cluster.node_named(name).is_some() || cluster.partitions().any(|partition| is_listed(partition))
}

/// What a node has, also while it offers none of it.
fn gres_of(node: &Node) -> impl Iterator<Item = &Gres> {
    node.gres_next.as_ref().unwrap_or(&node.offer.gres).iter()
}

/// The most names that a refusal spells out.
const KNOWN_MAX: usize = 20;

fn listed(names: impl IntoIterator<Item = String>) -> String {
    let names: Vec<String> = names.into_iter().collect();
    match names.len() {
        0 => "none".into(),
        count if count > KNOWN_MAX => format!("{} and {} more", names[..KNOWN_MAX].join(", "), count - KNOWN_MAX),
        _ => names.join(", "),
    }
}

/// What was asked for beside the most that one node has, so that the user sees which number to change.
pub(crate) fn describe_misfit(cluster: &Cluster, partition: &Partition, request: &Request) -> String {
    let members: Vec<&Node> = cluster.nodes().filter(|node| partition.has(&node.name)).map(|node| &**node).collect();
    let amounts = || members.iter().map(|node| &node.offer.amount);
    let cpus = amounts().map(|amount| amount.cpus).max().unwrap_or_default();
    let memory = amounts().map(|amount: &Amount| amount.memory_mib).max().unwrap_or(0);
    let wants = match request.memory {
        Memory::PerNode(mib) | Memory::PerCpu(mib) => mib,
        _ => 0,
    };
    // Slurm's words, which programs look for.
    let mut text = if wants > memory { "Memory specification can not be satisfied: " } else { "" }.to_owned();
    // Writing to a string cannot fail.
    let _ok = write!(text, "a task asks for {}", asked(request));
    let count = members.len();
    let _ok =
        write!(text, "; partition {} has {count} nodes, the largest with {cpus} CPUs and {memory} MiB", partition.name);
    for ask in &request.gres {
        let on = |node: &&Node| -> u32 {
            gres_of(node).filter(|gres| ask.takes(gres)).map(|gres| u32::from(gres.count)).sum()
        };
        let most = members.iter().map(on).max().unwrap_or(0);
        let _ok = write!(text, " and at most {most} of {} on a node", ask.label());
    }
    if request.is_choosy() {
        let whole = crate::place::may_serve(cluster, partition, request);
        let _ok = write!(text, "; {whole} of them are left by --nodelist, --exclude and --constraint");
    }
    text
}

/// A task's shape in words.
fn asked(request: &Request) -> String {
    let mut text = match request.cpus() {
        one if one == Cpus::whole(1) => "1 CPU".to_owned(),
        cpus => format!("{cpus} CPUs"),
    };
    if request.process_count() > 1 {
        let _ok = write!(text, " ({} processes of {})", request.process_count(), request.process_cpus());
    }
    let _ok = match request.memory {
        Memory::Default => Ok(()),
        Memory::PerNode(mib) => write!(text, " and {mib} MiB on each node"),
        Memory::PerCpu(mib) => write!(text, " and {mib} MiB for each CPU"),
    };
    for ask in &request.gres {
        let _ok = write!(text, " and {ask} {}", ask.per);
    }
    if let Some(most) = request.processes_per_node {
        let _ok = write!(text, " with at most {most} processes on a node");
    }
    if request.nodes_min > 1 {
        let _ok = write!(text, " over {} nodes", request.nodes_min);
    }
    text
}
