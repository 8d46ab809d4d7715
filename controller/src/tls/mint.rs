//! The mint: signs what users show who call from elsewhere, and reads it again.
//!
//! A token is a JWT. Its header is always the same, byte for byte, so that nobody talks this file into another algorithm than
//! Ed25519 with the key of `DIR/tls/user.key`. That a token is well signed is not enough: see `rpc/caller.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use proto::tls::write_file;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use sched::ids::Timestamp;
use sched::members::Fingerprint;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracing::info;

use super::AuthorityError;

/// The first part of every token: `{"alg":"EdDSA","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9";
/// The longest text that is looked at; a token has about 400 bytes.
const TOKEN_BYTES_MAX: usize = 2_048;

/// Signs and reads tokens.
pub(crate) struct Mint {
    key: Ed25519KeyPair,
    audience: String,
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The number that it is revoked by.
    pub(crate) token: u32,
    pub(crate) admin: bool,
    /// Until when it is good.
    pub(crate) until: Timestamp,
}

/// Why a text is no token of this cluster. Nothing of it is repeated.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum NotOurs {
    #[error("what was shown is no token of a user: covey user token create makes one")]
    Garbage,
    #[error("the token is not signed with EdDSA, as all tokens of this cluster are")]
    Algorithm,
    #[error("the token is for another cluster")]
    OtherCluster,
    #[error("the token was not signed by this controller")]
    Signature,
    #[error("the token has expired: covey user token create makes a new one")]
    Expired,
}

/// What is signed, under the names of RFC 7519.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    uid: u32,
    gid: u32,
    aud: String,
    iat: i64,
    exp: i64,
    jti: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    admin: bool,
}

impl Mint {
    /// Opens the key in this folder, making it if there is none.
    pub(crate) fn open(folder: &Path, authority: Fingerprint, cluster: &str) -> Result<Mint, AuthorityError> {
        let path = folder.join("user.key");
        if !path.exists() {
            let pem = KeyPair::generate_for(&PKCS_ED25519)?.serialize_pem();
            write_file(&path, 0o600, &pem).map_err(|source| AuthorityError::Write { path: path.clone(), source })?;
            info!(file = %path.display(), "the cluster has a key for users' tokens now");
        }
        let unread = |source| AuthorityError::Key { path: path.clone(), source };
        let mode = fs::metadata(&path).map_err(unread)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(AuthorityError::OpenUserKey { path, mode });
        }
        let pem = fs::read_to_string(&path).map_err(unread)?;
        let unusable = || AuthorityError::UserKey(path.clone());
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| unusable())?;
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| unusable())?;
        Ok(Mint { key, audience: format!("covey:{cluster}:{authority}") })
    }

    /// The text of a token.
    pub(crate) fn sign(&self, pass: &Pass, now: Timestamp) -> String {
        let Pass { name: sub, uid, gid, token, admin, .. } = pass.clone();
        let (aud, jti) = (self.audience.clone(), token.to_string());
        let (iat, exp) = (now.0.div_euclid(1000), pass.until.0.div_euclid(1000));
        let claims = Claims { sub, uid, gid, aud, iat, exp, jti, admin };
        let claims = serde_json::to_vec(&claims).expect("texts and numbers are JSON");
        let signed = format!("{HEADER}.{}", BASE64.encode(claims));
        let signature = BASE64.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// What a text says that this mint has signed, while its time has not passed.
    pub(crate) fn read(&self, text: &str, now: Timestamp) -> Result<Pass, NotOurs> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(NotOurs::Garbage);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(NotOurs::Garbage)?;
        let (header, claims) = signed.split_once('.').ok_or(NotOurs::Garbage)?;
        let claims = BASE64.decode(claims).map_err(|_| NotOurs::Garbage)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| NotOurs::Garbage)?;
        if header != HEADER {
            return Err(NotOurs::Algorithm);
        }
        // Whose key it is signed with would tell less.
        if claims.aud != self.audience {
            return Err(NotOurs::OtherCluster);
        }
        let signature = BASE64.decode(signature).map_err(|_| NotOurs::Signature)?;
        let public = UnparsedPublicKey::new(&ED25519, self.key.public_key().as_ref());
        public.verify(signed.as_bytes(), &signature).map_err(|_| NotOurs::Signature)?;
        if now.0.div_euclid(1000) >= claims.exp {
            return Err(NotOurs::Expired);
        }
        let token = claims.jti.parse().map_err(|_| NotOurs::Garbage)?;
        let Claims { sub: name, uid, gid, exp, admin, .. } = claims;
        Ok(Pass { name, uid, gid, token, admin, until: Timestamp(exp * 1000) })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn mint(folder: &Path, cluster: &str) -> Mint {
        Mint::open(folder, Fingerprint([1; 32]), cluster).expect("a key")
    }

    fn pass() -> Pass {
        Pass { name: "ada".into(), uid: 1000, gid: 100, token: 7, admin: false, until: NOW.plus_ms(60_000) }
    }

    #[test]
    fn a_token_says_what_was_signed_until_its_time_has_passed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mint = mint(folder.path(), "covey");
        for pass in [pass(), Pass { admin: true, uid: 0, ..pass() }] {
            let text = mint.sign(&pass, NOW);
            assert_eq!(mint.read(&text, NOW), Ok(pass.clone()));
            assert_eq!(mint.read(&text, pass.until), Err(NotOurs::Expired));
        }
        let again = Mint::open(folder.path(), Fingerprint([1; 32]), "covey").expect("the same key");
        assert!(again.read(&mint.sign(&pass(), NOW), NOW).is_ok(), "a restart ends no token");
    }

    #[test]
    fn no_other_algorithm_key_or_cluster_is_taken() {
        let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let own = mint(folder.path(), "covey");
        let text = own.sign(&pass(), NOW);
        let (rest, signature) = text.rsplit_once('.').expect("three parts");
        let claims = rest.split_once('.').expect("two parts").1;
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"typ":"JWT","alg":"EdDSA"}"#] {
            let header = BASE64.encode(header);
            for signature in [signature, "", &hs256(&own, &format!("{header}.{claims}"))] {
                assert_eq!(own.read(&format!("{header}.{claims}.{signature}"), NOW), Err(NotOurs::Algorithm));
            }
        }
        let hashed = hs256(&own, rest);
        for signature in ["", "AAAA", &hashed, &signature[1..]] {
            assert_eq!(own.read(&format!("{rest}.{signature}"), NOW), Err(NotOurs::Signature));
        }
        let forged = Pass { uid: 0, ..pass() };
        let forged = mint(other.path(), "covey").sign(&forged, NOW);
        assert_eq!(own.read(&forged, NOW), Err(NotOurs::Signature), "another key");
        let swapped = forged.rsplit_once('.').expect("three parts").0;
        assert_eq!(own.read(&format!("{swapped}.{signature}"), NOW), Err(NotOurs::Signature), "other claims");
        assert_eq!(mint(folder.path(), "other").read(&text, NOW), Err(NotOurs::OtherCluster));
        let other_ca = Mint::open(folder.path(), Fingerprint([2; 32]), "covey").expect("a key");
        assert_eq!(other_ca.read(&text, NOW), Err(NotOurs::OtherCluster));
    }

    /// What a verifier would take that lets the token choose: an HMAC with the public key for its secret.
    fn hs256(mint: &Mint, signed: &str) -> String {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, mint.key.public_key().as_ref());
        BASE64.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()))
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let mint = mint(folder.path(), "covey");
        let long = format!("{HEADER}.{}.x", "A".repeat(TOKEN_BYTES_MAX));
        let empty = format!("{HEADER}.{}.AAAA", BASE64.encode("{}"));
        for text in ["", ".", "..", "secret", "COVEY-1-a-b", "a.b.c", &empty, &long] {
            assert_eq!(mint.read(text, NOW), Err(NotOurs::Garbage), "{text}");
        }
    }

    #[test]
    fn the_key_is_for_the_controller_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        mint(folder.path(), "covey");
        let key = folder.path().join("user.key");
        assert_eq!(fs::metadata(&key).expect("there").mode() & 0o777, 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("ours");
        let refused = Mint::open(folder.path(), Fingerprint([1; 32]), "covey");
        assert!(matches!(refused, Err(AuthorityError::OpenUserKey { mode: 0o640, .. })));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("ours");
        fs::write(&key, "no key").expect("ours");
        assert!(matches!(Mint::open(folder.path(), Fingerprint([1; 32]), "covey"), Err(AuthorityError::UserKey(_))));
    }
}
