//! Which way a task's blobs go: folders, web servers and stores whose keys this node holds by this node itself, other stores by
//! URLs that the controller signs.

use std::path::Path;

use blobs::{Before, BlobError, BlobName, BlobStore, Content, Scheme, StoreUrl};
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::{MoveError, Shared};
use crate::roster::Job;

/// Who lets this node at the blobs of cloud stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StoreAuth {
    /// The controller, by URLs that it signs for one blob each: this node holds no keys
    #[default]
    Controller,
    /// This node itself, by keys or a role in its own environment
    Node,
}

/// Memory that an upload of a file takes: its parts that are on their way.
const UPLOAD_BYTES: u64 = 96 << 20;

impl Shared {
    /// The store at a URL, where this node goes there by itself.
    fn own_store(&self, url: &str) -> Result<Option<BlobStore>, MoveError> {
        let parsed: StoreUrl = url.parse()?;
        let is_cloud = matches!(parsed.scheme(), Scheme::Azure | Scheme::S3 | Scheme::Google);
        if is_cloud && self.auth == StoreAuth::Controller { Ok(None) } else { Ok(Some(self.store(url)?)) }
    }

    /// Fetches the attempt's blob into memory, holding room for it.
    pub(super) async fn fetch(&self, job: &Job) -> Result<(Bytes, OwnedSemaphorePermit), MoveError> {
        let (map, blob) = self.source(job)?;
        let bytes_max = self.fetched.bytes_max;
        let fits = |bytes: u64| {
            if bytes > bytes_max {
                Err(MoveError::TooLarge { blob: blob.to_string(), bytes, bytes_max })
            } else {
                Ok(bytes)
            }
        };
        match self.own_store(&map.from)? {
            Some(store) => {
                let room = self.fetched.take(fits(store.head(&blob).await?)?).await;
                Ok((store.get(&blob, bytes_max).await?, room))
            }
            None => {
                let input = self.signatures.input(job.key()).await?;
                let room = self.fetched.take(fits(self.courier.size(&input).await?)?).await;
                Ok((self.courier.get(&input, bytes_max).await?, room))
            }
        }
    }

    /// Fetches the attempt's blob into a file, piece by piece.
    pub(super) async fn fetch_file(&self, job: &Job, to: &Path) -> Result<(), MoveError> {
        let (map, blob) = self.source(job)?;
        match self.own_store(&map.from)? {
            Some(store) => store.download(&blob, to).await?,
            None => self.courier.download(&self.signatures.input(job.key()).await?, to).await?,
        };
        Ok(())
    }

    /// What is at the output's name when the attempt begins. Of a signed output the controller looks, when it signs.
    pub(super) async fn before(&self, job: &Job) -> Result<Before, MoveError> {
        let (map, blob) = self.source(job)?;
        match self.own_store(&map.to)? {
            Some(store) => Ok(store.before(&self.output_name(job, map, &blob)?).await?),
            None => Ok(Before::Anything),
        }
    }

    /// Puts the attempt's output, if what is there is still what was there before.
    pub(super) async fn put(&self, job: &Job, content: &Content, before: &Before) -> Result<(), MoveError> {
        let (map, blob) = self.source(job)?;
        let _room = match content {
            // Whoever holds them in memory holds room for them.
            Content::Bytes(_) => None,
            Content::File { size_bytes, .. } => Some(self.fetched.take(UPLOAD_BYTES.min(*size_bytes)).await),
        };
        match self.own_store(&map.to)? {
            Some(store) => {
                self.check_lease(job)?;
                store.put_if(&self.output_name(job, map, &blob)?, content, before).await?;
            }
            None => {
                let output = self.signatures.output(job.key()).await?;
                // After the wait for it, which may have been a long one.
                self.check_lease(job)?;
                self.courier.put(&output, content).await?;
            }
        }
        Ok(())
    }

    /// The store at a URL, opened once.
    fn store(&self, url: &str) -> Result<BlobStore, BlobError> {
        let mut stores = self.stores.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(store) = stores.get(url) {
            return Ok(store.clone());
        }
        let parsed: StoreUrl = url.parse()?;
        let store = BlobStore::open(&parsed.without_pattern(), &self.environment)?;
        stores.insert(url.to_owned(), store.clone());
        Ok(store)
    }

    /// The name under which the attempt's output appears.
    pub(super) fn output_name(
        &self,
        job: &Job,
        map: &proto::link::MapUrls,
        blob: &BlobName,
    ) -> Result<BlobName, MoveError> {
        let template: sched::spec::output_name::OutputName = map.output_name.parse()?;
        Ok(BlobName::new(template.fill(blob.as_str(), job.brief.job.0, job.task.index))?)
    }
}
