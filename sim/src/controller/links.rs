//! Which stream is each node's newest, and what the node was told on it: the model of the driver's table of links.

use std::collections::BTreeMap;

use sched::ids::{JobId, Name, NodeId};

use crate::network::StreamId;

/// Links by node.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: BTreeMap<NodeId, Link>,
    sessions: u64,
}

#[derive(Debug)]
struct Link {
    session: u64,
    stream: StreamId,
    briefed: BTreeMap<JobId, (u32, Name)>,
}

impl Links {
    /// Takes a node's new stream; answers its session, and the stream that it replaces.
    pub(crate) fn open(&mut self, node: NodeId, stream: StreamId) -> (u64, Option<StreamId>) {
        self.sessions += 1;
        let link = Link { session: self.sessions, stream, briefed: BTreeMap::new() };
        (self.sessions, self.links.insert(node, link).map(|old| old.stream))
    }

    /// Forgets a link; `None` when the node has a newer one by now, or none.
    pub(crate) fn close(&mut self, node: NodeId, session: u64) -> Option<StreamId> {
        if self.is_current(node, session) { self.links.remove(&node).map(|link| link.stream) } else { None }
    }

    /// Drops all links; answers their streams.
    pub(crate) fn cut_all(&mut self) -> impl Iterator<Item = StreamId> + use<> {
        std::mem::take(&mut self.links).into_values().map(|link| link.stream)
    }

    pub(crate) fn is_current(&self, node: NodeId, session: u64) -> bool {
        self.links.get(&node).is_some_and(|link| link.session == session)
    }

    pub(crate) fn stream(&self, node: NodeId) -> Option<StreamId> {
        self.links.get(&node).map(|link| link.stream)
    }

    /// Whether the node must still be told of this edition of a job (its revision and partition), which counts as told from now
    /// on; `None` without a link.
    pub(crate) fn must_brief(&mut self, node: NodeId, job: JobId, edition: (u32, Name)) -> Option<bool> {
        let link = self.links.get_mut(&node)?;
        Some(link.briefed.insert(job, edition.clone()).is_none_or(|known| known != edition))
    }

    /// The nodes that were told of a job; they count as not told from now on.
    pub(crate) fn unbrief(&mut self, job: JobId) -> Vec<NodeId> {
        let told = self.links.iter_mut().filter_map(|(node, link)| link.briefed.remove(&job).map(|_| *node));
        told.collect()
    }
}
