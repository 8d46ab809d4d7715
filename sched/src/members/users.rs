//! The tokens by which users call from elsewhere. What they say is signed, and none of it is kept here but whose each is and until
//! when: a token that is not in this list counts for nothing, however well it is signed.

use std::fmt;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Decided, Fact, TTL_MS_MAX};
use crate::allow::Verb;
use crate::event::Event;
use crate::ids::{Name, Timestamp};
use crate::refusal::Refusal;
use crate::select::Asker;
use crate::step::Answer;

/// So many tokens of users may be good at the same time; one more is refused.
pub const USER_TOKENS_MAX: usize = 10_000;
/// Of these, so many may be one user's.
pub const USER_TOKENS_OF_ONE_MAX: usize = 500;

/// The tokens of all users.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UserTokens {
    tokens: OrdMap<u32, UserToken>,
    last: u32,
}

/// A user's token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserToken {
    /// The user's name.
    pub user: Name,
    /// The user.
    pub uid: u32,
    /// When it was made.
    pub made: Timestamp,
    /// Until when it is good.
    pub until: Timestamp,
    /// It carries an administrator's rights.
    pub admin: bool,
    /// Who made it.
    pub by: u32,
    /// It is no longer good.
    pub revoked: bool,
}

/// A token that is wanted.
#[derive(Clone, Debug)]
pub struct UserTokenWish {
    /// The user's name.
    pub user: Name,
    /// The user.
    pub uid: u32,
    /// How long it is to be good, in milliseconds.
    pub ttl_ms: u64,
    /// It is to carry an administrator's rights.
    pub admin: bool,
    /// Who asks.
    pub by: u32,
}

/// Why a token counts for nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotGood {
    /// It is not in the list.
    #[error("user token {0} is not known here (any more): covey user token create makes a new one")]
    Unknown(u32),
    /// Its time has passed.
    #[error("user token {0} has expired: covey user token create makes a new one")]
    Expired(u32),
    /// It was revoked.
    #[error("user token {0} was revoked: covey user token create makes a new one")]
    Revoked(u32),
}

impl UserTokens {
    /// All tokens that are remembered, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &UserToken)> {
        self.tokens.iter().map(|(id, token)| (*id, token))
    }

    /// The token of this number, if it is good.
    ///
    /// # Errors
    /// When it is not.
    pub fn good(&self, id: u32, now: Timestamp) -> Result<&UserToken, NotGood> {
        let token = self.tokens.get(&id).ok_or(NotGood::Unknown(id))?;
        token.spent(id, now).map_or(Ok(token), Err)
    }

    pub(super) fn created(&mut self, at: Timestamp, token: u32, wish: &UserTokenFact) {
        for old in &wish.dropped {
            self.tokens.remove(old);
        }
        let UserTokenFact { user, uid, until, admin, by, dropped: _ } = wish.clone();
        self.tokens.insert(token, UserToken { user, uid, made: at, until, admin, by, revoked: false });
        self.last = token;
    }

    pub(super) fn revoked(&mut self, token: u32) {
        self.tokens.get_mut(&token).expect("a token that is revoked is there").revoked = true;
    }
}

impl UserToken {
    /// Why it is good no longer; nothing while it is.
    #[must_use]
    pub fn spent(&self, id: u32, now: Timestamp) -> Option<NotGood> {
        if self.revoked {
            return Some(NotGood::Revoked(id));
        }
        (now >= self.until).then_some(NotGood::Expired(id))
    }
}

/// What was made; part of [`Fact`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserTokenFact {
    /// The user's name.
    pub user: Name,
    /// The user.
    pub uid: u32,
    /// Until when it is good.
    pub until: Timestamp,
    /// It carries an administrator's rights.
    pub admin: bool,
    /// Who made it.
    pub by: u32,
    /// Tokens that are good no longer, and are forgotten.
    pub dropped: Vec<u32>,
}

impl fmt::Display for UserTokenFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UserTokenFact { user, uid, until, admin, by, dropped: _ } = self;
        write!(f, "user={user} uid={uid} until_ms={} admin={admin} by_uid={by}", until.0)
    }
}

pub(super) fn create(users: &UserTokens, now: Timestamp, wish: UserTokenWish) -> Decided {
    let is_good = |(id, token): &(u32, &UserToken)| token.spent(*id, now).is_none();
    let (mut good, mut own) = (0, 0);
    for (_, token) in users.iter().filter(is_good) {
        good += 1;
        own += usize::from(token.uid == wish.uid);
    }
    if good >= USER_TOKENS_MAX || own >= USER_TOKENS_OF_ONE_MAX {
        return Err(Refusal::TooManyUserTokens { user: wish.user, own, good });
    }
    // Those that are spent are kept to say why, and go when the list is full.
    let full = users.tokens.len() >= USER_TOKENS_MAX;
    let spent = users.iter().filter(|token| full && !is_good(token));
    let dropped = spent.map(|(id, _)| id).collect();
    let UserTokenWish { user, uid, ttl_ms, admin, by } = wish;
    let (token, until) = (users.last + 1, now.plus_ms(ttl_ms.min(TTL_MS_MAX)));
    let fact = Fact::UserTokenCreated { token, made: UserTokenFact { user, uid, until, admin, by, dropped } };
    Ok((vec![Event::Membership(fact)], Answer::Token(token)))
}

pub(super) fn revoke(users: &UserTokens, token: u32, asker: Asker) -> Decided {
    let known = users.tokens.get(&token).filter(|known| asker.may_for(Verb::RevokeUserToken, known.uid).is_ok());
    match known {
        // Nobody learns of what is not theirs.
        None => Err(Refusal::UnknownUserToken(token)),
        Some(known) if known.revoked => Ok((Vec::new(), Answer::Done)),
        Some(_) => Ok((vec![Event::Membership(Fact::UserTokenRevoked { token, uid: asker.uid })], Answer::Done)),
    }
}
