//! Listening with TLS 1.3: the cluster's own CA, the controller's certificate, and handshakes.
//!
//! The CA is made at the first start with `--listen` and kept in the folder `tls`; the controller's own certificate lives in
//! memory only, and is made anew long before it runs out. Who may get a node's certificate is decided in `sched::members`, and
//! asked for in `rpc/membership`. Start at [`Tls`].

mod authority;
mod mint;
mod names;
mod turned_away;
mod welcome;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use proto::tls::{ALPN, VERSIONS, provider};
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

pub use authority::AuthorityError;
pub(crate) use authority::{Authority, SigningRequest};
pub(crate) use mint::{Mint, Pass};
pub(crate) use names::{is_host_name, own_names};
pub(crate) use welcome::{TlsPeer, welcome};

/// How long a certificate is good of which nobody says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Lives {
    /// The controller's own.
    pub server: Duration,
    /// A node's.
    pub node: Duration,
}

/// Certificates are renewed when this part of their life has passed: two thirds.
const RENEW_AFTER: (u32, u32) = (2, 3);
/// The pause after a renewal that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// What a port with TLS needs.
pub(crate) struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    own: Arc<Own>,
    authority: Arc<Authority>,
    names: Vec<String>,
    life: Duration,
}

impl Tls {
    /// Makes the controller's certificate, for these names, and what shows it.
    pub(crate) fn new(authority: Arc<Authority>, names: Vec<String>, life: Duration) -> Result<Tls, AuthorityError> {
        let own = Arc::new(Own(ArcSwap::from_pointee(authority.issue_own(&names, life)?)));
        let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots(), provider());
        // Who shows no certificate may only ask for one, or bring another proof.
        let verifier = verifier.allow_unauthenticated().build().expect("one root is enough");
        let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS);
        let builder = builder.expect("the provider speaks TLS 1.3").with_client_cert_verifier(verifier);
        let mut config = builder.with_cert_resolver(own.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed connection would not show its certificate again, which may have run out since.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), own, authority, names, life })
    }

    /// Renews the controller's certificate at two thirds of its life, for ever.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            sleep(self.life * RENEW_AFTER.0 / RENEW_AFTER.1).await;
            while let Err(failed) = self.renew() {
                error!(error = &failed as &dyn std::error::Error, "the controller's certificate cannot be renewed");
                sleep(RETRY_PAUSE).await;
            }
        }
    }

    fn renew(&self) -> Result<(), AuthorityError> {
        self.own.0.store(Arc::new(self.authority.issue_own(&self.names, self.life)?));
        info!(names = ?self.names, life_s = self.life.as_secs(), "the controller's certificate was renewed");
        Ok(())
    }
}

/// The controller's certificate of the moment.
#[derive(Debug)]
struct Own(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Own {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
