//! The durable journal: bytes in, bytes out.
//!
//! It keeps numbered records (one per group commit), checkpoints, blobs by hash and history rows per day. It knows
//! nothing of jobs: others pack events into records and state into checkpoints. It does not decide when to checkpoint
//! and does not replay.
//!
//! Start reading at [`Journal`]. [`SledJournal`] keeps it on disk, [`MemoryJournal`] in memory for tests and the
//! simulator; [`Alone`] is the [`Election`] of a single controller.

mod alone;
mod error;
mod folder;
mod history;
mod memory;
mod rows;
mod shelf;
mod sled_journal;
mod watch;

use std::ops::Range;

pub use alone::Alone;
pub use error::{Cause, JournalError};
pub use memory::MemoryJournal;
pub use sched::ids::BlobHash;
pub(crate) use sled_journal::Examined;
pub use sled_journal::SledJournal;

/// Largest record in bytes; a larger group commit is refused and has to be split by the driver.
pub const RECORD_BYTES_MAX: usize = 16 << 20;
/// Largest blob or checkpoint in bytes; a larger one is refused.
pub const BLOB_BYTES_MAX: usize = 1 << 30;
/// Longest key of a history row in bytes; a longer one is refused.
pub const HISTORY_KEY_BYTES_MAX: usize = 1 << 10;
/// Largest value of a history row in bytes; a larger one is refused.
pub const HISTORY_VALUE_BYTES_MAX: usize = 32 << 10;

/// Rows read one by one. The first error ends what can be trusted.
pub type Rows<'a, T> = Box<dyn Iterator<Item = Result<T, JournalError>> + Send + 'a>;

/// A durable log with checkpoints, blobs and history, written by one controller at a time.
///
/// Appends come from one driver; everything else may be called from any thread.
pub trait Journal: Send + Sync {
    /// Stores one group commit atomically; it is durable on return.
    ///
    /// After [`JournalError::Append`] the outcome is unknown, as after a power cut: the journal takes nothing more
    /// until [`Journal::reopen`], and then [`Journal::next_sequence`] tells whether the record is there. The driver
    /// applies what it has not seen.
    fn append(&self, commit: &Commit<'_>) -> Result<(), JournalError>;

    /// Reads the records from `from_sequence` to the newest, without gaps: a missing or damaged one is an error.
    fn read(&self, from_sequence: u64) -> Rows<'_, (u64, Vec<u8>)>;

    /// The sequence that the next record must carry; the first record is 0.
    fn next_sequence(&self) -> u64;

    /// The highest epoch seen; 0 before any.
    fn epoch(&self) -> u64;

    /// Raises the epoch durably, so that no append of a lower one is taken from now on.
    ///
    /// Refused unless `epoch` is above the stored one.
    fn fence(&self, epoch: u64) -> Result<(), JournalError>;

    /// Stores the state before record `sequence`, durable on return, then forgets what it makes superfluous.
    ///
    /// The newest two intact checkpoints stay, and every record from the older of them on.
    fn checkpoint(&self, sequence: u64, bytes: &[u8]) -> Result<(), JournalError>;

    /// The newest intact checkpoint; `None` when the records go back to 0. Replay goes on at its sequence.
    fn latest_checkpoint(&self) -> Result<Option<(u64, Vec<u8>)>, JournalError>;

    /// Stores a blob under its hash; nothing happens when it is already there.
    ///
    /// It is not flushed: the next append makes it durable, so put a blob before the record that names it.
    fn put_blob(&self, hash: &BlobHash, bytes: &[u8]) -> Result<(), JournalError>;

    /// The blob of that hash, verified. `None` for a hash that a live record names means damage.
    fn get_blob(&self, hash: &BlobHash) -> Result<Option<Vec<u8>>, JournalError>;

    /// Forgets a blob (an orphan found at start); made durable by the next append.
    fn drop_blob(&self, hash: &BlobHash) -> Result<(), JournalError>;

    /// The hashes of all blobs, half-written ones included, so that orphans can be dropped.
    fn blobs(&self) -> Rows<'_, BlobHash>;

    /// The history rows of a range of days, by day and key. Rows missing from a day are an error at its end.
    fn history(&self, days: Range<u32>) -> Rows<'_, PastRow>;

    /// Of these, the rows whose keys start with `prefix`; what may be missing of them is not noticed.
    fn history_of(&self, days: Range<u32>, prefix: &[u8]) -> Rows<'_, PastRow>;

    /// Forgets all history before `day`.
    fn drop_history_before(&self, day: u32) -> Result<(), JournalError>;

    /// Forgets the oldest history, by day and key, until at most so many rows are left; perhaps some hundred fewer.
    fn trim_history(&self, rows_max: u64) -> Result<(), JournalError>;

    /// Bytes that may still be written where the journal lives.
    fn free_bytes(&self) -> Result<u64, JournalError>;

    /// Opens the journal again in place, after a failed append and once its cause (a full disk) is gone.
    fn reopen(&self) -> Result<(), JournalError>;
}

/// How a controller becomes the one that writes.
pub trait Election: Send + Sync {
    /// Takes the lead under a new epoch, durably; every earlier writer is refused from now on.
    fn campaign(&self) -> Result<u64, JournalError>;

    /// Who leads, if anyone has campaigned.
    fn leader(&self) -> Result<Option<Leader>, JournalError>;
}

/// The controller that leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its epoch.
    pub epoch: u64,
    /// Where it can be reached.
    pub endpoints: Vec<String>,
}

/// One group commit.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The writer's epoch; a higher one than stored is taken over.
    pub epoch: u64,
    /// The sequence that the writer expects this record to get; a wrong one means that there are two writers.
    pub sequence: u64,
    /// The packed events.
    pub record: &'a [u8],
    /// What becomes history with this commit; a row of the same day and key is replaced.
    pub history: &'a [HistoryRow<'a>],
    /// Blobs that nothing names after this commit.
    pub dropped_blobs: &'a [BlobHash],
}

/// A row of history to write.
#[derive(Clone, Copy, Debug)]
pub struct HistoryRow<'a> {
    /// Days since 1970-01-01.
    pub day: u32,
    /// Unique within the day.
    pub key: &'a [u8],
    /// What is kept.
    pub value: &'a [u8],
}

/// A row of history as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRow {
    /// Days since 1970-01-01.
    pub day: u32,
    /// Unique within the day.
    pub key: Vec<u8>,
    /// What was kept.
    pub value: Vec<u8>,
}

/// The BLAKE3 hash under which these bytes are kept.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> BlobHash {
    BlobHash(*blake3::hash(bytes).as_bytes())
}

/// Refuses a commit whose parts are over their limits.
fn check_sizes(commit: &Commit<'_>) -> Result<(), JournalError> {
    if commit.record.len() > RECORD_BYTES_MAX {
        return Err(JournalError::RecordTooLarge { sequence: commit.sequence, bytes: commit.record.len() });
    }
    for row in commit.history {
        if row.key.len() > HISTORY_KEY_BYTES_MAX || row.value.len() > HISTORY_VALUE_BYTES_MAX {
            let (key_bytes, value_bytes) = (row.key.len(), row.value.len());
            return Err(JournalError::HistoryTooLarge { day: row.day, key_bytes, value_bytes });
        }
    }
    Ok(())
}

/// Refuses a blob that is too large or not what its hash says.
fn check_blob(hash: &BlobHash, bytes: &[u8]) -> Result<(), JournalError> {
    if bytes.len() > BLOB_BYTES_MAX {
        return Err(JournalError::BlobTooLarge { hash: *hash, bytes: bytes.len() });
    }
    if hash_of(bytes) != *hash {
        return Err(JournalError::BlobMismatch { hash: *hash });
    }
    Ok(())
}
