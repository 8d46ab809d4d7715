//! What the partitions of a job that waits say to it: which of them let it not start, and what they allow.

use super::{Finding, Kind, LISTED_MAX, Scene, counted, memory};
use crate::ids::JobId;
use crate::partition::{Partition, PartitionState};
use crate::reason::Reason;
use crate::spec::job::{Memory, Request};
use crate::terms::Terms;

/// What its partitions have against it, and those that let it start, each with what is asked for there; of both the first
/// [`LISTED_MAX`].
pub(super) fn of<'a>(scene: Scene<'a>, job: JobId, terms: &Terms) -> (Vec<Finding>, Vec<(&'a Partition, Request)>) {
    let (mut findings, mut open) = (Vec::new(), Vec::new());
    for name in terms.partitions.iter() {
        let partition = scene.cluster.partition(name);
        let refused = match partition {
            None => Err(format!("Its partition {name} is gone.")),
            Some(partition) => lets(partition, terms).map(|request| (&**partition, request)),
        };
        match refused {
            Ok(lane) => open.push(lane),
            Err(text) => findings.push(Finding::new(Kind::Partition, text)),
        }
    }
    findings.truncate(LISTED_MAX);
    open.truncate(LISTED_MAX);
    if open.is_empty() {
        let text =
            format!("That has to change: the partition, or the job (scontrol update jobid={job} partition=NAME, ...).");
        findings.push(Finding::new(Kind::Partition, text));
    }
    (findings, open)
}

/// What is asked for in a partition, or why nothing on these terms starts there.
fn lets(partition: &Partition, terms: &Terms) -> Result<Request, String> {
    let name = &partition.name;
    let state = match partition.state {
        PartitionState::Up | PartitionState::Drain => None,
        PartitionState::Down => Some("DOWN"),
        PartitionState::Inactive => Some("INACTIVE"),
    };
    if let Some(state) = state {
        return Err(format!("Partition {name} starts nothing while its state is {state}."));
    }
    if terms.time_limit > partition.time_max {
        let (asked, most) = (terms.time_limit, partition.time_max);
        return Err(format!("Its time limit is {asked}, and partition {name} gives {most} at most."));
    }
    let asked = &terms.spec.request;
    partition.request(asked).map_err(|reason| match reason {
        Reason::PartitionNodeLimit => nodes_text(partition, asked),
        Reason::MaxMemPerLimit => {
            let most = memory(partition.memory_per_cpu_mib_max.unwrap_or_default());
            let asked = match asked.memory {
                Memory::PerNode(mib) => format!("{} for {}", memory(mib), counted(asked.cpus(), "CPU")),
                Memory::PerCpu(mib) => format!("{} for each CPU", memory(mib)),
                Memory::Default => "memory".to_owned(),
            };
            format!("It asks for {asked}, and partition {name} gives {most} for each CPU at most.")
        }
        other => format!("Partition {name} does not let it start: {other}."),
    })
}

fn nodes_text(partition: &Partition, asked: &Request) -> String {
    let name = &partition.name;
    match partition.nodes_max.filter(|max| *max < asked.nodes_min) {
        Some(max) => {
            format!("It asks for {}, and partition {name} gives {max} at most.", counted(asked.nodes_min, "node"))
        }
        None => {
            let most = counted(asked.nodes_max.unwrap_or(asked.nodes_min), "node");
            format!("It asks for {most} at most, and partition {name} gives no fewer than {}.", partition.nodes_min)
        }
    }
}
