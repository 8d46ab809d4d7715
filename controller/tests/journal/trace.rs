//! A journal whose whole content follows from its sequence, so that anybody can check it.

use std::path::Path;

use controller::journal::{Commit, HistoryRow, Journal, JournalError, PastRow, SledJournal, hash_of};

/// Records between two checkpoints.
const CHECKPOINT_RECORDS: u64 = 40;
/// Records per day of history.
const DAY_RECORDS: u64 = 30;

pub(crate) fn open(dir: &Path) -> SledJournal {
    SledJournal::open(dir).expect("the journal opens")
}

/// Bytes that follow from a number: mostly short, sometimes longer than two chunks.
pub(crate) fn record(n: u64) -> Vec<u8> {
    let len = if n % 13 == 5 { 70_000 } else { n * 7919 % 400 };
    (0..len).map(|i| (i * 31 + n * 17) as u8).collect()
}

fn state(n: u64) -> Vec<u8> {
    (0..100_000).map(|i| (i * 7 + n) as u8).collect()
}

fn blob(n: u64) -> Vec<u8> {
    (0..40_000).map(|i| (i * 11 + n) as u8).collect()
}

fn day(n: u64) -> u32 {
    (n / DAY_RECORDS) as u32
}

/// Appends the next record with its history row, blob and, when due, checkpoint.
pub(crate) fn commit_next(journal: &dyn Journal) -> Result<(), JournalError> {
    let n = journal.next_sequence();
    if n.is_multiple_of(CHECKPOINT_RECORDS) && n > 0 {
        journal.checkpoint(n, &state(n))?;
    }
    let bytes = blob(n);
    journal.put_blob(&hash_of(&bytes), &bytes)?;
    let key = n.to_be_bytes();
    let (record, value) = (record(n), record(n + 1));
    let history = [HistoryRow { day: day(n), key: &key, value: &value[..value.len().min(500)] }];
    let dropped = n.checked_sub(20).map(|n| hash_of(&blob(n)));
    let dropped_blobs = dropped.as_slice();
    journal.append(&Commit { epoch: journal.epoch(), sequence: n, record: &record, history: &history, dropped_blobs })
}

/// Reads everything. An error is a refusal; wrong or missing content is a panic.
pub(crate) fn check(journal: &dyn Journal, acknowledged: u64) -> Result<(), JournalError> {
    let next = journal.next_sequence();
    assert!(next >= acknowledged, "{acknowledged} records were acknowledged, {next} are there");
    let from = match journal.latest_checkpoint()? {
        Some((sequence, bytes)) => {
            assert!(bytes == state(sequence), "the checkpoint at {sequence} has other content");
            sequence
        }
        None => 0,
    };
    let mut expected = from;
    for row in journal.read(from) {
        let (sequence, bytes) = row?;
        assert_eq!(sequence, expected, "a gap");
        assert!(bytes == record(sequence), "record {sequence} has other content");
        expected += 1;
    }
    assert_eq!(expected, next, "the records end early");
    for n in next.saturating_sub(20)..next {
        if let Some(bytes) = journal.get_blob(&hash_of(&blob(n)))? {
            assert!(bytes == blob(n), "blob {n} has other content");
        }
    }
    let rows: Vec<PastRow> = journal.history(0..u32::MAX).collect::<Result<_, _>>()?;
    assert_eq!(rows.len() as u64, next, "history rows");
    for (row, n) in rows.iter().zip(0..) {
        let value = record(n + 1);
        assert!(row.day == day(n) && row.key == n.to_be_bytes(), "history row {n} is another");
        assert!(row.value == value[..value.len().min(500)], "history row {n} has other content");
    }
    Ok(())
}

/// Whether the blobs that live records name are all there.
pub(crate) fn blobs_are_there(journal: &dyn Journal) -> bool {
    let next = journal.next_sequence();
    (next.saturating_sub(20)..next).all(|n| matches!(journal.get_blob(&hash_of(&blob(n))), Ok(Some(_))))
}

/// A small generator of numbers, so that a failing run can be repeated by its seed.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
