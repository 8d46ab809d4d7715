//! What every journal promises, whatever keeps its bytes.

use std::sync::Arc;

use controller::journal::{
    Alone, Commit, Election, HISTORY_VALUE_BYTES_MAX, HistoryRow, Journal, JournalError, Leader, PastRow,
    RECORD_BYTES_MAX, hash_of,
};

/// Runs every check on a journal of its own.
pub(crate) fn all(new: &dyn Fn() -> Box<dyn Journal>) {
    records_come_back_in_order(&*new());
    two_writers_are_noticed(&*new());
    an_election_fences_the_writer_before(new().into());
    checkpoints_make_old_records_superfluous(&*new());
    impossible_checkpoints_are_refused(&*new());
    blobs_are_kept_by_hash(&*new());
    history_is_kept_by_day(&*new());
    what_is_too_large_is_refused(&*new());
}

fn commit(sequence: u64, record: &[u8]) -> Commit<'_> {
    Commit { epoch: 1, sequence, record, history: &[], dropped_blobs: &[] }
}

fn records(journal: &dyn Journal, from: u64) -> Vec<(u64, Vec<u8>)> {
    journal.read(from).collect::<Result<_, _>>().expect("readable records")
}

fn records_come_back_in_order(journal: &dyn Journal) {
    let sizes = [0, 1, 200, 32 << 10, (32 << 10) + 1, 100_000, RECORD_BYTES_MAX];
    for (sequence, size) in (0..).zip(sizes) {
        assert_eq!(journal.next_sequence(), sequence);
        journal.append(&commit(sequence, &vec![sequence as u8; size])).expect("an append");
    }
    let expected: Vec<_> = (0..).zip(sizes).map(|(sequence, size)| (sequence, vec![sequence as u8; size])).collect();
    assert!(records(journal, 0) == expected);
    assert!(records(journal, 3) == expected[3..]);
    assert!(records(journal, 7).is_empty());
}

fn two_writers_are_noticed(journal: &dyn Journal) {
    journal.append(&commit(0, b"a")).expect("an append");
    for sequence in [0, 2] {
        let refused = journal.append(&commit(sequence, b"b"));
        assert!(matches!(refused, Err(JournalError::NotNext { given, next: 1 }) if given == sequence));
    }
    journal.append(&commit(1, b"c")).expect("a refusal changes nothing");
    assert_eq!(records(journal, 0), [(0, b"a".to_vec()), (1, b"c".to_vec())]);
}

fn an_election_fences_the_writer_before(journal: Arc<dyn Journal>) {
    let endpoints = vec!["desk:7100".to_owned()];
    let election = Alone::new(Arc::clone(&journal), endpoints.clone());
    assert_eq!(election.leader().expect("known"), None);
    assert_eq!(election.campaign().expect("elected"), 1);
    journal.append(&commit(0, b"a")).expect("an append");
    assert_eq!(election.campaign().expect("elected"), 2);
    assert_eq!(election.leader().expect("known"), Some(Leader { epoch: 2, endpoints }));
    let stale = journal.append(&commit(1, b"b"));
    assert!(matches!(stale, Err(JournalError::StaleEpoch { given: 1, stored: 2 })));
    assert!(matches!(journal.fence(2), Err(JournalError::StaleEpoch { .. })));
    journal.append(&Commit { epoch: 5, ..commit(1, b"c") }).expect("a higher epoch is taken over");
    assert_eq!(journal.epoch(), 5);
}

fn checkpoints_make_old_records_superfluous(journal: &dyn Journal) {
    assert_eq!(journal.latest_checkpoint().expect("readable"), None);
    for sequence in 0..10 {
        journal.append(&commit(sequence, &[1])).expect("an append");
    }
    let state = |n: u8| vec![n; 200_000];
    journal.checkpoint(3, &state(3)).expect("a checkpoint");
    assert_eq!(records(journal, 0).len(), 10, "one checkpoint alone makes nothing superfluous");
    journal.checkpoint(6, &state(6)).expect("a checkpoint");
    journal.checkpoint(6, &state(6)).expect("once more is nothing new");
    assert!(matches!(journal.read(2).next(), Some(Err(JournalError::RecordMissing { sequence: 2 }))));
    assert_eq!(records(journal, 3).len(), 7, "the older one is usable with its tail");
    journal.checkpoint(10, &state(10)).expect("a checkpoint");
    assert!(matches!(journal.read(5).next(), Some(Err(JournalError::RecordMissing { sequence: 5 }))));
    assert_eq!(records(journal, 6).len(), 4);
    assert!(journal.latest_checkpoint().expect("readable") == Some((10, state(10))));
    assert_eq!(journal.next_sequence(), 10);
}

fn impossible_checkpoints_are_refused(journal: &dyn Journal) {
    for sequence in 0..3 {
        journal.append(&commit(sequence, &[1])).expect("an append");
    }
    journal.checkpoint(2, b"state").expect("a checkpoint");
    for sequence in [1, 4] {
        let refused = journal.checkpoint(sequence, b"state");
        assert!(matches!(refused, Err(JournalError::CheckpointOutOfRange { newest: 2, next: 3, .. })));
    }
}

fn blobs_are_kept_by_hash(journal: &dyn Journal) {
    let blobs: Vec<_> = [0, 1, 32 << 10, 100_000, 5 << 20].into_iter().map(|size| vec![7_u8; size]).collect();
    let mut hashes: Vec<_> = blobs.iter().map(|bytes| hash_of(bytes)).collect();
    for (hash, bytes) in hashes.iter().zip(&blobs) {
        assert_eq!(journal.get_blob(hash).expect("readable"), None);
        journal.put_blob(hash, bytes).expect("stored");
        journal.put_blob(hash, bytes).expect("stored again");
        assert!(journal.get_blob(hash).expect("readable").as_ref() == Some(bytes));
    }
    assert!(matches!(journal.put_blob(&hashes[0], b"x"), Err(JournalError::BlobMismatch { .. })));
    let dropped_blobs = [hashes.remove(3), hashes.remove(1)];
    journal.append(&Commit { dropped_blobs: &dropped_blobs, ..commit(0, b"a") }).expect("an append");
    assert_eq!(journal.get_blob(&dropped_blobs[0]).expect("readable"), None);
    hashes.sort();
    assert_eq!(journal.blobs().collect::<Result<Vec<_>, _>>().expect("readable"), hashes);
    hashes.iter().for_each(|hash| journal.drop_blob(hash).expect("dropped"));
    assert_eq!(journal.blobs().count(), 0);
}

fn history_is_kept_by_day(journal: &dyn Journal) {
    let row = |day: u32, key: &[u8], value: &[u8]| PastRow { day, key: key.to_vec(), value: value.to_vec() };
    let many: Vec<_> = (0..600_u32).map(|n| row(20, &n.to_be_bytes(), &[8; 100])).collect();
    let mut expected = vec![row(3, b"", b"new"), row(3, b"\xff\xff", b"2"), row(5, b"k", b""), row(9, b"z", b"4")];
    let old = [row(3, b"", b"old")];
    for (sequence, rows) in (0..).zip([&old[..], &expected, &many]) {
        let history: Vec<_> = rows.iter().map(|r| HistoryRow { day: r.day, key: &r.key, value: &r.value }).collect();
        journal.append(&Commit { history: &history, ..commit(sequence, b"a") }).expect("an append");
    }
    let read = |days| journal.history(days).collect::<Result<Vec<_>, _>>().expect("readable history");
    assert_eq!(read(0..20), expected);
    assert_eq!(read(20..21), many);
    assert_eq!(read(4..9), expected[2..3]);
    let of =
        |prefix: &[u8]| journal.history_of(4..21, prefix).collect::<Result<Vec<_>, _>>().expect("readable history");
    assert_eq!((of(b"z"), of(&[0, 0, 2])), (vec![expected[3].clone()], many[512..].to_vec()));
    journal.drop_history_before(9).expect("dropped");
    assert_eq!(read(0..20), expected.split_off(3));
    journal.trim_history(601).expect("nothing to cut");
    assert_eq!(read(0..100).len(), 601);
    journal.trim_history(500).expect("cut");
    let left = read(0..100);
    assert!((200..=500).contains(&left.len()) && left.last() == many.last(), "{} rows", left.len());
    journal.drop_history_before(21).expect("dropped");
    assert_eq!(read(0..100), []);
}

fn what_is_too_large_is_refused(journal: &dyn Journal) {
    let record = vec![0; RECORD_BYTES_MAX + 1];
    assert!(matches!(journal.append(&commit(0, &record)), Err(JournalError::RecordTooLarge { .. })));
    let value = vec![0; HISTORY_VALUE_BYTES_MAX + 1];
    let history = [HistoryRow { day: 1, key: b"k", value: &value }];
    let refused = journal.append(&Commit { history: &history, ..commit(0, b"a") });
    assert!(matches!(refused, Err(JournalError::HistoryTooLarge { .. })));
    assert_eq!(journal.next_sequence(), 0);
}
