//! `CreateNodeToken`, `ListNodeTokens`, `RevokeNodeToken` and `RevokeNode`: who may let nodes in, and shut them out. What is for users
//! is in `user_tokens.rs`.

use std::num::NonZeroU32;
use std::sync::Arc;

use proto::error::{WireError, refused};
use proto::join_token::JoinToken;
use proto::reason::ErrorReason;
use proto::v1;
use proto::v1::admission_server::Admission;
use sched::allow::Verb;
use sched::members::{NotAdmitted, TTL_MS_MAX, Wish};
use sched::step::{Answer, Input};
use tonic::{Request, Response, Status};

use super::rights::Rights;
use super::{refuse, unavailable, user_tokens};
use crate::audit::recorded::Note;
use crate::clock;
use crate::driver::{Post, Published};
use crate::tls::{Authority, Mint};

/// How long a token is good of which nobody says otherwise.
const TTL_S: u64 = 3_600;

/// The service of who may come in.
pub(crate) struct Gatekeeper {
    pub(crate) post: Post,
    pub(crate) rights: Rights,
    pub(crate) published: Arc<Published>,
    /// The CA of which tokens carry the hash; there is none without `--listen`.
    pub(crate) authority: Option<Arc<Authority>>,
    /// What signs the tokens of users, likewise.
    pub(crate) mint: Option<Arc<Mint>>,
}

#[tonic::async_trait]
impl Admission for Gatekeeper {
    async fn create_node_token(
        &self,
        request: Request<v1::CreateNodeTokenRequest>,
    ) -> Result<Response<v1::CreateNodeTokenReply>, Status> {
        create(self, request).await.map(Response::new)
    }

    async fn list_node_tokens(
        &self,
        request: Request<v1::ListNodeTokensRequest>,
    ) -> Result<Response<v1::ListNodeTokensReply>, Status> {
        list(self, &request).map(Response::new)
    }

    async fn revoke_node_token(
        &self,
        request: Request<v1::RevokeNodeTokenRequest>,
    ) -> Result<Response<v1::RevokeNodeTokenReply>, Status> {
        revoke(self, request).await.map(Response::new)
    }

    async fn revoke_node(
        &self,
        request: Request<v1::RevokeNodeRequest>,
    ) -> Result<Response<v1::RevokeNodeReply>, Status> {
        revoke_node(self, request).await.map(Response::new)
    }

    async fn create_user_token(
        &self,
        request: Request<v1::CreateUserTokenRequest>,
    ) -> Result<Response<v1::CreateUserTokenReply>, Status> {
        user_tokens::create(self, request).await.map(Response::new)
    }

    async fn list_user_tokens(
        &self,
        request: Request<v1::ListUserTokensRequest>,
    ) -> Result<Response<v1::ListUserTokensReply>, Status> {
        user_tokens::list(self, &request).map(Response::new)
    }

    async fn revoke_user_token(
        &self,
        request: Request<v1::RevokeUserTokenRequest>,
    ) -> Result<Response<v1::RevokeUserTokenReply>, Status> {
        user_tokens::revoke(self, request).await.map(Response::new)
    }
}

async fn create(
    keeper: &Gatekeeper,
    request: Request<v1::CreateNodeTokenRequest>,
) -> Result<v1::CreateNodeTokenReply, Status> {
    let note = Note::of(request.extensions());
    let uid = keeper.rights.asker_here(&request, Verb::CreateNodeToken)?.uid;
    let v1::CreateNodeTokenRequest { ttl_s, uses } = request.into_inner();
    let Some(authority) = &keeper.authority else {
        let detail = "nodes can join over TLS only, and this controller does not listen with it: start it with --listen ADDRESS:PORT";
        return Err(refused(ErrorReason::Disabled, "Requested operation is presently disabled", Some(detail)));
    };
    let ttl_s = if ttl_s == 0 { TTL_S } else { ttl_s };
    if ttl_s > TTL_MS_MAX / 1000 {
        let value = format!("{ttl_s}; at most {}, which is a year", TTL_MS_MAX / 1000);
        return Err(WireError::Meaningless { field: "ttl_s", value }.into());
    }
    let token = JoinToken::new(authority.fingerprint());
    let (secret, uses_max) = (token.secret_hash(), NonZeroU32::new(uses));
    let id = match wish(keeper, Wish::CreateToken { secret, ttl_ms: ttl_s * 1000, uses_max, uid }).await? {
        Answer::Token(id) => id,
        other => return Err(unexpected(&other)),
    };
    note.what(format!("join token {id}"));
    let cluster = keeper.published.cluster();
    let until_ms = cluster.members().tokens().find(|(known, _)| *known == id).map_or(0, |(_, token)| token.until.0);
    Ok(v1::CreateNodeTokenReply { id, token: token.reveal(), until_ms })
}

fn list(keeper: &Gatekeeper, request: &Request<v1::ListNodeTokensRequest>) -> Result<v1::ListNodeTokensReply, Status> {
    keeper.rights.asker_here(request, Verb::ListNodeTokens)?;
    let now = clock::now();
    let cluster = keeper.published.cluster();
    let row = |(id, token): (u32, &sched::members::Token)| v1::NodeTokenRow {
        id,
        made_ms: token.made.0,
        until_ms: token.until.0,
        uses_max: token.uses_max.map_or(0, NonZeroU32::get),
        uses: token.uses,
        uid: token.uid,
        state: match token.spent(id, now) {
            None => "VALID",
            Some(NotAdmitted::Expired(_)) => "EXPIRED",
            Some(NotAdmitted::UsedUp(_)) => "USED",
            Some(_) => "REVOKED",
        }
        .into(),
    };
    Ok(v1::ListNodeTokensReply { tokens: cluster.members().tokens().map(row).collect() })
}

async fn revoke(
    keeper: &Gatekeeper,
    request: Request<v1::RevokeNodeTokenRequest>,
) -> Result<v1::RevokeNodeTokenReply, Status> {
    Note::of(request.extensions()).what(format!("join token {}", request.get_ref().id));
    let uid = keeper.rights.asker_here(&request, Verb::RevokeNodeToken)?.uid;
    match wish(keeper, Wish::RevokeToken { token: request.get_ref().id, uid }).await? {
        Answer::Done => Ok(v1::RevokeNodeTokenReply {}),
        other => Err(unexpected(&other)),
    }
}

async fn revoke_node(
    keeper: &Gatekeeper,
    request: Request<v1::RevokeNodeRequest>,
) -> Result<v1::RevokeNodeReply, Status> {
    Note::of(request.extensions()).what(request.get_ref().name.as_str());
    let uid = keeper.rights.asker_here(&request, Verb::RevokeNode)?.uid;
    let name = request.into_inner().name;
    match wish(keeper, Wish::RevokeNode { name: name.as_str().into(), uid }).await? {
        Answer::Done => {}
        other => return Err(unexpected(&other)),
    }
    let (cluster, now) = (keeper.published.cluster(), clock::now());
    let members = cluster.members();
    let came_by = members.member(&name).map(|member| member.token);
    let good = members.tokens().find(|(id, token)| Some(*id) == came_by && token.spent(*id, now).is_none());
    Ok(v1::RevokeNodeReply { token_still_valid: good.map_or(0, |(id, _)| id) })
}

pub(super) async fn wish(keeper: &Gatekeeper, wish: Wish) -> Result<Answer, Status> {
    match keeper.post.ask(Input::Membership(wish), Vec::new()).await.map_err(unavailable)? {
        Answer::Refused(why) => Err(refuse(&why)),
        answer => Ok(answer),
    }
}

pub(super) fn unexpected(answer: &Answer) -> Status {
    Status::internal(format!("a change of who may come in was answered with {answer:?}"))
}
