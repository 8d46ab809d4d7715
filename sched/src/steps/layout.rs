//! Where the tasks of a step go: a pure function of what it asks for and of what its attempt holds.
//!
//! As Slurm does, tasks are numbered node by node and dealt out evenly. A step that neither asks for its CPUs (`--exact`, `-c`) nor
//! shares (`--overlap`) gets all of the job's CPUs on its nodes, and waits for nodes on which no other step has any.

use crate::ids::{Name, NodeId};
use crate::resources::Cpus;
use crate::spec::job::Request;
use crate::spec::step::StepSpec;
use crate::steps::Part;

/// What an attempt holds on one node, and how much of it steps have.
#[derive(Clone, Debug)]
pub struct Room {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// What the attempt holds there.
    pub cpus: Cpus,
    /// What steps have of it.
    pub taken: Cpus,
    /// How many of the job's processes belong there.
    pub processes: u32,
    /// Whether it answers, so that something can start there.
    pub up: bool,
}

/// Why a step cannot be laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// Not now: other steps have the CPUs, or a node does not answer.
    Busy,
    /// More tasks or CPUs than the job has.
    TooMany,
    /// Nodes that the job does not have; which, for people.
    NotThere(String),
}

/// A room with the tasks that it could take: at all, and now.
struct Spot<'a> {
    room: &'a Room,
    named: bool,
    most: u32,
    now: u32,
}

/// Lays out a step's tasks over an attempt that holds these rooms on these terms.
///
/// # Errors
/// Why there is no place for it.
pub fn lay(spec: &StepSpec, request: &Request, rooms: &[Room]) -> Result<Vec<Part>, NoPlace> {
    let each = spec.cpus_per_process.map_or_else(|| request.process_cpus(), Cpus::whole);
    let exact = spec.exact || spec.cpus_per_process.is_some();
    let spots = spots(spec, rooms, each, exact)?;
    let held = u32::try_from(spots.len()).unwrap_or(u32::MAX);
    let named = u32::try_from(spec.nodes.len()).unwrap_or(u32::MAX);
    let least = spec.nodes_min.unwrap_or(named.max(1)).max(named);
    if least > held {
        return Err(NoPlace::NotThere(format!("{least} nodes are asked for, and the job has {held} for it")));
    }
    let most = match (spec.nodes_max.or(spec.nodes_min), named) {
        (Some(most), _) => most.clamp(least, held),
        (None, 0) => held,
        (None, named) => named,
    };
    let tasks = task_count(spec, &spots, least);
    // Slurm takes fewer nodes where there are fewer tasks, and says so.
    let (least, most) = (least.min(tasks), most.min(tasks));
    let wanted = match (spec.nodes_min, spec.processes_per_node) {
        (None, Some(on_each)) => tasks.div_ceil(on_each).clamp(least, most),
        _ => most,
    };
    if sum_of(&spots, most, |spot| spot.most) < u64::from(tasks) {
        return Err(NoPlace::TooMany);
    }
    let chosen = choose(&spots, tasks, (least, wanted, most)).ok_or(NoPlace::Busy)?;
    Ok(deal(&chosen, tasks, each, exact))
}

/// The rooms that the step may use: those it names first, then the others in their order.
fn spots<'a>(spec: &StepSpec, rooms: &'a [Room], each: Cpus, exact: bool) -> Result<Vec<Spot<'a>>, NoPlace> {
    if let Some(name) = spec.nodes.iter().find(|name| rooms.iter().all(|room| room.name != **name)) {
        return Err(NoPlace::NotThere(format!("the job has no node {name}")));
    }
    let per_node = spec.processes_per_node.unwrap_or(u32::MAX);
    let fits = |cpus: Cpus| (cpus.milli() / each.milli().max(1)).min(per_node);
    let spot = |room: &'a Room| {
        let most = fits(room.cpus);
        let free = Cpus::from_milli(room.cpus.milli().saturating_sub(room.taken.milli()));
        let now = match () {
            () if !room.up => 0,
            () if spec.overlap => most,
            () if exact => fits(free),
            () if room.taken == Cpus::default() => most,
            () => 0,
        };
        Spot { room, named: spec.nodes.contains(&room.name), most, now }
    };
    let mut spots: Vec<Spot<'a>> = rooms.iter().filter(|room| !spec.exclude.contains(&room.name)).map(spot).collect();
    spots.sort_by_key(|spot| !spot.named);
    Ok(spots)
}

/// As many as asked for; else so many for each node, where nodes are asked for; else what the job has there.
fn task_count(spec: &StepSpec, spots: &[Spot<'_>], nodes: u32) -> u32 {
    let of_job = || spots.iter().map(|spot| spot.room.processes).sum::<u32>().max(1);
    match (spec.processes, spec.nodes_min, spec.processes_per_node) {
        (Some(tasks), ..) => tasks,
        (None, Some(_), on_each) => nodes.saturating_mul(on_each.unwrap_or(1)),
        (None, None, Some(on_each)) => u32::try_from(spots.len()).unwrap_or(u32::MAX).saturating_mul(on_each),
        (None, None, None) if spec.nodes.is_empty() => of_job(),
        (None, None, None) => {
            spots.iter().filter(|spot| spot.named).map(|spot| spot.room.processes).sum::<u32>().max(1)
        }
    }
}

/// How many tasks the best `count` spots take together; those that are named come first.
fn sum_of(spots: &[Spot<'_>], count: u32, tasks: impl Fn(&Spot<'_>) -> u32) -> u64 {
    let mut each: Vec<(bool, u32)> = spots.iter().map(|spot| (spot.named, tasks(spot))).collect();
    each.sort_by_key(|best| std::cmp::Reverse(*best));
    each.iter().take(count as usize).map(|(_, tasks)| u64::from(*tasks)).sum()
}

/// The spots that are used: as many as wanted, more where they are too small, the roomiest where even that does not help, and fewer
/// where others are in use.
fn choose<'a, 'b>(
    spots: &'b [Spot<'a>],
    tasks: u32,
    (least, wanted, most): (u32, u32, u32),
) -> Option<Vec<&'b Spot<'a>>> {
    if spots.iter().any(|spot| spot.named && spot.now == 0) {
        return None;
    }
    let free: Vec<&Spot<'a>> = spots.iter().filter(|spot| spot.now > 0).collect();
    let enough = |chosen: &[&Spot<'a>]| chosen.iter().map(|spot| u64::from(spot.now)).sum::<u64>() >= u64::from(tasks);
    let top = free.len().min(most as usize);
    if top < least as usize {
        return None;
    }
    if let Some(count) = (top.min(wanted as usize)..=top).find(|count| enough(&free[..*count])) {
        return Some(free[..count].to_vec());
    }
    let mut roomy = free;
    roomy.sort_by_key(|spot| (!spot.named, std::cmp::Reverse(spot.now)));
    roomy.truncate(top);
    enough(&roomy).then_some(roomy)
}

/// One task for each node in turn until all have a place; numbered node by node, in the order of the job's nodes.
fn deal(chosen: &[&Spot<'_>], tasks: u32, each: Cpus, exact: bool) -> Vec<Part> {
    let mut counts = vec![0_u32; chosen.len()];
    let mut left = tasks;
    while left > 0 {
        for (count, spot) in counts.iter_mut().zip(chosen) {
            let takes = u32::from(left > 0 && *count < spot.now);
            *count += takes;
            left -= takes;
        }
    }
    let mut first_task = 0;
    let mut parts = Vec::with_capacity(chosen.len());
    for (tasks, spot) in counts.into_iter().zip(chosen).filter(|(tasks, _)| *tasks > 0) {
        let cpus = if exact { each.times(tasks) } else { spot.room.cpus };
        parts.push(Part { node: spot.room.node, first_task, tasks, cpus });
        first_task += tasks;
    }
    parts
}
