//! The nodes whose links are up, and what is on its way to each. Only the driver holds this.
//!
//! A node that does not take its orders loses its link: it registers again, and is told what it missed.

use std::collections::{BTreeMap, BTreeSet};

use proto::link::{Order, ToNode};
use sched::ids::{JobId, NodeId};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::warn;

/// Messages that may wait for one node; more means that it does not read, and its link is dropped.
pub(crate) const NODE_MESSAGES_MAX: usize = 1_024;

/// Links by node.
#[derive(Default)]
pub(crate) struct Links {
    links: BTreeMap<NodeId, Link>,
    sessions: u64,
}

struct Link {
    session: u64,
    sender: mpsc::Sender<ToNode>,
    /// Jobs that the node has been told of.
    briefed: BTreeSet<JobId>,
}

impl Links {
    /// Takes a node's new link in the place of any it had; answers its session.
    pub(crate) fn open(&mut self, node: NodeId, sender: mpsc::Sender<ToNode>) -> u64 {
        self.sessions += 1;
        let link = Link { session: self.sessions, sender, briefed: BTreeSet::new() };
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

    /// Whether this session is the node's newest.
    pub(crate) fn is_current(&self, node: NodeId, session: u64) -> bool {
        self.links.get(&node).is_some_and(|link| link.session == session)
    }

    /// Whether the node must still be told of this job; it counts as told from now on. `None` without a link.
    pub(crate) fn must_brief(&mut self, node: NodeId, job: JobId) -> Option<bool> {
        self.links.get_mut(&node).map(|link| link.briefed.insert(job))
    }

    /// The nodes that were told of a job that is done; they count as not told from now on.
    pub(crate) fn unbrief(&mut self, job: JobId) -> Vec<NodeId> {
        let told = self.links.iter_mut().filter_map(|(node, link)| link.briefed.remove(&job).then_some(*node));
        told.collect()
    }

    /// Sends without waiting. A node without a link misses it, and hears of it when it registers.
    pub(crate) fn send(&mut self, node: NodeId, message: ToNode) {
        let Some(link) = self.links.get(&node) else { return };
        match link.sender.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                warn!(node = node.0, "the node does not take its orders; dropping its link");
                self.links.remove(&node);
            }
            Err(TrySendError::Closed(_)) => {
                self.links.remove(&node);
            }
        }
    }
}

/// Orders of one commit, collected by node so that each gets one message.
#[derive(Default)]
pub(crate) struct Outbox(BTreeMap<NodeId, Vec<Order>>);

impl Outbox {
    pub(crate) fn add(&mut self, node: NodeId, order: Order) {
        self.0.entry(node).or_default().push(order);
    }

    pub(crate) fn send(self, links: &mut Links) {
        for (node, orders) in self.0 {
            links.send(node, ToNode::Orders(orders));
        }
    }
}
