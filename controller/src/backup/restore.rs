//! Makes a journal of a backup, in an empty folder: first all of the file is read and checked, then the journal is made aside, and
//! renamed when it is whole. Where that is cut short, what is left is no journal, and a controller refuses it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use sched::cluster::Cluster;
use sched::ids::{BlobHash, JobId};

use super::frame::{Kind, Reader};
use super::save::read_rows;
use super::{BackupError, Counts, Head};
use crate::clock;
use crate::journal::{HistoryRow, Journal, PastRow, SledJournal, hash_of};
use crate::pack::{UnpackError, pack_cluster, unpack, unpack_cluster};

/// What may be in the folder before: files that a backup does not hold, and what a start leaves that found no journal.
const MAY_BE_THERE: [&str; 5] = ["covey.toml", "tls", "log", "journal.lock", "lost+found"];
/// Where the journal is made.
const MAKING: &str = "restoring";

/// A backup that was read to its end.
pub(super) struct Contents {
    pub(super) head: Head,
    pub(super) cluster: Cluster,
    pub(super) counts: Counts,
    /// Blobs that jobs name and that are not in it: it was made of what was left of a damaged journal.
    pub(super) missing: BTreeMap<BlobHash, JobId>,
}

/// Makes the journal in `dir`, which is the cluster's folder, and leaves out so many numbers of jobs.
///
/// # Errors
/// The backup is damaged or newer, or the folder is not empty or cannot be written.
pub(super) fn restore(file: &Path, dir: &Path, skip_jobs: u32) -> Result<Contents, BackupError> {
    read(file, |_| Ok(()), |_| Ok(()))?;
    let journal = dir.join("journal");
    make_room(dir, &journal)?;
    let making = journal.join(MAKING);
    let contents = fill(file, &making, skip_jobs)?;
    let used = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::File { path, source }
    };
    fs::rename(making.join("store"), journal.join("store")).map_err(used(&journal))?;
    fs::remove_dir_all(&making).map_err(used(&making))?;
    for folder in [&journal, dir] {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(used(folder))?;
    }
    Ok(contents)
}

fn fill(file: &Path, making: &Path, skip_jobs: u32) -> Result<Contents, BackupError> {
    // The first value says where the journal begins, and so comes before any other can be stored.
    let head = first(file)?;
    let sequence = head.sequence.max(1);
    // Nodes have seen the epochs of the cluster that was, also later ones than the backup knows; seconds outrun any count of starts.
    let epoch = u64::try_from(clock::now().0 / 1000).unwrap_or(0).max(head.epoch + 1);
    let journal = SledJournal::restored(making, sequence, epoch)?;
    let mut contents = read(
        file,
        |blob| Ok(journal.put_blob(&hash_of(blob), blob)?),
        |rows| {
            let rows: Vec<HistoryRow<'_>> =
                rows.iter().map(|row| HistoryRow { day: row.day, key: &row.key, value: &row.value }).collect();
            Ok(journal.add_history(&rows)?)
        },
    )?;
    contents.cluster.skip_job_numbers(skip_jobs);
    journal.checkpoint(sequence, &pack_cluster(&contents.cluster))?;
    Ok(contents)
}

/// Reads a backup to its end, and checks that it is one.
///
/// # Errors
/// It is damaged, newer, or leads to a state that cannot be; or somebody else's.
pub(super) fn read(
    path: &Path,
    mut on_blob: impl FnMut(&[u8]) -> Result<(), BackupError>,
    mut on_rows: impl FnMut(&[PastRow]) -> Result<(), BackupError>,
) -> Result<Contents, BackupError> {
    let mut reader = open(path)?;
    let meaning = |source: UnpackError| BackupError::Meaning { path: path.to_owned(), source };
    let (mut head, mut cluster, mut ended) = (None, None, None);
    let mut seen = Counts::default();
    let mut missing = BTreeMap::new();
    while let Some((kind, bytes)) = reader.value()? {
        match kind {
            Kind::Head => head = Some(unpack("head of a backup", &bytes).map_err(meaning)?),
            Kind::State => {
                let state = unpack_cluster(&bytes).map_err(meaning)?;
                state.check().map_err(crate::recover::RecoverError::from)?;
                missing = state.blobs().map(|(job, hash)| (hash, job)).collect();
                seen.jobs = state.job_count() as u64;
                seen.nodes = state.nodes().count() as u64;
                cluster = Some(state);
            }
            Kind::Blob => {
                missing.remove(&hash_of(&bytes));
                seen.blobs += 1;
                on_blob(&bytes)?;
            }
            Kind::History => {
                let rows = read_rows(&bytes).ok_or_else(|| reader.wrong("its history does not fit together"))?;
                seen.history_rows += rows.len() as u64;
                on_rows(&rows)?;
            }
            Kind::End => ended = Some(unpack::<Counts>("end of a backup", &bytes).map_err(meaning)?),
        }
    }
    let (Some(head), Some(cluster), Some(counts)) = (head, cluster, ended) else {
        return Err(reader.wrong("it has no head or no state"));
    };
    if counts != seen {
        return Err(reader.wrong("it holds other than was counted"));
    }
    Ok(Contents { head, cluster, counts, missing })
}

fn first(path: &Path) -> Result<Head, BackupError> {
    let mut reader = open(path)?;
    match reader.value()? {
        Some((Kind::Head, bytes)) => {
            unpack("head of a backup", &bytes).map_err(|source| BackupError::Meaning { path: path.to_owned(), source })
        }
        _ => Err(reader.wrong("it does not begin with a head")),
    }
}

fn open(path: &Path) -> Result<Reader<BufReader<File>>, BackupError> {
    let file = File::open(path).map_err(|source| BackupError::File { path: path.to_owned(), source })?;
    Reader::begin(BufReader::new(file), path)
}

/// Makes sure that nothing is overwritten, and that there is a folder for the journal, without what a restore before has left.
fn make_room(dir: &Path, journal: &Path) -> Result<(), BackupError> {
    let used = |path: &Path, source| BackupError::File { path: path.to_owned(), source };
    for folder in [dir, journal] {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(used(folder, source)),
        };
        for entry in entries {
            let name = entry.map_err(|source| used(folder, source))?.file_name();
            let name = name.to_string_lossy();
            let ours = if folder == dir { name == "journal" } else { name == MAKING };
            if !ours && !MAY_BE_THERE.contains(&&*name) {
                return Err(BackupError::NotEmpty { dir: folder.to_owned(), found: name.into_owned() });
            }
        }
    }
    for (folder, mode) in [(dir, 0o755), (journal, 0o700)] {
        let made = DirBuilder::new().recursive(true).mode(mode).create(folder);
        made.map_err(|source| used(folder, source))?;
    }
    match fs::remove_dir_all(journal.join(MAKING)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(used(journal, error)),
        _ => Ok(()),
    }
}
