//! Which blobs a word means: a single blob, all below a prefix, or those that match a glob.

use std::path::Path;

use blobs::{Blob, BlobError, BlobStore, Environment, StoreUrl};

/// The blobs that a word means, and the store that their names are relative to.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) store: BlobStore,
    pub(super) blobs: Vec<Blob>,
    /// The word names neither one blob nor a glob, but everything below a prefix.
    pub(super) is_prefix: bool,
}

/// What a word without its blobs means.
#[derive(Debug)]
pub(super) enum Meant {
    /// This one.
    One(BlobStore, Blob),
    /// All that the store lists.
    All(BlobStore),
}

/// Finds out what a word means. One without a slash at its end is a single blob where there is one of that name.
///
/// # Errors
/// When the store cannot be asked.
pub(super) async fn meant(word: &str, cwd: &Path) -> Result<Meant, BlobError> {
    let url = StoreUrl::from_user(word, cwd)?;
    if !word.ends_with('/')
        && let Some((parent, name)) = url.split_blob()
    {
        let store = open(&parent)?;
        match store.head(&name).await {
            Ok(size_bytes) => return Ok(Meant::One(store, Blob { name, size_bytes, modified_ms: 0 })),
            Err(BlobError::NoBlob { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    open(&url).map(Meant::All)
}

/// Finds the blobs that a word means.
///
/// # Errors
/// When the store cannot be asked, or has none.
pub(super) async fn select(word: &str, cwd: &Path) -> Result<Selection, BlobError> {
    Ok(match meant(word, cwd).await? {
        Meant::One(store, blob) => Selection { store, blobs: vec![blob], is_prefix: false },
        Meant::All(store) => {
            let (blobs, is_prefix) = (store.list().await?, store.url().pattern().is_none());
            Selection { store, blobs, is_prefix }
        }
    })
}

/// Opens a store with the credentials of this process.
///
/// # Errors
/// When there are none.
pub(crate) fn open(url: &StoreUrl) -> Result<BlobStore, BlobError> {
    BlobStore::open(url, &Environment::from_environment()?)
}
