//! Who calls: read from the connection, or from a token that this controller has signed, and never from what the caller says of itself.
//!
//! A node may say for whom it calls; how far that counts is in [`by_node`]. Here is also which services are open to whom. What a user
//! may do within them is decided elsewhere.

mod by_node;

use std::sync::Arc;

use arc_swap::ArcSwap;
use proto::behalf::{BEHALF_KEY, Behalf, BehalfError};
use proto::error::{WireError, refused};
use proto::node_certificate::NodeCertificate;
use proto::reason::ErrorReason;
use sched::ids::Timestamp;
use sched::members::NotGood;
use tonic::service::Interceptor;
use tonic::transport::server::{TcpConnectInfo, UdsConnectInfo};
use tonic::{Extensions, Request, Status};
use tracing::warn;

use self::by_node::{Belief, NodeUser};
use crate::audit::Who;
use crate::audit::recorded::Note;
use crate::clock;
use crate::config::Config;
use crate::driver::Published;
use crate::tls::{Mint, Pass, TlsPeer};

/// The other side of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A process on this machine, by the kernel's word.
    Local {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Somebody on this machine, over the port without encryption: there is no word to go by.
    Plain,
    /// Who holds the key of a certificate that this cluster's CA has signed.
    Node(Arc<NodeCertificate>),
    /// A user over TLS who has shown a token that counts.
    User(Arc<TokenUser>),
    /// A user of a node's machine, by that node's word.
    ByNode(Arc<NodeUser>),
    /// Somebody over TLS who has shown neither certificate nor token.
    Anonymous,
}

/// A user, by a token that was checked. Only the [`Gate`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TokenUser {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The token's number.
    pub(crate) token: u32,
    /// The token carries all rights of its user, and not only those of a user without a role.
    pub(crate) admin: bool,
}

impl Caller {
    /// Reads the connection. A connection of no known kind is nobody's.
    pub(crate) fn of(extensions: &Extensions) -> Caller {
        if let Some(user) = extensions.get::<Arc<TokenUser>>() {
            return Caller::User(user.clone());
        }
        if let Some(user) = extensions.get::<Arc<NodeUser>>() {
            return Caller::ByNode(user.clone());
        }
        if let Some(peer) = extensions.get::<TlsPeer>() {
            return peer.node.clone().map_or(Caller::Anonymous, Caller::Node);
        }
        if let Some(peer) = extensions.get::<UdsConnectInfo>() {
            return peer.peer_cred.map_or(Caller::Anonymous, |peer| Caller::Local { uid: peer.uid(), gid: peer.gid() });
        }
        if extensions.get::<TcpConnectInfo>().is_some() { Caller::Plain } else { Caller::Anonymous }
    }

    /// Whether a role of this user counts on this way in: a token carries no more than a user's rights unless it was made with
    /// `--admin`, and a node has more for nobody unless all nodes are trusted.
    pub(crate) fn has_all_rights(&self) -> bool {
        match self {
            Caller::User(user) => user.admin,
            Caller::ByNode(user) => user.belief == Belief::Full,
            Caller::Local { .. } | Caller::Plain => true,
            Caller::Node(_) | Caller::Anonymous => false,
        }
    }

    /// The user's name as jobs are to have it, where this machine is not the one to know it.
    pub(crate) fn name(&self) -> Option<&String> {
        match self {
            Caller::User(user) => Some(&user.name),
            Caller::ByNode(user) => user.name(),
            Caller::Local { .. } | Caller::Plain | Caller::Node(_) | Caller::Anonymous => None,
        }
    }
}

/// The user who calls, by the kernel's word, a token or a node: uid and gid. None over the plain port.
///
/// # Errors
/// No user that is known: a node itself or one that is not believed, or somebody without a name.
pub(crate) fn peer<T>(request: &Request<T>) -> Result<Option<(u32, u32)>, Status> {
    match Caller::of(request.extensions()) {
        Caller::Local { uid, gid } => Ok(Some((uid, gid))),
        Caller::User(user) => Ok(Some((user.uid, user.gid))),
        Caller::ByNode(user) => user.known().map(Some),
        Caller::Plain => Ok(None),
        Caller::Node(node) => {
            Err(denied(&format!("node {} may only speak for itself, and gives no commands", node.name)))
        }
        Caller::Anonymous => Err(nameless(FOR_USERS)),
    }
}

const FOR_USERS: &str = "a command from elsewhere needs a token: covey user token create makes one on the controller's machine; put it into ~/.config/covey/token with chmod 600, or name its file in COVEY_TOKEN_FILE";
const FOR_NODES: &str =
    "a node over TLS needs its certificate: start noded with --token-file; covey node token create makes one";

/// The gate of services that are for users: nobody without a name gets through, and no node but for a user.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) published: Arc<Published>,
    /// None without `--listen`, where nobody shows a token.
    pub(crate) mint: Option<Arc<Mint>>,
    /// What says whether nodes are trusted; none where they may speak for nobody.
    pub(crate) config: Option<Arc<ArcSwap<Config>>>,
}

impl Interceptor for Gate {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // They go no further, so that nothing behind this gate can tell or believe them.
        let shown = request.metadata_mut().remove("authorization");
        let said = request.metadata_mut().remove(BEHALF_KEY);
        if let (Some(said), Some(config), Caller::Node(node)) = (said, &self.config, Caller::of(request.extensions())) {
            counts(&self.published, &node)?;
            let said = said.to_str().map_err(|_| BehalfError).and_then(str::parse::<Behalf>);
            let said = said.map_err(|error| WireError::Meaningless { field: "metadata", value: error.to_string() })?;
            let user = NodeUser::weigh(node, said, config.load().trust_nodes, &self.published.cluster());
            request.extensions_mut().insert(Arc::new(user));
            Note::of(request.extensions()).who(Who::of(request.extensions()));
            // Who is not believed may still look: what changes anything asks for the user.
            return Ok(request);
        }
        let from = request.extensions().get::<TlsPeer>().map(|peer| peer.address);
        // Over the unix socket the kernel's word counts, and a token is not looked at.
        if let (Some(shown), Some(from), Caller::Anonymous) = (shown, from, Caller::of(request.extensions())) {
            let user = self.check(shown.to_str().unwrap_or_default(), clock::now()).map_err(|why| {
                warn!(?from, why, "a token was refused");
                refused(ErrorReason::BadCredentials, "Access/permission denied", Some(&why))
            })?;
            request.extensions_mut().insert(Arc::new(user));
            Note::of(request.extensions()).who(Who::of(request.extensions()));
        }
        peer(&request).map(|_| request)
    }
}

impl Gate {
    /// Whose token this is, if it counts right now; else why not.
    fn check(&self, shown: &str, now: Timestamp) -> Result<TokenUser, String> {
        let mint = self.mint.as_ref().ok_or("this controller knows no tokens")?;
        let text = shown.strip_prefix("Bearer ").unwrap_or_default();
        let Pass { name, uid, gid, token, admin, .. } = mint.read(text, now).map_err(|why| why.to_string())?;
        let cluster = self.published.cluster();
        let known = cluster.members().users().good(token, now).map_err(|why| why.to_string())?;
        // After a journal from a backup a number may stand for another token.
        if (known.uid, known.admin) != (uid, admin) {
            return Err(NotGood::Unknown(token).to_string());
        }
        Ok(TokenUser { name, uid, gid, token, admin })
    }
}

/// The gate of services that are for nodes: over TLS only those get through whose certificate counts right now.
pub(crate) fn nodes_only(published: &Published, request: Request<()>) -> Result<Request<()>, Status> {
    match Caller::of(request.extensions()) {
        Caller::Local { .. } | Caller::Plain => Ok(request),
        Caller::Node(node) => counts(published, &node).map(|()| request),
        Caller::User(_) | Caller::ByNode(_) => Err(denied(FOR_NODES)),
        Caller::Anonymous => Err(nameless(FOR_NODES)),
    }
}

/// Whether a node's certificate still counts.
///
/// # Errors
/// It was revoked, or another machine has joined under the name since.
pub(crate) fn counts(published: &Published, node: &NodeCertificate) -> Result<(), Status> {
    if published.cluster().members().is_member(&node.name, node.key) {
        Ok(())
    } else {
        Err(denied(&shut_out(&node.name)))
    }
}

/// Whether a node says of itself what its certificate says.
///
/// # Errors
/// It names another.
pub(crate) fn speaks_for_itself(shown: &NodeCertificate, claimed: &str) -> Result<(), Status> {
    if shown.name == claimed {
        return Ok(());
    }
    warn!(node = shown.name, claimed, "a node wants to speak for another");
    Err(denied(&format!("node {} may only speak for itself, and not as {claimed}", shown.name)))
}

/// What is said to a node whose certificate does not count.
pub(crate) fn shut_out(name: &str) -> String {
    format!(
        "the certificate of node {name} does not count any more: it was revoked, or another machine has joined as {name}; \
         to let this one in again remove the folder tls in its spool, and give it a new join token"
    )
}

fn nameless(detail: &str) -> Status {
    refused(ErrorReason::NoCredentials, "Access/permission denied", Some(detail))
}

fn denied(detail: &str) -> Status {
    refused(ErrorReason::NotAllowed, "Access/permission denied", Some(detail))
}

#[cfg(test)]
mod tests {
    use sched::cluster::Cluster;
    use sched::members::Fingerprint;

    use super::*;
    use crate::rpc::rights::served;

    fn request(peer: Option<TlsPeer>) -> Request<()> {
        let mut request = Request::new(());
        peer.map(|peer| request.extensions_mut().insert(peer));
        request
    }

    fn gate() -> Gate {
        Gate { published: Arc::new(Published::new(Cluster::default(), 0)), mint: None, config: None }
    }

    fn node() -> Option<TlsPeer> {
        let node = NodeCertificate { name: "n1".into(), key: Fingerprint([1; 32]), from_s: 0, until_s: 1 };
        Some(TlsPeer { address: None, node: Some(Arc::new(node)) })
    }

    #[test]
    fn no_gate_is_open_to_who_has_no_name() {
        let published = Published::new(Cluster::default(), 0);
        for peer in [None, Some(TlsPeer { address: None, node: None })] {
            assert_eq!(Caller::of(request(peer.clone()).extensions()), Caller::Anonymous);
            assert!(
                gate().call(request(peer.clone())).is_err() && nodes_only(&published, request(peer.clone())).is_err()
            );
            assert!(served(&request(peer)).is_err());
        }
    }

    #[test]
    fn a_node_gives_no_commands_and_one_that_never_joined_is_none() {
        let published = Published::new(Cluster::default(), 0);
        assert!(gate().call(request(node())).is_err() && served(&request(node())).is_err());
        let refusal = nodes_only(&published, request(node())).expect_err("it has not joined");
        assert!(proto::error::detail(&refusal).is_some_and(|detail| detail.contains("n1")));
    }

    #[test]
    fn the_plain_port_is_open_to_this_machine() {
        let mut request = Request::new(());
        request.extensions_mut().insert(TcpConnectInfo { local_addr: None, remote_addr: None });
        assert_eq!(Caller::of(request.extensions()), Caller::Plain);
        assert!(gate().call(request).is_ok());
    }
}
