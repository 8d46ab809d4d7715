//! Whom a caller trusts: exactly one CA, known by its certificate or, before the first meeting, by its hash. There is no trust on
//! first use, and the machine's list of public CAs plays no part.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, RootCertStore, SignatureScheme,
};
use sched::members::Fingerprint;
use thiserror::Error;

use crate::tls::{ALPN, CertificateFileError, VERSIONS, fingerprint, provider, read_certificate};

/// What a caller checks the controller by, and what it shows of itself. Clones share it.
#[derive(Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
}

/// Why there is nothing to check a controller by.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The CA's file is not usable.
    #[error("the cluster's CA certificate")]
    File(#[from] CertificateFileError),
    /// What is in it is no CA, or the key does not belong to the certificate.
    #[error("this certificate or key cannot be used")]
    Unusable(#[source] rustls::Error),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may hold a key.
        f.write_str("Trust(..)")
    }
}

impl Trust {
    /// Trusts the CA in this PEM file.
    ///
    /// # Errors
    /// When it is not there or holds no CA certificate.
    pub fn in_file(path: &Path) -> Result<Trust, TrustError> {
        Ok(Trust { config: Arc::new(anonymous(verifier(&read_certificate(path)?)?)) })
    }

    /// Trusts the CA whose certificate has this hash; the controller has to send it along.
    #[must_use]
    pub fn pinned(authority: Fingerprint) -> Trust {
        Trust { config: Arc::new(anonymous(Arc::new(Pinned { authority, provider: provider() }))) }
    }

    /// Trusts this CA, and shows a certificate of its own.
    ///
    /// # Errors
    /// When the CA is none, or the key is not the certificate's.
    pub fn with_identity(
        authority: &CertificateDer<'_>,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Trust, TrustError> {
        let builder = begin(verifier(authority)?);
        let config = builder.with_client_auth_cert(vec![certificate], key).map_err(TrustError::Unusable)?;
        Ok(Trust { config: Arc::new(with_alpn(config)) })
    }

    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        self.config.clone()
    }
}

fn verifier(authority: &CertificateDer<'_>) -> Result<Arc<dyn ServerCertVerifier>, TrustError> {
    Ok(under(authority, provider()).map_err(TrustError::Unusable)?)
}

fn under(authority: &CertificateDer<'_>, provider: Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned())?;
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(built.expect("one root is enough"))
}

fn begin(
    verifier: Arc<dyn ServerCertVerifier>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS);
    let builder = builder.expect("the provider speaks TLS 1.3");
    builder.dangerous().with_custom_certificate_verifier(verifier)
}

fn anonymous(verifier: Arc<dyn ServerCertVerifier>) -> ClientConfig {
    with_alpn(begin(verifier).with_no_client_auth())
}

fn with_alpn(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Every connection proves anew who it is.
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// What is wrong with the other side, and what can be done, where it is something that people meet.
pub(crate) fn explain(error: &Error, host: &str) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            format!(
                "{host} is not the controller of this cluster: its certificate does not come from the CA that is trusted here; \
                 check the address, or get the token or ca.pem of that cluster"
            )
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            format!("the controller's certificate is not for {host}: start it with --advertise {}", bare(host))
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            format!("the certificate of {host} has run out: check the clocks of both machines")
        }
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            format!("the certificate of {host} is not good yet: check the clocks of both machines")
        }
        Error::InvalidMessage(_) | Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered) => {
            format!("{host} does not speak TLS 1.3: is this the port of --listen? ({error})")
        }
        other => format!("no TLS connection with {host}: {other}"),
    }
}

/// The name or address without its port.
pub(crate) fn bare(host: &str) -> &str {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
}

/// Accepts what ends in the one CA of this hash.
#[derive(Debug)]
struct Pinned {
    authority: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authority = intermediates.iter().find(|der| fingerprint(der) == self.authority);
        let authority = authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let verifier = under(authority, self.provider.clone())?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
