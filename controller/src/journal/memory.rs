//! A journal in memory with the behaviour of the one on disk, and with faults at will.
//!
//! For tests of the driver and for the simulator. It keeps nothing across a drop: a restart is simulated by handing
//! the same journal to the next controller.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{BLOB_BYTES_MAX, BlobHash, Commit, Journal, JournalError, PastRow, Rows, check_blob, check_sizes};

/// A journal in memory.
#[derive(Default)]
pub struct MemoryJournal(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    next_sequence: u64,
    epoch: u64,
    records: BTreeMap<u64, Vec<u8>>,
    checkpoints: BTreeMap<u64, Vec<u8>>,
    blobs: BTreeMap<BlobHash, Vec<u8>>,
    history: BTreeMap<(u32, Vec<u8>), Vec<u8>>,
    fault: Option<Fault>,
    closed: bool,
    free_bytes: Option<u64>,
}

/// How the next append fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    BeforeStoring,
    AfterStoring,
}

impl MemoryJournal {
    /// Makes the next append fail without storing anything, as on a full disk.
    pub fn fail_next_append(&self) {
        self.memory().fault = Some(Fault::BeforeStoring);
    }

    /// Makes the next append fail although it was stored: the other outcome that a failed append can have.
    pub fn fail_next_append_after_storing(&self) {
        self.memory().fault = Some(Fault::AfterStoring);
    }

    /// Sets what [`Journal::free_bytes`] answers; without it there is no end.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.memory().free_bytes = Some(bytes);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The memory, unless a write failed before.
    fn open(&self) -> Result<MutexGuard<'_, Memory>, JournalError> {
        let memory = self.memory();
        if memory.closed { Err(JournalError::Closed { name: "in memory".to_owned() }) } else { Ok(memory) }
    }
}

impl Journal for MemoryJournal {
    fn append(&self, commit: &Commit<'_>) -> Result<(), JournalError> {
        check_sizes(commit)?;
        let mut memory = self.open()?;
        if commit.epoch < memory.epoch {
            return Err(JournalError::StaleEpoch { given: commit.epoch, stored: memory.epoch });
        }
        if commit.sequence != memory.next_sequence {
            return Err(JournalError::NotNext { given: commit.sequence, next: memory.next_sequence });
        }
        let fault = memory.fault.take();
        if fault != Some(Fault::BeforeStoring) {
            memory.store(commit);
        }
        if fault.is_some() {
            memory.closed = true;
            return Err(JournalError::Append { sequence: commit.sequence, source: "an injected fault".into() });
        }
        Ok(())
    }

    fn read(&self, from_sequence: u64) -> Rows<'_, (u64, Vec<u8>)> {
        Box::new((from_sequence..self.next_sequence()).map(|sequence| {
            let record = self.memory().records.get(&sequence).cloned();
            record.map(|bytes| (sequence, bytes)).ok_or(JournalError::RecordMissing { sequence })
        }))
    }

    fn next_sequence(&self) -> u64 {
        self.memory().next_sequence
    }

    fn epoch(&self) -> u64 {
        self.memory().epoch
    }

    fn fence(&self, epoch: u64) -> Result<(), JournalError> {
        let mut memory = self.open()?;
        if epoch <= memory.epoch {
            return Err(JournalError::StaleEpoch { given: epoch, stored: memory.epoch });
        }
        memory.epoch = epoch;
        Ok(())
    }

    fn checkpoint(&self, sequence: u64, bytes: &[u8]) -> Result<(), JournalError> {
        if bytes.len() > BLOB_BYTES_MAX {
            return Err(JournalError::CheckpointTooLarge { sequence, bytes: bytes.len() });
        }
        let mut memory = self.open()?;
        let previous = memory.checkpoints.keys().next_back().copied();
        let (newest, next) = (previous.unwrap_or(0), memory.next_sequence);
        if sequence < newest || sequence > next {
            return Err(JournalError::CheckpointOutOfRange { sequence, newest, next });
        }
        if let Some(previous) = previous.filter(|previous| *previous != sequence) {
            memory.checkpoints.retain(|at, _| *at == previous);
            memory.records.retain(|at, _| *at >= previous);
        }
        memory.checkpoints.entry(sequence).or_insert_with(|| bytes.to_vec());
        Ok(())
    }

    fn latest_checkpoint(&self) -> Result<Option<(u64, Vec<u8>)>, JournalError> {
        Ok(self.memory().checkpoints.last_key_value().map(|(at, bytes)| (*at, bytes.clone())))
    }

    fn put_blob(&self, hash: &BlobHash, bytes: &[u8]) -> Result<(), JournalError> {
        check_blob(hash, bytes)?;
        self.open()?.blobs.insert(*hash, bytes.to_vec());
        Ok(())
    }

    fn get_blob(&self, hash: &BlobHash) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(self.memory().blobs.get(hash).cloned())
    }

    fn drop_blob(&self, hash: &BlobHash) -> Result<(), JournalError> {
        self.open()?.blobs.remove(hash);
        Ok(())
    }

    fn blobs(&self) -> Rows<'_, BlobHash> {
        Box::new(self.memory().blobs.keys().copied().map(Ok).collect::<Vec<_>>().into_iter())
    }

    fn history(&self, days: Range<u32>) -> Rows<'_, PastRow> {
        self.history_of(days, &[])
    }

    fn history_of(&self, days: Range<u32>, prefix: &[u8]) -> Rows<'_, PastRow> {
        let memory = self.memory();
        let meant = |(day, key): &(u32, Vec<u8>)| days.contains(day) && key.starts_with(prefix);
        let rows = memory.history.iter().filter(|(key, _)| meant(key));
        let row = |((day, key), value): (&(u32, Vec<u8>), &Vec<u8>)| {
            Ok(PastRow { day: *day, key: key.clone(), value: value.clone() })
        };
        Box::new(rows.map(row).collect::<Vec<_>>().into_iter())
    }

    fn drop_history_before(&self, day: u32) -> Result<(), JournalError> {
        self.open()?.history.retain(|(row_day, _), _| *row_day >= day);
        Ok(())
    }

    fn trim_history(&self, rows_max: u64) -> Result<(), JournalError> {
        let mut memory = self.open()?;
        while memory.history.len() as u64 > rows_max {
            memory.history.pop_first();
        }
        Ok(())
    }

    fn free_bytes(&self) -> Result<u64, JournalError> {
        Ok(self.memory().free_bytes.unwrap_or(u64::MAX))
    }

    fn reopen(&self) -> Result<(), JournalError> {
        self.memory().closed = false;
        Ok(())
    }
}

impl Memory {
    fn store(&mut self, commit: &Commit<'_>) {
        self.records.insert(commit.sequence, commit.record.to_vec());
        for row in commit.history {
            self.history.insert((row.day, row.key.to_vec()), row.value.to_vec());
        }
        for hash in commit.dropped_blobs {
            self.blobs.remove(hash);
        }
        self.next_sequence = commit.sequence + 1;
        self.epoch = commit.epoch;
    }
}
