//! Events in one line each, for logs.

use std::fmt;

use super::Event;
use crate::spec::job::Work;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Submitted { job, spec, partition, time_limit, .. } => {
                let tasks = spec.array.as_ref().map_or(1, |array| array.count());
                let work = match &spec.work {
                    Work::Script { .. } => "script",
                    Work::Command(_) => "command",
                    Work::Op(op) => op,
                };
                write!(
                    f,
                    "submitted job={job} name={:?} user={} tasks={tasks} work={work}",
                    spec.name, spec.user.name
                )?;
                write!(f, " partition={partition} time_limit={time_limit}")
            }
            Event::Started { job, placements } => {
                let node = placements.first().and_then(|placement| placement.shares.first()).map(|share| share.node.0);
                write!(f, "started job={job} node={} tasks=", node.unwrap_or_default())?;
                write_list(f, placements.iter().map(|placement| placement.index))
            }
            Event::Cancelled { job, tasks, uid } => write!(f, "cancelled job={job} tasks={tasks} uid={uid}"),
            Event::Stopped { key, node, why } => write!(f, "stopped attempt={key} node={} why={why:?}", node.0),
            Event::Ended { key, node, outcome, age_ms, .. } => {
                write!(f, "ended attempt={key} node={} ending={:?}", node.0, outcome.ending)?;
                write!(f, " exit={} age_ms={age_ms}", outcome.exit)?;
                outcome.note.as_ref().map_or(Ok(()), |note| write!(f, " note={note:?}"))
            }
            Event::Requeued { key, node } => write!(f, "requeued attempt={key} node={}", node.0),
            Event::Waiting { job, reason } => write!(f, "waiting job={job} reason={reason}"),
            Event::Settled { job, term, met } => write!(f, "settled job={job} term={term} met={met}"),
            Event::TasksSettled { job, term, met, failed } => {
                write!(f, "tasks_settled job={job} term={term} met={met} failed={failed}")
            }
            Event::Began { job } => write!(f, "began job={job}"),
            Event::Held { job, held: true } => write!(f, "held job={job}"),
            Event::Held { job, held: false } => write!(f, "released job={job}"),
            Event::Forgotten { job } => write!(f, "forgotten job={job}"),
            Event::NodeRegistered { node, name, offer } => {
                let (cpus, memory) = (offer.amount.cpus, offer.amount.memory_mib);
                write!(f, "node_registered node={} name={name} cpus={cpus} memory_mib={memory}", node.0)?;
                let gres: Vec<String> = offer.gres.iter().map(ToString::to_string).collect();
                write!(f, " features={:?} gres={:?}", offer.features.join(","), gres.join(","))
            }
            Event::NodeSilent { node } => write!(f, "node_silent node={}", node.0),
            Event::NodeDown { node } => write!(f, "node_down node={}", node.0),
            Event::NodeRemoved { node } => write!(f, "node_removed node={}", node.0),
            Event::PartitionSet { partition } => {
                write!(f, "partition_set name={} state={:?}", partition.name, partition.state)
            }
            Event::PartitionRemoved { name } => write!(f, "partition_removed name={name}"),
        }
    }
}

/// So many indices are spelled out in a line; the rest is counted.
const LISTED_MAX: usize = 16;

fn write_list(f: &mut fmt::Formatter<'_>, indices: impl ExactSizeIterator<Item = u32>) -> fmt::Result {
    let count = indices.len();
    for (i, index) in indices.take(LISTED_MAX).enumerate() {
        write!(f, "{}{index}", if i == 0 { "" } else { "," })?;
    }
    if count > LISTED_MAX { write!(f, ",..({count})") } else { Ok(()) }
}
