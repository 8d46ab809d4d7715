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

/// Finds the blobs. A word without a slash at its end is a single blob where there is one of that name.
///
/// # Errors
/// When the store cannot be asked, or has none.
pub(super) async fn select(word: &str, cwd: &Path) -> Result<Selection, BlobError> {
    let url = StoreUrl::from_user(word, cwd)?;
    if !word.ends_with('/')
        && let Some((parent, name)) = url.split_blob()
    {
        let store = open(&parent)?;
        match store.head(&name).await {
            Ok(size_bytes) => return Ok(Selection { store, blobs: vec![Blob { name, size_bytes }], is_prefix: false }),
            Err(BlobError::NoBlob { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let store = open(&url)?;
    Ok(Selection { blobs: store.list().await?, store, is_prefix: url.pattern().is_none() })
}

/// Opens a store with the credentials of this process.
///
/// # Errors
/// When there are none.
pub(crate) fn open(url: &StoreUrl) -> Result<BlobStore, BlobError> {
    BlobStore::open(url, &Environment::from_environment())
}
