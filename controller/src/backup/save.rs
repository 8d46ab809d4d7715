//! Writes a backup of one moment: the state, the journal blobs that its jobs name, and history as it was.
//!
//! The state is a value that nobody changes any more; blobs and history are read while the controller goes on. So its caller keeps
//! blobs from being dropped, and rows that came later are left out here ([`Moment::had`]).

use std::collections::BTreeMap;
use std::io::Write;

use sched::cluster::Cluster;
use sched::ids::{BlobHash, JobId, Timestamp};

use super::frame::{Kind, Writer};
use super::{BackupError, Counts, Head};
use crate::history::{self, Past};
use crate::journal::{Journal, PastRow};
use crate::pack::{pack, pack_cluster};

/// Rows of history are collected into values of so many bytes.
const ROWS_BYTES_MAX: usize = 512 << 10;

/// A state, and when and where in the journal it was.
pub(crate) struct Moment<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) name: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) epoch: u64,
}

impl Moment<'_> {
    /// Every blob that a job names, with one such job.
    pub(crate) fn blobs(&self) -> BTreeMap<BlobHash, JobId> {
        self.cluster.blobs().map(|(job, hash)| (hash, job)).collect()
    }

    /// Whether this row of history was there at this moment. A job that was in memory then had no rows but those of earlier runs; one
    /// that was not is later if its number and its end are both. Clocks may have been set back since, and numbers may begin anew.
    fn had(&self, row: &PastRow) -> bool {
        let Some(job) = row.key.first_chunk().map(|id| JobId(u32::from_be_bytes(*id))) else { return false };
        let in_memory = self.cluster.job(job).is_some();
        let earlier = job < self.cluster.next_job();
        match history::read(row) {
            Ok(Past::Run(run)) if in_memory => run.task.done.ended <= self.at,
            _ if in_memory => false,
            Ok(Past::Run(run)) => earlier || run.task.done.ended <= self.at,
            Ok(Past::Job(past)) => earlier || past.ended.is_some_and(|ended| ended <= self.at),
            Ok(Past::Tasks(tasks)) => earlier || tasks.iter().all(|task| task.done.ended <= self.at),
            // Of a row that another version wrote only the number is known.
            Err(_) => earlier,
        }
    }
}

/// Writes all of it, `blobs_done` when the blobs have been read; what a damaged journal has lost is left out where `lossy`, and else ends it.
///
/// # Errors
/// When something cannot be read or written.
pub(crate) fn save(
    moment: &Moment<'_>,
    journal: &dyn Journal,
    out: &mut dyn Write,
    pack_values: bool,
    lossy: bool,
    blobs_done: impl FnOnce(),
) -> Result<Counts, BackupError> {
    let head = Head {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: moment.name.to_owned(),
        at_ms: moment.at.0,
        sequence: moment.sequence,
        epoch: moment.epoch,
    };
    let mut writer = Writer::begin(out, pack_values)?;
    writer.value(Kind::Head, &pack(&head))?;
    writer.value(Kind::State, &pack_cluster(moment.cluster))?;
    let count = |count: usize| u64::try_from(count).expect("a count is below 2^64");
    let mut counts = Counts {
        jobs: count(moment.cluster.job_count()),
        nodes: count(moment.cluster.nodes().count()),
        ..Counts::default()
    };
    for (hash, job) in moment.blobs() {
        match journal.get_blob(&hash) {
            Ok(Some(bytes)) => {
                writer.value(Kind::Blob, &bytes)?;
                counts.blobs += 1;
            }
            _ if lossy => {}
            Ok(None) => return Err(BackupError::BlobMissing { job: job.0, hash: hash.to_string() }),
            Err(error) => return Err(error.into()),
        }
    }
    blobs_done();
    counts.history_rows = save_history(moment, journal, &mut writer, lossy)?;
    writer.value(Kind::End, &pack(&counts))?;
    writer.finish()?;
    Ok(counts)
}

fn save_history(
    moment: &Moment<'_>,
    journal: &dyn Journal,
    writer: &mut Writer<'_>,
    lossy: bool,
) -> Result<u64, BackupError> {
    let mut rows = Vec::new();
    let mut count = 0;
    for row in journal.history(0..u32::MAX) {
        let row = match row {
            Ok(row) => row,
            Err(_) if lossy => continue,
            Err(error) => return Err(error.into()),
        };
        if !moment.had(&row) {
            continue;
        }
        count += 1;
        write_row(&mut rows, &row);
        if rows.len() >= ROWS_BYTES_MAX {
            writer.value(Kind::History, &rows)?;
            rows.clear();
        }
    }
    if !rows.is_empty() {
        writer.value(Kind::History, &rows)?;
    }
    Ok(count)
}

/// Day (4 bytes), length of the key (2), key, length of the value (4), value.
fn write_row(bytes: &mut Vec<u8>, row: &PastRow) {
    let key = u16::try_from(row.key.len()).expect("a key has at most 1 KiB");
    let value = u32::try_from(row.value.len()).expect("a value has at most 32 KiB");
    bytes.extend_from_slice(&row.day.to_be_bytes());
    bytes.extend_from_slice(&key.to_be_bytes());
    bytes.extend_from_slice(&row.key);
    bytes.extend_from_slice(&value.to_be_bytes());
    bytes.extend_from_slice(&row.value);
}

/// The rows of a value; `None` where they do not fill it.
pub(super) fn read_rows(mut bytes: &[u8]) -> Option<Vec<PastRow>> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let (day, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rows.push(PastRow { day: u32::from_be_bytes(*day), key: key.to_vec(), value: value.to_vec() });
        bytes = rest;
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_half_a_row_is_none() {
        let row = |n: u8| PastRow { day: 20_000 + u32::from(n), key: vec![n; n.into()], value: vec![n; 300] };
        let rows: Vec<_> = (0..5).map(row).collect();
        let mut bytes = Vec::new();
        rows.iter().for_each(|row| write_row(&mut bytes, row));
        assert_eq!(read_rows(&bytes), Some(rows));
        assert_eq!(read_rows(&bytes[..bytes.len() - 1]), None);
    }
}
