//! From an input to facts: [`decide`] answers what becomes true because of it, and what its sender is told.
//!
//! Nothing is changed here. A refusal is an answer without events.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, JobId, Name, NodeId, RequestId, Timestamp};
use crate::mark::{self, NodesUpdate};
use crate::node::{Health, Offer};
use crate::partition::{Change, Partition, update};
use crate::reconcile::{AttemptEnd, Claim, How, Reconciled, reconcile};
use crate::refusal::Refusal;
use crate::select::{self, Selection};
use crate::settings::Settings;
use crate::spec::array::JobRef;
use crate::spec::job::JobSpec;
use crate::{failures, finish, submit};

/// What reached the controller.
#[derive(Clone, Debug)]
pub enum Input {
    /// A job.
    Submit {
        /// Made by the command before its first try.
        request: RequestId,
        /// What is asked for.
        spec: Arc<JobSpec>,
    },
    /// Jobs and tasks are to end.
    Cancel {
        /// Which.
        selection: Selection,
        /// Who asks.
        uid: u32,
    },
    /// What waits of these jobs is to be held, or released.
    Hold {
        /// Which.
        targets: Vec<JobRef>,
        /// Hold, or release.
        hold: bool,
    },
    /// A node's link is up.
    Register {
        /// Its name.
        name: Name,
        /// What it has.
        offer: Offer,
        /// What it has records of.
        claims: Vec<Claim>,
    },
    /// Attempts ended on a node.
    Ends {
        /// The node.
        node: NodeId,
        /// The ends.
        ends: Vec<(AttemptKey, AttemptEnd)>,
    },
    /// A node's link broke.
    LinkLost {
        /// The node.
        node: NodeId,
    },
    /// A node says that it leaves for good.
    Leave {
        /// The node.
        node: NodeId,
    },
    /// Nodes are to be taken out of service, or put back.
    UpdateNodes(NodesUpdate),
    /// The settings name these partitions ([`update::from_settings`]).
    Partitions(Vec<Partition>),
    /// A partition is to be made.
    CreatePartition {
        /// Its name.
        name: Name,
        /// What is said of it.
        change: Change,
    },
    /// A partition is to be changed.
    UpdatePartition {
        /// Its name.
        name: Name,
        /// What is said of it.
        change: Change,
    },
    /// A partition is to go.
    DeletePartition {
        /// Its name.
        name: Name,
    },
    /// A moment named by [`next_wake`] has come.
    Tick,
}

/// What the sender of an input is told once its events are durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done, and there is nothing to say.
    Done,
    /// The job's number.
    Submitted(JobId),
    /// For each thing named, whether it was there and could be changed.
    Found(Vec<Result<(), Refusal>>),
    /// A node's number, and what it has missed.
    Registered(NodeId, Reconciled),
    /// Refused.
    Refused(Refusal),
}

/// Decides what becomes true.
#[must_use]
pub fn decide(cluster: &Cluster, settings: &Settings, now: Timestamp, input: Input) -> (Vec<Event>, Answer) {
    match input {
        Input::Submit { request, spec } => match submit::submit(cluster, settings, request, spec) {
            Ok((events, job)) => (events, Answer::Submitted(job)),
            Err(refusal) => (Vec::new(), Answer::Refused(refusal)),
        },
        Input::Cancel { selection, uid } => {
            let (events, found) = select::cancel(cluster, &selection, uid);
            (events, Answer::Found(found))
        }
        Input::Hold { targets, hold } => {
            let (events, found) = select::hold(cluster, &targets, hold);
            (events, Answer::Found(found))
        }
        Input::Register { name, offer, claims } => register(cluster, settings, now, name, offer, &claims),
        Input::Ends { node, ends } => {
            // Said twice in one breath is said once.
            let ends: BTreeMap<AttemptKey, AttemptEnd> = ends.into_iter().collect();
            let judged = ends.iter().filter_map(|(key, end)| finish::judge(cluster, settings, node, *key, end));
            let mut events: Vec<Event> = judged.collect();
            events.extend(failures::drain(cluster, settings, now, node, &events));
            (events, Answer::Done)
        }
        Input::LinkLost { node } => (link_lost(cluster, node), Answer::Done),
        Input::Leave { node } => (leave(cluster, settings, node), Answer::Done),
        Input::UpdateNodes(update) => {
            let (events, found) = mark::update(cluster, now, &update);
            (events, Answer::Found(found))
        }
        Input::Partitions(partitions) => (update::from_settings(cluster, partitions), Answer::Done),
        Input::CreatePartition { name, change } => answered(update::create(cluster, name, &change)),
        Input::UpdatePartition { name, change } => answered(update::update(cluster, &name, &change)),
        Input::DeletePartition { name } => answered(update::delete(cluster, &name)),
        Input::Tick => (tick(cluster, settings, now), Answer::Done),
    }
}

fn answered(decided: Result<Vec<Event>, Refusal>) -> (Vec<Event>, Answer) {
    match decided {
        Ok(events) => (events, Answer::Done),
        Err(refusal) => (Vec::new(), Answer::Refused(refusal)),
    }
}

/// When [`Input::Tick`] is next due; `None` while nothing waits for time to pass.
#[must_use]
pub fn next_wake(cluster: &Cluster, settings: &Settings) -> Option<Timestamp> {
    let forget = cluster.index.done.get_min().map(|(at, _)| at.plus_ms(settings.job_age_s_min * 1000));
    let give_up = cluster.nodes.values().filter_map(|node| give_up_at(node.health, settings)).min();
    let begin = cluster.index.begins.get_min().map(|(at, _)| *at);
    let resume = cluster.nodes.values().filter_map(|node| mark::resume_at(node)).min();
    forget.into_iter().chain(give_up).chain(begin).chain(resume).min()
}

/// The most jobs that one tick forgets; the next tick goes on at once.
const FORGET_MAX: usize = 1_000;

fn tick(cluster: &Cluster, settings: &Settings, now: Timestamp) -> Vec<Event> {
    let too_old = |(at, _): &&(Timestamp, JobId)| at.plus_ms(settings.job_age_s_min * 1000) <= now;
    let old = cluster.index.done.iter().take_while(too_old).take(FORGET_MAX);
    let mut events: Vec<Event> = old.map(|(_, job)| Event::Forgotten { job: *job }).collect();
    let begun = cluster.index.begins.iter().take_while(|(at, _)| *at <= now);
    events.extend(begun.map(|(_, job)| Event::Began { job: *job }));
    events.extend(mark::resume_due(cluster, now));
    for node in cluster.nodes.values() {
        if give_up_at(node.health, settings).is_some_and(|at| at <= now) {
            events.push(Event::NodeDown { node: node.id });
            for key in cluster.attempts_on(node.id) {
                events.extend(finish::give_up(cluster, node.id, key));
            }
        }
    }
    events
}

fn give_up_at(health: Health, settings: &Settings) -> Option<Timestamp> {
    match health {
        Health::Silent { since } if settings.node_timeout_s > 0 => Some(since.plus_ms(settings.node_timeout_s * 1000)),
        Health::Silent { .. } | Health::Up { .. } | Health::Down { .. } => None,
    }
}

fn register(
    cluster: &Cluster,
    settings: &Settings,
    now: Timestamp,
    name: Name,
    offer: Offer,
    claims: &[Claim],
) -> (Vec<Event>, Answer) {
    let known = cluster.node_named(&name);
    let node = known.map_or_else(|| NodeId(cluster.last_node.map_or(1, |last| last.0 + 1)), |node| node.id);
    let same_spool = known.is_some_and(|node| node.offer.spool == offer.spool);
    let reconciled = reconcile(cluster, node, same_spool, claims);
    let judged = reconciled.ends.iter().filter_map(|(key, end)| finish::judge(cluster, settings, node, *key, end));
    let returned = known.and_then(|node| mark::returned(settings, now, node));
    let registered = Event::NodeRegistered { node, name, offer };
    let events = std::iter::once(registered).chain(returned).chain(judged).collect();
    (events, Answer::Registered(node, reconciled))
}

fn link_lost(cluster: &Cluster, node: NodeId) -> Vec<Event> {
    match cluster.node(node).map(|node| node.health) {
        Some(Health::Up { .. }) => vec![Event::NodeSilent { node }],
        Some(Health::Silent { .. } | Health::Down { .. }) | None => Vec::new(),
    }
}

/// A node that leaves has stopped what it ran: its attempts are lost, and its name is free unless somebody has marked it.
fn leave(cluster: &Cluster, settings: &Settings, id: NodeId) -> Vec<Event> {
    let Some(node) = cluster.node(id) else { return Vec::new() };
    let lost = AttemptEnd::lost();
    let mut events: Vec<Event> =
        cluster.attempts_on(id).filter_map(|key| finish::judge(cluster, settings, id, key, &lost)).collect();
    // Shares of attempts whose batch process is elsewhere keep the node in the books until they end.
    let own = cluster.attempts_on(id).count();
    if node.attempts as usize == own && node.mark.is_none() {
        events.push(Event::NodeRemoved { node: id });
    } else {
        events.push(Event::NodeSilent { node: id });
    }
    events
}

impl How {
    /// Whether nothing of the attempt can still run.
    #[must_use]
    pub fn is_lost(self) -> bool {
        self == How::Lost
    }
}
