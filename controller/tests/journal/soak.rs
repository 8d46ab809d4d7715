//! Checkpoints and dropped history keep the journal small, however long it is written.

use std::fs;
use std::path::Path;

use controller::journal::{Commit, HistoryRow, Journal};

use crate::trace::open;

/// Records in a test run, and at night (`tests/nightly`).
const RECORDS: u64 = 6_000;
const RECORDS_AT_NIGHT: u64 = 200_000;
/// Records between two checkpoints, and in a day of history, of which two are kept.
const CHECKPOINT_RECORDS: u64 = 200;
const DAY_RECORDS: u64 = 100;
/// sled's segments; its file grows by them.
const SEGMENT_BYTES: u64 = 4 << 20;

#[test]
fn the_journal_stays_small() {
    let records = if std::env::var_os("COVEY_TEST_NIGHTLY").is_some() { RECORDS_AT_NIGHT } else { RECORDS };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let journal = open(dir.path());
    let mut largest = [0; 2];
    for sequence in 0..records {
        let (day, key) = ((sequence / DAY_RECORDS) as u32, sequence.to_be_bytes());
        let history = [HistoryRow { day, key: &key, value: &[7; 500] }];
        let record = vec![sequence as u8; 2_000];
        journal
            .append(&Commit { epoch: 1, sequence, record: &record, history: &history, dropped_blobs: &[] })
            .expect("an append");
        if sequence % CHECKPOINT_RECORDS == 0 {
            journal.checkpoint(sequence, &vec![sequence as u8; 300_000]).expect("a checkpoint");
            journal.drop_history_before(day.saturating_sub(1)).expect("dropped");
            let half = usize::from(sequence > records / 2);
            largest[half] = largest[half].max(size(dir.path()));
        }
    }
    let written = records * 2_500 + records / CHECKPOINT_RECORDS * 300_000;
    println!("{records} records, {} MiB: the largest of each half {largest:?} bytes", written >> 20);
    assert!(largest[1] <= largest[0] + 2 * SEGMENT_BYTES, "it grows: {largest:?}");
}

fn size(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry"));
    // A snapshot may go between the listing and the look at it.
    let bytes =
        |path: &Path| if path.is_dir() { size(path) } else { fs::metadata(path).map_or(0, |found| found.len()) };
    entries.map(|entry| bytes(&entry.path())).sum()
}
