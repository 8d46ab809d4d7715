//! What a node that registers has missed: the difference between what the cluster expects on it and what it says it has.
//!
//! The one way back after a restart of either side, a broken link or a lost message.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::event::Effect;
use crate::event::Placement;
use crate::ids::{AttemptKey, NodeId, StepKey};
use crate::job::Job;
use crate::lease::Lease;
use crate::reason::{Exit, Scope, StopWhy};
use crate::signals::Sent;
use crate::steps::ends;
use crate::task::{TaskState, Usage};

/// An attempt that a node has a record of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The attempt.
    pub key: AttemptKey,
    /// Its end, if it has ended; `None` while it runs.
    pub end: Option<AttemptEnd>,
    /// The highest number of a signal that it has heard.
    pub heard: u32,
}

/// A step's part that a node has a record of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepClaim {
    /// The step.
    pub key: StepKey,
    /// How its part there left, if it has; `None` while it runs.
    pub end: Option<AttemptEnd>,
    /// The highest number of a signal that its part there has heard.
    pub heard: u32,
}

/// The end of an attempt as its node saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// How.
    pub how: How,
    /// How long ago, by the node's clock, in milliseconds.
    pub age_ms: u64,
    /// What it used.
    pub usage: Usage,
    /// What a person should read.
    pub note: Option<String>,
}

/// How an attempt left, before anyone judges why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Its process left, or its op returned.
    Exited(Exit),
    /// It was stopped for its time limit, and its process left so.
    TimedOut(Exit),
    /// It took more memory than it had asked for, and was killed.
    OutOfMemory,
    /// It was never begun: a file or program could not be opened.
    NotStarted,
    /// It was begun, and nobody saw its end: launcher or machine died with it.
    Lost,
}

/// The answer to a registration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconciled {
    /// Attempts that go on.
    pub adopt: Vec<AttemptKey>,
    /// Attempts that nobody wants any more: stop them, and say when they have ended.
    pub kill: Vec<AttemptKey>,
    /// Ends that are counted already.
    pub forget: Vec<AttemptKey>,
    /// Orders that it has not heard, or not carried out.
    pub again: Vec<Effect>,
    /// Ends that the cluster has not counted.
    pub ends: Vec<(AttemptKey, AttemptEnd)>,
    /// Ends of steps' parts that the cluster has not counted.
    pub step_ends: Vec<(StepKey, AttemptEnd)>,
    /// Parts of steps that nobody wants any more.
    pub unwanted_steps: Vec<StepKey>,
    /// How long what may run elsewhere goes on there without a word; none where the node keeps no lease, or needs none.
    pub lease: Option<Lease>,
}

/// Compares a node's claims with what the cluster expects there. `same_spool` is false when the node's records are new, so
/// that what it does not claim is lost and not merely unheard.
#[must_use]
pub fn reconcile(
    cluster: &Cluster,
    node: NodeId,
    same_spool: bool,
    claims: &[Claim],
    steps: &[StepClaim],
) -> Reconciled {
    let mut found = Reconciled::default();
    reconcile_attempts(cluster, node, same_spool, claims, &mut found);
    reconcile_steps(cluster, node, same_spool, steps, &mut found);
    found
}

fn reconcile_attempts(cluster: &Cluster, node: NodeId, same_spool: bool, claims: &[Claim], found: &mut Reconciled) {
    let mut claimed: BTreeMap<AttemptKey, &Claim> = claims.iter().map(|claim| (claim.key, claim)).collect();
    // Of one that only waits for its steps, the end is counted.
    for key in cluster.attempts_on(node).filter(|key| !is_closing(cluster, *key)) {
        match claimed.remove(&key) {
            Some(Claim { end: Some(end), .. }) => found.ends.push((key, end.clone())),
            Some(Claim { end: None, heard, .. }) => {
                found.adopt.push(key);
                found.again.extend(tell_again(cluster, node, key, *heard));
            }
            None if same_spool => found.again.extend(order_again(cluster, node, key)),
            None => found.ends.push((key, AttemptEnd::lost())),
        }
    }
    for claim in claimed.values() {
        if claim.end.is_some() { &mut found.forget } else { &mut found.kill }.push(claim.key);
    }
}

fn is_closing(cluster: &Cluster, key: AttemptKey) -> bool {
    let task = cluster.job(key.job).and_then(|job| job.tasks.get(&key.index));
    task.is_some_and(|task| matches!(task.state, TaskState::Closing { .. }))
}

/// The same for parts of steps. What the welcome has no words for is told by orders.
fn reconcile_steps(cluster: &Cluster, node: NodeId, same_spool: bool, claims: &[StepClaim], found: &mut Reconciled) {
    let mut claimed: BTreeMap<StepKey, &StepClaim> = claims.iter().map(|claim| (claim.key, claim)).collect();
    for key in cluster.steps_on(node) {
        match claimed.remove(&key) {
            Some(StepClaim { end: Some(end), .. }) => found.step_ends.push((key, end.clone())),
            Some(StepClaim { end: None, heard, .. }) => {
                found.again.extend(tell_step_again(cluster, node, key, *heard));
            }
            None if same_spool => {
                found.again.push(Effect::StartStep { node, key });
                found.again.extend(tell_step_again(cluster, node, key, 0));
            }
            None => found.step_ends.push((key, AttemptEnd::lost())),
        }
    }
    for claim in claimed.values() {
        let key = claim.key;
        if claim.end.is_some() {
            found.again.push(Effect::ForgetStep { node, key });
        } else {
            found.again.push(Effect::StopStep { node, key, why: StopWhy::JobOver });
            found.unwanted_steps.push(key);
        }
    }
}

/// What a node is told again of a step: that it stops, or the signals that it has not `heard`, that it stands still or goes on,
/// and by which limit it is warned.
fn tell_step_again(cluster: &Cluster, node: NodeId, key: StepKey, heard: u32) -> Vec<Effect> {
    let Some(job) = cluster.job(key.attempt.job) else { return Vec::new() };
    let (Some(task), Some(step)) = (job.tasks.get(&key.attempt.index), job.step(key)) else { return Vec::new() };
    if let Some(why) = step.stopped() {
        return vec![Effect::StopStep { node, key, why }];
    }
    let tell = |sent: Sent| Effect::SignalStep { node, key, sent };
    let state = |signal: i32| tell(Sent { number: 0, signal, scope: Scope::Steps });
    let pace = match task.state {
        TaskState::Suspended { .. } => Some(state(ends::STOP)),
        TaskState::Running { .. } if task.paused_ms > 0 => Some(state(ends::CONTINUE)),
        TaskState::Running { .. }
        | TaskState::Pending { .. }
        | TaskState::Finishing { .. }
        | TaskState::Closing { .. } => None,
    };
    let terms = job.terms_of(task);
    // On the node of its attempt the attempt is told.
    let elsewhere = task.state.shares().and_then(|shares| Job::batch_node(shares)) != Some(node);
    let limit = Effect::Limit { node, key: key.attempt, limit: terms.time_limit };
    let signals = step.signals.after(heard).map(tell);
    signals.chain(pace).chain((elsewhere && terms.revision > 0 && terms.warns_steps()).then_some(limit)).collect()
}

impl AttemptEnd {
    /// The end of an attempt that nobody saw end.
    #[must_use]
    pub fn lost() -> AttemptEnd {
        AttemptEnd { how: How::Lost, age_ms: 0, usage: Usage::default(), note: None }
    }
}

/// What a node is told again of an attempt that has begun, or is about to: all that was ordered since its start and that
/// the state still says, and the signals that it has not `heard`.
fn tell_again(cluster: &Cluster, node: NodeId, key: AttemptKey, heard: u32) -> Vec<Effect> {
    let Some(job) = cluster.job(key.job) else { return Vec::new() };
    let Some(task) = job.tasks.get(&key.index) else { return Vec::new() };
    let terms = job.terms_of(task);
    let limit = Effect::Limit { node, key, limit: terms.time_limit };
    // It may have missed that its limit was changed, or that it goes on.
    let mut again = match task.state {
        TaskState::Finishing { why, .. } => return vec![Effect::Stop { node, key, why }],
        TaskState::Suspended { .. } if terms.revision > 0 => vec![Effect::Suspend { node, key }, limit],
        TaskState::Suspended { .. } => vec![Effect::Suspend { node, key }],
        TaskState::Running { .. } if terms.revision > 0 || task.paused_ms > 0 => {
            vec![Effect::Resume { node, key }, limit]
        }
        TaskState::Running { .. } | TaskState::Pending { .. } | TaskState::Closing { .. } => Vec::new(),
    };
    again.extend(task.signals.after(heard).map(|sent| Effect::Signal { node, key, sent }));
    again
}

/// The order that a node never heard: to start, and to stop again where that was ordered since.
fn order_again(cluster: &Cluster, node: NodeId, key: AttemptKey) -> Vec<Effect> {
    let Some(task) = cluster.job(key.job).and_then(|job| job.tasks.get(&key.index)) else { return Vec::new() };
    let shares = match &task.state {
        TaskState::Pending { .. } | TaskState::Closing { .. } => return Vec::new(),
        TaskState::Suspended { full, .. } => full,
        TaskState::Running { shares, .. } | TaskState::Finishing { shares, .. } => shares,
    };
    let (shares, partition) = (shares.clone(), task.partition.clone());
    let placement = Placement { index: key.index, id: task.id, attempt: key.attempt, shares, partition };
    let start = Effect::Start { node, job: key.job, placements: vec![placement] };
    std::iter::once(start).chain(tell_again(cluster, node, key, 0)).collect()
}
