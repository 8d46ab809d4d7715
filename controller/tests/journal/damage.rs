//! Single flipped bits in the files of a journal: refused or harmless, never other content.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use controller::journal::{JournalError, SledJournal};

use crate::crash::Appender;
use crate::trace::{Seeded, check};

/// Flips tried; the environment may ask for more.
const FLIPS: u64 = 50;
const CHECK_SECONDS_MAX: u64 = 60;

#[test]
fn a_flipped_bit_is_never_silently_wrong() {
    let flips = std::env::var("COVEY_TEST_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(FLIPS);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let origin = dir.path().join("origin");
    let mut appender = Appender::start(&origin);
    assert!(appender.await_acks(130), "it ended by itself");
    let acknowledged = appender.kill();
    let mut random = Seeded(0x5eed_0002);
    let (mut refused, mut intact) = (0, 0);
    for flip in 0..flips {
        let copy = dir.path().join("copy");
        copy_store(&origin, &copy);
        let what = flip_one_bit(&copy.join("store"), &mut random);
        match check_in_time(copy.clone(), acknowledged) {
            Some(Ok(())) => intact += 1,
            Some(Err(_)) => refused += 1,
            None => panic!("flip {flip}, {what}: other content, or no answer in {CHECK_SECONDS_MAX} s"),
        }
        fs::remove_dir_all(&copy).expect("removed");
    }
    println!("{refused} refused, {intact} harmless");
    assert!(refused > 0 && intact > 0, "{refused} refused, {intact} harmless: the flips show nothing");
}

/// Opens and reads a journal in a thread of its own; `None` when it panicked or took too long.
fn check_in_time(dir: PathBuf, acknowledged: u64) -> Option<Result<(), JournalError>> {
    let (sender, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let checked = SledJournal::open(&dir).and_then(|journal| check(&journal, acknowledged));
        sender.send(checked)
    });
    answer.recv_timeout(Duration::from_secs(CHECK_SECONDS_MAX)).ok()
}

fn flip_one_bit(store: &Path, random: &mut Seeded) -> String {
    let files = fs::read_dir(store).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.is_file()).collect();
    files.sort();
    // Most of the bytes are in `db`, so most of the flips go there.
    let small = random.below(5) == 0;
    let path = if small { files[random.below(files.len() as u64) as usize].clone() } else { store.join("db") };
    let at = random.below(fs::metadata(&path).expect("a file").len());
    let file = OpenOptions::new().read(true).write(true).open(&path).expect("opened");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ (1 << random.below(8))], at).expect("written");
    format!("byte {at} of {}", path.display())
}

fn copy_store(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_store(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}
