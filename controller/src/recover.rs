//! From the journal to the state that was last acknowledged: the newest checkpoint, and every record after it.

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;

use sched::check::Broken;
use sched::cluster::Cluster;
use thiserror::Error;
use tracing::{info, warn};

use crate::journal::{Journal, JournalError};
use crate::pack::{UnpackError, unpack_cluster, unpack_record};

/// So many records may be unpacked and not yet applied.
const RECORDS_AHEAD: usize = 64;

/// Why the journal cannot be followed. Nothing was changed.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A record or checkpoint could not be unpacked.
    #[error("the journal cannot be followed")]
    Unpack(#[from] UnpackError),
    /// What came out breaks an invariant.
    #[error("the journal leads to a state that cannot be; restore a backup")]
    Broken(#[from] Broken),
}

/// Reads the journal, and drops from it what a crash left unfinished.
///
/// # Errors
/// As [`replay`], or when it cannot be written.
pub fn recover(journal: &dyn Journal) -> Result<Cluster, RecoverError> {
    let cluster = replay(journal)?;
    sweep(journal, &cluster)?;
    Ok(cluster)
}

/// Reads the journal.
///
/// # Errors
/// When anything in it is missing, damaged, newer than this version, or leads to an impossible state.
pub(crate) fn replay(journal: &dyn Journal) -> Result<Cluster, RecoverError> {
    let (from, mut cluster) = match journal.latest_checkpoint()? {
        Some((sequence, bytes)) => (sequence, unpack_cluster(&bytes)?),
        None => (0, Cluster::default()),
    };
    follow(journal, from, &mut cluster)?;
    std::thread::scope(|scope| {
        let index = scope.spawn(|| cluster.check_index());
        cluster.check_books()?;
        index.join().unwrap_or_else(|panic| resume_unwind(panic))
    })?;
    let (jobs, records) = (cluster.job_count(), journal.next_sequence() - from);
    info!(jobs, nodes = cluster.nodes().count(), checkpoint = from, records, "recovered");
    Ok(cluster)
}

/// Applies every record from one on. Records are read and unpacked ahead by another thread, which takes as long as applying them.
fn follow(journal: &dyn Journal, from: u64, cluster: &mut Cluster) -> Result<(), RecoverError> {
    let (ahead, records) = sync_channel(RECORDS_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for row in journal.read(from) {
                let record = row.map_err(RecoverError::from).and_then(|(_, bytes)| Ok(unpack_record(&bytes)?));
                let ends = record.is_err();
                // Nobody listens any more where applying has panicked.
                if ahead.send(record).is_err() || ends {
                    return;
                }
            }
        });
        for record in records {
            let record = record?;
            for event in &record.events {
                cluster.apply(record.at, event);
            }
        }
        Ok(())
    })
}

/// Drops journal blobs that no job names: a crash came between a blob and the record that would have named it.
fn sweep(journal: &dyn Journal, cluster: &Cluster) -> Result<(), RecoverError> {
    for hash in journal.blobs() {
        let hash = hash?;
        if !cluster.uses_blob(&hash) {
            warn!(%hash, "dropping a journal blob that no job names");
            journal.drop_blob(&hash)?;
        }
    }
    Ok(())
}
