//! From an input to facts: [`decide`] answers what becomes true because of it, and what its sender is told.
//!
//! Nothing is changed here. A refusal is an answer without events.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::event::Event;
use crate::hold::{self, HoldVerb};
use crate::ids::{AttemptKey, JobId, Name, NodeId, RequestId, StepKey, Timestamp};
use crate::lease::{self, Lease};
use crate::mark::{self, NodesUpdate};
use crate::node::{Health, Offer};
use crate::partition::{self, Partition, update};
use crate::reason::Scope;
use crate::reconcile::{AttemptEnd, Claim, How, Reconciled, StepClaim, reconcile};
use crate::refusal::Refusal;
use crate::requeue::{self, Requeue};
use crate::revise::{self, Change, Scene};
use crate::select::{self, Asker, Selection};
use crate::settings::Settings;
use crate::spec::array::JobRef;
use crate::spec::job::JobSpec;
use crate::steps::ask::{self, NewStep, StepTarget, StepWish};
use crate::steps::ends;
use crate::{failures, finish, members, pause, submit, wake};

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
        asker: Asker,
    },
    /// Attempts that run are to be sent a signal.
    Signal {
        /// Which.
        selection: Selection,
        /// The signal's number.
        signal: i32,
        /// To which of their processes.
        scope: Scope,
        /// Who asks.
        asker: Asker,
    },
    /// What waits is to be held, or released.
    Hold {
        /// Which.
        targets: Vec<JobRef>,
        /// Hold, or release.
        verb: HoldVerb,
        /// Who asks.
        asker: Asker,
    },
    /// Jobs and tasks are to run again.
    Requeue {
        /// Which.
        targets: Vec<JobRef>,
        /// How.
        how: Requeue,
        /// Who asks.
        asker: Asker,
    },
    /// Attempts are to be suspended, or to go on.
    Pause {
        /// Which.
        targets: Vec<JobRef>,
        /// Suspend, or resume.
        suspend: bool,
        /// Who asks.
        asker: Asker,
    },
    /// A step is to be made.
    CreateStep(NewStep),
    /// Steps are to end, or to be sent a signal.
    Steps {
        /// Which.
        targets: Vec<StepTarget>,
        /// What.
        wish: StepWish,
        /// Who asks.
        asker: Asker,
    },
    /// The holder of an allocation is done with it.
    Release {
        /// The job.
        job: JobId,
        /// The exit code of what it ran.
        code: u8,
    },
    /// Something of jobs or tasks is to change.
    Revise {
        /// Which.
        targets: Vec<JobRef>,
        /// What.
        changes: Vec<Change>,
        /// Who asks.
        asker: Asker,
    },
    /// A node's link is up.
    Register {
        /// Its name.
        name: Name,
        /// What it has.
        offer: Offer,
        /// What it has records of.
        claims: Vec<Claim>,
        /// The steps of which it has records.
        steps: Vec<StepClaim>,
    },
    /// Attempts and parts of steps ended on a node.
    Ends {
        /// The node.
        node: NodeId,
        /// The ends of attempts.
        ends: Vec<(AttemptKey, AttemptEnd)>,
        /// The ends of parts of steps.
        steps: Vec<(StepKey, AttemptEnd)>,
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
        change: partition::Change,
    },
    /// A partition is to be changed.
    UpdatePartition {
        /// Its name.
        name: Name,
        /// What is said of it.
        change: partition::Change,
    },
    /// A partition is to go.
    DeletePartition {
        /// Its name.
        name: Name,
    },
    /// Who may be a node is to change.
    Membership(members::Wish),
    /// A moment named by [`crate::wake::next_wake`] has come.
    Tick,
}

/// What the sender of an input is told once its events are durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done, and there is nothing to say.
    Done,
    /// The job's number.
    Submitted(JobId),
    /// The step's name.
    Step(StepKey),
    /// For each thing named, whether it was there and could be changed.
    Found(Vec<Result<(), Refusal>>),
    /// A node's number, and what it has missed.
    Registered(NodeId, Reconciled),
    /// A join token's number.
    Token(u32),
    /// Refused.
    Refused(Refusal),
}

/// Decides what becomes true.
#[must_use]
pub fn decide(cluster: &Cluster, settings: &Settings, now: Timestamp, input: Input) -> (Vec<Event>, Answer) {
    match input {
        Input::Submit { request, spec } => match submit::submit(cluster, settings, now, request, spec) {
            Ok((events, job)) => (events, Answer::Submitted(job)),
            Err(refusal) => (Vec::new(), Answer::Refused(refusal)),
        },
        Input::Cancel { selection, asker } => found(select::cancel(cluster, &selection, asker)),
        Input::Signal { selection, signal, scope, asker } => {
            found(select::signal(cluster, &selection, signal, scope, asker))
        }
        Input::Hold { targets, verb, asker } => found(hold::hold(cluster, &targets, verb, asker)),
        Input::Requeue { targets, how, asker } => found(requeue::requeue(cluster, &targets, how, asker)),
        Input::Pause { targets, suspend, asker } => found(pause::pause(cluster, &targets, suspend, asker)),
        Input::CreateStep(new) => match ask::create(cluster, &new) {
            Ok((event, key)) => (event.into_iter().collect(), Answer::Step(key)),
            Err(refusal) => (Vec::new(), Answer::Refused(refusal)),
        },
        Input::Steps { targets, wish, asker } => found(ask::wish(cluster, &targets, wish, asker)),
        Input::Release { job, code } => {
            answered(ask::release(cluster, job, code).map(|event| event.into_iter().collect()))
        }
        Input::Revise { targets, changes, asker } => {
            found(revise::revise(&Scene { cluster, settings, now, asker, revised: Cell::new(0) }, &targets, &changes))
        }
        Input::Register { name, offer, claims, steps } => {
            register(cluster, settings, now, (name, offer), &claims, &steps)
        }
        Input::Ends { node, ends, steps } => {
            // Said twice in one breath is said once.
            let ends: BTreeMap<AttemptKey, AttemptEnd> = ends.into_iter().collect();
            let steps: BTreeMap<StepKey, AttemptEnd> = steps.into_iter().collect();
            let judged = ends.iter().filter_map(|(key, end)| {
                let event = finish::judge(cluster, settings, now, node, *key, end);
                event.or_else(|| finish::clear(cluster, node, *key))
            });
            let parts = steps.iter().map(|(key, end)| ends::part(cluster, node, *key, end));
            let mut events: Vec<Event> = parts.chain(judged).collect();
            events.extend(failures::drain(cluster, settings, now, node, &events));
            (events, Answer::Done)
        }
        Input::LinkLost { node } => (link_lost(cluster, node), Answer::Done),
        Input::Leave { node } => (leave(cluster, settings, now, node), Answer::Done),
        Input::UpdateNodes(update) => found(mark::update(cluster, now, &update)),
        Input::Partitions(partitions) => (update::from_settings(cluster, partitions), Answer::Done),
        Input::CreatePartition { name, change } => answered(update::create(cluster, name, &change)),
        Input::UpdatePartition { name, change } => answered(update::update(cluster, &name, &change)),
        Input::DeletePartition { name } => answered(update::delete(cluster, &name)),
        Input::Membership(wish) => members::decide(cluster, now, wish),
        Input::Tick => (wake::tick(cluster, settings, now), Answer::Done),
    }
}

/// Events, and for each target whether it could be done, as an answer.
fn found((events, found): (Vec<Event>, Vec<Result<(), Refusal>>)) -> (Vec<Event>, Answer) {
    (events, Answer::Found(found))
}

fn answered(decided: Result<Vec<Event>, Refusal>) -> (Vec<Event>, Answer) {
    match decided {
        Ok(events) => (events, Answer::Done),
        Err(refusal) => (Vec::new(), Answer::Refused(refusal)),
    }
}

fn register(
    cluster: &Cluster,
    settings: &Settings,
    now: Timestamp,
    (name, offer): (Name, Offer),
    claims: &[Claim],
    steps: &[StepClaim],
) -> (Vec<Event>, Answer) {
    let known = cluster.node_named(&name);
    let node = known.map_or_else(|| NodeId(cluster.last_node.map_or(1, |last| last.0 + 1)), |node| node.id);
    let same_spool = known.is_some_and(|node| node.offer.spool == offer.spool);
    let mut reconciled = reconcile(cluster, node, same_spool, claims, steps);
    reconciled.lease = Lease::of(settings).filter(|_| offer.abilities.leases);
    let patience_ms = lease::patience_ms(settings, &offer);
    let judged = reconciled.ends.iter().filter_map(|(key, end)| finish::judge(cluster, settings, now, node, *key, end));
    let returned = known.and_then(|node| mark::returned(settings, now, node));
    let parts = reconciled.step_ends.iter().map(|(key, end)| ends::part(cluster, node, *key, end));
    let (unwanted, unwanted_steps) = (reconciled.kill.clone(), reconciled.unwanted_steps.clone());
    let offer = Box::new(offer);
    let registered = Event::NodeRegistered { node, name, offer, unwanted, unwanted_steps, patience_ms };
    let events = std::iter::once(registered).chain(returned).chain(parts).chain(judged).collect();
    (events, Answer::Registered(node, reconciled))
}

/// Of a node that is silent already the silence is counted anew: a controller that starts does not know how much of its lease
/// has passed meanwhile.
fn link_lost(cluster: &Cluster, node: NodeId) -> Vec<Event> {
    match cluster.node(node).map(|node| node.health) {
        Some(Health::Up { .. } | Health::Silent { .. }) => vec![Event::NodeSilent { node }],
        Some(Health::Down { .. }) | None => Vec::new(),
    }
}

/// A node that leaves has stopped what it ran: its attempts are lost, and its name is free unless somebody has marked it.
fn leave(cluster: &Cluster, settings: &Settings, now: Timestamp, id: NodeId) -> Vec<Event> {
    let Some(node) = cluster.node(id) else { return Vec::new() };
    let lost = AttemptEnd::lost();
    let mut events: Vec<Event> = ends::lost(cluster, id).collect();
    events.extend(cluster.attempts_on(id).filter_map(|key| finish::judge(cluster, settings, now, id, key, &lost)));
    // Shares of attempts whose batch process is elsewhere keep the node in the books until they end.
    let own = cluster.attempts_on(id).count();
    // One with steps may be over only when those on other nodes are.
    let over = cluster.attempts_on(id).all(|key| cluster.running_steps(key).next().is_none());
    if node.attempts as usize == own && over && node.mark.is_none() {
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
