//! One prefix of one store: whole blobs in and out.
//!
//! A put is whole or absent for every reader, also while it runs: a folder gets a temporary file and a rename
//! (`folder.rs`), other stores take one request or an upload in parts (`put.rs`). A folder is not synced to disk, so that a power
//! cut may lose fresh blobs; whoever counts on one must be able to make it again. Reading is in `read.rs`,
//! listings are in `list.rs`.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::connect::{Client, connect};
use crate::{BlobError, BlobName, Cause, Environment, Scheme, StoreUrl};

/// A store that has not answered by then, with all tries and all that it asked to wait, is given up; the body of a blob may take
/// longer.
const ANSWER_SECS_MAX: u64 = 90;

/// An open store, cheap to clone; all clones share one client and its connections.
///
/// Its calls need a tokio runtime with time and I/O enabled.
#[derive(Clone)]
pub struct BlobStore {
    pub(crate) url: StoreUrl,
    pub(crate) client: Arc<dyn ObjectStore>,
    pub(crate) signer: Option<Arc<dyn Signer>>,
    pub(crate) conditional: bool,
    account: Option<Arc<str>>,
}

impl BlobStore {
    /// Opens the store of `url` with the credentials of `environment`. Nothing is read or sent yet.
    ///
    /// Fails with [`BlobError::NoCredentials`] where a cloud store has none, or with [`BlobError::Open`].
    pub fn open(url: &StoreUrl, environment: &Environment) -> Result<Self, BlobError> {
        let Client { store, signer, account, conditional } = connect(url, environment)?;
        Ok(Self { url: url.clone(), client: store, signer, conditional, account: account.map(Into::into) })
    }

    /// The URL that this store was opened with.
    #[must_use]
    pub fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// The size of a blob in bytes, without reading it.
    pub async fn head(&self, name: &BlobName) -> Result<u64, BlobError> {
        let failed = |source| self.failed(name, source, |blob, source| BlobError::Head { blob, source });
        let path = self.path(name).map_err(failed)?;
        Ok(answered(self.client.head(&path)).await.map_err(|source| failed(self.blamed(source)))?.size)
    }

    /// Deletes a blob. A missing one is [`BlobError::NoBlob`] where the store tells: S3 and memory do not.
    pub async fn delete(&self, name: &BlobName) -> Result<(), BlobError> {
        self.refuse_read_only()?;
        let failed = |source| self.failed(name, source, |blob, source| BlobError::Delete { blob, source });
        let path = self.path(name).map_err(failed)?;
        answered(self.client.delete(&path)).await.map_err(|source| failed(self.blamed(source)))
    }

    /// Makes a missing folder; of other stores it verifies that the bucket or storage container can be reached.
    ///
    /// Covey creates no buckets: a missing one is [`BlobError::NoContainer`].
    pub async fn make(&self) -> Result<(), BlobError> {
        self.refuse_read_only()?;
        let url = || self.url.without_pattern().to_string();
        let made = match self.url.folder() {
            Some(folder) => on_disk(move || std::fs::create_dir_all(folder)).await,
            None => {
                let prefix = self.prefix().map_err(|source| BlobError::Make { url: url(), source })?;
                let mut listing = self.client.list(prefix.as_ref());
                answered(listing.try_next()).await.map(drop).map_err(|source| self.blamed(source))
            }
        };
        made.map_err(|source| match self.url.scheme() {
            Scheme::File => BlobError::Make { url: url(), source },
            _ if source.is_missing() => self.no_container(),
            _ => BlobError::Make { url: url(), source },
        })
    }

    /// Proves that blobs can be put here, by writing and deleting one with a reserved name.
    pub async fn check_writable(&self) -> Result<(), BlobError> {
        self.refuse_read_only()?;
        self.check_folder().await?;
        let probe = BlobName::probe();
        match self.put(&probe, Bytes::new()).await {
            Err(BlobError::Put { source, .. }) => return Err(self.not_writable(source)),
            put => put?,
        }
        let path = self.path(&probe).map_err(|source| self.not_writable(source))?;
        match answered(self.client.delete(&path)).await {
            // Another node that probes at the same time may have deleted it first.
            Err(source) if !source.is_missing() => Err(self.not_writable(self.blamed(source))),
            _ => Ok(()),
        }
    }

    fn not_writable(&self, source: Cause) -> BlobError {
        BlobError::NotWritable { url: self.url.without_pattern().to_string(), source }
    }

    /// The cause, told with the account where access was denied.
    pub(crate) fn blamed(&self, source: Cause) -> Cause {
        source.of_account(self.account.as_deref())
    }

    /// Where a command finds the blob as a file; `None` for anything but a folder.
    #[must_use]
    pub fn local_path(&self, name: &BlobName) -> Option<PathBuf> {
        self.url.folder().map(|folder| folder.join(name.as_str()))
    }

    /// Fails with [`BlobError::NoContainer`] when this store is a folder that is not there.
    pub(crate) async fn check_folder(&self) -> Result<(), BlobError> {
        let Some(folder) = self.url.folder() else {
            return Ok(());
        };
        match on_disk(move || std::fs::metadata(folder)).await {
            Ok(found) if found.is_dir() => Ok(()),
            Err(source) if !source.is_missing() => Err(BlobError::List { url: self.url.to_string(), source }),
            _ => Err(self.no_container()),
        }
    }

    pub(crate) fn no_container(&self) -> BlobError {
        let place = match self.url.scheme() {
            Scheme::File | Scheme::Memory => "folder",
            Scheme::Azure => "storage container",
            Scheme::S3 | Scheme::Google => "bucket",
            Scheme::Http | Scheme::Https => "place on the server",
        };
        BlobError::NoContainer { url: self.url.without_pattern().to_string(), place }
    }

    /// The prefix as the client wants it; `None` for the root.
    pub(crate) fn prefix(&self) -> Result<Option<Path>, Cause> {
        if self.url.prefix().is_empty() { Ok(None) } else { parsed(self.url.prefix()).map(Some) }
    }

    pub(crate) fn path(&self, name: &BlobName) -> Result<Path, Cause> {
        parsed(&self.url.path_of(name))
    }

    pub(crate) fn failed(&self, name: &BlobName, source: Cause, variant: fn(String, Cause) -> BlobError) -> BlobError {
        let blob = self.url.blob(name);
        if source.is_missing() { BlobError::NoBlob { blob } } else { variant(blob, source) }
    }

    pub(crate) fn refuse_read_only(&self) -> Result<(), BlobError> {
        if !self.url.scheme().is_read_only() {
            return Ok(());
        }
        let scheme = self.url.scheme().as_str();
        Err(BlobError::ReadOnly { url: self.url.without_pattern().to_string(), scheme })
    }
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobStore({})", self.url)
    }
}

/// The path with its exact text: building it from parts would percent-encode them a second time.
fn parsed(path: &str) -> Result<Path, Cause> {
    Path::parse(path).map_err(|e| object_store::Error::from(e).into())
}

/// The outcome of `call`, or a failure after [`ANSWER_SECS_MAX`].
pub(crate) async fn answered<T, E: Into<Cause>>(call: impl Future<Output = Result<T, E>>) -> Result<T, Cause> {
    match tokio::time::timeout(Duration::from_secs(ANSWER_SECS_MAX), call).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(Cause::new(format!("no answer in {ANSWER_SECS_MAX} s"))),
    }
}

pub(crate) async fn on_disk<T: Send + 'static>(
    call: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Cause> {
    let done = tokio::task::spawn_blocking(call).await.map_err(|e| Cause::new(e.to_string()))?;
    done.map_err(Cause::from)
}
