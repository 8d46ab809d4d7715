//! Backups: one file that holds the state at one moment, the journal blobs that it needs, and history; and the way back.
//!
//! The file is Covey's own and has nothing of how the journal lies on disk, so that one program's journal can become another's. It
//! holds no keys: what is in `DIR/tls`, and the settings in `covey.toml`, are files that any copy of the folder keeps.
//! `frame` is the file's outer form, `save` writes one, `restore` makes a journal of one, `fsck` looks at a journal (or at a backup)
//! without changing it, and `cli` is `covey restore` and `covey fsck`; `covey backup` is in `submit`, by way of `rpc/backup` or [`stopped`].

mod cli;
mod frame;
mod fsck;
mod restore;
mod save;
mod scratch;
mod stopped;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::journal::JournalError;
use crate::pack::UnpackError;
use crate::recover::RecoverError;

pub use cli::{run_fsck, run_restore};
pub use stopped::stopped;

pub(crate) use cli::{fsck_command, restore_command};
pub(crate) use save::{Moment, save};

/// What the first value of a backup says of all others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The version of the program that wrote it.
    program: String,
    /// The cluster's name.
    cluster: String,
    /// The moment that it shows.
    at_ms: i64,
    /// The next record at that moment.
    sequence: u64,
    /// The epoch at that moment.
    epoch: u64,
}

/// What a backup holds, counted; its last value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) jobs: u64,
    pub(crate) nodes: u64,
    pub(crate) blobs: u64,
    pub(crate) history_rows: u64,
}

/// Why a backup cannot be written, read or restored.
#[derive(Debug, Error)]
pub enum BackupError {
    /// A file or folder cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What the backup is written to takes no more.
    #[error("the backup cannot be written")]
    Write(#[source] io::Error),
    /// The file is something else.
    #[error("{} is no backup of Covey: it does not begin as one", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error("the backup {} has format {found}, this program knows up to {known}: restore it with the newer version", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is read here.
        known: u32,
    },
    /// It is not what was written.
    #[error("the backup {} is damaged at byte {offset} ({what}); nothing was restored: use another backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damaged part begins.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Its bytes are whole, and what they say cannot be read.
    #[error("{} cannot be followed", path.display())]
    Meaning {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// A restore goes into an empty folder only.
    #[error("{} holds {found} already, and a restore overwrites nothing: name an empty folder, or move that away", dir.display())]
    NotEmpty {
        /// The cluster's folder.
        dir: PathBuf,
        /// What is there.
        found: String,
    },
    /// There is no journal in the folder.
    #[error("there is no journal in {}: give the cluster's folder, which holds journal/store", dir.display())]
    NoJournal {
        /// The folder.
        dir: PathBuf,
    },
    /// There is no room for the copy that is looked at.
    #[error("cannot copy the journal to {}, which takes {} MiB; name a folder with room: --scratch DIR", to.display(), bytes >> 20)]
    Copy {
        /// Where to.
        to: PathBuf,
        /// How much.
        bytes: u64,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal cannot be opened, read or made.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal leads to no state.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The journal in the folder is not whole.
    #[error("the journal in {} cannot be backed up as it is (covey fsck says what is left of it)", dir.display())]
    Unsound {
        /// The cluster's folder.
        dir: PathBuf,
        /// What was in the way.
        #[source]
        source: Box<BackupError>,
    },
    /// The state needs a journal blob that is not there.
    #[error("job {job} needs journal blob {hash}, which is missing; restore a backup")]
    BlobMissing {
        /// A job that names it.
        job: u32,
        /// Its hash.
        hash: String,
    },
    /// Jobs end faster than their blobs can be read.
    #[error("the state changed while the backup was begun; try again")]
    Restless,
}
