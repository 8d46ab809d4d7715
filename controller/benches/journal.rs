//! What the journal does on this machine: durable commits per second, and how large its folder stays.
//!
//! `cargo bench -p controller --bench journal`. The folder is a temporary one, so `TMPDIR` chooses the disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use controller::journal::{Commit, Journal, SledJournal};

const COMMITS: u64 = 4_000;
const GROWTH_COMMITS: u64 = 200_000;
const CHECKPOINT_COMMITS: u64 = 20_000;
const CHECKPOINT_BYTES: usize = 4 << 20;

fn main() {
    for record_bytes in [200, 32 << 10] {
        speed(record_bytes);
    }
    growth();
}

fn speed(record_bytes: usize) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let journal = SledJournal::open(dir.path()).expect("a new journal");
    let mut times: Vec<_> = (0..COMMITS).map(|_| append(&journal, record_bytes)).collect();
    let total: Duration = times.iter().sum();
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    let rate = COMMITS as f64 / total.as_secs_f64();
    println!("{record_bytes:>6} B: {rate:.0} commits/s, median {:.0?}, p99 {:.0?}", at(50), at(99));
}

fn growth() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let journal = SledJournal::open(dir.path()).expect("a new journal");
    let state: Vec<u8> = (0..CHECKPOINT_BYTES).map(|i| (i * 31 % 251) as u8).collect();
    let start = Instant::now();
    for n in 1..=GROWTH_COMMITS {
        append(&journal, 200);
        if n.is_multiple_of(CHECKPOINT_COMMITS) {
            let begun = Instant::now();
            journal.checkpoint(n, &state).expect("a checkpoint");
            println!("{n:>6} commits: {} MiB, checkpoint in {:.0?}", mebibytes(dir.path()), begun.elapsed());
        }
    }
    println!(
        "{GROWTH_COMMITS} commits and {} checkpoints in {:.1?}",
        GROWTH_COMMITS / CHECKPOINT_COMMITS,
        start.elapsed()
    );
    drop(journal);
    let begun = Instant::now();
    let journal = SledJournal::open(dir.path()).expect("reopened");
    let (from, _) = journal.latest_checkpoint().expect("readable").expect("a checkpoint");
    let tail = journal.read(from).count();
    println!("reopened in {:.0?} with {tail} records after the checkpoint", begun.elapsed());
}

fn append(journal: &SledJournal, record_bytes: usize) -> Duration {
    let sequence = journal.next_sequence();
    let record = vec![sequence as u8; record_bytes];
    let begun = Instant::now();
    let commit = Commit { epoch: 1, sequence, record: &record, history: &[], dropped_blobs: &[] };
    journal.append(&commit).expect("an append");
    begun.elapsed()
}

fn mebibytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry"));
    let bytes = |entry: fs::DirEntry| match entry.metadata().expect("readable") {
        meta if meta.is_dir() => mebibytes(&entry.path()) << 20,
        meta => meta.len(),
    };
    entries.map(bytes).sum::<u64>() >> 20
}
