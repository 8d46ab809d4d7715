//! A disk that runs full, made with a limit on the size of files: it needs no root and no mount.

use std::path::PathBuf;
use std::process::Command;

use controller::journal::{Journal, JournalError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::trace::{blobs_are_there, check, commit_next, open};

const DIR: &str = "COVEY_TEST_FULL_DISK_DIR";
/// More appends than fit below the limit.
const APPENDS_MAX: usize = 5_000;
const FILE_BYTES_MAX: u64 = 24 << 20;

#[test]
fn it_goes_on_in_place_after_a_full_disk() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // The limit is on a whole process, hence a child; the shell makes it get an error instead of a signal.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(std::env::current_exe().expect("this test"));
    command.args(["--exact", "full_disk::fill_and_go_on", "--ignored", "--nocapture"]);
    let output = command.env(DIR, dir.path()).output().expect("a child process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check(&open(dir.path()), 1).expect("everything is readable afterwards");
}

#[test]
#[ignore = "started by another test, in a process of its own"]
fn fill_and_go_on() {
    let dir = PathBuf::from(std::env::var_os(DIR).expect("the folder"));
    let journal = open(&dir);
    let free = getrlimit(Resource::Fsize);
    for round in 1..=3 {
        let limit = Some(FILE_BYTES_MAX * round);
        setrlimit(Resource::Fsize, Rlimit { current: limit, ..free }).expect("a limit");
        let failed = (0..APPENDS_MAX).find_map(|_| commit_next(&journal).err());
        assert!(failed.is_some(), "the limit was never reached");
        let acknowledged = journal.next_sequence();
        assert!(matches!(commit_next(&journal), Err(JournalError::Closed { .. })), "it is closed");
        setrlimit(Resource::Fsize, free).expect("no limit");
        journal.reopen().expect("there is room again");
        check(&journal, acknowledged).expect("nothing acknowledged is lost");
        assert!(blobs_are_there(&journal));
        commit_next(&journal).expect("it goes on");
    }
}
