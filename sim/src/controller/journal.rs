//! A journal in memory that outlives the modelled controller: records, a checkpoint now and then, and failures on demand.

use sched::cluster::Cluster;
use sched::event::Event;
use sched::ids::Timestamp;

use crate::sabotage::Sabotage;

/// Records between two checkpoints; few, so that short runs recover from one, too.
const CHECKPOINT_RECORDS: usize = 40;

/// What one commit made true.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) at: Timestamp,
    pub(crate) events: Vec<Event>,
}

/// What the disk does with the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disk {
    Works,
    /// It fails, and nothing is stored.
    Refuses,
    /// It fails, and the record is stored all the same.
    Lies,
}

/// The disk of the controller.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    records: Vec<Record>,
    checkpoint: (usize, Cluster),
    pub(crate) epoch: u64,
    /// Recovers without the last record; only a run that is sabotaged does.
    loses_tail: bool,
}

impl Journal {
    pub(crate) fn new(sabotage: Option<Sabotage>) -> Journal {
        Journal { loses_tail: sabotage == Some(Sabotage::LosesTail), ..Journal::default() }
    }

    /// The number of the next record.
    pub(crate) fn next_sequence(&self) -> usize {
        self.records.len()
    }

    /// Stores a record; false when the disk says that it has failed.
    pub(crate) fn append(&mut self, record: Record, disk: Disk) -> bool {
        match disk {
            Disk::Works | Disk::Lies => self.records.push(record),
            Disk::Refuses => {}
        }
        disk == Disk::Works
    }

    /// The records from this number on.
    pub(crate) fn read(&self, from: usize) -> &[Record] {
        &self.records[from..]
    }

    /// Keeps a checkpoint of the state after the newest record, when one is due.
    pub(crate) fn consider_checkpoint(&mut self, cluster: &Cluster) {
        if self.records.len() >= self.checkpoint.0 + CHECKPOINT_RECORDS {
            self.checkpoint = (self.records.len(), cluster.clone());
        }
    }

    /// The state that the newest checkpoint and all records after it lead to.
    pub(crate) fn recover(&self) -> Cluster {
        let (from, cluster) = &self.checkpoint;
        let mut cluster = cluster.clone().restored();
        let tail = self.read(*from);
        let kept = tail.len() - usize::from(self.loses_tail && !tail.is_empty());
        for record in &tail[..kept] {
            record.events.iter().for_each(|event| cluster.apply(record.at, event));
        }
        cluster
    }
}
