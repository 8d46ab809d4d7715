//! The one place that touches sled: one tree, opened, read and made durable as its measured flaws demand.
//!
//! sled panics on some damaged files instead of returning an error; here a panic becomes an error. Its `flush` leaves
//! the last step to the kernel; [`Shelf::persist`] takes it. It may wait for ever on a broken disk; what writes is watched. It
//! knows nothing of what the rows mean.

use std::fs::File;
use std::ops::{Bound, RangeBounds};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sled::{Batch, IVec, Mode};

use super::Cause;
use super::watch::{Patience, Watch};

/// Memory for pages; beyond it sled reads them again from disk.
const CACHE_BYTES: u64 = 2 << 20;
/// sled moves pages above a quarter of this to side files that it never syncs. A page holds up to about 20 rows of
/// 32 KiB, so that 4 MiB keeps all of them in the one file that is synced.
const SEGMENT_BYTES: usize = 4 << 20;
/// Rows fetched at a time by [`Shelf::scan`].
const PAGE_ROWS: usize = 256;
/// For what writes: longer than a slow disk takes.
const PATIENCE: Patience = Patience { look_every: Duration::from_secs(1), nudge_after: 10, give_up_after: 120 };
/// What the program ends with when a call does not return: sysexits.h's "input/output error".
const EX_IOERR: i32 = 74;

/// A row as stored: key and value.
pub(super) type Row = (IVec, IVec);

/// An open store.
pub(super) struct Shelf {
    db: Arc<sled::Db>,
    file: File,
    watch: Watch,
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
        let db = Arc::new(caught(|| config.open())?);
        let file = File::open(dir.join("db"))?;
        let nudged = Arc::downgrade(&db);
        let watch = Watch::new(PATIENCE, move |looks| nudge(&nudged, looks), give_up);
        Ok(Shelf { db, file, watch })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, Cause> {
        caught(|| self.db.get(key))
    }

    pub(super) fn put(&self, key: &[u8], value: IVec) -> Result<(), Cause> {
        self.watch.over(|| caught(|| self.db.insert(key, value))).map(drop)
    }

    pub(super) fn apply(&self, batch: &Batch) -> Result<(), Cause> {
        self.watch.over(|| caught(|| self.db.apply_batch(batch.clone())))
    }

    /// Makes everything written so far survive a power cut.
    pub(super) fn persist(&self) -> Result<(), Cause> {
        self.watch.over(|| {
            caught(|| self.db.flush())?;
            Ok(self.file.sync_data()?)
        })
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
        let Shelf { db, file: _, watch } = self;
        let dropped = watch.over(|| {
            caught(|| {
                drop(db);
                Ok(())
            })
        });
        if let Err(source) = dropped {
            tracing::warn!(%source, "the journal's store did not close cleanly");
        }
    }
}

/// Makes sled look at its errors. By a thread of its own, which may be held up in its turn.
fn nudge(db: &Weak<sled::Db>, looks: u32) {
    tracing::warn!(seconds = looks, "the journal's store does not answer");
    if let Some(db) = db.upgrade() {
        std::thread::spawn(move || {
            if let Err(source) = caught(|| db.flush()) {
                tracing::warn!(%source, "the journal's store has failed");
            }
        });
    }
}

fn give_up(looks: u32) {
    tracing::error!(seconds = looks, "the journal's store does not answer: look at the disk, and start again");
    std::process::exit(EX_IOERR);
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
