//! Lists a prefix: sorted names with sizes, which become the manifest of a job.
//!
//! The listing is read page by page and bounded, and may be looked at page by page. It shows what can be read whole: temporary files of unfinished puts
//! and the probe of a writable check are left out. In a folder, so are files whose name ends in `#` and digits,
//! because those are the temporary files.

use futures::TryStreamExt;
use object_store::ObjectMeta;

use crate::name::{PROBE_NAME, fault_of};
use crate::store::answered;
use crate::{BlobError, BlobName, BlobStore};

/// Most blobs that a listing may hold, as many as an array job may have tasks; more are an error.
pub const LISTED_BLOBS_MAX: usize = 4_000_000;

/// Blobs that are taken from a page at once.
const CHUNK_BLOBS_MAX: usize = 1024;

/// A blob as listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blob {
    /// Its name, relative to the prefix.
    pub name: BlobName,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// When it was last written, by the clock of the store, in milliseconds since 1970; 0 where only the size was asked for.
    pub modified_ms: i64,
}

impl BlobStore {
    /// All blobs below the prefix, also in its folders, sorted by name; with a glob, those right below it that match.
    ///
    /// Fails with [`BlobError::NothingListed`] when there are none, [`BlobError::NoContainer`] when the folder or
    /// bucket does not exist, [`BlobError::TooManyListed`] above [`LISTED_BLOBS_MAX`], or [`BlobError::List`].
    pub async fn list(&self) -> Result<Vec<Blob>, BlobError> {
        self.list_at_most(LISTED_BLOBS_MAX).await
    }

    async fn list_at_most(&self, blobs_max: usize) -> Result<Vec<Blob>, BlobError> {
        let mut blobs = Vec::new();
        let too_many = || BlobError::TooManyListed { url: self.url.to_string(), blobs_max };
        let add = |page: Vec<Blob>| {
            blobs.extend(page);
            if blobs.len() > blobs_max { Err(too_many()) } else { Ok(()) }
        };
        self.list_pages(add).await?;
        blobs.sort_unstable();
        Ok(blobs)
    }

    /// Shows the same blobs page by page, in the order of the store: services sort by name, folders do not.
    ///
    /// # Errors
    /// As [`list`](Self::list), but for its bound; or the first that `show` has.
    pub async fn list_pages<E: From<BlobError>>(
        &self,
        mut show: impl FnMut(Vec<Blob>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_folder().await?;
        let url = || self.url.to_string();
        let failed = |source| BlobError::List { url: url(), source };
        let prefix = self.prefix().map_err(failed)?;
        let mut pages = self.client.list(prefix.as_ref()).try_ready_chunks(CHUNK_BLOBS_MAX);
        let mut is_empty = true;
        loop {
            let page = answered(async { pages.try_next().await.map_err(|e| e.1) }).await;
            let page = page.map_err(|source| match self.blamed(source) {
                source if source.is_missing() => self.no_container(),
                source => failed(source),
            })?;
            let Some(page) = page else { break };
            let blobs: Result<Vec<_>, _> = page.iter().filter_map(|found| self.listed(found).transpose()).collect();
            let blobs = blobs?;
            is_empty &= blobs.is_empty();
            show(blobs)?;
        }
        if is_empty { Err(BlobError::NothingListed { url: url() }.into()) } else { Ok(()) }
    }

    /// The blob behind an entry; `None` for what a listing leaves out.
    fn listed(&self, found: &ObjectMeta) -> Result<Option<Blob>, BlobError> {
        let path = found.location.as_ref();
        // A store may list the prefix itself, as the empty blob that marks a folder.
        let Some(name) = path.strip_prefix(self.url.prefix()).map(|rest| rest.strip_prefix('/').unwrap_or(rest)) else {
            return Ok(None);
        };
        if name.is_empty() || name == PROBE_NAME || !self.url.matches(name) {
            return Ok(None);
        }
        if let Some(fault) = fault_of(name) {
            return Err(BlobError::ListedBadName { url: self.url.to_string(), name: name.to_owned(), fault });
        }
        Ok(Some(Blob {
            name: BlobName::new(name)?,
            size_bytes: found.size,
            modified_ms: found.last_modified.timestamp_millis(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, StoreUrl};
    use bytes::Bytes;

    #[tokio::test]
    async fn a_listing_above_its_bound_is_an_error() {
        let url: StoreUrl = "memory:///list-bound/".parse().expect("a URL");
        let store = BlobStore::open(&url, &Environment::default()).expect("memory opens");
        for name in ["a", "b", "c"] {
            store.put(&BlobName::new(name).expect("a name"), Bytes::new()).await.expect("memory takes it");
        }
        assert_eq!(store.list_at_most(3).await.expect("three fit").len(), 3);
        assert!(matches!(store.list_at_most(2).await, Err(BlobError::TooManyListed { blobs_max: 2, .. })));
    }
}
