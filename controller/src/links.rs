//! The nodes whose links are up, and what is on its way to each. Only the driver holds this.
//!
//! A node that does not take its orders loses its link: it registers again, and is told what it missed.

use std::collections::{BTreeMap, BTreeSet};

use proto::link::{Order, ToNode, Work};
use sched::ids::{JobId, NodeId};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::warn;

use crate::briefs::Edition;

/// Messages that may wait for one node; more means that it does not read, and its link is dropped.
pub(crate) const NODE_MESSAGES_MAX: usize = 1_024;

/// About as many bytes of orders go into one message; a single large order may be more, and still fits the wire's limit.
const ORDERS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Links by node.
#[derive(Default)]
pub(crate) struct Links {
    links: BTreeMap<NodeId, Link>,
    /// The nodes that may have been told of a job, so that its end costs nothing to the others.
    told: BTreeMap<JobId, BTreeSet<NodeId>>,
    sessions: u64,
}

struct Link {
    session: u64,
    /// Gone when the node did not take its orders; the entry stays until its stream is known to have ended.
    sender: Option<mpsc::Sender<ToNode>>,
    /// Jobs that the node has been told of, and which edition of each last.
    briefed: BTreeMap<JobId, Edition>,
}

impl Links {
    /// Takes a node's new link in the place of any it had; answers its session.
    pub(crate) fn open(&mut self, node: NodeId, sender: mpsc::Sender<ToNode>) -> u64 {
        self.sessions += 1;
        let link = Link { session: self.sessions, sender: Some(sender), briefed: BTreeMap::new() };
        self.links.insert(node, link);
        self.sessions
    }

    /// Forgets a link; false when the node has a newer one by now, or none.
    pub(crate) fn close(&mut self, node: NodeId, session: u64) -> bool {
        let current = self.is_current(node, session);
        if current {
            self.links.remove(&node);
        }
        current
    }

    /// Drops a node's link, whoever is at its other end.
    pub(crate) fn cut(&mut self, node: NodeId) {
        self.links.remove(&node);
    }

    /// Whether this session is the node's newest.
    pub(crate) fn is_current(&self, node: NodeId, session: u64) -> bool {
        self.links.get(&node).is_some_and(|link| link.session == session)
    }

    /// Whether a node is being listened to right now.
    pub(crate) fn is_live(&self, node: NodeId) -> bool {
        let sender = self.links.get(&node).and_then(|link| link.sender.as_ref());
        sender.is_some_and(|sender| !sender.is_closed())
    }

    /// How many nodes are connected.
    pub(crate) fn count(&self) -> usize {
        self.links.values().filter(|link| link.sender.as_ref().is_some_and(|sender| !sender.is_closed())).count()
    }

    /// Drops all links: every node registers again, and says everything again.
    pub(crate) fn cut_all(&mut self) {
        self.links.clear();
        self.told.clear();
    }

    /// Whether the node must still be told of this edition of a job; `None` without a link.
    pub(crate) fn must_brief(&self, node: NodeId, job: JobId, edition: &Edition) -> Option<bool> {
        let link = self.links.get(&node).filter(|link| link.sender.is_some())?;
        Some(link.briefed.get(&job) != Some(edition))
    }

    /// The node is being told of this job.
    pub(crate) fn briefed(&mut self, node: NodeId, job: JobId, edition: Edition) {
        if let Some(link) = self.links.get_mut(&node) {
            link.briefed.insert(job, edition);
            self.told.entry(job).or_default().insert(node);
        }
    }

    /// The nodes that were told of a job that is done; they count as not told from now on.
    pub(crate) fn unbrief(&mut self, job: JobId) -> Vec<NodeId> {
        let told = self.told.remove(&job).unwrap_or_default();
        let mut was_told =
            |node: &NodeId| self.links.get_mut(node).is_some_and(|link| link.briefed.remove(&job).is_some());
        told.into_iter().filter(|node| was_told(node)).collect()
    }

    /// Sends without waiting. A node without a link misses it, and hears of it when it registers.
    pub(crate) fn send(&mut self, node: NodeId, message: ToNode) {
        let Some(link) = self.links.get_mut(&node) else { return };
        let Some(sender) = &link.sender else { return };
        match sender.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                warn!(node = node.0, "the node does not take its orders; dropping its link");
                link.sender = None;
            }
            Err(TrySendError::Closed(_)) => link.sender = None,
        }
    }
}

/// About how many bytes an order takes on the wire.
fn weight(order: &Order) -> usize {
    match order {
        Order::Job(brief) => {
            let script = if let Work::Script { text, .. } = &brief.work { text.len() } else { 0 };
            4096 + script + brief.environment.len()
        }
        Order::Start { tasks, .. } => {
            tasks.iter().map(|task| 64 + 64 * task.shares.len() + task.blob.as_ref().map_or(0, String::len)).sum()
        }
        Order::StartStep(start) => 8192 + start.spec.size_bytes() + 64 * (start.shares.len() + start.task.shares.len()),
        Order::ReadOutput(read) => 64 + read.path.len(),
        Order::Stop { .. }
        | Order::Forget(_)
        | Order::JobGone(_)
        | Order::Suspend(_)
        | Order::Resume(_)
        | Order::Limit { .. }
        | Order::Signal { .. }
        | Order::StopStep { .. }
        | Order::SignalStep { .. }
        | Order::ForgetStep(_) => 32,
    }
}

/// Orders of one commit, collected by node so that each gets one message.
#[derive(Default)]
pub(crate) struct Outbox(BTreeMap<NodeId, Vec<Order>>);

impl Outbox {
    pub(crate) fn add(&mut self, node: NodeId, order: Order) {
        self.0.entry(node).or_default().push(order);
    }

    /// One message for each node, or several where scripts and environments make it a large one.
    pub(crate) fn send(self, links: &mut Links) {
        for (node, orders) in self.0 {
            let mut message = Vec::new();
            let mut bytes = 0;
            for order in orders {
                bytes += weight(&order);
                if bytes > ORDERS_BYTES_MAX && !message.is_empty() {
                    links.send(node, ToNode::Orders(std::mem::take(&mut message)));
                    bytes = weight(&order);
                }
                message.push(order);
            }
            links.send(node, ToNode::Orders(message));
        }
    }
}
