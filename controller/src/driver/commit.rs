//! Making a batch durable, and only then letting it out; and what happens when the disk refuses.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use sched::cluster::Cluster;
use sched::event::Event;
use tracing::{error, info, warn};

use super::batch::Batch;
use super::{Driver, Unavailable};
use crate::history::OwnedRow;
use crate::journal::{Commit, HistoryRow, Journal, JournalError};
use crate::pack::{pack_cluster, pack_record, unpack_record};
use crate::recover::RecoverError;

/// A checkpoint is made after so many records.
pub(crate) const CHECKPOINT_RECORDS: u64 = 20_000;
/// Or after so many bytes of records, so that a restart stays quick; after as many as the last checkpoint had, where those are more, so that
/// checkpoints never cost more than records.
const CHECKPOINT_BYTES: usize = 4 * 1024 * 1024;
/// From so many facts on, what a commit leaves behind is freed beside the driver.
const EVENTS_MANY: usize = 1_000;

impl Driver {
    /// Stores the batch, publishes the state, and lets replies and orders out. When the disk refuses, the state goes back to the
    /// last snapshot and everybody who waits is told.
    pub(super) fn commit(&mut self, batch: Batch) {
        if !batch.events.is_empty() {
            let record = pack_record(batch.at, &batch.events);
            let begun = Instant::now();
            if let Err(error) = self.store(&batch, &record) {
                self.published.statistics.meters.commit_failures.inc();
                self.fall_back(batch, &error);
                return;
            }
            self.published.statistics.meters.commit(record.len(), begun.elapsed());
            self.published.statistics.note_events(batch.at, &batch.events);
            self.sequence += 1;
            let before = self.published.publish(self.cluster.clone(), self.sequence);
            if batch.events.len() >= EVENTS_MANY {
                // Freeing what a hundred thousand jobs were takes a while, and nobody waits for it.
                // Where no thread can be had, it is freed here.
                std::thread::Builder::new().spawn(move || drop(before)).ok();
            }
            self.checkpoints.consider(self.sequence, record.len(), &self.cluster);
            self.retention.consider(batch.at, batch.history.len() as u64);
        }
        // What is durable is answered first, and let out: nobody waits for lines of a log.
        for (reply, answer) in batch.replies {
            reply.send(Ok(answer));
        }
        self.let_out(&batch.events, batch.registrations);
        let lines = traces::together();
        for event in &batch.events {
            info!(target: "covey::event", "{event}");
        }
        drop(lines);
    }

    fn store(&mut self, batch: &Batch, record: &[u8]) -> Result<(), JournalError> {
        let before = self.published.cluster();
        for (hash, bytes) in batch.blobs.iter().filter(|(hash, _)| self.cluster.uses_blob(hash)) {
            // What a job of an earlier commit needs is there. Users submit again and again with the same environment.
            if !before.uses_blob(hash) {
                self.journal.put_blob(hash, bytes)?;
            }
        }
        // A blob that this batch drops may be named again by a job that it accepts.
        self.kept_back.extend(&batch.dropped);
        self.kept_back.retain(|hash| !self.cluster.uses_blob(hash));
        let dropped = if self.published.blobs_are_kept() { Vec::new() } else { std::mem::take(&mut self.kept_back) };
        let history: Vec<HistoryRow<'_>> = batch.history.iter().map(OwnedRow::borrowed).collect();
        self.journal.append(&Commit {
            epoch: self.epoch,
            sequence: self.sequence,
            record,
            history: &history,
            dropped_blobs: &dropped,
        })
    }

    fn fall_back(&mut self, batch: Batch, error: &JournalError) {
        error!(error = error as &(dyn std::error::Error + 'static), "a commit failed; nothing of it has happened");
        self.cluster = (*self.published.cluster()).clone();
        self.planner.reset();
        (self.broken, self.more) = (true, true);
        for (reply, _) in batch.replies {
            reply.send(Err(Unavailable::Journal));
        }
        // A node that was registering loses its link, and comes again.
        drop(batch.registrations);
    }

    /// Opens the journal again after a failed commit. The record whose commit failed may be there all the same: then it has
    /// happened. False while the disk still refuses.
    pub(super) fn mend(&mut self) -> bool {
        match self.catch_up() {
            Ok(events) => {
                self.broken = false;
                info!("the journal takes commits again");
                self.published.publish(self.cluster.clone(), self.sequence);
                self.let_out(&events, Vec::new());
                // What nodes said meanwhile is lost: they say it again when they register anew.
                self.links.cut_all();
                self.count_links();
                self.start();
                !self.broken
            }
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "the journal still cannot be written");
                false
            }
        }
    }

    fn catch_up(&mut self) -> Result<Vec<Event>, RecoverError> {
        self.journal.reopen()?;
        let mut happened = Vec::new();
        for row in self.journal.read(self.sequence) {
            let (sequence, bytes) = row?;
            let record = unpack_record(&bytes)?;
            for event in record.events {
                self.cluster.apply(record.at, &event);
                happened.push(event);
            }
            self.sequence = sequence + 1;
        }
        Ok(happened)
    }
}

/// Writes checkpoints beside the driver, one at a time.
pub(super) struct Checkpoints {
    journal: Arc<dyn Journal>,
    /// One is due after so many records.
    records_max: u64,
    records: u64,
    bytes: usize,
    /// Of the last checkpoint.
    size_bytes: usize,
    writing: Option<JoinHandle<usize>>,
}

impl Checkpoints {
    pub(super) fn new(journal: Arc<dyn Journal>) -> Checkpoints {
        Checkpoints { journal, records_max: CHECKPOINT_RECORDS, records: 0, bytes: 0, size_bytes: 0, writing: None }
    }

    pub(super) fn after(&mut self, records_max: u64) {
        self.records_max = records_max;
    }

    /// Counts a record, and starts a checkpoint when enough have come. `sequence` is the next record's.
    fn consider(&mut self, sequence: u64, record_bytes: usize, cluster: &Cluster) {
        self.records += 1;
        self.bytes += record_bytes;
        let due = self.records >= self.records_max || self.bytes >= CHECKPOINT_BYTES.max(self.size_bytes);
        if !due || self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        self.join();
        (self.records, self.bytes) = (0, 0);
        let (journal, cluster) = (self.journal.clone(), cluster.clone());
        self.writing = Some(std::thread::spawn(move || write(&*journal, sequence, &cluster)));
    }

    /// Waits for the checkpoint that is being written.
    fn join(&mut self) {
        match self.writing.take().map(JoinHandle::join) {
            Some(Ok(bytes)) => self.size_bytes = bytes,
            Some(Err(_)) => error!("a checkpoint's thread has panicked"),
            None => {}
        }
    }

    /// Writes the last checkpoint of a controller that stops.
    pub(super) fn finish(&mut self, sequence: u64, cluster: &Cluster) {
        self.join();
        if self.records > 0 {
            write(&*self.journal, sequence, cluster);
        }
    }
}

/// Writes a checkpoint; how many bytes it has.
fn write(journal: &dyn Journal, sequence: u64, cluster: &Cluster) -> usize {
    let bytes = pack_cluster(cluster);
    match journal.checkpoint(sequence, &bytes) {
        Ok(()) => info!(sequence, bytes = bytes.len(), "checkpoint"),
        // The records are still there: only the next restart takes longer.
        Err(error) => warn!(error = &error as &dyn std::error::Error, "a checkpoint failed"),
    }
    bytes.len()
}
