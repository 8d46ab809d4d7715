//! The journal's folder: who may use it, how it comes into being, and the mark beside the store.
//!
//! ```text
//! journal.lock   held with flock by the running controller, contains its pid
//! store.new/     a store in the making; deleted at the next start
//! store/         the store: sled's files and `mark`
//! ```
//! A store is made aside and renamed, so that a `store/` without a format version is never a start that was cut short.
//!
//! `mark` is what sled lacks: on a damaged page it drops the rest of its log and opens happily. The mark says how far
//! the journal was durable, is written after that and never synced, so it can lag behind but never be ahead.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::JournalError;

/// How long closing may take until the store's file is free again; after it reopening fails and may be tried again.
const RELEASE_MS_MAX: u64 = 10_000;
const MARK_BYTES: usize = 24;

/// A journal's folder, locked while this lives.
pub(super) struct Folder {
    dir: PathBuf,
    _lock: File,
}

impl Folder {
    /// Creates the folder if needed and locks it.
    pub(super) fn lock(dir: &Path) -> Result<Folder, JournalError> {
        fs::create_dir_all(dir).map_err(|source| folder(dir, source))?;
        let path = dir.join("journal.lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let lock = open.map_err(|source| folder(&path, source))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let holder = match fs::read_to_string(&path) {
                Ok(pid) if !pid.trim().is_empty() => format!("process {}", pid.trim()),
                _ => "another process".to_owned(),
            };
            return Err(JournalError::Locked { dir: dir.to_owned(), holder });
        }
        let pid = format!("{}\n", std::process::id());
        let written = lock.set_len(0).and_then(|()| lock.write_all_at(pid.as_bytes(), 0));
        written.map_err(|source| folder(&path, source))?;
        Ok(Folder { dir: dir.to_owned(), _lock: lock })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn store(&self) -> PathBuf {
        self.dir.join("store")
    }

    /// Makes sure that there is a store; a new one is filled by `fill`, in an empty folder only.
    pub(super) fn ensure_store(
        &self,
        fill: impl FnOnce(&Path) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let making = self.dir.join("store.new");
        if making.exists() {
            fs::remove_dir_all(&making).map_err(|source| folder(&making, source))?;
        }
        if self.store().exists() {
            return self.end_snapshots();
        }
        for entry in self.entries(&self.dir)? {
            if !matches!(entry.file_name().and_then(|name| name.to_str()), Some("journal.lock" | "lost+found")) {
                return Err(JournalError::NotAJournal { dir: self.dir.clone() });
            }
        }
        fs::create_dir(&making).map_err(|source| folder(&making, source))?;
        fill(&making)?;
        File::create(making.join("mark")).map_err(|source| folder(&making, source))?;
        write_mark(&making, 0, 0).map_err(|source| folder(&making, source))?;
        for path in self.entries(&making)?.into_iter().chain([making.clone()]) {
            sync(&path)?;
        }
        fs::rename(&making, self.store()).map_err(|source| folder(&making, source))?;
        sync(&self.dir)
    }

    /// Says that everything before `next_sequence` is durable. Failing weakens the check at the next start, no more.
    pub(super) fn set_mark(&self, next_sequence: u64, epoch: u64) {
        if let Err(error) = write_mark(&self.store(), next_sequence, epoch) {
            tracing::warn!(dir = %self.dir.display(), %error, "cannot write the journal's mark");
        }
    }

    /// The next sequence and epoch that were durable for certain.
    pub(super) fn mark(&self) -> Result<(u64, u64), JournalError> {
        let path = self.store().join("mark");
        let bytes = fs::read(&path).map_err(|source| folder(&path, source))?;
        let (next, epoch) = bytes
            .first_chunk::<MARK_BYTES>()
            .filter(|_| bytes.len() == MARK_BYTES)
            .and_then(|mark| {
                let next = u64::from_be_bytes(*mark.first_chunk()?);
                let epoch = u64::from_be_bytes(*mark[8..].first_chunk()?);
                (encode_mark(next, epoch) == *mark).then_some((next, epoch))
            })
            .ok_or_else(|| self.damaged("its mark is unreadable"))?;
        Ok((next, epoch))
    }

    /// Waits until nobody in this process holds the store's file any more.
    pub(super) fn await_release(&self) -> Result<(), JournalError> {
        let path = self.store().join("db");
        let file = File::open(&path).map_err(|source| folder(&path, source))?;
        let limit = Instant::now() + Duration::from_millis(RELEASE_MS_MAX);
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > limit => return Err(folder(&path, error.into())),
                // The store's threads let go of the file a moment after the last handle is gone.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    pub(super) fn free_bytes(&self) -> Result<u64, JournalError> {
        let stat = rustix::fs::statvfs(&self.dir).map_err(|error| folder(&self.dir, error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    pub(super) fn damaged(&self, what: &str) -> JournalError {
        JournalError::Damaged { dir: self.dir.clone(), what: what.to_owned() }
    }

    /// Ends what a crash left of sled's writing a snapshot: a whole one counts from now on, as it may have acted on it; a torn one
    /// goes, because sled fails on it and can do without.
    fn end_snapshots(&self) -> Result<(), JournalError> {
        for path in self.entries(&self.store())? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                let end = || {
                    if is_whole(&fs::read(&path)?) {
                        fs::rename(&path, path.with_extension(""))
                    } else {
                        fs::remove_file(&path)
                    }
                };
                end().map_err(|source| folder(&path, source))?;
            }
        }
        self.sync_store()
    }

    /// Makes it durable which files the store has. sled leaves that open for its snapshots, and overwrites what older ones need.
    pub(super) fn sync_store(&self) -> Result<(), JournalError> {
        sync(&self.store())
    }

    fn entries(&self, dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
        let list = |entries: fs::ReadDir| entries.map(|entry| Ok(entry?.path())).collect();
        fs::read_dir(dir).and_then(list).map_err(|source| folder(dir, source))
    }
}

/// Whether a snapshot of sled's is all there: its last four bytes are the checksum of all but the last twelve (sled 0.34, `write_snapshot`).
fn is_whole(snapshot: &[u8]) -> bool {
    let Some((rest, checksum)) = snapshot.split_last_chunk() else { return false };
    let Some((content, _length)) = rest.split_last_chunk::<8>() else { return false };
    !content.is_empty() && crc32fast::hash(content) == u32::from_le_bytes(*checksum)
}

fn write_mark(store: &Path, next_sequence: u64, epoch: u64) -> io::Result<()> {
    OpenOptions::new().write(true).open(store.join("mark"))?.write_all_at(&encode_mark(next_sequence, epoch), 0)
}

fn encode_mark(next_sequence: u64, epoch: u64) -> [u8; MARK_BYTES] {
    let mut mark = [0; MARK_BYTES];
    mark[..8].copy_from_slice(&next_sequence.to_be_bytes());
    mark[8..16].copy_from_slice(&epoch.to_be_bytes());
    let check = blake3::hash(&mark[..16]);
    mark[16..].copy_from_slice(&check.as_bytes()[..8]);
    mark
}

fn sync(path: &Path) -> Result<(), JournalError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|source| folder(path, source))
}

fn folder(path: &Path, source: io::Error) -> JournalError {
    JournalError::Folder { path: path.to_owned(), source }
}
