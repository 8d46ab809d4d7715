//! Users for whom a node speaks: commands in jobs and beside them, on nodes that have joined over TLS.
//!
//! The node says whose a call is, and could lie. It is believed as far as it could act as that user anyway, being the parent of their
//! processes: for users of whom something runs on it, and as long as it does, and never for an administrator's rights. Who trusts
//! the nodes as the controller itself says so by `TrustNodes`.

use std::sync::Arc;

use proto::behalf::Behalf;
use proto::node_certificate::NodeCertificate;
use sched::cluster::Cluster;
use tonic::Status;

use super::denied;

/// A user, by the word of a node whose certificate counts. Only the gate makes one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NodeUser {
    pub(crate) node: Arc<NodeCertificate>,
    pub(crate) uid: u32,
    gid: u32,
    pub(super) belief: Belief,
}

/// How far a node is believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Belief {
    /// As the kernel of the controller's machine is.
    Full,
    /// For what users may do: something of this one runs there, under this name.
    AsUser(String),
    /// For listings, which change nothing: nothing of that user runs there.
    Stranger,
    /// For listings alone: it speaks for root.
    Root,
}

impl NodeUser {
    /// Weighs what a node says. A group counts no further than the user's jobs there have it.
    pub(super) fn weigh(node: Arc<NodeCertificate>, said: Behalf, trust_nodes: bool, cluster: &Cluster) -> NodeUser {
        let Behalf { uid, gid } = said;
        if trust_nodes || uid == 0 {
            let belief = if trust_nodes { Belief::Full } else { Belief::Root };
            return NodeUser { node, uid, gid, belief };
        }
        let known = cluster.node_named(&node.name).and_then(|there| cluster.user_on(there.id, uid, gid));
        match known {
            Some(user) => NodeUser { node, uid, gid: user.gid, belief: Belief::AsUser(user.name.to_string()) },
            None => NodeUser { node, uid, gid, belief: Belief::Stranger },
        }
    }

    /// The user's numbers, for what only they themselves may do.
    ///
    /// # Errors
    /// When the node is not believed that far.
    pub(super) fn known(&self) -> Result<(u32, u32), Status> {
        let NodeUser { node, uid, .. } = self;
        let trust = "set TrustNodes = true in covey.toml, if whoever administers the nodes may administer the cluster";
        match self.belief {
            Belief::Full | Belief::AsUser(_) => Ok((self.uid, self.gid)),
            Belief::Stranger => Err(denied(&format!(
                "node {} may speak for uid {uid} only while something of theirs runs there, and nothing does: run this in a job, on the \
                 controller's machine or with a token of covey user token create; or {trust}",
                node.name
            ))),
            Belief::Root => Err(denied(&format!(
                "node {} may not speak for root: run this on the controller's machine or as another user; or {trust}",
                node.name
            ))),
        }
    }

    /// The user's name, where their jobs on the node have told it.
    pub(crate) fn name(&self) -> Option<&String> {
        match &self.belief {
            Belief::AsUser(name) => Some(name),
            Belief::Full | Belief::Stranger | Belief::Root => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use sched::members::Fingerprint;

    use super::*;

    #[test]
    fn without_trust_a_node_speaks_for_nobody_of_whom_nothing_runs_there_and_never_for_root() {
        let node = NodeCertificate { name: "n1".into(), key: Fingerprint([1; 32]), from_s: 0, until_s: 1 };
        let weigh = |uid, trust_nodes| {
            NodeUser::weigh(Arc::new(node.clone()), Behalf { uid, gid: 5 }, trust_nodes, &Cluster::default())
        };
        for (uid, part) in [(0, "may not speak for root"), (1000, "for uid 1000 only while something of theirs runs")] {
            assert_eq!(weigh(uid, true).known().expect("trusted"), (uid, 5));
            let refusal = weigh(uid, false).known().expect_err("a lie, for all that is known");
            let detail = proto::error::detail(&refusal).expect("for people");
            assert!(detail.contains(part) && detail.contains("TrustNodes") && detail.contains("n1"), "{detail}");
        }
    }
}
