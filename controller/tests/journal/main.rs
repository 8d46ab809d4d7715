//! The journal: what every implementation promises, and what the one on disk survives.

mod crash;
mod damage;
mod full_disk;
mod soak;
mod suite;
mod trace;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use controller::journal::{Journal, JournalError, MemoryJournal, SledJournal, hash_of};
use trace::{commit_next, open, record};

#[test]
fn in_memory_it_keeps_its_promises() {
    suite::all(&|| Box::new(MemoryJournal::default()));
}

#[test]
fn on_disk_it_keeps_its_promises() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let count = std::cell::Cell::new(0);
    suite::all(&|| {
        count.set(count.get() + 1);
        Box::new(open(&dir.path().join(count.get().to_string())))
    });
    for n in 1..=count.get() {
        let side_files = fs::read_dir(dir.path().join(n.to_string()).join("store/blobs")).expect("sled's folder");
        assert_eq!(side_files.count(), 0, "side files are never synced, so there must be none");
    }
}

#[test]
fn a_failed_append_closes_the_journal_until_it_is_reopened() {
    let journal = MemoryJournal::default();
    journal.fail_next_append();
    assert!(matches!(commit_next(&journal), Err(JournalError::Append { sequence: 0, .. })));
    assert!(matches!(commit_next(&journal), Err(JournalError::Closed { .. })));
    journal.reopen().expect("reopened");
    assert_eq!(journal.next_sequence(), 0);

    journal.fail_next_append_after_storing();
    assert!(commit_next(&journal).is_err());
    journal.reopen().expect("reopened");
    assert_eq!(journal.next_sequence(), 1, "it was stored all the same");
}

#[test]
fn it_is_the_same_after_reopening() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let journal = open(dir.path());
    journal.fence(3).expect("fenced");
    (0..5).for_each(|_| commit_next(&journal).expect("an append"));
    journal.reopen().expect("reopened in place");
    commit_next(&journal).expect("an append");
    drop(journal);
    let journal = open(dir.path());
    assert_eq!((journal.next_sequence(), journal.epoch()), (6, 3));
    let read: Result<Vec<_>, _> = journal.read(0).collect();
    assert_eq!(read.expect("readable"), (0..6).map(|n| (n, record(n))).collect::<Vec<_>>());
}

#[test]
fn a_second_controller_is_told_who_holds_it() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let _journal = open(dir.path());
    let error = SledJournal::open(dir.path()).err().expect("refused").to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
}

#[test]
fn a_folder_of_other_things_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let other = dir.path().join("thesis.tex");
    fs::write(&other, "x").expect("written");
    assert!(matches!(SledJournal::open(dir.path()), Err(JournalError::NotAJournal { .. })));
    assert_eq!(fs::read_to_string(other).expect("still there"), "x");
}

#[test]
fn an_emptied_store_is_not_a_new_journal() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    commit_next(&open(dir.path())).expect("an append");
    fs::remove_file(dir.path().join("store/db")).expect("removed");
    assert!(SledJournal::open(dir.path()).is_err());
    assert!(SledJournal::open(dir.path()).is_err(), "the failed start made nothing of it");
}

#[test]
fn a_start_that_was_cut_short_is_begun_again() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(dir.path().join("store.new")).expect("made");
    fs::write(dir.path().join("store.new/db"), [7; 1000]).expect("written");
    commit_next(&open(dir.path())).expect("an append");
}

#[test]
fn a_torn_snapshot_does_no_harm() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    commit_next(&open(dir.path())).expect("an append");
    fs::write(dir.path().join("store/snap.00000000000000FF.generating"), [1; 20]).expect("written");
    assert_eq!(open(dir.path()).next_sequence(), 1);
}

/// sled overwrites what an older snapshot needs before the disk has the newer one under its name.
#[test]
fn a_snapshot_that_lost_its_name_in_a_power_cut_still_counts() {
    // What an older snapshot needs differs from store to store: one in two could be read without the newer one.
    let cuts: usize = (0..8).map(|_| lose_names(tempfile::tempdir().expect("a temporary folder").path())).sum();
    assert!(cuts >= 8, "starts give up segments: {cuts}");
}

/// Starts a new journal again and again; answers how often a segment was given up, and the snapshot's name lost.
fn lose_names(dir: &Path) -> usize {
    commit_next(&open(dir)).expect("an append");
    let mut blobs = Vec::new();
    let cuts = (0..3_u8).filter(|round| {
        let journal = open(dir);
        // What follows on the older snapshot gives rows up, and ends in another segment.
        for hash in std::mem::take(&mut blobs) {
            journal.drop_blob(&hash).expect("dropped");
        }
        for number in 0..200_u32 {
            let bytes = [&[7; 30_000][..], &number.to_be_bytes(), &[*round]].concat();
            blobs.push(hash_of(&bytes));
            journal.put_blob(blobs.last().expect("just added"), &bytes).expect("stored");
        }
        commit_next(&journal).expect("an append");
        drop(journal);
        let older = snapshot(dir);
        let (older_bytes, before) = (fs::read(&older).expect("readable"), segments_in_use(dir));
        let next = open(dir).next_sequence();
        if segments_in_use(dir).is_superset(&before) {
            return false;
        }
        let newer = snapshot(dir);
        fs::rename(&newer, OsString::from_iter([newer.as_os_str(), ".generating".as_ref()])).expect("renamed");
        fs::write(&older, older_bytes).expect("written");
        let journal = open(dir);
        assert_eq!(journal.next_sequence(), next);
        assert!(blobs.iter().all(|hash| matches!(journal.get_blob(hash), Ok(Some(_)))), "round {round}");
        true
    });
    cuts.count()
}

/// The numbers of the store's segments that are not all zeros.
fn segments_in_use(dir: &Path) -> BTreeSet<usize> {
    let store = fs::read(dir.join("store/db")).expect("readable");
    let segments = store.chunks(4 << 20).enumerate();
    segments.filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0)).map(|(number, _)| number).collect()
}

/// The newest snapshot of a journal.
fn snapshot(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir.join("store")).expect("readable").map(|entry| entry.expect("readable").path());
    entries.filter(|path| path.file_stem().is_some_and(|stem| stem == "snap")).max().expect("a snapshot")
}

#[test]
fn free_bytes_are_those_of_its_disk() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    assert!(open(dir.path()).free_bytes().expect("known") > 0);
}
