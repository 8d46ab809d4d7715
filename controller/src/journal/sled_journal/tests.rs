//! Damage done from inside, row by row: each must be noticed.

use tempfile::TempDir;

use super::*;
use crate::journal::HistoryRow;

fn new() -> (TempDir, SledJournal) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let journal = SledJournal::open(dir.path()).expect("a new journal");
    (dir, journal)
}

fn fill(journal: &SledJournal, records: u64) {
    for _ in 0..records {
        let sequence = journal.next_sequence();
        let key = sequence.to_be_bytes();
        let history = [HistoryRow { day: 7, key: &key, value: b"done" }];
        let commit = Commit { epoch: 1, sequence, record: &key, history: &history, dropped_blobs: &[] };
        journal.append(&commit).expect("an append");
    }
}

fn overwrite(journal: &SledJournal, key: &[u8], row: &[u8]) {
    journal.on_shelf(|shelf| shelf.put(key, row.into())).expect("a row overwritten");
    journal.on_shelf(Shelf::persist).expect("made durable");
}

fn delete(journal: &SledJournal, key: Vec<u8>) {
    journal.on_shelf(|shelf| remove(shelf, &[key.into()])).expect("a row deleted");
    journal.on_shelf(Shelf::persist).expect("made durable");
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_older_one_and_its_tail() {
    let (_dir, journal) = new();
    let state = |n: u8| vec![n; 100_000];
    fill(&journal, 3);
    journal.checkpoint(2, &state(2)).expect("a checkpoint");
    journal.checkpoint(3, &state(3)).expect("a checkpoint");
    fill(&journal, 2);
    overwrite(&journal, &[&rows::checkpoint_key(3)[..], &1_u32.to_be_bytes()].concat(), &[9; 10]);
    assert_eq!(journal.latest_checkpoint().expect("readable"), Some((2, state(2))));
    assert_eq!(journal.read(2).filter_map(Result::ok).count(), 3, "records 2, 3 and 4");

    journal.checkpoint(5, &state(5)).expect("a checkpoint");
    assert_eq!(journal.checkpoint_sequences().expect("readable"), [2, 5], "the damaged one is not kept");
    overwrite(&journal, &rows::checkpoint_key(5), &[9; 10]);
    overwrite(&journal, &rows::checkpoint_key(2), &[9; 10]);
    assert!(matches!(journal.latest_checkpoint(), Err(JournalError::CheckpointsDamaged)));
}

#[test]
fn a_lone_damaged_checkpoint_means_replay_from_the_first_record() {
    let (_dir, journal) = new();
    fill(&journal, 3);
    journal.checkpoint(3, b"state").expect("a checkpoint");
    overwrite(&journal, &rows::checkpoint_key(3), &[9; 40]);
    assert_eq!(journal.latest_checkpoint().expect("readable"), None);
    assert_eq!(journal.read(0).filter_map(Result::ok).count(), 3);
}

#[test]
fn a_half_written_blob_is_absent_but_listed() {
    let (_dir, journal) = new();
    let bytes = vec![1; 100_000];
    let hash = hash_of(&bytes);
    journal.put_blob(&hash, &bytes).expect("stored");
    delete(&journal, rows::blob_key(&hash));
    assert!(matches!(journal.get_blob(&hash), Ok(None)));
    assert_eq!(journal.blobs().filter_map(Result::ok).collect::<Vec<_>>(), [hash]);
    journal.drop_blob(&hash).expect("dropped");
    assert_eq!(journal.blobs().count(), 0);
}

#[test]
fn a_damaged_blob_is_refused_and_healed_by_putting_it_again() {
    let (_dir, journal) = new();
    let bytes = vec![1; 100_000];
    let hash = hash_of(&bytes);
    journal.put_blob(&hash, &bytes).expect("stored");
    overwrite(&journal, &[&rows::blob_key(&hash)[..], &2_u32.to_be_bytes()].concat(), &[0; 10]);
    assert!(matches!(journal.get_blob(&hash), Err(JournalError::BlobDamaged { .. })));
    journal.put_blob(&hash, &bytes).expect("stored again");
    assert_eq!(journal.get_blob(&hash).expect("readable"), Some(bytes));
}

#[test]
fn missing_and_damaged_records_are_errors() {
    let (_dir, journal) = new();
    fill(&journal, 4);
    delete(&journal, rows::record_key(1));
    overwrite(&journal, &rows::record_key(2), &rows::seal(b"x")[..24]);
    let read: Vec<_> = journal.read(0).collect();
    assert!(read[0].is_ok() && read[3].is_ok());
    assert!(matches!(read[1], Err(JournalError::RecordMissing { sequence: 1 })));
    assert!(matches!(read[2], Err(JournalError::RecordDamaged { sequence: 2 })));
}

#[test]
fn a_lost_history_row_is_an_error_at_the_end_of_its_day() {
    let (_dir, journal) = new();
    fill(&journal, 400);
    delete(&journal, rows::history_key(7, &300_u64.to_be_bytes()));
    let rows: Vec<_> = journal.history(0..100).collect();
    assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 399);
    assert!(matches!(rows.last(), Some(Err(JournalError::HistoryDamaged { day: 7 }))));
}

#[test]
fn a_lost_day_of_history_is_refused_at_the_start() {
    let (dir, journal) = new();
    fill(&journal, 2);
    delete(&journal, rows::tally_key(7));
    drop(journal);
    assert!(matches!(SledJournal::open(dir.path()), Err(JournalError::Damaged { .. })));
}

#[test]
fn a_lost_tail_is_refused_at_the_start() {
    let (dir, journal) = new();
    fill(&journal, 2);
    let before = journal.on_shelf(|shelf| shelf.get(rows::HEAD_KEY)).expect("readable").expect("there");
    let tally = journal.on_shelf(|shelf| shelf.get(&rows::tally_key(7))).expect("readable").expect("there");
    fill(&journal, 1);
    overwrite(&journal, rows::HEAD_KEY, &before);
    overwrite(&journal, &rows::tally_key(7), &tally);
    drop(journal);
    let error = SledJournal::open(dir.path()).err().expect("refused");
    assert!(error.to_string().contains("records 2 to 3"), "{error}");
}

#[test]
fn a_newer_or_missing_format_is_refused() {
    let (dir, journal) = new();
    overwrite(&journal, rows::FORMAT_KEY, &rows::seal(&2_u32.to_be_bytes()));
    drop(journal);
    let error = SledJournal::open(dir.path()).err().expect("refused").to_string();
    assert!(error.contains("format 2") && error.contains("up to 1"), "{error}");

    let (dir, journal) = new();
    delete(&journal, rows::FORMAT_KEY.to_vec());
    drop(journal);
    assert!(matches!(SledJournal::open(dir.path()), Err(JournalError::Damaged { .. })));
}

#[test]
fn a_checkpoint_that_was_never_finished_is_no_damage() {
    let (dir, journal) = new();
    fill(&journal, 3);
    journal.checkpoint(2, &[2; 100_000]).expect("a checkpoint");
    journal.checkpoint(3, &[3; 100_000]).expect("a checkpoint");
    // Its head is written last.
    delete(&journal, rows::checkpoint_key(3));
    drop(journal);
    let examined = SledJournal::examine(dir.path()).expect("readable");
    assert_eq!(examined.flaws, Vec::<String>::new());
    let checkpoints = examined.journal.checkpoints().expect("listed");
    assert_eq!(
        checkpoints.iter().map(|(sequence, bytes)| (*sequence, bytes.is_some())).collect::<Vec<_>>(),
        [(2, true)]
    );
}
