//! A journal that is only looked at: opened even where a controller refuses it, with the reasons beside it.
//!
//! Opening the store changes it, so this is for copies.

use std::path::Path;
use std::sync::{Mutex, RwLock};

use super::{Head, SledJournal, Writer, check_format};
use crate::journal::folder::Folder;
use crate::journal::rows::{self, Found};
use crate::journal::shelf::Shelf;
use crate::journal::{Cause, JournalError, history};

/// A journal, and what keeps a controller from opening it.
pub(crate) struct Examined {
    pub(crate) journal: SledJournal,
    /// How far it was durable for certain: sequence and epoch.
    pub(crate) mark: Option<(u64, u64)>,
    /// One sentence each.
    pub(crate) flaws: Vec<String>,
}

impl SledJournal {
    /// Opens the copy of a journal, whatever is wrong with it.
    ///
    /// # Errors
    /// A newer program wrote it, or nothing in it can be read at all.
    pub(crate) fn examine(dir: &Path) -> Result<Examined, JournalError> {
        let folder = Folder::lock(dir)?;
        folder.ensure_store(|dir| Err(JournalError::NotAJournal { dir: dir.to_owned() }))?;
        let open = |source: Cause| JournalError::Open { dir: dir.to_owned(), source };
        let shelf = Shelf::open(&folder.store()).map_err(open)?;
        let mut flaws = Vec::new();
        match check_format(&folder, shelf.get(rows::FORMAT_KEY).map_err(open)?) {
            Ok(()) => {}
            Err(JournalError::Damaged { what, .. }) => flaws.push(what),
            Err(error) => return Err(error),
        }
        let mark = folder.mark().map_err(|_| flaws.push("its mark is unreadable".to_owned())).ok();
        let head = shelf.get(rows::HEAD_KEY).map_err(open)?.as_ref().and_then(Head::decode);
        if head.is_none() {
            flaws.push("its head is missing or unreadable".to_owned());
        }
        let head = match head {
            Some(head) => head,
            None => guess(&shelf, mark).map_err(open)?,
        };
        match mark {
            Some((next, _)) if next > head.next_sequence => {
                flaws.push(format!("records {} to {} were durable and are gone", head.next_sequence, next - 1));
            }
            Some((_, epoch)) if epoch > head.epoch => flaws.push(format!("epoch {epoch} was durable and is gone")),
            _ => {}
        }
        match history::total(&shelf) {
            Ok(total) if total == head.history => {}
            Ok(_) => flaws.push("whole days of history are missing".to_owned()),
            Err(error) => flaws.push(format!("history cannot be counted: {error}")),
        }
        let writer = Mutex::new(Writer { head, sound: false });
        let journal = SledJournal { folder, shelf: RwLock::new(Some(shelf)), writer, checkpointing: Mutex::new(()) };
        Ok(Examined { journal, mark, flaws })
    }

    /// All checkpoints, oldest first; without those that were never finished, which have no head.
    pub(crate) fn checkpoints(&self) -> Result<Vec<ExaminedCheckpoint>, Cause> {
        let look = |sequence| {
            let key = rows::checkpoint_key(sequence);
            match self.on_shelf(|shelf| rows::join(&key, |key| shelf.get(key))) {
                Ok(Found::Whole(bytes)) => Some((sequence, Some(bytes))),
                Ok(Found::Nothing) => None,
                Ok(Found::Damage) | Err(_) => Some((sequence, None)),
            }
        };
        Ok(self.checkpoint_sequences()?.into_iter().filter_map(look).collect())
    }
}

/// Up to which record a checkpoint reaches, and its content; `None` for one that is damaged.
type ExaminedCheckpoint = (u64, Option<Vec<u8>>);

/// What the head would say: the records that are there, and the mark's epoch.
fn guess(shelf: &Shelf, mark: Option<(u64, u64)>) -> Result<Head, Cause> {
    let ids = shelf.ids(rows::RECORD, size_of::<u64>())?;
    let last = ids.last().map(|id| Ok::<_, Cause>(u64::from_be_bytes(id.as_slice().try_into()?))).transpose()?;
    let history = history::total(shelf).unwrap_or_default();
    Ok(Head { next_sequence: last.map_or(0, |last| last + 1), epoch: mark.map_or(0, |(_, epoch)| epoch), history })
}
