//! Puts that happen only if nobody else was there first: in one request, or in parts where the content is large.
//!
//! A put whose answer was lost may have happened. So where a store says that something is there by now, it is compared: what
//! is the same to the last byte is this put's own, or as good as that.

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutOptions, WriteMultipart};

use crate::content::is_same;
use crate::store::{answered, on_disk};
use crate::{Before, BlobError, BlobName, BlobStore, Cause, Content, Scheme};

/// Longer contents go in parts.
const WHOLE_BYTES_MAX: u64 = 32 << 20;
/// How long a part is, unless [`PARTS_MAX`] of them would not do.
const PART_BYTES: u64 = 16 << 20;
/// Parts of one upload; S3 takes 10,000.
const PARTS_MAX: u64 = 9_000;
/// Parts that are on their way at the same time; with one that is being filled, all that is in memory.
const PARTS_AT_ONCE_MAX: usize = 4;

impl BlobStore {
    /// What is at a name now, to be shown to [`put_if`](Self::put_if) when the output is ready.
    pub async fn before(&self, name: &BlobName) -> Result<Before, BlobError> {
        let failed = |source| BlobError::Head { blob: self.url.blob(name), source };
        if let Some(path) = self.local_path(name) {
            return on_disk(move || crate::folder::version(&path)).await.map_err(failed);
        }
        if !self.conditional {
            return Ok(Before::Anything);
        }
        let path = self.path(name).map_err(failed)?;
        match answered(self.client.head(&path)).await.map_err(|source| self.blamed(source)) {
            Ok(found) => Before::of(self.url.scheme(), &found)
                .ok_or_else(|| failed(Cause::new("the store does not tell the version of a blob"))),
            Err(source) if source.is_missing() => Ok(Before::Nothing),
            Err(source) => Err(failed(source)),
        }
    }

    /// Writes a whole blob, if what is at its name is still what was there before; missing folders are made on the way.
    ///
    /// Fails with [`BlobError::Changed`] when another blob is there by now.
    pub async fn put_if(&self, name: &BlobName, content: &Content, before: &Before) -> Result<(), BlobError> {
        self.refuse_read_only()?;
        let failed = |source| BlobError::Put { blob: self.url.blob(name), source };
        let put = match self.local_path(name) {
            Some(path) => {
                let (content, before) = (content.clone(), before.clone());
                on_disk(move || crate::folder::put(&path, &content, &before)).await
            }
            None => {
                let path = self.path(name).map_err(failed)?;
                let put = match content.size_bytes() {
                    ..=WHOLE_BYTES_MAX => self.put_whole(&path, content, before).await,
                    _ => self.put_parts(name, &path, content, before).await,
                };
                put.map_err(|source| self.blamed(source))
            }
        };
        match put {
            Err(source) if source.is_taken() => self.settle(name, content).await,
            Err(source) if source.is_missing() && self.url.scheme() != Scheme::File => Err(self.no_container()),
            put => put.map_err(failed),
        }
    }

    async fn put_whole(&self, path: &Path, content: &Content, before: &Before) -> Result<(), Cause> {
        let options = PutOptions { mode: before.mode(), ..PutOptions::default() };
        Ok(self.client.put_opts(path, content.bytes().await?.into(), options).await.map(drop)?)
    }

    /// The last request makes the blob; the condition is looked at just before it, because not all stores take one with it.
    async fn put_parts(&self, name: &BlobName, path: &Path, content: &Content, before: &Before) -> Result<(), Cause> {
        let part_bytes = PART_BYTES.max(content.size_bytes().div_ceil(PARTS_MAX));
        let upload = self.client.put_multipart(path).await?;
        let part_bytes = usize::try_from(part_bytes).map_err(|_| Cause::new("it is too large for this machine"))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, part_bytes);
        let fed = self.feed(&mut upload, name, content, before).await;
        match fed {
            Ok(()) => Ok(upload.finish().await.map(drop)?),
            Err(cause) => {
                // The failure before it is the one to tell; stores drop parts of nothing after some days by themselves.
                upload.abort().await.ok();
                Err(cause)
            }
        }
    }

    async fn feed(
        &self,
        upload: &mut WriteMultipart,
        name: &BlobName,
        content: &Content,
        before: &Before,
    ) -> Result<(), Cause> {
        let mut pieces = content.pieces();
        while let Some(piece) = pieces.next().await {
            upload.wait_for_capacity(PARTS_AT_ONCE_MAX).await?;
            upload.put(piece?);
        }
        upload.wait_for_capacity(1).await?;
        let now = self.before(name).await.map_err(|error| Cause::new(error.to_string()))?;
        if *before == Before::Anything || now == *before { Ok(()) } else { Err(Cause::taken()) }
    }

    /// Somebody has been there first: was it this very put?
    async fn settle(&self, name: &BlobName, content: &Content) -> Result<(), BlobError> {
        let changed = || BlobError::Changed { blob: self.url.blob(name) };
        let failed = |source| self.failed(name, source, |blob, source| BlobError::Get { blob, source });
        let path = self.path(name).map_err(failed)?;
        let found = match answered(self.client.get(&path)).await {
            Err(source) if source.is_missing() => return Err(changed()),
            found => found.map_err(failed)?,
        };
        if found.meta.size != content.size_bytes() {
            return Err(changed());
        }
        if is_same(content, found.into_stream()).await.map_err(failed)? { Ok(()) } else { Err(changed()) }
    }

    /// Writes a whole blob in place of what was there; missing folders are made on the way.
    pub async fn put(&self, name: &BlobName, bytes: Bytes) -> Result<(), BlobError> {
        self.put_if(name, &Content::Bytes(bytes), &Before::Anything).await
    }
}
