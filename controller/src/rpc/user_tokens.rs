//! `CreateUserToken`, `ListUserTokens` and `RevokeUserToken`: by what users call from elsewhere.
//!
//! A token is made over the unix socket alone, where the kernel says who asks: who has stolen one cannot make another, and a job
//! cannot either. Administrators make them for anybody, others for themselves.

use nix::unistd::{Uid, User};
use proto::error::{WireError, refused};
use proto::reason::ErrorReason;
use proto::v1;
use sched::allow::{Role, Verb};
use sched::members::{NotGood, TTL_MS_MAX, UserToken, UserTokenWish, Wish};
use sched::select::Asker;
use sched::step::Answer;
use tonic::{Request, Status};

use super::admission::{Gatekeeper, unexpected, wish};
use super::caller::Caller;
use super::rights::check;
use crate::audit::recorded::Note;
use crate::clock;
use crate::tls::Pass;

/// How long a token is good of which nobody says otherwise: a working day.
const TTL_S: u64 = 8 * 3_600;

pub(super) async fn create(
    keeper: &Gatekeeper,
    request: Request<v1::CreateUserTokenRequest>,
) -> Result<v1::CreateUserTokenReply, Status> {
    let asker = keeper.rights.asker(&request)?;
    if !matches!(Caller::of(request.extensions()), Caller::Local { .. }) {
        return Err(denied("a token is made on the controller's machine, over its unix socket: run this there"));
    }
    let note = Note::of(request.extensions());
    let v1::CreateUserTokenRequest { user, ttl_s, admin } = request.into_inner();
    note.what(format!("for {user}").trim_end_matches("for "));
    let user = whose(&user, asker)?;
    let (uid, verb) = (user.uid.as_raw(), if admin { Verb::CreateStrongToken } else { Verb::CreateUserToken });
    note.verb(verb);
    if user.uid.is_root() && !admin {
        return Err(denied("a token of root carries all rights: ask for it with --admin, or name another with --user"));
    }
    if admin && keeper.rights.role_of(uid) == Role::User {
        let detail = format!("{} is neither administrator nor operator here: leave out --admin", user.name);
        return Err(denied(&detail));
    }
    check(asker, verb, uid)?;
    let Some(mint) = &keeper.mint else {
        let detail = "tokens are for calls over TLS, and this controller does not listen with it: start it with --listen ADDRESS:PORT";
        return Err(refused(ErrorReason::Disabled, "Requested operation is presently disabled", Some(detail)));
    };
    let ttl_ms = read_ttl(ttl_s)?;
    let (gid, name) = (user.gid.as_raw(), user.name);
    let wanted = UserTokenWish { user: name.as_str().into(), uid, ttl_ms, admin, by: asker.uid };
    let id = match wish(keeper, Wish::CreateUserToken(wanted)).await? {
        Answer::Token(id) => id,
        other => return Err(unexpected(&other)),
    };
    note.what(format!("user token {id} for {name}"));
    let (cluster, now) = (keeper.published.cluster(), clock::now());
    let until = cluster.members().users().good(id, now).map_or(now, |token| token.until);
    let pass = Pass { name: name.clone(), uid, gid, token: id, admin, until };
    Ok(v1::CreateUserTokenReply { id, token: mint.sign(&pass, now), user: name, until_ms: until.0 })
}

pub(super) fn list(
    keeper: &Gatekeeper,
    request: &Request<v1::ListUserTokensRequest>,
) -> Result<v1::ListUserTokensReply, Status> {
    let (asker, now) = (keeper.rights.asker(request)?, clock::now());
    let cluster = keeper.published.cluster();
    let row = |(id, token): (u32, &UserToken)| v1::UserTokenRow {
        id,
        user: token.user.to_string(),
        uid: token.uid,
        made_ms: token.made.0,
        until_ms: token.until.0,
        admin: token.admin,
        made_by_uid: token.by,
        state: match token.spent(id, now) {
            None => "VALID",
            Some(NotGood::Revoked(_)) => "REVOKED",
            Some(NotGood::Expired(_) | NotGood::Unknown(_)) => "EXPIRED",
        }
        .into(),
    };
    let tokens = cluster.members().users().iter();
    let seen = tokens.filter(|(_, token)| asker.may_for(Verb::ListUserTokens, token.uid).is_ok());
    Ok(v1::ListUserTokensReply { tokens: seen.map(row).collect() })
}

pub(super) async fn revoke(
    keeper: &Gatekeeper,
    request: Request<v1::RevokeUserTokenRequest>,
) -> Result<v1::RevokeUserTokenReply, Status> {
    Note::of(request.extensions()).what(format!("user token {}", request.get_ref().id));
    let asker = keeper.rights.asker(&request)?;
    match wish(keeper, Wish::RevokeUserToken { token: request.get_ref().id, asker }).await? {
        Answer::Done => Ok(v1::RevokeUserTokenReply {}),
        other => Err(unexpected(&other)),
    }
}

/// The user that a token is for: by name or number as this machine knows it; the asker where none is named.
fn whose(named: &str, asker: Asker) -> Result<User, Status> {
    let found = match named {
        "" => User::from_uid(Uid::from_raw(asker.uid)),
        named => match named.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(named),
        },
    };
    let Some(user) = found.ok().flatten() else {
        let detail = format!("this machine knows no user {named:?}: add the account here, or name another with --user");
        return Err(refused(ErrorReason::UnknownUser, "Invalid user id", Some(&detail)));
    };
    check(asker, Verb::CreateUserToken, user.uid.as_raw()).map(|()| user)
}

fn read_ttl(ttl_s: u64) -> Result<u64, WireError> {
    let ttl_s = if ttl_s == 0 { TTL_S } else { ttl_s };
    if ttl_s > TTL_MS_MAX / 1000 {
        let value = format!("{ttl_s}; at most {}, which is a year", TTL_MS_MAX / 1000);
        return Err(WireError::Meaningless { field: "ttl_s", value });
    }
    Ok(ttl_s * 1000)
}

fn denied(detail: &str) -> Status {
    refused(ErrorReason::NotAllowed, "Access/permission denied", Some(detail))
}
