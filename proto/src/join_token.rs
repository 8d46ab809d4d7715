//! A join token: `COVEY-1-`, the hash of the cluster's CA certificate, and a secret. The hash tells a node whom to trust, the
//! secret tells the cluster that the node may come.

use std::fmt;
use std::str::FromStr;

use sched::members::Fingerprint;
use thiserror::Error;

use crate::tls;

/// Bytes of a secret: 128 bits, so that guessing is out of the question.
pub const SECRET_BYTES: usize = 16;
/// What all tokens of this form begin with.
const PREFIX: &str = "COVEY-1-";

/// A join token. It never prints itself but by [`JoinToken::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The SHA-256 of the CA's certificate.
    pub authority: Fingerprint,
    secret: [u8; SECRET_BYTES],
}

/// A text that is no join token; it is not repeated, because it may hold a secret.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("this is no join token: one is COVEY-1-HASH-SECRET in one line, as covey node token create prints it")]
pub struct JoinTokenError;

impl JoinToken {
    /// A new token for the cluster with this CA.
    #[must_use]
    pub fn new(authority: Fingerprint) -> JoinToken {
        JoinToken { authority, secret: tls::random() }
    }

    /// The secret, for the wire.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// What the cluster keeps of it.
    #[must_use]
    pub fn secret_hash(&self) -> Fingerprint {
        tls::fingerprint(&self.secret)
    }

    /// The whole text, for whoever is to use it.
    #[must_use]
    pub fn reveal(&self) -> String {
        let secret: String = self.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{PREFIX}{}-{secret}", self.authority)
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<JoinToken, JoinTokenError> {
        let (authority, secret) =
            text.trim().strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).ok_or(JoinTokenError)?;
        let authority = Fingerprint(read_hex(authority).ok_or(JoinTokenError)?);
        Ok(JoinToken { authority, secret: read_hex(secret).ok_or(JoinTokenError)? })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({:?}, ..)", self.authority)
    }
}

fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_never_shown() {
        let token = JoinToken::new(Fingerprint([0xab; 32]));
        let text = token.reveal();
        assert_eq!((text.len(), text.parse()), (8 + 64 + 1 + 32, Ok(token.clone())));
        assert_eq!(format!(" {text}\n").parse(), Ok(token.clone()), "a file has a line's end");
        assert_ne!(JoinToken::new(Fingerprint([0xab; 32])), token);
        let shown = format!("{token:?}");
        assert!(!shown.contains(text.rsplit('-').next().expect("a secret")), "{shown}");
    }

    #[test]
    fn other_texts_are_refused_and_not_repeated() {
        let good = JoinToken::new(Fingerprint([1; 32])).reveal();
        let swapped = good.replace("COVEY-1", "COVEY-2");
        for text in
            ["", "COVEY-1-", "COVEY-1-ab-cd", &good[..good.len() - 1], &swapped, &format!("{good}0"), "SWMTKN-1-x-y"]
        {
            assert_eq!(text.parse::<JoinToken>(), Err(JoinTokenError), "{text}");
        }
    }
}
