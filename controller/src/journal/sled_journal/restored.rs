//! The beginning of a journal that is made of a backup: it starts in the middle, and history comes without records.

use std::path::Path;
use std::sync::{Mutex, RwLock};

use super::{Head, SledJournal, Writer, fill_new, load};
use crate::journal::folder::Folder;
use crate::journal::{HistoryRow, JournalError, history};

impl SledJournal {
    /// Makes a journal in an empty folder whose next record is `next_sequence`. It must get a checkpoint there before it is used, and
    /// `next_sequence` is above 0: without its checkpoint it is damaged then, and not a new one.
    pub(crate) fn restored(dir: &Path, next_sequence: u64, epoch: u64) -> Result<SledJournal, JournalError> {
        assert!(next_sequence > 0, "a journal that begins at 0 is a new one");
        let folder = Folder::lock(dir)?;
        folder.ensure_store(|dir| fill_new(dir, Head { next_sequence, epoch, ..Head::default() }))?;
        let (shelf, head) = load(&folder)?;
        let writer = Mutex::new(Writer { head, sound: true });
        Ok(SledJournal { folder, shelf: RwLock::new(Some(shelf)), writer, checkpointing: Mutex::new(()) })
    }

    /// Adds rows of history, durably.
    pub(crate) fn add_history(&self, rows: &[HistoryRow<'_>]) -> Result<(), JournalError> {
        let mut writer = self.sound_writer()?;
        let added = self.commit(&mut writer, |shelf, batch, head| {
            Ok(Head { history: history::add(shelf, batch, head.history, rows)?, ..head })
        });
        added.map_err(|source| JournalError::History { day: rows.first().map_or(0, |row| row.day), source })
    }
}
