//! The journal on disk: what each operation of [`Journal`] writes to the store, and the order in which it does.
//!
//! Rows are described in `rows`, the store in `shelf`, the folder in `folder`, history in `history`.
//! There is one writer at a time behind a mutex; readers go to the store directly. A journal that is made of a backup begins in `restored`;
//! one that is only looked at, in `examined`.

mod examined;
mod restored;

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use sled::{Batch, IVec};

pub(crate) use examined::Examined;

use super::folder::Folder;
use super::history::{self, DayScan, TALLY_BYTES, Tally};
use super::rows::{self, Found};
use super::shelf::Shelf;
use super::{
    BLOB_BYTES_MAX, BlobHash, Cause, Commit, Journal, JournalError, PastRow, Rows, check_blob, check_sizes, hash_of,
};

/// The format that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// Rows removed in one batch, so that appends are never held up for long.
const REMOVALS_MAX: usize = 256;

/// The journal of a controller on its own disk.
pub struct SledJournal {
    /// `None` only when reopening failed.
    shelf: RwLock<Option<Shelf>>,
    writer: Mutex<Writer>,
    /// Held while a checkpoint is written, which must not hold up appends.
    checkpointing: Mutex<()>,
    /// Last, so that the lock is given back when the store is closed.
    folder: Folder,
}

struct Writer {
    head: Head,
    /// False after a failed write: what is in the store is unknown until it is opened again.
    sound: bool,
}

/// What one row of the store says about all others; every commit replaces it.
#[derive(Clone, Copy, Default)]
struct Head {
    next_sequence: u64,
    epoch: u64,
    history: Tally,
}

impl SledJournal {
    /// Opens the journal in `dir`, making a new one when the folder is absent or empty.
    ///
    /// Fails when another process uses it, when a newer program wrote it, and when it is damaged; it is never reset.
    pub fn open(dir: &Path) -> Result<SledJournal, JournalError> {
        let folder = Folder::lock(dir)?;
        let (shelf, head) = load(&folder)?;
        let writer = Mutex::new(Writer { head, sound: true });
        Ok(SledJournal { folder, shelf: RwLock::new(Some(shelf)), writer, checkpointing: Mutex::new(()) })
    }

    /// The writer, unless a write failed before.
    fn sound_writer(&self) -> Result<MutexGuard<'_, Writer>, JournalError> {
        let writer = self.writer();
        if writer.sound { Ok(writer) } else { Err(self.closed()) }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_shelf<T>(&self, call: impl FnOnce(&Shelf) -> Result<T, Cause>) -> Result<T, Cause> {
        match &*self.shelf.read().unwrap_or_else(PoisonError::into_inner) {
            Some(shelf) => call(shelf),
            None => Err(self.closed().into()),
        }
    }

    fn closed(&self) -> JournalError {
        JournalError::Closed { name: self.folder.dir().display().to_string() }
    }

    /// Writes one batch with the head that `fill` makes of the current one, durably.
    fn commit(
        &self,
        writer: &mut Writer,
        fill: impl FnOnce(&Shelf, &mut Batch, Head) -> Result<Head, Cause>,
    ) -> Result<(), Cause> {
        let stored = self.on_shelf(|shelf| {
            let mut batch = Batch::default();
            let head = fill(shelf, &mut batch, writer.head)?;
            batch.insert(rows::HEAD_KEY, head.encode());
            shelf.apply(&batch)?;
            shelf.persist()?;
            Ok(head)
        });
        writer.sound = stored.is_ok();
        writer.head = stored?;
        self.folder.set_mark(writer.head.next_sequence, writer.head.epoch);
        Ok(())
    }

    fn record(&self, sequence: u64) -> Result<Vec<u8>, JournalError> {
        let found = self.on_shelf(|shelf| rows::join(&rows::record_key(sequence), |key| shelf.get(key)));
        match found.map_err(|source| JournalError::Read { sequence, source })? {
            Found::Whole(bytes) => Ok(bytes),
            Found::Nothing => Err(JournalError::RecordMissing { sequence }),
            Found::Damage => Err(JournalError::RecordDamaged { sequence }),
        }
    }

    /// The newest checkpoint that is whole, passing over damaged ones with a warning.
    fn newest_intact(&self) -> Result<Option<(u64, Vec<u8>)>, JournalError> {
        let sequences =
            self.checkpoint_sequences().map_err(|source| JournalError::Checkpoint { sequence: 0, source })?;
        for sequence in sequences.into_iter().rev() {
            let key = rows::checkpoint_key(sequence);
            match self.on_shelf(|shelf| rows::join(&key, |key| shelf.get(key))) {
                Ok(Found::Whole(bytes)) => return Ok(Some((sequence, bytes))),
                Ok(Found::Nothing) => {}
                Ok(Found::Damage) => tracing::warn!(sequence, "a checkpoint is damaged, using an older one"),
                Err(error) => tracing::warn!(sequence, %error, "a checkpoint is unreadable, using an older one"),
            }
        }
        Ok(None)
    }

    fn checkpoint_sequences(&self) -> Result<Vec<u64>, Cause> {
        let ids = self.on_shelf(|shelf| shelf.ids(rows::CHECKPOINT, size_of::<u64>()))?;
        ids.iter().map(|id| Ok(u64::from_be_bytes(id.as_slice().try_into()?))).collect()
    }

    fn write_checkpoint(&self, sequence: u64, bytes: &[u8]) -> Result<(), Cause> {
        self.on_shelf(|shelf| {
            let key = rows::checkpoint_key(sequence);
            rows::split(&key, bytes).try_for_each(|(key, row)| shelf.put(&key, row))?;
            shelf.persist()
        })
    }

    /// Forgets all checkpoints but two, and the records before the older of them.
    fn forget_before(&self, sequence: u64, previous: Option<u64>) -> Result<(), Cause> {
        let old = self.checkpoint_sequences()?.into_iter().filter(|at| *at != sequence && Some(*at) != previous);
        for at in old {
            self.on_shelf(|shelf| remove(shelf, &shelf.keys(&rows::checkpoint_key(at))?))?;
        }
        let Some(previous) = previous else { return Ok(()) };
        self.on_shelf(|shelf| {
            loop {
                let page = shelf.page(rows::record_key(0)..rows::record_key(previous))?;
                if page.is_empty() {
                    return Ok(());
                }
                remove(shelf, &page.into_iter().map(|(key, _)| key).collect::<Vec<_>>())?;
            }
        })
    }

    fn next_of_day(&self, scan: &mut DayScan, day: u32) -> Option<Result<PastRow, JournalError>> {
        let next = self.on_shelf(|shelf| Ok(scan.next(shelf)));
        next.unwrap_or_else(|source| Some(Err(JournalError::History { day, source })))
    }

    fn day_rows(&self, day: u32, prefix: &[u8]) -> Rows<'_, PastRow> {
        let start = self.on_shelf(|shelf| DayScan::start(shelf, day, prefix));
        match start {
            Ok(mut scan) => Box::new(std::iter::from_fn(move || self.next_of_day(&mut scan, day))),
            Err(source) => Box::new(std::iter::once(Err(JournalError::History { day, source }))),
        }
    }
}

impl Journal for SledJournal {
    fn append(&self, commit: &Commit<'_>) -> Result<(), JournalError> {
        check_sizes(commit)?;
        let sequence = commit.sequence;
        let mut writer = self.sound_writer()?;
        writer.head.admit(commit)?;
        let stored = self.commit(&mut writer, |shelf, batch, head| {
            for (key, row) in rows::split(&rows::record_key(sequence), commit.record) {
                batch.insert(key, row);
            }
            for hash in commit.dropped_blobs {
                shelf.keys(&rows::blob_key(hash))?.into_iter().for_each(|key| batch.remove(key));
            }
            let history = history::add(shelf, batch, head.history, commit.history)?;
            Ok(Head { next_sequence: sequence + 1, epoch: commit.epoch, history })
        });
        stored.map_err(|source| JournalError::Append { sequence, source })
    }

    fn read(&self, from_sequence: u64) -> Rows<'_, (u64, Vec<u8>)> {
        Box::new((from_sequence..self.next_sequence()).map(|sequence| Ok((sequence, self.record(sequence)?))))
    }

    fn next_sequence(&self) -> u64 {
        self.writer().head.next_sequence
    }

    fn epoch(&self) -> u64 {
        self.writer().head.epoch
    }

    fn fence(&self, epoch: u64) -> Result<(), JournalError> {
        let mut writer = self.sound_writer()?;
        let stored = writer.head.epoch;
        if epoch <= stored {
            return Err(JournalError::StaleEpoch { given: epoch, stored });
        }
        let raised = self.commit(&mut writer, |_, _, head| Ok(Head { epoch, ..head }));
        raised.map_err(|source| JournalError::Fence { epoch, source })
    }

    fn checkpoint(&self, sequence: u64, bytes: &[u8]) -> Result<(), JournalError> {
        if bytes.len() > BLOB_BYTES_MAX {
            return Err(JournalError::CheckpointTooLarge { sequence, bytes: bytes.len() });
        }
        let _one_at_a_time = self.checkpointing.lock().unwrap_or_else(PoisonError::into_inner);
        let next = self.sound_writer()?.head.next_sequence;
        let previous = self.newest_intact()?.map(|(at, _)| at);
        let newest = previous.unwrap_or(0);
        if previous == Some(sequence) {
            return Ok(());
        }
        if sequence < newest || sequence > next {
            return Err(JournalError::CheckpointOutOfRange { sequence, newest, next });
        }
        let written = self.write_checkpoint(sequence, bytes).and_then(|()| self.forget_before(sequence, previous));
        written.map_err(|source| {
            self.writer().sound = false;
            JournalError::Checkpoint { sequence, source }
        })
    }

    fn latest_checkpoint(&self) -> Result<Option<(u64, Vec<u8>)>, JournalError> {
        let newest = self.newest_intact()?;
        if newest.is_none() && self.next_sequence() > 0 && self.record(0).is_err() {
            return Err(JournalError::CheckpointsDamaged);
        }
        Ok(newest)
    }

    fn put_blob(&self, hash: &BlobHash, bytes: &[u8]) -> Result<(), JournalError> {
        check_blob(hash, bytes)?;
        drop(self.sound_writer()?);
        if matches!(self.get_blob(hash), Ok(Some(_))) {
            return Ok(());
        }
        let key = rows::blob_key(hash);
        let put = self.on_shelf(|shelf| rows::split(&key, bytes).try_for_each(|(key, row)| shelf.put(&key, row)));
        put.map_err(|source| JournalError::Blob { hash: *hash, source })
    }

    fn get_blob(&self, hash: &BlobHash) -> Result<Option<Vec<u8>>, JournalError> {
        let found = self.on_shelf(|shelf| rows::join(&rows::blob_key(hash), |key| shelf.get(key)));
        match found.map_err(|source| JournalError::Blob { hash: *hash, source })? {
            Found::Whole(bytes) if hash_of(&bytes) == *hash => Ok(Some(bytes)),
            Found::Nothing => Ok(None),
            Found::Whole(_) | Found::Damage => Err(JournalError::BlobDamaged { hash: *hash }),
        }
    }

    fn drop_blob(&self, hash: &BlobHash) -> Result<(), JournalError> {
        drop(self.sound_writer()?);
        let dropped = self.on_shelf(|shelf| remove(shelf, &shelf.keys(&rows::blob_key(hash))?));
        dropped.map_err(|source| JournalError::Blob { hash: *hash, source })
    }

    fn blobs(&self) -> Rows<'_, BlobHash> {
        match self.on_shelf(|shelf| shelf.ids(rows::BLOB, 32)) {
            Ok(ids) => Box::new(ids.into_iter().map(|id| {
                let hash = id.try_into().map_err(|_| JournalError::BlobList("a blob's key is too short".into()))?;
                Ok(BlobHash(hash))
            })),
            Err(source) => Box::new(std::iter::once(Err(JournalError::BlobList(source)))),
        }
    }

    fn history(&self, days: Range<u32>) -> Rows<'_, PastRow> {
        self.history_of(days, &[])
    }

    fn history_of(&self, days: Range<u32>, prefix: &[u8]) -> Rows<'_, PastRow> {
        let (day, prefix) = (days.start, prefix.to_vec());
        match self.on_shelf(|shelf| history::days(shelf, days)) {
            Ok(days) => Box::new(days.into_iter().flat_map(move |day| self.day_rows(day, &prefix))),
            Err(source) => Box::new(std::iter::once(Err(JournalError::History { day, source }))),
        }
    }

    fn drop_history_before(&self, day: u32) -> Result<(), JournalError> {
        let mut more = true;
        while more {
            let mut writer = self.sound_writer()?;
            let dropped = self.commit(&mut writer, |shelf, batch, head| {
                let left = history::drop_page(shelf, batch, head.history, day)?;
                more = left.is_some();
                Ok(Head { history: left.unwrap_or(head.history), ..head })
            });
            dropped.map_err(|source| JournalError::History { day, source })?;
        }
        Ok(())
    }

    fn trim_history(&self, rows_max: u64) -> Result<(), JournalError> {
        let mut more = true;
        while more {
            let mut writer = self.sound_writer()?;
            let trimmed = self.commit(&mut writer, |shelf, batch, head| {
                more = head.history.rows() > rows_max;
                let left = if more { history::drop_page(shelf, batch, head.history, u32::MAX)? } else { None };
                Ok(Head { history: left.unwrap_or(head.history), ..head })
            });
            trimmed.map_err(|source| JournalError::History { day: 0, source })?;
        }
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64, JournalError> {
        self.folder.free_bytes()
    }

    fn reopen(&self) -> Result<(), JournalError> {
        let mut writer = self.writer();
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        writer.sound = false;
        if let Some(old) = shelf.take() {
            old.close();
        }
        let (opened, head) = load(&self.folder)?;
        if head.next_sequence < writer.head.next_sequence || head.epoch < writer.head.epoch {
            return Err(self.folder.damaged("it is behind what was acknowledged"));
        }
        *shelf = Some(opened);
        *writer = Writer { head, sound: true };
        Ok(())
    }
}

impl Head {
    fn admit(&self, commit: &Commit<'_>) -> Result<(), JournalError> {
        if commit.epoch < self.epoch {
            return Err(JournalError::StaleEpoch { given: commit.epoch, stored: self.epoch });
        }
        if commit.sequence != self.next_sequence {
            return Err(JournalError::NotNext { given: commit.sequence, next: self.next_sequence });
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let numbers = [self.next_sequence.to_be_bytes(), self.epoch.to_be_bytes()].concat();
        rows::seal(&[&numbers[..], &self.history.encode()].concat())
    }

    fn decode(row: &IVec) -> Option<Head> {
        let (next_sequence, rest) = rows::unseal(row)?.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let history: [u8; TALLY_BYTES] = rest.try_into().ok()?;
        Some(Head {
            next_sequence: u64::from_be_bytes(*next_sequence),
            epoch: u64::from_be_bytes(*epoch),
            history: Tally::decode(history),
        })
    }
}

/// Opens the store and checks that nothing acknowledged has gone from it.
fn load(folder: &Folder) -> Result<(Shelf, Head), JournalError> {
    folder.ensure_store(|dir| fill_new(dir, Head::default()))?;
    folder.await_release()?;
    let open = |source| JournalError::Open { dir: folder.dir().to_owned(), source };
    let shelf = Shelf::open(&folder.store()).map_err(open)?;
    folder.sync_store()?;
    check_format(folder, shelf.get(rows::FORMAT_KEY).map_err(open)?)?;
    let head = shelf.get(rows::HEAD_KEY).map_err(open)?.as_ref().and_then(Head::decode);
    let head = head.ok_or_else(|| folder.damaged("its head is missing or unreadable"))?;
    let (next_sequence, epoch) = folder.mark()?;
    if head.next_sequence < next_sequence || head.epoch < epoch {
        let lost =
            format!("records {} to {next_sequence} or epoch {epoch} were durable and are gone", head.next_sequence);
        return Err(folder.damaged(&lost));
    }
    if history::total(&shelf).map_err(open)? != head.history {
        return Err(folder.damaged("history is missing"));
    }
    Ok((shelf, head))
}

fn check_format(folder: &Folder, row: Option<IVec>) -> Result<(), JournalError> {
    let row = row.ok_or_else(|| folder.damaged("it has no format version"))?;
    let format = rows::unseal(&row).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    match format.ok_or_else(|| folder.damaged("its format version is unreadable"))? {
        FORMAT => Ok(()),
        found => Err(JournalError::NewerFormat { dir: folder.dir().to_owned(), found, known: FORMAT }),
    }
}

fn fill_new(dir: &Path, head: Head) -> Result<(), JournalError> {
    let fill = || -> Result<(), Cause> {
        let shelf = Shelf::open(dir)?;
        let mut batch = Batch::default();
        batch.insert(rows::FORMAT_KEY, rows::seal(&FORMAT.to_be_bytes()));
        batch.insert(rows::HEAD_KEY, head.encode());
        shelf.apply(&batch)?;
        shelf.persist()?;
        shelf.close();
        Ok(())
    };
    fill().map_err(|source| JournalError::Open { dir: dir.to_owned(), source })
}

fn remove(shelf: &Shelf, keys: &[IVec]) -> Result<(), Cause> {
    keys.chunks(REMOVALS_MAX).try_for_each(|keys| {
        let mut batch = Batch::default();
        keys.iter().for_each(|key| batch.remove(key));
        shelf.apply(&batch)
    })
}

#[cfg(test)]
mod tests;
