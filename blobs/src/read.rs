//! Whole blobs into memory or into a file. Half a blob is read anew, and then an error.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use object_store::{GetResult, ObjectStoreExt};

use crate::content::write_file;
use crate::store::{answered, on_disk};
use crate::{BlobError, BlobName, BlobStore, Cause};

/// How often a blob is read whose body breaks off.
const READS_MAX: usize = 3;

impl BlobStore {
    /// Reads a whole blob of at most `bytes_max` bytes into memory.
    ///
    /// The announced length is checked before anything is read, and again after.
    pub async fn get(&self, name: &BlobName, bytes_max: u64) -> Result<Bytes, BlobError> {
        let mut reads = 1;
        loop {
            match self.get_once(name, bytes_max).await {
                Err(error) if is_broken_off(&error) && reads < READS_MAX => reads += 1,
                outcome => return outcome,
            }
        }
    }

    async fn get_once(&self, name: &BlobName, bytes_max: u64) -> Result<Bytes, BlobError> {
        let found = self.begin(name).await?;
        let size_bytes = found.meta.size;
        if size_bytes > bytes_max {
            return Err(BlobError::TooLarge { blob: self.url.blob(name), size_bytes, bytes_max });
        }
        let bytes = found.bytes().await.map_err(|e| self.unread(name, e.into()))?;
        self.check_length(name, size_bytes, bytes.len() as u64)?;
        Ok(bytes)
    }

    /// Reads a whole blob into a new file at `to`, in bounded memory; answers its length. After an error the file is for the
    /// caller to remove.
    pub async fn download(&self, name: &BlobName, to: &Path) -> Result<u64, BlobError> {
        let mut reads = 1;
        loop {
            match self.download_once(name, to).await {
                Err(error) if is_broken_off(&error) && reads < READS_MAX => reads += 1,
                outcome => return outcome,
            }
        }
    }

    async fn download_once(&self, name: &BlobName, to: &Path) -> Result<u64, BlobError> {
        let found = self.begin(name).await?;
        let announced_bytes = found.meta.size;
        let read_bytes = write_file(to, found.into_stream()).await.map_err(|source| self.unread(name, source))?;
        self.check_length(name, announced_bytes, read_bytes)?;
        Ok(read_bytes)
    }

    async fn begin(&self, name: &BlobName) -> Result<GetResult, BlobError> {
        let path = self.path(name).map_err(|source| self.unread(name, source))?;
        answered(self.client.get(&path)).await.map_err(|source| self.unread(name, self.blamed(source)))
    }

    pub(crate) fn unread(&self, name: &BlobName, source: Cause) -> BlobError {
        self.failed(name, source, |blob, source| BlobError::Get { blob, source })
    }

    /// The same into a file that appears whole or not at all, in place of any; missing folders are made on the way.
    pub async fn save(&self, name: &BlobName, to: PathBuf) -> Result<u64, BlobError> {
        let failed = |source: Cause| BlobError::Get { blob: self.url.blob(name), source };
        let path = to.clone();
        let staged = on_disk(move || crate::folder::make_room(&path)).await.map_err(failed)?;
        let (saved, from) = (self.download(name, &staged).await, staged.clone());
        let bytes = match saved {
            Ok(bytes) => on_disk(move || std::fs::rename(from, to)).await.map(|()| bytes).map_err(failed),
            failed => failed,
        };
        if bytes.is_err() {
            // The first failure is the one to tell; what stays behind is left out of listings.
            let _ = std::fs::remove_file(staged);
        }
        bytes
    }

    fn check_length(&self, name: &BlobName, announced_bytes: u64, read_bytes: u64) -> Result<(), BlobError> {
        if read_bytes == announced_bytes {
            return Ok(());
        }
        Err(BlobError::WrongLength { blob: self.url.blob(name), announced_bytes, read_bytes })
    }
}

/// Whether less came than should have: to ask again may help.
fn is_broken_off(error: &BlobError) -> bool {
    match error {
        BlobError::Get { source, .. } => source.is_broken_off(),
        BlobError::WrongLength { .. } => true,
        _ => false,
    }
}
