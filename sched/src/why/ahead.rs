//! What is ahead of a job in the queue, and when and where it should start by the time limits of all that runs.

use std::collections::BTreeSet;

use super::{Finding, Kind, LISTED_MAX, Scene, entry_label, listed};
use crate::backfill::WINDOW_MS;
use crate::ids::Name;
use crate::index::{Entry, QueueKey};
use crate::job::Job;
use crate::partition::{Members, Partition};
use crate::plan::expected_starts;
use crate::reason::Reason;

/// What is tried before it on the nodes of its partitions.
pub(super) fn queue(scene: Scene<'_>, key: QueueKey, mine: &[&Partition]) -> Finding {
    let cluster = scene.cluster;
    let beside: BTreeSet<&Name> = cluster
        .partitions()
        .filter(|other| mine.iter().any(|partition| share_nodes(partition, other)))
        .map(|partition| &partition.name)
        .collect();
    let (mut count, mut first) = (0, Vec::new());
    for other in cluster.index.queue.range(..key) {
        let job = &cluster.jobs[&other.job];
        if cluster.terms_of_entry(job, other.task).partitions.iter().any(|name| beside.contains(name)) {
            count += 1;
            if first.len() < LISTED_MAX {
                first.push(entry_label(job, other.task));
            }
        }
    }
    let text = match count {
        0 => "Nothing is ahead of it in the queue.".to_owned(),
        count => format!("Ahead of it in the queue: {}.", listed(&first, count)),
    };
    Finding { jobs: first, ..Finding::new(Kind::Ahead, text) }
}

fn share_nodes(one: &Partition, other: &Partition) -> bool {
    match (&one.nodes, &other.nodes) {
        (Members::All, _) | (_, Members::All) => true,
        (Members::Listed(mine), Members::Listed(theirs)) => {
            let mine: BTreeSet<&Name> = mine.iter().collect();
            theirs.iter().any(|name| mine.contains(name))
        }
    }
}

/// Its place in the forecast.
pub(super) fn expected(scene: Scene<'_>, job: &Job, entry: Entry, reason: Reason) -> Finding {
    let starts = expected_starts(scene.cluster, scene.now, scene.settings);
    if let Some((at, nodes)) = starts.get(&entry) {
        let names: Vec<Name> = nodes.iter().filter_map(|node| scene.cluster.node_name(*node)).cloned().collect();
        let first = &names[..names.len().min(LISTED_MAX)];
        let whose = if entry.1.is_none() && job.is_array() { " of its next task" } else { "" };
        let text = format!(
            "Expected start{whose}: {{at}} on {}; earlier if something ends before its time limit.",
            listed(first, names.len())
        );
        return Finding { nodes: names, ..Finding::new(Kind::Expected, text).at(*at) };
    }
    let hours = WINDOW_MS / (60 * 60 * 1000);
    let text = match reason {
        Reason::None => "Expected start: within moments, if there is room; it has only just come.".to_owned(),
        Reason::NodesUnavailable => "Expected start: unknown, until nodes that can run it are back.".to_owned(),
        _ => format!(
            "Expected start: unknown: by the time limits of what runs and of what is ahead it is not within {hours} hours, or \
             too much is ahead to tell."
        ),
    };
    Finding::new(Kind::Expected, text)
}
