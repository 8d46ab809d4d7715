//! kill -9 of a process that appends, again and again on the same journal.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use controller::journal::{Alone, Election, Journal};

use crate::trace::{Seeded, blobs_are_there, check, commit_next, open};

const ROUNDS: usize = 20;
const DIR: &str = "COVEY_TEST_JOURNAL_DIR";

/// A process that appends until it is killed, and says what was acknowledged.
pub(crate) struct Appender {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    /// Records acknowledged, counted from the journal's beginning.
    pub(crate) acknowledged: u64,
}

impl Appender {
    pub(crate) fn start(dir: &Path) -> Appender {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command.args(["--exact", "crash::append_until_killed", "--ignored", "--nocapture"]);
        let mut child = command.env(DIR, dir).stdout(Stdio::piped()).spawn().expect("a child process");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        Appender { child, lines, acknowledged: 0 }
    }

    /// Reads acknowledgements until there are so many more; false when the process has ended.
    pub(crate) fn await_acks(&mut self, count: u64) -> bool {
        (0..count).all(|_| self.read_ack())
    }

    /// Kills it and takes in what it still said.
    pub(crate) fn kill(mut self) -> u64 {
        self.child.kill().expect("killed");
        while self.read_ack() {}
        self.child.wait().expect("reaped");
        self.acknowledged
    }

    fn read_ack(&mut self) -> bool {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("text") == 0 || !line.ends_with('\n') {
                return false;
            }
            if let Some((_, next)) = line.trim_end().rsplit_once("next ") {
                self.acknowledged = next.parse().expect("a number");
                return true;
            }
        }
    }
}

#[test]
#[ignore = "started by other tests, in a process of its own"]
fn append_until_killed() {
    let dir = PathBuf::from(std::env::var_os(DIR).expect("the folder"));
    let journal: Arc<dyn Journal> = Arc::new(open(&dir));
    Alone::new(Arc::clone(&journal), Vec::new()).campaign().expect("a new epoch");
    loop {
        commit_next(&*journal).expect("an append");
        let line = format!("next {}\n", journal.next_sequence());
        std::io::stdout().write_all(line.as_bytes()).expect("said");
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut random = Seeded(0x5eed_0001);
    let (mut acknowledged, mut epoch) = (0, 0);
    for round in 0..ROUNDS {
        let mut appender = Appender::start(dir.path());
        assert!(appender.await_acks(random.below(90)), "round {round}: it ended by itself");
        acknowledged = appender.kill().max(acknowledged);
        let journal = open(dir.path());
        check(&journal, acknowledged).expect("everything is readable");
        assert!(blobs_are_there(&journal), "round {round}: a blob is missing");
        assert!(journal.epoch() >= epoch, "round {round}: the epoch went back");
        epoch = journal.epoch();
    }
    assert!(acknowledged > 100, "too little was written to show anything: {acknowledged}");
}
