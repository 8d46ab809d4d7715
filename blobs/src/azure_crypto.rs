//! The arithmetic behind Azure's signatures, with one correction: a signed URL is good for the blob's name as it is, and not as it
//! is written in a URL.
//!
//! Azure compares the signature with one of the decoded path (the canonicalized resource of
//! <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>); `object_store` signs the encoded one, so that names
//! with spaces, say, would be refused.

use std::fmt;

use aws_lc_rs::{digest, hmac};
use object_store::client::{
    CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer as KeySigner, SigningAlgorithm,
};
use percent_encoding::percent_decode;

/// Where a text that is signed for a URL has the path of the blob, counted in lines from 0.
const RESOURCE_LINE: usize = 3;
/// What that path begins with; no other text that is signed has such a line there.
const RESOURCE: &[u8] = b"/blob/";

/// What computes the signatures of an Azure client.
pub(crate) struct AzureCrypto;

impl fmt::Debug for AzureCrypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AzureCrypto")
    }
}

impl CryptoProvider for AzureCrypto {
    fn digest(&self, algorithm: DigestAlgorithm) -> object_store::Result<Box<dyn DigestContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => {
                Ok(Box::new(Sha256 { context: digest::Context::new(&digest::SHA256), answer: None }))
            }
            other => Err(unknown(&format!("{other:?}"))),
        }
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> object_store::Result<Box<dyn HmacContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                Ok(Box::new(Hmac { key, text: Vec::new(), answer: None }))
            }
            other => Err(unknown(&format!("{other:?}"))),
        }
    }

    fn sign(&self, algorithm: SigningAlgorithm, _pem: &[u8]) -> object_store::Result<Box<dyn KeySigner>> {
        Err(unknown(&format!("{algorithm:?}")))
    }
}

/// Azure's signatures are all of SHA-256.
fn unknown(what: &str) -> object_store::Error {
    object_store::Error::NotSupported { source: format!("{what} for Azure").into() }
}

struct Sha256 {
    context: digest::Context,
    answer: Option<digest::Digest>,
}

impl DigestContext for Sha256 {
    fn update(&mut self, data: &[u8]) {
        self.context.update(data);
    }

    fn finish(&mut self) -> object_store::Result<&[u8]> {
        let answer: &digest::Digest = self.answer.insert(self.context.clone().finish());
        Ok(answer.as_ref())
    }
}

struct Hmac {
    key: hmac::Key,
    text: Vec<u8>,
    answer: Option<hmac::Tag>,
}

impl HmacContext for Hmac {
    fn update(&mut self, data: &[u8]) {
        self.text.extend_from_slice(data);
    }

    fn finish(&mut self) -> object_store::Result<&[u8]> {
        let answer: &hmac::Tag = self.answer.insert(hmac::sign(&self.key, &with_plain_resource(&self.text)));
        Ok(answer.as_ref())
    }
}

/// A text to be signed, with the path of the blob decoded where it is one for a URL.
fn with_plain_resource(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|byte| *byte == b'\n').enumerate().map(|(number, line)| {
        if number == RESOURCE_LINE && line.starts_with(RESOURCE) {
            percent_decode(line).collect()
        } else {
            line.to_vec()
        }
    });
    lines.collect::<Vec<_>>().join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_resource_of_a_url_is_decoded() {
        let url = "r\n2026\n2027\n/blob/a/c/day%201/%C3%BC.png\n\n%20\n";
        assert_eq!(with_plain_resource(url.as_bytes()), "r\n2026\n2027\n/blob/a/c/day 1/ü.png\n\n%20\n".as_bytes());
        let request = b"PUT\n\n\n12\n\n/a/c/day%201";
        assert_eq!(with_plain_resource(request), request);
    }

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        let mut hmac = AzureCrypto.hmac(DigestAlgorithm::Sha256, b"Jefe").expect("known");
        hmac.update(b"what do ya want ");
        hmac.update(b"for nothing?");
        assert_eq!(hmac.finish().expect("computed")[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        let mut sha = AzureCrypto.digest(DigestAlgorithm::Sha256).expect("known");
        sha.update(b"abc");
        assert_eq!(sha.finish().expect("computed")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
