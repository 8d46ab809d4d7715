//! What a node's certificate says: its name and role in one URI, `covey://node/NAME`, its key, and how long it is good.

use rustls::pki_types::CertificateDer;
use sched::members::Fingerprint;
use thiserror::Error;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::tls::fingerprint;

/// The role and the name follow each other in the certificate's alternative name.
const NODE: &str = "covey://node/";

/// Certificates count from so many seconds before they are made, for machines whose clocks are behind.
pub const CLOCK_SLACK_S: i64 = 300;

/// A certificate of a node, read. That it is good is for the TLS handshake to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCertificate {
    /// The node's name.
    pub name: String,
    /// The hash of its public key.
    pub key: Fingerprint,
    /// From when it is good, in seconds since 1970.
    pub from_s: i64,
    /// Until when.
    pub until_s: i64,
}

/// It is no node's certificate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("this is no certificate of a node")]
pub struct NotANode;

impl NodeCertificate {
    /// When it is to be renewed, in milliseconds since 1970: at two thirds of its life.
    #[must_use]
    pub fn renew_at_ms(&self) -> i64 {
        let life_ms = (self.until_s - self.from_s - CLOCK_SLACK_S).max(0) * 1000;
        self.until_s * 1000 - life_ms / 3
    }

    /// The alternative name of a node's certificate.
    #[must_use]
    pub fn uri(name: &str) -> String {
        format!("{NODE}{name}")
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none, or that of something else.
    pub fn read(der: &CertificateDer<'_>) -> Result<NodeCertificate, NotANode> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| NotANode)?;
        let names = certificate.subject_alternative_name().ok().flatten().ok_or(NotANode)?;
        let name = match names.value.general_names.as_slice() {
            [GeneralName::URI(uri)] => uri.strip_prefix(NODE).ok_or(NotANode)?.to_owned(),
            _ => return Err(NotANode),
        };
        let key = fingerprint(&certificate.public_key().subject_public_key.data);
        let validity = certificate.validity();
        let (from_s, until_s) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Ok(NodeCertificate { name, key, from_s, until_s })
    }
}
