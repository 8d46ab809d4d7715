//! Events in one line each, for logs.

use std::fmt;
use std::num::NonZeroU32;

use super::Event;
use crate::spec::job::Work;
use crate::task::Verdict;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Submitted { job, terms, .. } => {
                let spec = &terms.spec;
                let tasks = spec.array.as_ref().map_or(1, |array| array.count());
                let work = match &*spec.work {
                    Work::Script { .. } => "script",
                    Work::Command(_) => "command",
                    Work::Op(op) => op,
                    Work::Allocation => "allocation",
                };
                write!(
                    f,
                    "submitted job={job} name={:?} user={} tasks={tasks} work={work}",
                    spec.name, spec.user.name
                )?;
                write!(f, " partition={} time_limit={}", terms.partitions.join(","), terms.time_limit)
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
            Event::Requeued { key, node, until, hold, failed } => {
                write!(f, "requeued attempt={key} node={} failed={failed}", node.0)?;
                until.map_or(Ok(()), |until| write!(f, " until_ms={}", until.0))?;
                hold.map_or(Ok(()), |hold| write!(f, " hold={hold:?}"))
            }
            Event::Undone { job, tasks, hold } => write!(f, "undone job={job} tasks={tasks} hold={hold:?}"),
            Event::Expired { job, tasks } => write!(f, "expired job={job} tasks={tasks}"),
            Event::Suspended { key, node } => write!(f, "suspended attempt={key} node={}", node.0),
            Event::Resumed { key, node } => write!(f, "resumed attempt={key} node={}", node.0),
            Event::Signalled { key, node, signal, scope, .. } => {
                write!(f, "signalled attempt={key} node={} signal={signal} scope={scope:?}", node.0)
            }
            Event::Revised { job, tasks, terms, .. } => {
                write!(f, "revised job={job} revision={} tasks=", terms.revision)?;
                match tasks {
                    Some(tasks) => write_list(f, tasks.iter().map(|(index, _)| *index)),
                    None => f.write_str("all"),
                }
            }
            Event::Throttled { job, throttle } => {
                write!(f, "throttled job={job} throttle={}", throttle.map_or(0, NonZeroU32::get))
            }
            Event::Limited { key, node, limit } => write!(f, "limited attempt={key} node={} limit={limit}", node.0),
            Event::Prioritized { jobs } => write!(f, "prioritized jobs={}", jobs.len()),
            Event::Waiting { job, reason, task } => {
                write!(f, "waiting job={job} reason={reason}")?;
                task.map_or(Ok(()), |task| write!(f, " task={task}"))
            }
            Event::Settled { job, term, met } => write!(f, "settled job={job} term={term} met={met}"),
            Event::TasksSettled { job, term, met, failed } => {
                write!(f, "tasks_settled job={job} term={term} met={met} failed={failed}")
            }
            Event::Began { job, task } => {
                write!(f, "began job={job}")?;
                task.map_or(Ok(()), |task| write!(f, " task={task}"))
            }
            Event::Held { job, hold, tasks } => {
                match hold {
                    Some(hold) => write!(f, "held job={job} by={hold:?}")?,
                    None => write!(f, "released job={job}")?,
                }
                let Some(tasks) = tasks else { return Ok(()) };
                f.write_str(" tasks=")?;
                write_list(f, tasks.iter().map(|(index, _)| *index))
            }
            Event::Forgotten { job } => write!(f, "forgotten job={job}"),
            Event::Cleared { key, node } => write!(f, "cleared attempt={key} node={}", node.0),
            Event::PartitionSet { partition } => {
                write!(f, "partition_set name={} state={:?}", partition.name, partition.state)
            }
            Event::PartitionRemoved { name } => write!(f, "partition_removed name={name}"),
            Event::Membership(fact) => fact.fmt(f),
            Event::NodeRegistered { .. }
            | Event::NodeSilent { .. }
            | Event::NodeDown { .. }
            | Event::NodeMarked { .. }
            | Event::NodeUnmarked { .. }
            | Event::NodeRemoved { .. } => write_node(f, self),
            Event::Closing { .. }
            | Event::StepCreated { .. }
            | Event::StepStopped { .. }
            | Event::StepSignalled { .. }
            | Event::StepPartEnded { .. }
            | Event::StepCleared { .. } => write_step(f, self),
        }
    }
}

/// Facts about nodes.
fn write_node(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    match event {
        Event::NodeRegistered { node, name, offer, unwanted, .. } => {
            let (cpus, memory) = (offer.amount.cpus, offer.amount.memory_mib);
            write!(f, "node_registered node={} name={name} cpus={cpus} memory_mib={memory}", node.0)?;
            if unwanted.is_empty() { Ok(()) } else { write!(f, " unwanted={}", unwanted.len()) }
        }
        Event::NodeSilent { node } => write!(f, "node_silent node={}", node.0),
        Event::NodeDown { node } => write!(f, "node_down node={}", node.0),
        Event::NodeMarked { node, mark } => {
            let (kind, uid, reason) = (mark.kind, mark.uid, &mark.reason);
            write!(f, "node_marked node={} kind={kind:?} uid={uid} reason={reason:?}", node.0)
        }
        Event::NodeUnmarked { node, uid } => write!(f, "node_unmarked node={} uid={uid}", node.0),
        Event::NodeRemoved { node } => write!(f, "node_removed node={}", node.0),
        _ => Ok(()),
    }
}

/// Facts about steps, and about attempts that wait for theirs.
fn write_step(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    match event {
        Event::Closing { key, node, verdict, .. } => {
            let word = match verdict {
                Verdict::Ended { outcome, .. } => format!("{:?} exit={}", outcome.ending, outcome.exit),
                Verdict::Requeued { .. } => "Requeued".to_owned(),
            };
            write!(f, "closing attempt={key} node={} verdict={word}", node.0)
        }
        Event::StepCreated { key, spec, parts, .. } => {
            let tasks: u32 = parts.iter().map(|part| part.tasks).sum();
            write!(f, "step_created step={key} name={:?} tasks={tasks} nodes=", spec.name)?;
            write_list(f, parts.iter().map(|part| part.node.0))
        }
        Event::StepStopped { key, nodes, why } => {
            write!(f, "step_stopped step={key} why={why:?} nodes=")?;
            write_list(f, nodes.iter().map(|node| node.0))
        }
        Event::StepSignalled { key, nodes, signal, .. } => {
            write!(f, "step_signalled step={key} signal={signal} nodes=")?;
            write_list(f, nodes.iter().map(|node| node.0))
        }
        Event::StepPartEnded { key, node, outcome, .. } => {
            let (ending, exit) = (outcome.ending, outcome.exit);
            write!(f, "step_part_ended step={key} node={} ending={ending:?} exit={exit}", node.0)
        }
        Event::StepCleared { key, node } => write!(f, "step_cleared step={key} node={}", node.0),
        _ => Ok(()),
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
