//! Who may be a node of this cluster: join tokens, and the keys that have joined by them.
//!
//! A token is a secret of which only the hash is known here. A node is its key: a certificate counts for as long as the key in
//! it is the one that joined under its name, and was not revoked. Nodes that come over the unix socket need none of this.
//! Certificates are made elsewhere; here is only who gets one. Start at [`decide`]. The
//! tokens of users are beside them, in `members/users.rs`.

mod users;

use std::fmt;
use std::num::NonZeroU32;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{Name, Timestamp};
use crate::node::Health;
use crate::refusal::Refusal;
use crate::select::Asker;
use crate::step::Answer;

pub use users::{
    NotGood, USER_TOKENS_MAX, USER_TOKENS_OF_ONE_MAX, UserToken, UserTokenFact, UserTokenWish, UserTokens,
};

/// So many join tokens may be good at the same time; one more is refused.
pub const TOKENS_MAX: usize = 1_000;
/// So many names may have joined. Those that are no nodes any more make room; where there are none, a join is refused.
pub const MEMBERS_MAX: usize = 65_536;
/// The longest life of a join token: a year.
pub const TTL_MS_MAX: u64 = 365 * 24 * 60 * 60 * 1000;

/// The SHA-256 of a token's secret, or of a node's public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// Tokens and members.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Members {
    tokens: OrdMap<u32, Token>,
    last_token: u32,
    nodes: OrdMap<Name, Member>,
    #[serde(default)]
    users: UserTokens,
}

/// A join token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// The hash of its secret.
    pub secret: Fingerprint,
    /// When it was made.
    pub made: Timestamp,
    /// Until when it is good.
    pub until: Timestamp,
    /// How many nodes may join by it; none for any number.
    pub uses_max: Option<NonZeroU32>,
    /// How many have.
    pub uses: u32,
    /// Who made it.
    pub uid: u32,
    /// It is no longer good.
    pub revoked: bool,
}

/// A node that has joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its public key.
    pub key: Fingerprint,
    /// The token by which it came.
    pub token: u32,
    /// When it joined.
    pub since: Timestamp,
    /// When it was shut out.
    pub revoked: Option<Timestamp>,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A token that is good for so long.
    CreateToken {
        /// The hash of its secret.
        secret: Fingerprint,
        /// How long, in milliseconds.
        ttl_ms: u64,
        /// For how many nodes; none for any number.
        uses_max: Option<NonZeroU32>,
        /// Who asks.
        uid: u32,
    },
    /// A token is to be good no longer.
    RevokeToken {
        /// Which.
        token: u32,
        /// Who asks.
        uid: u32,
    },
    /// A node wants to join.
    Join {
        /// The name that it wants.
        name: Name,
        /// Its public key.
        key: Fingerprint,
        /// The hash of the secret that it brings.
        secret: Fingerprint,
    },
    /// A node is to be shut out.
    RevokeNode {
        /// Its name.
        name: Name,
        /// Who asks.
        uid: u32,
    },
    /// A user is to call from elsewhere.
    CreateUserToken(UserTokenWish),
    /// A user's token is to be good no longer.
    RevokeUserToken {
        /// Which.
        token: u32,
        /// Who asks.
        asker: Asker,
    },
}

/// What has become of it; the payload of [`Event::Membership`]. Short names are for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// A token was made.
    #[serde(rename = "c")]
    TokenCreated {
        /// Its number.
        token: u32,
        /// The hash of its secret.
        secret: Fingerprint,
        /// Until when it is good.
        until: Timestamp,
        /// For how many nodes.
        uses_max: Option<NonZeroU32>,
        /// Who made it.
        uid: u32,
        /// Tokens that are good no longer, and are forgotten.
        dropped: Vec<u32>,
    },
    /// A token is good no longer.
    #[serde(rename = "t")]
    TokenRevoked {
        /// Which.
        token: u32,
        /// Who said so.
        uid: u32,
    },
    /// A node has joined.
    #[serde(rename = "j")]
    Joined {
        /// Its name.
        name: Name,
        /// Its key.
        key: Fingerprint,
        /// By which token.
        token: u32,
        /// It had joined so before and asks again: no use of the token is counted.
        again: bool,
        /// Members that are forgotten to make room.
        dropped: Vec<Name>,
    },
    /// A node was shut out.
    #[serde(rename = "r")]
    Revoked {
        /// Its name.
        name: Name,
        /// Who said so.
        uid: u32,
    },
    /// A user's token was made.
    #[serde(rename = "u")]
    UserTokenCreated {
        /// Its number.
        token: u32,
        /// What it is.
        made: UserTokenFact,
    },
    /// A user's token is good no longer.
    #[serde(rename = "x")]
    UserTokenRevoked {
        /// Which.
        token: u32,
        /// Who said so.
        uid: u32,
    },
}

/// Why not. The texts are for people; the wire's message is Slurm's `Access/permission denied`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The secret is no token's.
    #[error(
        "this join token is not known here: it was made by another cluster, or is long gone; make one with covey node token create"
    )]
    UnknownSecret,
    /// Its time has passed.
    #[error("join token {0} has expired; make a new one with covey node token create")]
    Expired(u32),
    /// As many nodes have come as may.
    #[error("join token {0} is used up; make a new one with covey node token create --uses N")]
    UsedUp(u32),
    /// It was revoked.
    #[error("join token {0} was revoked; make a new one with covey node token create")]
    TokenRevoked(u32),
    /// A node of that name is connected.
    #[error("a node named {0} is connected already: give another --name, or stop that one first")]
    Connected(Name),
    /// That key was revoked.
    #[error(
        "node {0} was revoked with this key: to let the machine in again remove the folder tls in its spool, which makes it a new key, and give it a new join token"
    )]
    KeyRevoked(Name),
    /// As many as there may be.
    #[error("{MEMBERS_MAX} nodes have joined, the most that there may be")]
    TooMany,
}

impl Members {
    /// All tokens that are remembered, by number.
    pub fn tokens(&self) -> impl Iterator<Item = (u32, &Token)> {
        self.tokens.iter().map(|(id, token)| (*id, token))
    }

    /// The tokens of users.
    #[must_use]
    pub fn users(&self) -> &UserTokens {
        &self.users
    }

    /// What has joined under a name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.nodes.get(name)
    }

    /// Whether the node of this name is the one with this key, and not shut out.
    #[must_use]
    pub fn is_member(&self, name: &str, key: Fingerprint) -> bool {
        self.nodes.get(name).is_some_and(|member| member.key == key && member.revoked.is_none())
    }

    /// Makes a fact true.
    pub(crate) fn apply(&mut self, at: Timestamp, fact: &Fact) {
        match fact {
            Fact::TokenCreated { token, secret, until, uses_max, uid, dropped } => {
                for old in dropped {
                    self.tokens.remove(old);
                }
                let (uses_max, uid) = (*uses_max, *uid);
                let made = Token { secret: *secret, made: at, until: *until, uses_max, uses: 0, uid, revoked: false };
                self.tokens.insert(*token, made);
                self.last_token = *token;
            }
            Fact::TokenRevoked { token, .. } => {
                self.tokens.get_mut(token).expect("a token that is revoked is there").revoked = true;
            }
            Fact::Joined { name, key, token, again, dropped } => {
                for old in dropped {
                    self.nodes.remove(old);
                }
                self.nodes.insert(name.clone(), Member { key: *key, token: *token, since: at, revoked: None });
                if !again {
                    self.tokens.get_mut(token).expect("a token that is used is there").uses += 1;
                }
            }
            Fact::Revoked { name, .. } => {
                self.nodes.get_mut(name).expect("a node that is revoked has joined").revoked = Some(at);
            }
            Fact::UserTokenCreated { token, made } => self.users.created(at, *token, made),
            Fact::UserTokenRevoked { token, .. } => self.users.revoked(*token),
        }
    }
}

impl Token {
    /// Why nobody else may join by it now; nothing while it is good.
    #[must_use]
    pub fn spent(&self, id: u32, now: Timestamp) -> Option<NotAdmitted> {
        self.closed(id, now).or_else(|| self.is_used_up().then_some(NotAdmitted::UsedUp(id)))
    }

    fn closed(&self, id: u32, now: Timestamp) -> Option<NotAdmitted> {
        if self.revoked {
            return Some(NotAdmitted::TokenRevoked(id));
        }
        (now >= self.until).then_some(NotAdmitted::Expired(id))
    }

    fn is_used_up(&self) -> bool {
        self.uses_max.is_some_and(|most| self.uses >= most.get())
    }
}

/// Decides what becomes of a wish.
pub(crate) fn decide(cluster: &Cluster, now: Timestamp, wish: Wish) -> (Vec<Event>, Answer) {
    let decided = match wish {
        Wish::CreateToken { secret, ttl_ms, uses_max, uid } => {
            create_token(&cluster.members, now, secret, ttl_ms, uses_max, uid)
        }
        Wish::RevokeToken { token, uid } => revoke_token(&cluster.members, token, uid),
        Wish::Join { name, key, secret } => join(cluster, now, name, key, secret),
        Wish::RevokeNode { name, uid } => revoke_node(cluster, name, uid),
        Wish::CreateUserToken(wish) => users::create(&cluster.members.users, now, wish),
        Wish::RevokeUserToken { token, asker } => users::revoke(&cluster.members.users, token, asker),
    };
    decided.unwrap_or_else(|refusal| (Vec::new(), Answer::Refused(refusal)))
}

type Decided = Result<(Vec<Event>, Answer), Refusal>;

fn create_token(
    members: &Members,
    now: Timestamp,
    secret: Fingerprint,
    ttl_ms: u64,
    uses_max: Option<NonZeroU32>,
    uid: u32,
) -> Decided {
    let good = members.tokens().filter(|(id, token)| token.spent(*id, now).is_none()).count();
    if good >= TOKENS_MAX {
        return Err(Refusal::TooManyTokens(good));
    }
    // Those that are spent are kept to say why, and go when the list is full.
    let room = TOKENS_MAX.saturating_sub(members.tokens.len());
    let spent = members.tokens().filter(|(id, token)| token.spent(*id, now).is_some());
    let dropped = if room == 0 { spent.map(|(id, _)| id).collect() } else { Vec::new() };
    let token = members.last_token + 1;
    let until = now.plus_ms(ttl_ms.min(TTL_MS_MAX));
    let fact = Fact::TokenCreated { token, secret, until, uses_max, uid, dropped };
    Ok((vec![Event::Membership(fact)], Answer::Token(token)))
}

fn revoke_token(members: &Members, token: u32, uid: u32) -> Decided {
    match members.tokens.get(&token) {
        None => Err(Refusal::UnknownToken(token)),
        Some(known) if known.revoked => Ok((Vec::new(), Answer::Done)),
        Some(_) => Ok((vec![Event::Membership(Fact::TokenRevoked { token, uid })], Answer::Done)),
    }
}

fn join(cluster: &Cluster, now: Timestamp, name: Name, key: Fingerprint, secret: Fingerprint) -> Decided {
    let members = &cluster.members;
    // What is compared are hashes of random secrets, so that the time it takes tells nothing.
    let found = members.tokens().find(|(_, token)| token.secret == secret);
    let (id, token) = found.ok_or(NotAdmitted::UnknownSecret)?;
    let before = members.nodes.get(&name);
    // The answer was lost, or the certificate has run out: the same machine again.
    let again = before.is_some_and(|member| member.key == key && member.token == id);
    if let Some(why) = if again { token.closed(id, now) } else { token.spent(id, now) } {
        return Err(why.into());
    }
    if before.is_some_and(|member| member.key == key && member.revoked.is_some()) {
        return Err(NotAdmitted::KeyRevoked(name).into());
    }
    let connected = cluster.node_named(&name).is_some_and(|node| matches!(node.health, Health::Up { .. }));
    if connected && !again {
        return Err(NotAdmitted::Connected(name).into());
    }
    let dropped = if before.is_none() && members.nodes.len() >= MEMBERS_MAX { gone(cluster) } else { Vec::new() };
    if before.is_none() && members.nodes.len() - dropped.len() >= MEMBERS_MAX {
        return Err(NotAdmitted::TooMany.into());
    }
    let fact = Fact::Joined { name, key, token: id, again, dropped };
    Ok((vec![Event::Membership(fact)], Answer::Done))
}

/// Members that are no nodes of the cluster now.
fn gone(cluster: &Cluster) -> Vec<Name> {
    cluster.members.nodes.keys().filter(|name| cluster.node_named(name).is_none()).cloned().collect()
}

/// The node's link is cut once this is durable; what it runs is lost when its lease has run out, as with any node that is silent.
fn revoke_node(cluster: &Cluster, name: Name, uid: u32) -> Decided {
    let Some(member) = cluster.members.nodes.get(&name) else { return Err(Refusal::NotAMember(name)) };
    if member.revoked.is_some() {
        return Ok((Vec::new(), Answer::Done));
    }
    let node = cluster.node_named(&name).filter(|node| matches!(node.health, Health::Up { .. }));
    let silent = node.map(|node| Event::NodeSilent { node: node.id });
    let revoked = Event::Membership(Fact::Revoked { name, uid });
    Ok((std::iter::once(revoked).chain(silent).collect(), Answer::Done))
}

impl From<NotAdmitted> for Refusal {
    fn from(why: NotAdmitted) -> Refusal {
        Refusal::NotAdmitted(why)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::TokenCreated { token, until, uses_max, uid, .. } => {
                let uses = uses_max.map_or(0, NonZeroU32::get);
                write!(f, "token_created token={token} until_ms={} uses_max={uses} uid={uid}", until.0)
            }
            Fact::TokenRevoked { token, uid } => write!(f, "token_revoked token={token} uid={uid}"),
            Fact::Joined { name, key, token, again, .. } => {
                write!(f, "node_joined name={name} key={key:?} token={token} again={again}")
            }
            Fact::Revoked { name, uid } => write!(f, "node_revoked name={name} uid={uid}"),
            Fact::UserTokenCreated { token, made } => write!(f, "user_token_created token={token} {made}"),
            Fact::UserTokenRevoked { token, uid } => write!(f, "user_token_revoked token={token} uid={uid}"),
        }
    }
}
