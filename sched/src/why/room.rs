//! What a job asks for and what its nodes have: what is missing where, which nodes take no work, and who has the rest.
//!
//! How much of it fits a node is [`crate::measure`]'s word; where a task really goes is decided in [`crate::place`] alone.

use super::placed::latest_end;
use super::{Finding, Kind, LISTED_MAX, Scene, counted, listed, memory};
use crate::candidates::Candidates;
use crate::cluster::Cluster;
use crate::ids::Name;
use crate::node::{Health, MarkKind, Node};
use crate::partition::{Members, Partition};
use crate::reason::Reason;
use crate::resources::{Cpus, Share};
use crate::spec::job::{Memory, Request};
use crate::task::TaskState;

/// A node that takes work and is large enough for some of it.
struct Seat<'a> {
    node: &'a Node,
    /// How many of the processes fit there now.
    room: u32,
    cpus_missing_milli: u32,
    /// What it takes at least, in MiB, and what of that is missing.
    memory_mib: u64,
    memory_missing_mib: u64,
    /// Whether what is asked for of one node is free there.
    enough: bool,
}

/// What the nodes of one partition say to a request.
pub(super) fn of(scene: Scene<'_>, partition: &Partition, request: &Request, reason: Reason) -> Vec<Finding> {
    let nodes = nodes_of(scene.cluster, partition);
    let (wanted, unwanted) = wanted(&nodes, request);
    let (ready, away): (Vec<&Node>, Vec<&Node>) = wanted.iter().partition(|node| node.takes_work());
    let mut seats: Vec<Seat<'_>> = ready.iter().filter_map(|node| Seat::of(node, request)).collect();
    seats.sort_by_key(|seat| seat.score(request));
    let mut findings = vec![summary(partition, request, &seats, [wanted.len(), ready.len()])];
    if unwanted > 0 {
        let nodes = counted(unwanted, "node");
        let text = format!("It leaves out {nodes} of {} (--nodelist, --exclude, --constraint).", partition.name);
        findings.push(Finding::new(Kind::Request, text));
    }
    findings.extend(seats.iter().take(LISTED_MAX).map(|seat| seat.finding(request, reason)));
    let less = seats.len().saturating_sub(LISTED_MAX);
    if less > 0 {
        findings.push(Finding::new(Kind::Node, format!("{less} more of its nodes have no more of it free.")));
    }
    let small: Vec<&Name> = ready.iter().filter(|node| Seat::of(node, request).is_none()).map(|n| &n.name).collect();
    if !small.is_empty() {
        let text = format!(
            "Too small for it, were they empty: {}.",
            listed(&small[..small.len().min(LISTED_MAX)], small.len())
        );
        let nodes = small.into_iter().take(LISTED_MAX).cloned().collect();
        findings.push(Finding { nodes, ..Finding::new(Kind::Node, text) });
    }
    findings.extend(away.iter().take(LISTED_MAX).map(|node| unavailable(node)));
    if away.len() > LISTED_MAX {
        let text = format!("{} more of its nodes take no work.", away.len() - LISTED_MAX);
        findings.push(Finding::new(Kind::Unavailable, text));
    }
    let wanted = request.process_count();
    let full = seats.iter().find(|seat| seat.room < wanted && !seat.enough);
    findings.extend(full.into_iter().flat_map(|seat| holders(scene, seat.node)));
    findings
}

impl<'a> Seat<'a> {
    /// `None` where nothing of it fits however empty the node is.
    fn of(node: &'a Node, request: &Request) -> Option<Seat<'a>> {
        let free = node.free();
        let least = if request.may_spread() { 1 } else { request.process_count() };
        if request.room(&node.offer, &node.offer.amount) < least {
            return None;
        }
        let cpus = if request.exclusive { node.offer.amount.cpus } else { request.process_cpus().times(least) };
        let memory_mib = request.fit(&node.offer, &node.offer.amount, least)?.memory_mib;
        Some(Seat {
            node,
            room: request.room(&node.offer, &free),
            cpus_missing_milli: cpus.milli().saturating_sub(free.cpus.milli()),
            memory_mib,
            memory_missing_mib: memory_mib.saturating_sub(free.memory_mib),
            enough: request.fit(&node.offer, &free, least).is_some(),
        })
    }

    /// The lowest goes first: where the smallest part of what is asked for is missing, and then where most fits.
    fn score(&self, request: &Request) -> (u64, std::cmp::Reverse<u32>) {
        let permille = |missing: u64, of: u64| missing.saturating_mul(1000) / of.max(1);
        let cpus = permille(self.cpus_missing_milli.into(), request.cpus().milli().into());
        let memory = permille(self.memory_missing_mib, self.memory_mib);
        let other = if self.enough || cpus + memory > 0 { 0 } else { 1 };
        (cpus + memory + other, std::cmp::Reverse(self.room))
    }

    fn finding(&self, request: &Request, reason: Reason) -> Finding {
        let Seat { node, room, .. } = self;
        let free = node.free();
        let has = format!("{} has {} free", node.name, amount(free.cpus, free.memory_mib));
        let missing = match (self.cpus_missing_milli, self.memory_missing_mib) {
            (0, 0) if !self.enough => format!("{} in use", gres_text(request)),
            (0, 0) if request.may_spread() => format!("room for {room} of its {} processes", request.process_count()),
            (0, 0) if reason == Reason::Priority => "enough, but what is ahead has the first claim to it".to_owned(),
            (0, 0) => "enough of these".to_owned(),
            (cpus, 0) => format!("{} missing", counted(Cpus::from_milli(cpus), "CPU")),
            (0, mib) => format!("{} missing", memory(mib)),
            (cpus, mib) => format!("{} missing", amount(Cpus::from_milli(cpus), mib)),
        };
        Finding::new(Kind::Node, format!("{has}: {missing}.")).node(&node.name)
    }
}

fn summary(partition: &Partition, request: &Request, seats: &[Seat<'_>], [nodes, ready]: [usize; 2]) -> Finding {
    let name = &partition.name;
    let asks = format!("It asks for {}", request_text(request));
    let text = match (nodes, ready, seats.len()) {
        (0, ..) => format!("{asks}; partition {name} has no nodes (yet)."),
        (_, 0, _) => format!("{asks}; none of the {} of {name} takes work now.", counted(nodes, "node")),
        (_, _, 0) => format!("{asks}; of the nodes of {name} none that takes work is large enough."),
        _ if request.may_spread() => {
            let room: u64 = seats.iter().map(|seat| u64::from(seat.room)).sum();
            format!("{asks}; the {} of {name} have room for {room} of these processes now.", counted(nodes, "node"))
        }
        _ => {
            let free = seats.iter().filter(|seat| seat.enough).count();
            format!(
                "{asks}; of the {} of {name} {} large enough, and {} free.",
                counted(nodes, "node"),
                are(seats.len()),
                match free {
                    0 => "none has that".to_owned(),
                    1 => "1 has that".to_owned(),
                    free => format!("{free} have that"),
                }
            )
        }
    };
    Finding::new(Kind::Request, text)
}

fn are(count: usize) -> String {
    if count == 1 { "1 is".to_owned() } else { format!("{count} are") }
}

/// What a task asks for, in words.
fn request_text(request: &Request) -> String {
    let processes = request.process_count();
    let (cpus, each) = if request.may_spread() { (request.process_cpus(), " each") } else { (request.cpus(), "") };
    let gres: String = request.gres.iter().map(|ask| format!(", {ask}")).collect();
    let alone = if request.exclusive { ", with nothing beside it" } else { "" };
    let cpus = counted(cpus, "CPU") + &gres + alone;
    let memory = match request.memory {
        Memory::Default => "the share of the memory that goes with it".to_owned(),
        Memory::PerNode(0) => "all of the memory".to_owned(),
        Memory::PerNode(mib) => format!("{} on each node", memory(mib)),
        Memory::PerCpu(mib) => format!("{} for each CPU", memory(mib)),
    };
    if !request.may_spread() {
        let memory = memory.trim_end_matches(" on each node");
        return format!("{cpus} and {memory} on one node");
    }
    let nodes = match (request.nodes_min, request.nodes_max) {
        (min, Some(max)) if min == max => format!("on {}", counted(min, "node")),
        (min, Some(max)) => format!("on {min} to {max} nodes"),
        (1, None) => "on any number of nodes".to_owned(),
        (min, None) => format!("on {min} or more nodes"),
    };
    format!("{processes} processes of {cpus}{each} and {memory}, {nodes}")
}

/// The gres that it asks for, in its own words.
fn gres_text(request: &Request) -> String {
    let asks: Vec<String> = request.gres.iter().map(ToString::to_string).collect();
    if asks.is_empty() { "something of it is".to_owned() } else { format!("some of {} is", asks.join(", ")) }
}

/// The nodes that the request's own words about nodes allow, and how many others there are.
fn wanted<'a>(nodes: &[&'a Node], request: &Request) -> (Vec<&'a Node>, usize) {
    let all = Candidates::all_of(vec![true; nodes.len()]);
    let members = all.narrowed(nodes.iter().copied(), request).members;
    let wanted: Vec<&Node> = nodes.iter().zip(members).filter(|(_, is)| *is).map(|(node, _)| *node).collect();
    let others = nodes.len() - wanted.len();
    (wanted, others)
}

fn amount(cpus: Cpus, memory_mib: u64) -> String {
    format!("{} and {}", counted(cpus, "CPU"), memory(memory_mib))
}

fn unavailable(node: &Node) -> Finding {
    let name = &node.name;
    let (text, at) = match (&node.mark, node.health) {
        (Some(mark), _) => {
            let how = match mark.kind {
                MarkKind::Drain => "was drained",
                MarkKind::Fail => "was marked as failing",
                MarkKind::Down => "was taken down",
            };
            (format!("{name} {how} at {{at}} by {}: {}.", mark.user, mark.reason), Some(mark.at))
        }
        (None, Health::Silent { since }) => (format!("{name} has not answered since {{at}}."), Some(since)),
        (None, Health::Down { since }) => {
            (format!("{name} was given up at {{at}}, as it did not answer."), Some(since))
        }
        (None, Health::Up { .. }) if node.offer.retiring => {
            (format!("{name} is leaving the cluster, and waits for what it runs."), None)
        }
        (None, Health::Up { .. }) => (format!("{name} is back, and first has to end what it still ran."), None),
    };
    Finding { at, ..Finding::new(Kind::Unavailable, text).node(name) }
}

/// Who holds something of a node: first what ends first by its limit.
fn holders(scene: Scene<'_>, node: &Node) -> Vec<Finding> {
    let cluster = scene.cluster;
    let held = cluster.index.attempts.iter().filter_map(|(_, key)| {
        let job = cluster.jobs.get(&key.job)?;
        let task = job.tasks.get(&key.index)?;
        let share: &Share = task.state.shares()?.iter().find(|share| share.node == node.id)?;
        let end = latest_end(job, task);
        let until = match (&task.state, end) {
            (TaskState::Suspended { .. }, _) => "while it is suspended",
            (TaskState::Finishing { .. } | TaskState::Closing { .. }, _) => "and is going away",
            (_, Some(_)) => "until {at} at the latest",
            (_, None) => "without a time limit",
        };
        let (label, user) = (job.label(key.index), &job.terms.spec.user.name);
        let what = amount(share.amount.cpus, share.amount.memory_mib);
        let text = format!("On {} job {label} of {user} holds {what} {until}.", node.name);
        Some(Finding { at: end, ..Finding::new(Kind::Holder, text).job(label).node(&node.name) })
    });
    let mut held: Vec<Finding> = held.collect();
    held.sort_by_key(|finding| (finding.at.is_none(), finding.at));
    let more = held.len().saturating_sub(LISTED_MAX);
    held.truncate(LISTED_MAX);
    if more > 0 {
        let text = format!("{more} more hold the rest of {}.", node.name);
        held.push(Finding::new(Kind::Holder, text).node(&node.name));
    }
    held
}

/// The known nodes of a partition, in the order of their names.
fn nodes_of<'a>(cluster: &'a Cluster, partition: &Partition) -> Vec<&'a Node> {
    match &partition.nodes {
        Members::All => cluster.nodes().map(|node| &**node).collect(),
        Members::Listed(names) => {
            names.iter().filter_map(|name| cluster.node_named(name)).map(|node| &**node).collect()
        }
    }
}
