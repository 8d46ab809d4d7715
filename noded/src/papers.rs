//! By what a node proves who it is over TLS: its key, which never leaves this machine, a certificate, and the CA of its cluster.
//!
//! They are kept in the folder `tls` of the node's own: `node.key`, which is for this process alone, `node.pem` and `ca.pem`, which
//! everybody may read. A join token is needed once, to get
//! the first certificate; each pays for the next. Start at [`Papers::obtain`].

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto::dial::{DialError, dial_trusting};
use proto::endpoint::Endpoints;
use proto::join_token::{JoinToken, JoinTokenError};
use proto::node_certificate::{NodeCertificate, NotANode};
use proto::tls::{fingerprint, read_certificate, write_file};
use proto::trust::{Trust, TrustError};
use proto::v1;
use proto::v1::membership_client::MembershipClient;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::time::sleep;
use tonic::{Code, Status};
use tracing::{error, info, warn};

use crate::clock;

/// How long one round of dialling goes on.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);
/// The pause after a try that was not heard, or a renewal that was refused.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The clock is looked at so often: it may be set, and a machine may sleep.
const LOOK_PAUSE: Duration = Duration::from_secs(30);

/// Who wants papers, and from whom.
#[derive(Clone, Debug)]
pub(crate) struct Applicant {
    /// The node's name.
    pub(crate) name: String,
    /// Where the controller is, by TLS alone.
    pub(crate) controller: Endpoints,
    /// Where a join token is.
    pub(crate) token_file: Option<PathBuf>,
}

/// The papers of the moment.
#[derive(Debug)]
pub struct Papers {
    folder: PathBuf,
    applicant: Applicant,
    held: Mutex<Held>,
}

/// What a stepd takes along of its node's papers before it becomes the job's user, who may not read the key. The certificate is
/// read again for each connection: it is renewed while the step runs, and the key stays.
pub(crate) struct Carried {
    folder: PathBuf,
    name: String,
    key: PrivateKeyDer<'static>,
}

impl Carried {
    /// Takes the key.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn of(folder: &Path, name: &str) -> Result<Carried, PapersError> {
        Ok(Carried { folder: folder.to_owned(), name: name.to_owned(), key: private_key(folder)? })
    }

    /// What the controller is checked by, and what it is shown.
    ///
    /// # Errors
    /// When a file is not there or does not belong to the key.
    pub(crate) fn trust(&self) -> Result<Trust, PapersError> {
        Ok(held(&self.folder, &self.name, self.key.clone_key())?.trust)
    }
}

#[derive(Clone, Debug)]
struct Held {
    trust: Trust,
    certificate: NodeCertificate,
}

/// Why a node cannot prove who it is. Each names the fix.
#[derive(Debug, Error)]
pub enum PapersError {
    /// Nothing has ever been issued, or it has run out, and there is no token.
    #[error("node {name} {why}: make a join token with covey node token create, and give it with --token-file FILE")]
    NoToken {
        /// The node.
        name: String,
        /// What is the matter with its certificate.
        why: &'static str,
    },
    /// The token's file cannot be read.
    #[error("cannot read the join token in {}", path.display())]
    TokenFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("the join token in {}", path.display())]
    Token {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: JoinTokenError,
    },
    /// A file of the papers cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody answers, or somebody who is not to be trusted.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The controller says no.
    #[error("the controller does not let node {name} in: {}", detail(status))]
    Refused {
        /// The node.
        name: String,
        /// Its answer.
        status: Status,
    },
    /// What came back, or what is kept, does not fit together.
    #[error("the certificate of this node cannot be used: remove {} and give it a new join token with --token-file", .0.display())]
    Unusable(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// No key or request can be made.
    #[error("no key can be made for this node")]
    Key(#[from] rcgen::Error),
}

impl Papers {
    /// Takes the papers that are kept, or joins by the token. While nobody answers it tries again.
    ///
    /// # Errors
    /// A refusal, a controller that is not the token's, or no token where one is needed.
    pub(crate) async fn obtain(folder: PathBuf, applicant: Applicant) -> Result<Papers, PapersError> {
        let held = match kept(&folder, &applicant.name)? {
            Some(held) if !held.is_expired() => held,
            before => {
                let why = if before.is_some() { "has a certificate that has run out" } else { "has no certificate" };
                loop {
                    match join(&folder, &applicant, why).await {
                        Err(failed) if failed.may_pass() => {
                            warn!(error = &failed as &dyn std::error::Error, "cannot join yet");
                            sleep(RETRY_PAUSE).await;
                        }
                        joined => break joined?,
                    }
                }
            }
        };
        Ok(Papers { folder, applicant, held: Mutex::new(held) })
    }

    /// What the controller is checked by, and what it is shown.
    pub(crate) fn trust(&self) -> Trust {
        self.held().trust
    }

    /// Renews the certificate at two thirds of its life, for ever. What has run out all the same needs a token again.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            let left_ms = self.held().certificate.renew_at_ms().saturating_sub(clock::wall_ms());
            if let Ok(left_ms @ 1..) = u64::try_from(left_ms) {
                sleep(Duration::from_millis(left_ms).min(LOOK_PAUSE)).await;
                continue;
            }
            let renewed = if self.held().is_expired() {
                join(&self.folder, &self.applicant, "has a certificate that has run out").await
            } else {
                self.renew().await
            };
            match renewed {
                Ok(held) => {
                    info!(until_s = held.certificate.until_s, "this node has a new certificate");
                    *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
                }
                Err(failed) => {
                    error!(error = &failed as &dyn std::error::Error, "this node's certificate cannot be renewed");
                    sleep(RETRY_PAUSE.max(self.held().patience())).await;
                }
            }
        }
    }

    fn held(&self) -> Held {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn renew(&self) -> Result<Held, PapersError> {
        let Applicant { name, controller, .. } = &self.applicant;
        let signing_request = request(&key(&self.folder)?, name)?;
        let channel = dial_trusting(controller, Some(&self.trust()), DIAL_PATIENCE).await?;
        let reply = MembershipClient::new(channel).renew_certificate(v1::RenewRequest { signing_request }).await;
        let reply = reply.map_err(|status| PapersError::Refused { name: name.clone(), status })?.into_inner();
        keep(&self.folder, name, &reply)
    }
}

impl Held {
    fn is_expired(&self) -> bool {
        self.certificate.until_s <= clock::wall_s()
    }

    /// How long to wait between tries to renew: a twelfth of the life, so that there are several before it ends.
    fn patience(&self) -> Duration {
        let left_ms = (self.certificate.until_s * 1000 - self.certificate.renew_at_ms()) / 4;
        Duration::from_millis(left_ms.max(0).unsigned_abs()).min(LOOK_PAUSE)
    }
}

impl PapersError {
    /// Whether trying again may help: nobody was there, or too many.
    fn may_pass(&self) -> bool {
        match self {
            // A controller that is not who it should be does not become it.
            PapersError::Dial(error) => !error.is_untrusted(),
            PapersError::Refused { status, .. } => !matches!(
                status.code(),
                Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument | Code::Unimplemented
            ),
            _ => false,
        }
    }
}

/// Gets a first certificate, from exactly the cluster that the token names.
async fn join(folder: &Path, applicant: &Applicant, why: &'static str) -> Result<Held, PapersError> {
    let Applicant { name, controller, token_file } = applicant;
    let path = token_file.as_ref().ok_or_else(|| PapersError::NoToken { name: name.clone(), why })?;
    let text = fs::read_to_string(path).map_err(|source| PapersError::TokenFile { path: path.clone(), source })?;
    let token: JoinToken = text.parse().map_err(|source| PapersError::Token { path: path.clone(), source })?;
    let signing_request = request(&key(folder)?, name)?;
    let channel = dial_trusting(controller, Some(&Trust::pinned(token.authority)), DIAL_PATIENCE).await?;
    let request = v1::JoinRequest { name: name.clone(), signing_request, secret: token.secret().to_vec() };
    let reply = MembershipClient::new(channel).join_cluster(request).await;
    let reply = reply.map_err(|status| PapersError::Refused { name: name.clone(), status })?.into_inner();
    let authority = CertificateDer::from_pem_slice(reply.authority.as_bytes());
    if !authority.is_ok_and(|authority| fingerprint(&authority) == token.authority) {
        return Err(PapersError::Unusable(folder.to_owned(), "the CA is not the token's".into()));
    }
    let held = keep(folder, name, &reply)?;
    info!(controller = %controller, until_s = held.certificate.until_s, "this node has joined");
    Ok(held)
}

/// The node's key, made at its first use.
fn key(folder: &Path) -> Result<KeyPair, PapersError> {
    let path = folder.join("node.key");
    let failed = |source| PapersError::File { path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => Ok(KeyPair::from_pem(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o711).create(folder).map_err(failed)?;
            let key = KeyPair::generate()?;
            write_file(&path, 0o600, &key.serialize_pem()).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

fn request(key: &KeyPair, name: &str) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// Keeps what the controller has issued, and takes it up again as the next start would.
fn keep(folder: &Path, name: &str, reply: &v1::CertificateReply) -> Result<Held, PapersError> {
    for (file, text) in [("ca.pem", &reply.authority), ("node.pem", &reply.certificate)] {
        let path = folder.join(file);
        write_file(&path, 0o644, text).map_err(|source| PapersError::File { path, source })?;
    }
    kept(folder, name)?.ok_or_else(|| PapersError::Unusable(folder.to_owned(), Box::new(NotANode)))
}

/// The papers in the folder; none before the first certificate.
fn kept(folder: &Path, name: &str) -> Result<Option<Held>, PapersError> {
    if !folder.join("node.pem").exists() {
        return Ok(None);
    }
    held(folder, name, private_key(folder)?).map(Some)
}

fn private_key(folder: &Path) -> Result<PrivateKeyDer<'static>, PapersError> {
    let key = PrivateKeyDer::try_from(key(folder)?.serialize_der());
    key.map_err(|error| PapersError::Unusable(folder.to_owned(), error.into()))
}

fn held(folder: &Path, name: &str, key: PrivateKeyDer<'static>) -> Result<Held, PapersError> {
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| PapersError::Unusable(folder.to_owned(), error);
    let shown = read_certificate(&folder.join("node.pem")).map_err(|error| unusable(Box::new(error)))?;
    let authority = read_certificate(&folder.join("ca.pem")).map_err(|error| unusable(Box::new(error)))?;
    let certificate = NodeCertificate::read(&shown).map_err(|error| unusable(Box::new(error)))?;
    if certificate.name != name {
        return Err(unusable(format!("it is for node {}", certificate.name).into()));
    }
    let trust = Trust::with_identity(&authority, shown, key);
    let trust = trust.map_err(|error: TrustError| unusable(Box::new(error)))?;
    Ok(Held { trust, certificate })
}

/// What a refusal says to people.
fn detail(status: &Status) -> String {
    proto::error::detail(status).unwrap_or_else(|| status.message().to_owned())
}
