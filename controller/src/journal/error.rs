//! What can go wrong with a journal: one variant per operation, naming the thing and, where there is one, the fix.

use std::path::PathBuf;

use super::{BLOB_BYTES_MAX, BlobHash, HISTORY_KEY_BYTES_MAX, HISTORY_VALUE_BYTES_MAX, RECORD_BYTES_MAX};

/// The cause below an error, whatever keeps the bytes.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a journal could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// A file or folder of the journal cannot be used.
    #[error("cannot use {}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process holds the journal.
    #[error("the journal {} is in use by {holder}; stop that controller first", dir.display())]
    Locked {
        /// The journal's folder.
        dir: PathBuf,
        /// Who holds it, as far as it is known.
        holder: String,
    },
    /// The folder holds files, but no journal.
    #[error("{} is not empty and holds no journal; name an empty folder, or restore a backup into it", dir.display())]
    NotAJournal {
        /// The folder.
        dir: PathBuf,
    },
    /// A newer program wrote the journal.
    #[error(
        "the journal {} has format {found}, this program knows up to {known}; run the newer version again",
        dir.display()
    )]
    NewerFormat {
        /// The journal's folder.
        dir: PathBuf,
        /// The format on disk.
        found: u32,
        /// The newest format that this program reads.
        known: u32,
    },
    /// The journal is corrupt. It is never reset.
    #[error("the journal {} is damaged ({what}); move it away and restore a backup in its place", dir.display())]
    Damaged {
        /// The journal's folder.
        dir: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The store below cannot be opened.
    #[error("cannot open the journal {}; if it stays so, move it away and restore a backup in its place", dir.display())]
    Open {
        /// The journal's folder.
        dir: PathBuf,
        /// Why.
        #[source]
        source: Cause,
    },
    /// An earlier write failed, and nothing is taken until the journal is opened again.
    #[error("the journal {name} is closed after a failed write; make room on its disk and reopen it")]
    Closed {
        /// The journal.
        name: String,
    },
    /// A commit failed; whether it was stored is known after reopening.
    #[error("cannot append record {sequence}")]
    Append {
        /// The record.
        sequence: u64,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Somebody else has written: the expected sequence is not the next one.
    #[error("record {given} was to be appended, but {next} is next; is a second controller writing this journal?")]
    NotNext {
        /// What the writer expected.
        given: u64,
        /// What is next.
        next: u64,
    },
    /// A newer controller has taken over.
    #[error("epoch {given} is over, the journal is at {stored}; a newer controller has taken over")]
    StaleEpoch {
        /// The writer's epoch.
        given: u64,
        /// The journal's epoch.
        stored: u64,
    },
    /// The epoch could not be raised.
    #[error("cannot raise the epoch to {epoch}")]
    Fence {
        /// The new epoch.
        epoch: u64,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A record is over its limit.
    #[error("record {sequence} has {bytes} bytes, at most {} are allowed; split the commit", RECORD_BYTES_MAX)]
    RecordTooLarge {
        /// The record.
        sequence: u64,
        /// Its size.
        bytes: usize,
    },
    /// A record cannot be read.
    #[error("cannot read record {sequence}")]
    Read {
        /// The record.
        sequence: u64,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A record that must be there is not.
    #[error("record {sequence} is missing; restore a backup")]
    RecordMissing {
        /// The record.
        sequence: u64,
    },
    /// A record is not what was written.
    #[error("record {sequence} is damaged; restore a backup")]
    RecordDamaged {
        /// The record.
        sequence: u64,
    },
    /// A checkpoint cannot be written or read.
    #[error("cannot write or read the checkpoint at {sequence}")]
    Checkpoint {
        /// Its sequence.
        sequence: u64,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A checkpoint is for a sequence that cannot be.
    #[error("a checkpoint at {sequence} is not between the newest one ({newest}) and the next record ({next})")]
    CheckpointOutOfRange {
        /// Its sequence.
        sequence: u64,
        /// The newest checkpoint.
        newest: u64,
        /// The next record.
        next: u64,
    },
    /// A checkpoint is over its limit.
    #[error("the checkpoint at {sequence} has {bytes} bytes, at most {} are allowed", BLOB_BYTES_MAX)]
    CheckpointTooLarge {
        /// Its sequence.
        sequence: u64,
        /// Its size.
        bytes: usize,
    },
    /// No checkpoint is intact, and the records before them are gone.
    #[error("no checkpoint is intact and the first records are gone; restore a backup")]
    CheckpointsDamaged,
    /// A blob cannot be written or read.
    #[error("cannot write or read blob {hash}")]
    Blob {
        /// The blob.
        hash: BlobHash,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The blobs cannot be listed.
    #[error("cannot list the blobs")]
    BlobList(#[source] Cause),
    /// A blob is over its limit.
    #[error("blob {hash} has {bytes} bytes, at most {} are allowed", BLOB_BYTES_MAX)]
    BlobTooLarge {
        /// The blob.
        hash: BlobHash,
        /// Its size.
        bytes: usize,
    },
    /// The bytes given for a blob have another hash.
    #[error("the bytes given for blob {hash} have another hash")]
    BlobMismatch {
        /// The hash given.
        hash: BlobHash,
    },
    /// A blob is not what was written.
    #[error("blob {hash} is damaged; restore a backup")]
    BlobDamaged {
        /// The blob.
        hash: BlobHash,
    },
    /// A history row is over its limits.
    #[error(
        "a history row of day {day} has a key of {key_bytes} and a value of {value_bytes} bytes, at most {} and {} are allowed",
        HISTORY_KEY_BYTES_MAX,
        HISTORY_VALUE_BYTES_MAX
    )]
    HistoryTooLarge {
        /// Days since 1970-01-01.
        day: u32,
        /// Length of the key.
        key_bytes: usize,
        /// Length of the value.
        value_bytes: usize,
    },
    /// History cannot be read or dropped.
    #[error("cannot read or drop the history of day {day} (days since 1970-01-01)")]
    History {
        /// Days since 1970-01-01.
        day: u32,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A day's history is not what was written.
    #[error("the history of day {day} (days since 1970-01-01) is damaged; restore a backup")]
    HistoryDamaged {
        /// Days since 1970-01-01.
        day: u32,
    },
}
