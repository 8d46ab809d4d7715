//! A copy of a journal that nobody uses, to be looked at in its place: opening a store changes it, and a damaged one must not be changed.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::BackupError;
use crate::journal::JournalError;

/// The copy; it goes when this is dropped, and the journal is held against controllers meanwhile.
pub(super) struct Scratch {
    dir: PathBuf,
    _lock: Option<File>,
}

impl Scratch {
    /// Copies the journal of a cluster's folder (or a journal's own) to a new folder in `scratch`.
    ///
    /// # Errors
    /// There is none, a controller uses it, or there is no room.
    pub(super) fn copy_of(dir: &Path, scratch: &Path) -> Result<Scratch, BackupError> {
        let journal = if dir.join("journal").is_dir() { dir.join("journal") } else { dir.to_owned() };
        if !journal.join("store").is_dir() {
            return Err(BackupError::NoJournal { dir: dir.to_owned() });
        }
        let lock = hold(&journal)?;
        let to = scratch.join(format!("covey-scratch-{}", std::process::id()));
        let from = journal.join("store");
        // What jobs brought along is nobody else's to read.
        DirBuilder::new().mode(0o700).create(&to).map_err(|source| file(&to, source))?;
        let copy = Scratch { dir: to.clone(), _lock: lock };
        let bytes = size_of(&from).map_err(|source| file(&from, source))?;
        copy_folder(&from, &to.join("store")).map_err(|source| BackupError::Copy { to, bytes, source })?;
        Ok(copy)
    }

    /// The copy, as a journal's folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("covey: warning: {} is left over: {error}", self.dir.display());
        }
    }
}

/// Takes the lock of a controller, without saying so in the file, which stays as it is.
fn hold(journal: &Path) -> Result<Option<File>, BackupError> {
    let path = journal.join("journal.lock");
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        // Where nobody has ever held it there is nobody to be kept out.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file(&path, source)),
    };
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        let pid = fs::read_to_string(&path).unwrap_or_default();
        let holder = format!("process {}", pid.trim());
        return Err(JournalError::Locked { dir: journal.to_owned(), holder }.into());
    }
    Ok(Some(lock))
}

fn size_of(dir: &Path) -> io::Result<u64> {
    fs::read_dir(dir)?.try_fold(0, |sum, entry| {
        let entry = entry?;
        let found = entry.metadata()?;
        Ok(sum + if found.is_dir() { size_of(&entry.path())? } else { found.len() })
    })
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if entry.is_dir() {
            copy_folder(&entry, &target)?;
        } else {
            fs::copy(&entry, &target)?;
        }
    }
    Ok(())
}

fn file(path: &Path, source: io::Error) -> BackupError {
    BackupError::File { path: path.to_owned(), source }
}
