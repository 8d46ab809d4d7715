//! Nodes that an administrator takes out of service and puts back: `scontrol update nodename=`, and what Covey does in its place.
//!
//! A drain lets what runs finish; a node that is taken down stops it at once, and what may be requeued waits again as soon as
//! it is known dead. A mark is cleared by a resume, by its own time (`ResumeAfter`), or, where `ReturnToService` says so, by
//! a registration; a restart of either side clears nothing. Start at [`update`].

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{AttemptKey, Name, NodeId, Timestamp};
use crate::job::Job;
use crate::node::{Health, Mark, MarkKind, Node};
use crate::reason::StopWhy;
use crate::refusal::Refusal;
use crate::settings::{ReturnToService, Settings};
use crate::task::TaskState;

/// The reason of a node that was given up for its silence; Slurm's text.
pub const NOT_RESPONDING: &str = "Not responding";
/// The reason of a node that was told to go and waits for what it runs.
pub const RETIRING: &str = "Leaving the cluster";
/// The longest reason, in bytes; a longer one is refused.
pub const REASON_BYTES_MAX: usize = 1024;

/// What an administrator wants of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodesUpdate {
    /// The nodes' names.
    pub names: Vec<Name>,
    /// What is to become of each.
    pub wish: Wish,
    /// The user who asks.
    pub uid: u32,
    /// That user's name.
    pub user: Name,
}

/// What is to become of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// It is taken out of service.
    Mark {
        /// How far.
        kind: MarkKind,
        /// Why.
        reason: Arc<str>,
        /// In so many seconds it is resumed.
        resume_after_s: Option<u64>,
    },
    /// A mark that is there gets another reason.
    Reason(Arc<str>),
    /// It is put back into service, and waited for again if it was given up.
    Resume,
    /// A drain ends; what is down stays so.
    Undrain,
}

/// Does what is wanted of each node. Answers for each name whether it could be done.
pub(crate) fn update(
    cluster: &Cluster,
    now: Timestamp,
    update: &NodesUpdate,
) -> (Vec<Event>, Vec<Result<(), Refusal>>) {
    let mut events = Vec::new();
    let mut one = |name: &Name| {
        let node = cluster.node_named(name).ok_or_else(|| Refusal::UnknownNode(name.to_string()))?;
        events.extend(wished(cluster, now, update, node)?);
        Ok(())
    };
    let found = update.names.iter().map(&mut one).collect();
    (events, found)
}

fn wished(cluster: &Cluster, now: Timestamp, update: &NodesUpdate, node: &Node) -> Result<Vec<Event>, Refusal> {
    let (uid, user) = (update.uid, update.user.clone());
    let nothing_to = |what| Err(Refusal::NodeState(format!("{} is {what}", node.name)));
    match (&update.wish, &node.mark) {
        (Wish::Mark { kind, reason, resume_after_s }, _) => {
            let until = resume_after_s.map(|s| now.plus_ms(s.saturating_mul(1000)));
            let mark = Mark { kind: *kind, reason: reason.clone(), uid, user, at: now, until };
            Ok(marked(cluster, node, mark))
        }
        (Wish::Reason(reason), Some(mark)) => {
            let mark = Mark { reason: reason.clone(), uid, user, at: now, ..mark.clone() };
            Ok(vec![Event::NodeMarked { node: node.id, mark }])
        }
        (Wish::Reason(_), None) => nothing_to("in service, which needs no reason: give a state, too"),
        (Wish::Resume, None) if !matches!(node.health, Health::Down { .. }) => {
            nothing_to("neither drained, down nor failing: there is nothing to resume")
        }
        (Wish::Resume, _) => Ok(resumed(node, uid)),
        (Wish::Undrain, Some(mark)) if mark.kind == MarkKind::Drain => {
            Ok(vec![Event::NodeUnmarked { node: node.id, uid }])
        }
        (Wish::Undrain, _) => nothing_to("not drained"),
    }
}

/// The mark, and the stop of what a node that is taken down still runs.
fn marked(cluster: &Cluster, node: &Node, mark: Mark) -> Vec<Event> {
    let down = mark.kind == MarkKind::Down;
    let mut events = vec![Event::NodeMarked { node: node.id, mark }];
    if down {
        let running = cluster
            .attempts_touching(node)
            .filter(|(_, state)| matches!(state, TaskState::Running { .. } | TaskState::Suspended { .. }));
        events.extend(running.filter_map(|(key, state)| {
            let batch_node = Job::batch_node(state.shares()?)?;
            Some(Event::Stopped { key, node: batch_node, why: StopWhy::NodeDown })
        }));
    }
    events
}

/// A node that was given up is only silent again, until it registers or its time has passed anew.
fn resumed(node: &Node, uid: u32) -> Vec<Event> {
    let unmarked = node.mark.is_some().then_some(Event::NodeUnmarked { node: node.id, uid });
    let given_up = matches!(node.health, Health::Down { .. });
    let silent = given_up.then_some(Event::NodeSilent { node: node.id });
    unmarked.into_iter().chain(silent).collect()
}

/// When a mark clears itself.
pub(crate) fn resume_at(node: &Node) -> Option<Timestamp> {
    node.mark.as_ref()?.until
}

/// The nodes whose time has come.
pub(crate) fn resume_due(cluster: &Cluster, now: Timestamp) -> impl Iterator<Item = Event> {
    let due = cluster.nodes.values().filter(move |node| resume_at(node).is_some_and(|at| at <= now));
    due.flat_map(|node| resumed(node, 0))
}

/// What the registration of a known node does to its mark, by `ReturnToService`.
pub(crate) fn returned(settings: &Settings, now: Timestamp, node: &Node) -> Option<Event> {
    let id = node.id;
    let kind = node.mark.as_ref().map(|mark| mark.kind);
    match (settings.return_to_service, kind) {
        (ReturnToService::Never, None) if matches!(node.health, Health::Down { .. }) => {
            Some(Event::NodeMarked { node: id, mark: Mark::own(MarkKind::Down, NOT_RESPONDING, now) })
        }
        (ReturnToService::Always, Some(MarkKind::Down)) => Some(Event::NodeUnmarked { node: id, uid: 0 }),
        (ReturnToService::Never | ReturnToService::FromSilence | ReturnToService::Always, _) => None,
    }
}

impl Cluster {
    /// Whether all that is left on a node is going away, or something is that was given up with it.
    #[must_use]
    pub fn is_completing(&self, node: NodeId) -> bool {
        let goes = |key: AttemptKey| {
            let task = self.jobs.get(&key.job).and_then(|job| job.tasks.get(&key.index));
            task.is_some_and(|task| matches!(task.state, TaskState::Finishing { .. } | TaskState::Closing { .. }))
        };
        let there = self.node(node).filter(|node| node.attempts > 0);
        // Its own come first: most nodes have one that runs, which settles it.
        let all_go = there.is_some_and(|there| {
            self.attempts_on(node).all(goes) && self.attempts_touching(there).all(|(key, _)| goes(key))
        });
        all_go || self.node(node).is_some_and(|node| node.has_unwanted())
    }

    /// The attempts that hold something of a node. Those of other batch nodes are looked for among all, where there are any.
    fn attempts_touching<'a>(&'a self, node: &Node) -> impl Iterator<Item = (AttemptKey, &'a TaskState)> + 'a {
        let id = node.id;
        let own = || self.attempts_on(id);
        let elsewhere = node.attempts as usize > own().count();
        let others = self.index.attempts.iter().filter(move |(on, _)| elsewhere && *on != id).map(|(_, key)| *key);
        let state = |key: AttemptKey| Some((key, &self.jobs.get(&key.job)?.tasks.get(&key.index)?.state));
        let holds =
            move |state: &TaskState| state.shares().is_some_and(|shares| shares.iter().any(|share| share.node == id));
        own().chain(others).filter_map(state).filter(move |(_, state)| holds(state))
    }
}
