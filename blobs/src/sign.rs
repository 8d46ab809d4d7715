//! URLs that let somebody without credentials read one blob, or write one, for a short time.
//!
//! A signed URL is a secret: it prints as nothing, and goes from who signs it to who uses it and nowhere else. Signing is
//! arithmetic with the account's key; only credentials that are themselves borrowed (roles, tokens) ask their service for one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::signer::{HeaderMap, HeaderName, HeaderValue, Method, SignedUrlOptions, Signer};

use crate::store::answered;
use crate::{Before, BlobError, BlobName, BlobStore, Cause, Scheme};

/// No URL is good for longer; a wish for more is cut.
pub const SIGNED_LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A URL that is good for one kind of request, and the headers that belong to it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedRequest {
    url: String,
    headers: Vec<(String, String)>,
}

impl SignedRequest {
    /// One that came over the wire.
    #[must_use]
    pub fn new(url: String, headers: Vec<(String, String)>) -> Self {
        Self { url, headers }
    }

    /// The secret: for the wire, and for the request itself.
    #[must_use]
    pub fn secret_url(&self) -> &str {
        &self.url
    }

    /// What must be sent with it.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedRequest(..)")
    }
}

/// What reads one blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedInput {
    /// The blob's URL, for messages; no secret.
    pub blob: String,
    /// Asks how long it is.
    pub head: SignedRequest,
    /// Reads it.
    pub get: SignedRequest,
}

/// What puts one blob, if what is there is still what was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOutput {
    /// The blob's URL, for messages; no secret.
    pub blob: String,
    /// Puts it.
    pub put: SignedRequest,
    /// Reads it again, to know one's own put after its answer was lost.
    pub get: SignedRequest,
}

impl BlobStore {
    /// Signs for reading a blob within `life`.
    ///
    /// # Errors
    /// [`BlobError::NoSigner`] where nothing can be signed, [`BlobError::Sign`] where it fails.
    pub async fn sign_input(&self, name: &BlobName, life: Duration) -> Result<SignedInput, BlobError> {
        let get = self.signed(name, Method::GET, Vec::new(), life).await?;
        // Azure's signatures are for reading, however that is done; those of others are for one kind of request.
        let head = match self.url.scheme() {
            Scheme::Azure => get.clone(),
            _ => self.signed(name, Method::HEAD, Vec::new(), life).await?,
        };
        Ok(SignedInput { blob: self.url.blob(name), head, get })
    }

    /// Signs for putting a blob within `life`, if what is there is still what was there `before`.
    ///
    /// # Errors
    /// As [`sign_input`](Self::sign_input).
    pub async fn sign_output(
        &self,
        name: &BlobName,
        before: &Before,
        life: Duration,
    ) -> Result<SignedOutput, BlobError> {
        let scheme = self.url.scheme();
        let mut headers: Vec<(String, String)> = Vec::new();
        headers.extend(before.header(scheme).map(|(name, value)| (name.to_owned(), value)));
        if scheme == Scheme::Azure {
            headers.push(("x-ms-blob-type".into(), "BlockBlob".into()));
        }
        let put = self.signed(name, Method::PUT, headers, life).await?;
        let get = self.signed(name, Method::GET, Vec::new(), life).await?;
        Ok(SignedOutput { blob: self.url.blob(name), put, get })
    }

    async fn signed(
        &self,
        name: &BlobName,
        method: Method,
        headers: Vec<(String, String)>,
        life: Duration,
    ) -> Result<SignedRequest, BlobError> {
        let failed = |source| BlobError::Sign { blob: self.url.blob(name), source };
        let signer: Arc<dyn Signer> =
            self.signer.clone().ok_or_else(|| BlobError::NoSigner { url: self.url.to_string() })?;
        let path = self.path(name).map_err(failed)?;
        let mut options = SignedUrlOptions::default();
        // Azure signs no headers; elsewhere they are part of what is signed, so that nobody sends others.
        if self.url.scheme() != Scheme::Azure {
            options.signed_headers = header_map(&headers).map_err(failed)?;
        }
        let signing = signer.signed_url_opts(method, &path, life.min(SIGNED_LIFE_MAX), &options);
        let url = answered(signing).await.map_err(|source| failed(self.blamed(source)))?;
        Ok(SignedRequest { url: url.into(), headers })
    }
}

/// The headers in the shape that requests want.
pub(crate) fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, Cause> {
    let pair = |(name, value): &(String, String)| {
        let bad = || Cause::new(format!("{name} cannot be a header of a request"));
        let name = name.parse::<HeaderName>().map_err(|_| bad())?;
        Ok((name, value.parse::<HeaderValue>().map_err(|_| bad())?))
    };
    headers.iter().map(pair).collect()
}
