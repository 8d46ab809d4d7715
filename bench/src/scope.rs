//! How much is measured, with which binary, and where.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// What all measurements are told.
#[derive(Debug)]
pub(crate) struct Scope {
    /// The binary that is measured.
    pub(crate) covey: PathBuf,
    /// How often each measurement is repeated.
    pub(crate) rounds: u32,
    /// A tenth of everything.
    pub(crate) quick: bool,
    folder: PathBuf,
    folders: AtomicU32,
}

impl Scope {
    pub(crate) fn new(covey: PathBuf, folder: PathBuf, quick: bool, rounds: u32) -> Scope {
        let rounds = if quick { rounds.min(2) } else { rounds };
        Scope { covey, rounds, quick, folder, folders: AtomicU32::new(0) }
    }

    /// So many of what a target speaks of.
    pub(crate) fn of(&self, full: u32) -> u32 {
        if self.quick { (full / 10).max(1) } else { full }
    }

    /// The path of a new folder, which does not exist yet. None is removed before the run is over: after many files were deleted, ext4 makes
    /// new ones more slowly for a while.
    pub(crate) fn new_folder(&self) -> PathBuf {
        self.folder.join(self.folders.fetch_add(1, Ordering::Relaxed).to_string())
    }
}
