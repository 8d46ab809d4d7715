//! `covey backup --dir`: the backup of a controller that does not run, from a copy of its journal.

use std::env;
use std::error::Error;
use std::io::Write;
use std::path::Path;

use proto::v1;

use super::save::{Moment, save};
use super::scratch::Scratch;
use super::{BackupError, Counts};
use crate::clock;
use crate::config::ConfigFile;
use crate::journal::{Journal, SledJournal};
use crate::recover::replay;

/// Writes the backup of the stopped controller in `dir`, packed with zstd or not.
///
/// # Errors
/// The controller runs, its journal is damaged, or the backup cannot be written.
pub fn stopped(dir: &Path, pack: bool, out: &mut dyn Write) -> Result<v1::BackupSummary, Box<dyn Error>> {
    let copy = Scratch::copy_of(dir, &env::temp_dir())?;
    let unsound = |source: BackupError| BackupError::Unsound { dir: dir.to_owned(), source: source.into() };
    let journal = SledJournal::open(copy.dir()).map_err(|error| unsound(error.into()))?;
    let cluster = replay(&journal).map_err(|error| unsound(error.into()))?;
    let config = ConfigFile { path: dir.join("covey.toml"), asked: false }.read()?;
    let (sequence, epoch) = (journal.next_sequence(), journal.epoch());
    let moment = Moment { cluster: &cluster, name: &config.settings.cluster_name, at: clock::now(), sequence, epoch };
    Ok(save(&moment, &journal, out, pack, false, || ())?.summary(sequence))
}

impl Counts {
    /// As it goes over the wire.
    pub(crate) fn summary(self, sequence: u64) -> v1::BackupSummary {
        let Counts { jobs, nodes, blobs, history_rows } = self;
        v1::BackupSummary { sequence, jobs, nodes, blobs, history_rows }
    }
}
