//! The cluster's CA: made once, kept in `DIR/tls` (`ca.pem` for everybody to read, `ca.key` for the controller alone), and what it
//! signs.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proto::node_certificate::{CLOCK_SLACK_S, NodeCertificate};
use proto::tls::{CertificateFileError, fingerprint, provider, random, read_certificate, write_file};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sched::members::Fingerprint;
use thiserror::Error;
use tracing::info;

use crate::clock;

/// The CA's life: 20 years. Nodes and users hold its certificate, so it cannot change under them.
const AUTHORITY_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 60 * 60);
/// Certificates count from a little earlier, for machines whose clocks are behind.
const CLOCK_SLACK: Duration = Duration::from_secs(CLOCK_SLACK_S.unsigned_abs());
/// The longest signing request that is read, in bytes.
const REQUEST_BYTES_MAX: usize = 4096;

/// Signs what the controller and its nodes show.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// Why there is no CA, or it cannot sign. Each names the file.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// The folder or a file in it cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key cannot be read.
    #[error("cannot read {}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read the key.
    #[error("{} may be read by others (mode {mode:o}): chmod 600 it; if others may have had it, remove the folder and let all nodes join anew", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others may read the key of users' tokens.
    #[error("{} may be read by others (mode {mode:o}): chmod 600 it; if others may have had it, remove it, and all tokens of users end", path.display())]
    OpenUserKey {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// What is in it is no key.
    #[error("{} holds no Ed25519 key: bring it back from a backup, or remove it, and all tokens of users end", .0.display())]
    UserKey(PathBuf),
    /// One of the two files is missing.
    #[error("{} is there without its other half: bring back both ca.pem and ca.key from a backup, or remove the folder and let all nodes join anew", .0.display())]
    Half(PathBuf),
    /// The certificate's file is not usable.
    #[error(transparent)]
    File(#[from] CertificateFileError),
    /// What is in the files is no CA with its key, or signing failed.
    #[error("the CA of this cluster cannot sign")]
    Sign(#[from] rcgen::Error),
    /// The CA is none.
    #[error("the CA of this cluster is not usable")]
    Rustls(#[from] rustls::Error),
}

impl Authority {
    /// The CA in this folder, made if there is none.
    pub(crate) fn open(folder: &Path) -> Result<Authority, AuthorityError> {
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        match (certificate.exists(), key.exists()) {
            (true, true) => {}
            (false, false) => make(folder, &certificate, &key)?,
            (true, false) => return Err(AuthorityError::Half(certificate)),
            (false, true) => return Err(AuthorityError::Half(key)),
        }
        let unread = |source| AuthorityError::Key { path: key.clone(), source };
        let mode = fs::metadata(&key).map_err(unread)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AuthorityError::Open { path: key, mode });
        }
        let pair = KeyPair::from_pem(&fs::read_to_string(&key).map_err(unread)?)?;
        let pem = fs::read_to_string(&certificate)
            .map_err(|source| CertificateFileError::Read { path: certificate.clone(), source })?;
        let certificate = read_certificate(&certificate)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, pair)?;
        Ok(Authority { issuer, certificate, pem })
    }

    /// The CA's certificate, in PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// What join tokens name it by.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate)
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("it was opened as a CA");
        Arc::new(roots)
    }

    /// A new key and certificate for the controller itself, under these names.
    pub(super) fn issue_own(&self, names: &[String], life: Duration) -> Result<CertifiedKey, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = leaf("covey controller", life, ExtendedKeyUsagePurpose::ServerAuth);
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        // The CA goes along for those who know it by its hash alone.
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        Ok(CertifiedKey::from_der(chain, key, &provider())?)
    }

    /// A certificate for the node of this name with the key of this request. Whatever else the request says is not looked at.
    pub(crate) fn issue_node(
        &self,
        name: &str,
        request: &SigningRequest,
        life: Duration,
    ) -> Result<Certificate, AuthorityError> {
        let mut params = leaf(name, life, ExtendedKeyUsagePurpose::ClientAuth);
        params.subject_alt_names = vec![SanType::URI(NodeCertificate::uri(name).try_into()?)];
        Ok(params.signed_by(&request.0.public_key, &self.issuer)?)
    }
}

/// A signing request whose sender has shown that the key is its own.
pub(crate) struct SigningRequest(CertificateSigningRequestParams);

impl SigningRequest {
    /// Reads a request in DER; nothing when it is none.
    pub(crate) fn read(der: &[u8]) -> Option<SigningRequest> {
        if der.len() > REQUEST_BYTES_MAX {
            return None;
        }
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der));
        request.ok().map(SigningRequest)
    }

    /// The hash of its public key.
    pub(crate) fn key(&self) -> Fingerprint {
        fingerprint(self.0.public_key.der_bytes())
    }
}

fn leaf(name: &str, life: Duration, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = begin(name, life);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params
}

fn begin(name: &str, life: Duration) -> CertificateParams {
    let now = Duration::from_millis(clock::now().0.max(0).unsigned_abs());
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(CLOCK_SLACK);
    params.not_after = date_time_ymd(1970, 1, 1) + now + life;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn make(folder: &Path, certificate: &Path, key: &Path) -> Result<(), AuthorityError> {
    let failed = |source| AuthorityError::Write { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed)?;
    let pair = KeyPair::generate()?;
    // Two clusters are never called alike, so that nobody takes one's certificate for the other's.
    let number = u32::from_be_bytes(random());
    let mut params = begin(&format!("covey cluster {number:08x}"), AUTHORITY_LIFE);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let made = params.self_signed(&pair)?;
    // The key first: a certificate that somebody has copied is never left without it.
    write(key, 0o600, &pair.serialize_pem())?;
    write(certificate, 0o644, &made.pem())?;
    info!(file = %certificate.display(), "the cluster has a CA now");
    Ok(())
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), AuthorityError> {
    write_file(path, mode, text).map_err(|source| AuthorityError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate().expect("a key");
        // What it claims to be is not believed.
        let mut params = CertificateParams::new(vec!["controller".into()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, "root");
        let der = params.serialize_request(&key).expect("a request").der().to_vec();
        (key, der)
    }

    #[test]
    fn a_ca_is_made_once_and_kept_for_the_controller_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let tls = folder.path().join("tls");
        let first = Authority::open(&tls).expect("made").fingerprint();
        assert_eq!(Authority::open(&tls).expect("opened").fingerprint(), first);
        let mode = |name: &str| fs::metadata(tls.join(name)).expect("there").mode() & 0o777;
        assert_eq!((mode("ca.key"), mode("ca.pem")), (0o600, 0o644));
        fs::set_permissions(tls.join("ca.key"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("ours");
        assert!(matches!(Authority::open(&tls), Err(AuthorityError::Open { mode: 0o640, .. })));
        fs::remove_file(tls.join("ca.key")).expect("there");
        assert!(
            matches!(Authority::open(&tls), Err(AuthorityError::Half(_))),
            "a lost key is not made anew in silence"
        );
    }

    #[test]
    fn a_nodes_certificate_says_what_the_controller_says_and_not_the_request() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::open(&folder.path().join("tls")).expect("made");
        let (key, der) = request();
        let request = SigningRequest::read(&der).expect("sound");
        let life = Duration::from_secs(100);
        let issued = authority.issue_node("linux1", &request, life).expect("signed");
        let read = NodeCertificate::read(issued.der()).expect("a node's");
        assert_eq!((read.name.as_str(), read.key), ("linux1", fingerprint(key.der_bytes())));
        assert_eq!((read.key, read.until_s - read.from_s), (request.key(), 400));
        assert_eq!(read.renew_at_ms(), read.until_s * 1000 - 33_333);
        assert!(NodeCertificate::read(&authority.certificate).is_err(), "the CA is no node");
    }

    #[test]
    fn requests_that_are_none_or_of_a_key_of_somebody_else_are_refused() {
        let (_, mut der) = request();
        assert!(SigningRequest::read(&der[1..]).is_none() && SigningRequest::read(&[]).is_none());
        assert!(SigningRequest::read(&vec![0x30; REQUEST_BYTES_MAX + 1]).is_none());
        *der.last_mut().expect("a signature") ^= 1;
        assert!(SigningRequest::read(&der).is_none(), "the signature shows whose key it is");
    }
}
