//! Flipped bits, cut files and zeroed blocks in the files of a journal: refused or harmless, never other content and never an empty start.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use controller::journal::{JournalError, SledJournal};

use crate::crash::Appender;
use crate::trace::{Seeded, check};

/// Faults tried in a test run, and at night (`tests/nightly`).
const FAULTS: u64 = 100;
const FAULTS_AT_NIGHT: u64 = 1000;
const BLOCK_BYTES: u64 = 4096;
const CHECK_SECONDS_MAX: u64 = 60;

#[test]
fn damage_is_never_silently_wrong() {
    let faults = if std::env::var_os("COVEY_TEST_NIGHTLY").is_some() { FAULTS_AT_NIGHT } else { FAULTS };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let origin = dir.path().join("origin");
    let mut appender = Appender::start(&origin);
    assert!(appender.await_acks(130), "it ended by itself");
    let acknowledged = appender.kill();
    let mut random = Seeded(0x5eed_0002);
    let (mut refused, mut intact) = (0, 0);
    for number in 0..faults {
        let copy = dir.path().join("copy");
        copy_store(&origin, &copy);
        let what = damage(&copy.join("store"), &mut random);
        match check_in_time(copy.clone(), acknowledged) {
            Some(Ok(())) => intact += 1,
            Some(Err(_)) => refused += 1,
            None => panic!("fault {number}, {what}: other content, or no answer in {CHECK_SECONDS_MAX} s"),
        }
        fs::remove_dir_all(&copy).expect("removed");
    }
    println!("{faults} faults: {refused} refused, {intact} harmless, 0 silently wrong");
    assert!(refused > 0 && intact > 0, "{refused} refused, {intact} harmless: the faults show nothing");
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

fn damage(store: &Path, random: &mut Seeded) -> String {
    let files = fs::read_dir(store).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = files.filter(|path| path.is_file()).collect();
    files.sort();
    // Most of the bytes are in `db`, so most of the faults go there.
    let small = random.below(5) == 0;
    let path = if small { files[random.below(files.len() as u64) as usize].clone() } else { store.join("db") };
    let length = fs::metadata(&path).expect("a file").len();
    let at = random.below(length);
    let file = OpenOptions::new().read(true).write(true).open(&path).expect("opened");
    let what = match random.below(4) {
        0 => {
            file.set_len(at).expect("cut");
            "cut"
        }
        1 => {
            let zeros = vec![0; BLOCK_BYTES.min(length - at) as usize];
            file.write_all_at(&zeros, at).expect("written");
            "zeros"
        }
        _ => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).expect("read");
            file.write_all_at(&[byte[0] ^ (1 << random.below(8))], at).expect("written");
            "a flipped bit"
        }
    };
    format!("{what} at byte {at} of {length} of {}", path.display())
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
