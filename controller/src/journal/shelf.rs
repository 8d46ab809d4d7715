//! The one place that touches sled: one tree, opened, read and made durable as its measured flaws demand.
//!
//! sled panics on some damaged files instead of returning an error; here a panic becomes an error. Its `flush` leaves
//! the last step to the kernel; [`Shelf::persist`] takes it. It knows nothing of what the rows mean.

use std::fs::File;
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sled::{Batch, IVec, Mode};

use super::Cause;

/// Memory for pages; beyond it sled reads them again from disk.
const CACHE_BYTES: u64 = 64 << 20;
/// sled moves pages above a quarter of this to side files that it never syncs. A page holds up to about 20 rows of
/// 32 KiB, so that 4 MiB keeps all of them in the one file that is synced.
const SEGMENT_BYTES: usize = 4 << 20;
/// Rows fetched at a time by [`Shelf::scan`].
const PAGE_ROWS: usize = 256;

/// A row as stored: key and value.
pub(super) type Row = (IVec, IVec);

/// An open store.
pub(super) struct Shelf {
    db: sled::Db,
    file: File,
}

impl Shelf {
    /// Opens or creates the store in `dir`.
    pub(super) fn open(dir: &Path) -> Result<Shelf, Cause> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SEGMENT_BYTES)
            .mode(Mode::HighThroughput)
            .use_compression(false)
            .flush_every_ms(None);
        let db = caught(|| config.open())?;
        let file = File::open(dir.join("db"))?;
        Ok(Shelf { db, file })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, Cause> {
        caught(|| self.db.get(key))
    }

    pub(super) fn put(&self, key: &[u8], value: Vec<u8>) -> Result<(), Cause> {
        caught(|| self.db.insert(key, value)).map(drop)
    }

    pub(super) fn apply(&self, batch: &Batch) -> Result<(), Cause> {
        caught(|| self.db.apply_batch(batch.clone()))
    }

    /// Makes everything written so far survive a power cut.
    pub(super) fn persist(&self) -> Result<(), Cause> {
        caught(|| self.db.flush())?;
        Ok(self.file.sync_data()?)
    }

    pub(super) fn first(&self, range: impl RangeBounds<Vec<u8>>) -> Result<Option<Row>, Cause> {
        caught(|| self.db.range(range).next().transpose())
    }

    /// The first rows of a range, at most [`PAGE_ROWS`].
    pub(super) fn page(&self, range: impl RangeBounds<Vec<u8>>) -> Result<Vec<Row>, Cause> {
        caught(|| self.db.range(range).take(PAGE_ROWS).collect())
    }

    /// Every key that starts with `prefix`.
    pub(super) fn keys(&self, prefix: &[u8]) -> Result<Vec<IVec>, Cause> {
        caught(|| self.db.scan_prefix(prefix).keys().collect())
    }

    /// The distinct `width` bytes after `kind` in keys, each found by one seek.
    pub(super) fn ids(&self, kind: u8, width: usize) -> Result<Vec<Vec<u8>>, Cause> {
        let mut ids = Vec::new();
        let mut from = Bound::Included(vec![kind]);
        while let Some((key, _)) = self.first((from, Bound::Excluded(vec![kind + 1])))? {
            let id = key.get(1..=width).ok_or("a key is too short")?.to_vec();
            from = Bound::Excluded([&key[..=width], &[0xff; 5][..]].concat());
            ids.push(id);
        }
        Ok(ids)
    }

    /// Closes the store. Not a mere drop, because sled may panic when its last write fails.
    pub(super) fn close(self) {
        let dropped = caught(|| {
            drop(self);
            Ok(())
        });
        if let Err(source) = dropped {
            tracing::warn!(%source, "the journal's store did not close cleanly");
        }
    }
}

fn caught<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Cause> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => Ok(answer?),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(format!("the store gave up: {}", said.unwrap_or("no message")).into())
        }
    }
}
