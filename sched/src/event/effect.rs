//! The orders that may leave the controller once the facts that ask for them are on disk.

use super::{Event, Placement};
use crate::ids::{AttemptKey, JobId, NodeId, StepKey};
use crate::reason::{Scope, StopWhy};
use crate::signals::Sent;
use crate::spec::duration::TimeLimit;

/// What may leave the controller once the event that asks for it is on disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Give tasks to a node.
    Start {
        /// The node.
        node: NodeId,
        /// The job.
        job: JobId,
        /// The tasks.
        placements: Vec<Placement>,
    },
    /// Stop an attempt.
    Stop {
        /// The node.
        node: NodeId,
        /// The attempt.
        key: AttemptKey,
        /// Why.
        why: StopWhy,
    },
    /// The end of an attempt is counted: the node may drop its record.
    Forget {
        /// The node.
        node: NodeId,
        /// The attempt.
        key: AttemptKey,
    },
    /// Let nothing of an attempt run, and its time limit wait.
    Suspend {
        /// The node.
        node: NodeId,
        /// The attempt.
        key: AttemptKey,
    },
    /// Let a suspended attempt go on.
    Resume {
        /// The node.
        node: NodeId,
        /// The attempt.
        key: AttemptKey,
    },
    /// Hold an attempt to another time limit.
    Limit {
        /// The node.
        node: NodeId,
        /// The attempt.
        key: AttemptKey,
        /// The new limit, counted from the attempt's start.
        limit: TimeLimit,
    },
    /// Send an attempt a signal that ends nothing by itself.
    Signal {
        /// The node.
        node: NodeId,
        /// The attempt.
        key: AttemptKey,
        /// The signal.
        sent: Sent,
    },
    /// Start a step's part.
    StartStep {
        /// The node.
        node: NodeId,
        /// The step.
        key: StepKey,
    },
    /// Stop a step's part.
    StopStep {
        /// The node.
        node: NodeId,
        /// The step.
        key: StepKey,
        /// Why.
        why: StopWhy,
    },
    /// Send the tasks of a step's part a signal.
    SignalStep {
        /// The node.
        node: NodeId,
        /// The step.
        key: StepKey,
        /// The signal.
        sent: Sent,
    },
    /// The end of a step's part is counted: the node may drop its record.
    ForgetStep {
        /// The node.
        node: NodeId,
        /// The step.
        key: StepKey,
    },
}

/// What leaves once `event` is durable.
#[must_use]
pub fn effects(event: &Event) -> Vec<Effect> {
    match event {
        Event::StepCreated { key, parts, .. } => {
            parts.iter().map(|part| Effect::StartStep { node: part.node, key: *key }).collect()
        }
        Event::StepStopped { key, nodes, why } => {
            nodes.iter().map(|node| Effect::StopStep { node: *node, key: *key, why: *why }).collect()
        }
        Event::StepSignalled { key, nodes, signal, number } => {
            let sent = Sent { number: *number, signal: *signal, scope: Scope::Steps };
            nodes.iter().map(|node| Effect::SignalStep { node: *node, key: *key, sent }).collect()
        }
        one => effect(one).into_iter().collect(),
    }
}

/// What leaves because of a fact that concerns one node.
fn effect(event: &Event) -> Option<Effect> {
    match event {
        Event::Started { job, placements } => {
            let node = placements.first()?.shares.first()?.node;
            Some(Effect::Start { node, job: *job, placements: placements.clone() })
        }
        Event::Stopped { key, node, why } => Some(Effect::Stop { node: *node, key: *key, why: *why }),
        Event::Suspended { key, node } => Some(Effect::Suspend { node: *node, key: *key }),
        Event::Resumed { key, node } => Some(Effect::Resume { node: *node, key: *key }),
        Event::Limited { key, node, limit } => Some(Effect::Limit { node: *node, key: *key, limit: *limit }),
        // Steps hear of it by facts of their own.
        Event::Signalled { scope: Scope::Steps, .. } => None,
        Event::Signalled { key, node, signal, scope: scope @ (Scope::Batch | Scope::Full), number } => {
            let sent = Sent { number: *number, signal: *signal, scope: *scope };
            Some(Effect::Signal { node: *node, key: *key, sent })
        }
        Event::Ended { key, node, .. }
        | Event::Requeued { key, node, .. }
        | Event::Closing { key, node, .. }
        | Event::Cleared { key, node } => Some(Effect::Forget { node: *node, key: *key }),
        Event::StepPartEnded { key, node, .. } | Event::StepCleared { key, node } => {
            Some(Effect::ForgetStep { node: *node, key: *key })
        }
        Event::Submitted { .. }
        | Event::StepCreated { .. }
        | Event::StepStopped { .. }
        | Event::StepSignalled { .. }
        | Event::Cancelled { .. }
        | Event::Expired { .. }
        | Event::Undone { .. }
        | Event::Revised { .. }
        | Event::Throttled { .. }
        | Event::Prioritized { .. }
        | Event::Waiting { .. }
        | Event::Held { .. }
        | Event::Began { .. }
        | Event::Settled { .. }
        | Event::TasksSettled { .. }
        | Event::Forgotten { .. }
        | Event::NodeRegistered { .. }
        | Event::NodeSilent { .. }
        | Event::NodeDown { .. }
        | Event::NodeMarked { .. }
        | Event::NodeUnmarked { .. }
        | Event::NodeRemoved { .. }
        | Event::PartitionSet { .. }
        | Event::PartitionRemoved { .. }
        | Event::Membership(_) => None,
    }
}
