//! `JoinCluster` and `RenewCertificate`: the two calls by which a node over TLS gets its certificate.

use std::sync::Arc;
use std::time::Duration;

use proto::error::{WireError, refused};
use proto::join_token::SECRET_BYTES;
use proto::reason::ErrorReason;
use proto::tls::fingerprint;
use proto::v1;
use proto::v1::membership_server::Membership;
use sched::members::Wish;
use sched::node::is_name;
use sched::step::{Answer, Input};
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::caller::{Caller, counts};
use super::rate::Rate;
use super::{refuse, unavailable};
use crate::audit::Who;
use crate::audit::recorded::Note;
use crate::clock;
use crate::driver::{Post, Published};
use crate::tls::{Authority, SigningRequest, TlsPeer};

/// Certificates that may be asked for in a second, by all together: each costs signatures, and joins go into the journal.
const ASKED_PER_SECOND_MAX: u32 = 100;
/// All who ask share one bucket: nobody has a name yet.
const EVERYBODY: u32 = 0;

/// The service that is open to whoever reaches the port.
#[derive(Clone)]
pub(crate) struct Members {
    pub(crate) post: Post,
    pub(crate) published: Arc<Published>,
    pub(crate) authority: Arc<Authority>,
    /// How long a node's certificate is good.
    pub(crate) life: Duration,
    pub(crate) rate: Arc<Rate>,
}

#[tonic::async_trait]
impl Membership for Members {
    async fn join_cluster(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::CertificateReply>, Status> {
        self.count()?;
        let from = request.extensions().get::<TlsPeer>().and_then(|peer| peer.address);
        let note = Note::of(request.extensions());
        let v1::JoinRequest { name, signing_request, secret } = request.into_inner();
        if !is_name(&name) {
            return Err(WireError::Meaningless { field: "name", value: name }.into());
        }
        if secret.len() != SECRET_BYTES {
            return Err(WireError::Length { field: "secret", bytes: secret.len(), wanted: SECRET_BYTES }.into());
        }
        note.what(format!("node {name}"));
        let request = read(&signing_request)?;
        let wish = Wish::Join { name: name.as_str().into(), key: request.key(), secret: fingerprint(&secret) };
        match self.post.ask(Input::Membership(wish), Vec::new()).await.map_err(unavailable)? {
            Answer::Done => {
                let token = self.published.cluster().members().member(&name).map_or(0, |member| member.token);
                note.who(Who { by: format!("join token {token}").into(), ..Who::unknown(from) });
                self.issue(&name, &request)
            }
            Answer::Refused(why) => {
                warn!(node = name, ?from, why = why.detail(), "a node may not join");
                Err(refuse(&why))
            }
            other => Err(Status::internal(format!("a join was answered with {other:?}"))),
        }
    }

    async fn renew_certificate(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::CertificateReply>, Status> {
        self.count()?;
        let Caller::Node(node) = Caller::of(request.extensions()) else {
            let detail = "a certificate is renewed by showing the one that runs out";
            return Err(refused(ErrorReason::BadCredentials, "Access/permission denied", Some(detail)));
        };
        counts(&self.published, &node)?;
        let request = read(&request.get_ref().signing_request)?;
        if request.key() != node.key {
            return Err(WireError::Meaningless { field: "signing_request", value: "another key".into() }.into());
        }
        self.issue(&node.name, &request)
    }
}

impl Members {
    fn count(&self) -> Result<(), Status> {
        self.rate.take(EVERYBODY, ASKED_PER_SECOND_MAX, clock::now()).map_err(|_| {
            let detail = format!("{ASKED_PER_SECOND_MAX} certificates a second may be asked for; come again");
            refused(ErrorReason::TooFast, "Resource temporarily unavailable", Some(&detail))
        })
    }

    fn issue(&self, name: &str, request: &SigningRequest) -> Result<Response<v1::CertificateReply>, Status> {
        let issued = self.authority.issue_node(name, request, self.life).map_err(|error| {
            warn!(node = name, error = &error as &dyn std::error::Error, "a certificate cannot be signed");
            Status::internal("the certificate cannot be signed; the controller's log says why")
        })?;
        info!(node = name, life_s = self.life.as_secs(), "a certificate was issued");
        let authority = self.authority.pem().to_owned();
        Ok(Response::new(v1::CertificateReply { certificate: issued.pem(), authority }))
    }
}

fn read(der: &[u8]) -> Result<SigningRequest, Status> {
    let value = || format!("{} bytes that are no signing request of a key's owner", der.len());
    SigningRequest::read(der).ok_or_else(|| WireError::Meaningless { field: "signing_request", value: value() }.into())
}
