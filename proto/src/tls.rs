//! What both ends of a TLS connection share: one provider, TLS 1.3 and nothing else, HTTP/2, and hashes of certificates and keys.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::{digest, rand};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sched::members::Fingerprint;
use thiserror::Error;

/// The versions that are spoken.
pub const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
/// gRPC is HTTP/2, and both sides say so in the handshake.
pub const ALPN: &[u8] = b"h2";

/// The one provider of cryptography.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` prints it, or of a key or secret.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> Fingerprint {
    let hash = digest::digest(&digest::SHA256, bytes);
    Fingerprint(hash.as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}

/// Bytes that nobody can guess.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// Why a file with a certificate cannot be used.
#[derive(Debug, Error)]
pub enum CertificateFileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds no certificate.
    #[error("{} holds no certificate in PEM", .0.display())]
    Empty(PathBuf),
}

/// The first certificate of a PEM file.
///
/// # Errors
/// When the file cannot be read or has none.
pub fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, CertificateFileError> {
    let bytes = fs::read(path).map_err(|source| CertificateFileError::Read { path: path.to_owned(), source })?;
    CertificateDer::from_pem_slice(&bytes).map_err(|_| CertificateFileError::Empty(path.to_owned()))
}

/// Writes a file that is there whole or not at all, and that others may read only where `mode` says so from its first moment.
///
/// # Errors
/// The operating system's.
pub fn write_file(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let aside = path.with_extension("new");
    // One that an earlier life left may be open to others.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&aside, path)
}
