//! What is decided together: the facts of one commit, and who waits for it.

use bytes::Bytes;
use proto::link::ToNode;
use sched::cluster::Cluster;
use sched::event::Event;
use sched::ids::{BlobHash, NodeId, Timestamp};
use sched::reconcile::Reconciled;
use sched::step::Answer;
use tokio::sync::mpsc;

use super::Reply;
use super::letter::Registered;
use crate::history::{self, OwnedRow};

/// Everything that one commit makes true, and who waits for it.
pub(super) struct Batch {
    pub(super) at: Timestamp,
    pub(super) events: Vec<Event>,
    pub(super) blobs: Vec<(BlobHash, Bytes)>,
    pub(super) replies: Vec<(Reply, Answer)>,
    pub(super) registrations: Vec<Registration>,
    pub(super) history: Vec<OwnedRow>,
    pub(super) dropped: Vec<BlobHash>,
}

impl Batch {
    pub(super) fn new(at: Timestamp) -> Batch {
        let (events, blobs, replies, registrations) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Batch { at, events, blobs, replies, registrations, history: Vec::new(), dropped: Vec::new() }
    }

    /// What must be read off the state before an event changes it: a job that leaves becomes history, and takes its blobs
    /// along; so does a run that was not the last.
    pub(super) fn note_before(&mut self, cluster: &Cluster, event: &Event) {
        self.history.extend(history::runs(cluster, self.at, event));
        if let Event::Forgotten { job } = event
            && let Some(job) = cluster.job(*job)
        {
            self.history.extend(history::rows(cluster, job));
            self.dropped.extend(cluster.blobs_of_last_use(job));
        }
    }
}

/// A node that has registered in this batch and waits for its welcome.
pub(super) struct Registration {
    pub(super) node: NodeId,
    pub(super) missed: Reconciled,
    pub(super) sender: mpsc::Sender<ToNode>,
    pub(super) reply: Registered,
}
