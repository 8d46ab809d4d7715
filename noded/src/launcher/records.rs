//! What the launcher may not forget: one append-only file of claims, starts and ends, and the same in memory.
//!
//! Each append is one `write(2)` without fsync: it survives any kill of processes, and after a crash of the machine
//! none of the processes is left, which the boot id in the records shows. Not a journal: what noded has taken over is
//! forgotten, and the file is rewritten when it has doubled. Start with [`Records::append`].

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::LauncherError;
use super::frame::{AttemptStatus, Ending, RunKey};
use super::tree::ProcessIdent;
use super::wire;

/// Below this the file is never rewritten; above it, when it is twice as long as after the last rewriting.
const COMPACT_BYTES_MIN: u64 = 256 << 10;

const FILE: &str = "records";
const NEW_FILE: &str = "records.new";

/// One fact, as it stands in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Record {
    /// The first of each file.
    Opened { launcher_id: String },
    /// Nobody may start this attempt again.
    Claimed { key: RunKey },
    /// The attempt's main process; `boot_id` says in which life of the machine.
    Started { key: RunKey, main: ProcessIdent, boot_id: String, at_ms: i64 },
    /// The attempt is over.
    Ended { key: RunKey, ending: Ending },
    /// Somebody else keeps these ends now.
    Forgotten { keys: Vec<RunKey> },
}

/// What the records say of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// May have been started.
    Claimed,
    /// Was started.
    Started { main: ProcessIdent, boot_id: String, at_ms: i64 },
    /// Is over.
    Ended(Ending),
}

impl Known {
    /// The same in the words that noded hears; what is not on record ends with the launcher.
    pub(super) fn status(&self, suspended: bool, signals_heard: u32) -> AttemptStatus {
        match self {
            Self::Claimed => AttemptStatus::Claimed,
            Self::Started { main, at_ms, .. } => {
                AttemptStatus::Running { pid: main.pid, started_ms: *at_ms, suspended, signals_heard }
            }
            Self::Ended(ending) => AttemptStatus::Ended(ending.clone()),
        }
    }
}

/// The record file and what it says.
pub(super) struct Records {
    launcher_id: String,
    attempts: BTreeMap<RunKey, Known>,
    file: File,
    dir: PathBuf,
    /// How long the file is, as far as its records are whole.
    bytes: u64,
    /// How long it may grow before it is rewritten.
    bytes_next_compaction: u64,
    /// An append failed: memory knows more than the file, and only rewriting it makes them agree again.
    behind: bool,
}

impl Records {
    /// Replays the file in `dir`, cutting off a record that was torn by a kill; makes a new one where there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, LauncherError> {
        let path = dir.join(FILE);
        let failed = |source| LauncherError::OpenRecords { path: path.clone(), source };
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let opened = Record::Opened { launcher_id: Uuid::new_v4().to_string() };
                let content = encode(&[opened]).map_err(failed)?;
                replace(dir, &content).map_err(failed)?;
                content
            }
            Err(error) => return Err(failed(error)),
        };
        let (mut launcher_id, mut attempts, mut whole) = (None, BTreeMap::new(), 0);
        while let Ok(Some((batch, used))) = wire::decode::<Record>(&content[whole..]) {
            for record in batch {
                match record {
                    Record::Opened { launcher_id: id } => launcher_id = Some(id),
                    record => apply(&mut attempts, record),
                }
            }
            whole += used;
        }
        let Some(launcher_id) = launcher_id else {
            return Err(LauncherError::ForeignRecords { path });
        };
        if whole < content.len() {
            tracing::warn!(path = %path.display(), bytes = content.len() - whole, "cut off a torn record");
        }
        let file = append_to(&path).map_err(failed)?;
        file.set_len(whole as u64).map_err(failed)?;
        Ok(Self {
            launcher_id,
            attempts,
            file,
            dir: dir.to_owned(),
            bytes: whole as u64,
            bytes_next_compaction: COMPACT_BYTES_MIN,
            behind: false,
        })
    }

    /// Adds facts to memory and file. The facts of one call stand in the file together or not at all.
    ///
    /// When the file cannot be written, memory knows them nevertheless and the next call tries again to write them all.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        for record in records {
            apply(&mut self.attempts, record.clone());
        }
        if self.behind || self.bytes > self.bytes_next_compaction {
            return self.compact();
        }
        let frame = encode(records)?;
        match self.file.write_all(&frame) {
            Ok(()) => self.bytes += frame.len() as u64,
            Err(error) => {
                self.behind = true;
                self.file.set_len(self.bytes)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes back a claim that could not be written, so that it can be claimed again.
    pub(super) fn disclaim(&mut self, key: RunKey) {
        self.attempts.remove(&key);
    }

    pub(super) fn launcher_id(&self) -> &str {
        &self.launcher_id
    }

    pub(super) fn get(&self, key: RunKey) -> Option<&Known> {
        self.attempts.get(&key)
    }

    /// All attempts that were not forgotten, by key.
    pub(super) fn attempts(&self) -> &BTreeMap<RunKey, Known> {
        &self.attempts
    }

    /// Rewrites the file to what is still of interest.
    fn compact(&mut self) -> io::Result<()> {
        self.behind = true;
        let mut content = encode(&[Record::Opened { launcher_id: self.launcher_id.clone() }])?;
        for (&key, known) in &self.attempts {
            let record = match known.clone() {
                Known::Claimed => Record::Claimed { key },
                Known::Started { main, boot_id, at_ms } => Record::Started { key, main, boot_id, at_ms },
                Known::Ended(ending) => Record::Ended { key, ending },
            };
            content.append(&mut encode(&[record])?);
        }
        replace(&self.dir, &content)?;
        self.file = append_to(&self.dir.join(FILE))?;
        self.bytes = content.len() as u64;
        self.bytes_next_compaction = COMPACT_BYTES_MIN.max(2 * self.bytes);
        self.behind = false;
        Ok(())
    }
}

fn apply(attempts: &mut BTreeMap<RunKey, Known>, record: Record) {
    match record {
        Record::Opened { .. } => {}
        Record::Claimed { key } => {
            attempts.insert(key, Known::Claimed);
        }
        Record::Started { key, main, boot_id, at_ms } => {
            attempts.insert(key, Known::Started { main, boot_id, at_ms });
        }
        Record::Ended { key, ending } => {
            attempts.insert(key, Known::Ended(ending));
        }
        Record::Forgotten { keys } => {
            for key in keys {
                attempts.remove(&key);
            }
        }
    }
}

fn encode(records: &[Record]) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    wire::encode(records, &mut frame).map_err(io::Error::other)?;
    Ok(frame)
}

/// Puts a whole new record file in place of the old one, or leaves that as it is.
fn replace(dir: &Path, content: &[u8]) -> io::Result<()> {
    let new = dir.join(NEW_FILE);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    fs::rename(&new, dir.join(FILE))
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launcher::frame::{Outcome, Usage};
    use sched::ids::JobId;

    fn key(index: u32) -> RunKey {
        RunKey { job: JobId(7), index, attempt: 1, step: None }
    }

    fn ended(index: u32) -> Record {
        let outcome = Outcome::Exited { code: 3 };
        let ending = Ending { outcome, stopped: None, started_ms: 1, ended_ms: 2, usage: Usage::default() };
        Record::Ended { key: key(index), ending }
    }

    fn started(index: u32) -> Record {
        let main = ProcessIdent { pid: 42, start_ticks: 99 };
        Record::Started { key: key(index), main, boot_id: "b".to_owned(), at_ms: 1 }
    }

    #[test]
    fn a_reopened_file_says_what_was_appended() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut records = Records::open(dir.path()).expect("new");
        for index in 0..3 {
            records.append(&[Record::Claimed { key: key(index) }]).expect("append");
        }
        records.append(&[started(1), started(2), ended(2)]).expect("append");
        records.append(&[Record::Forgotten { keys: vec![key(0)] }]).expect("append");
        let again = Records::open(dir.path()).expect("replay");
        assert_eq!(again.attempts(), records.attempts());
        assert_eq!(again.launcher_id(), records.launcher_id());
        assert!(again.get(key(0)).is_none() && matches!(again.get(key(2)), Some(Known::Ended(_))));
    }

    #[test]
    fn a_torn_record_is_cut_off_wherever_it_was_torn() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut records = Records::open(dir.path()).expect("new");
        records.append(&[Record::Claimed { key: key(1) }]).expect("append");
        let path = dir.path().join(FILE);
        let whole = fs::read(&path).expect("the file");
        records.append(&[ended(1)]).expect("append");
        let full = fs::read(&path).expect("the file");
        for cut in whole.len()..full.len() {
            fs::write(&path, &full[..cut]).expect("tear");
            let mut torn = Records::open(dir.path()).expect("a torn end is not fatal");
            assert_eq!(torn.get(key(1)), Some(&Known::Claimed));
            torn.append(&[ended(1)]).expect("append after the cut");
            assert_eq!(fs::read(&path).expect("the file"), full);
        }
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join(FILE), "something else").expect("write");
        assert!(matches!(Records::open(dir.path()), Err(LauncherError::ForeignRecords { .. })));
    }

    #[test]
    fn forgetting_bounds_the_file_and_loses_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut records = Records::open(dir.path()).expect("new");
        records.append(&[started(0)]).expect("append");
        let mut longest = 0;
        for index in 1..20_000 {
            records.append(&[ended(index)]).expect("append");
            records.append(&[Record::Forgotten { keys: vec![key(index)] }]).expect("append");
            longest = longest.max(records.bytes);
        }
        assert!(longest < COMPACT_BYTES_MIN + 1024, "{longest}");
        let again = Records::open(dir.path()).expect("replay");
        assert_eq!(again.attempts(), records.attempts());
        assert_eq!(again.attempts().len(), 1);
    }

    #[test]
    fn a_failed_write_is_made_good_by_the_next() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut records = Records::open(dir.path()).expect("new");
        records.file = File::open(dir.path().join(FILE)).expect("read-only, so that writing fails");
        assert!(records.append(&[ended(1)]).is_err());
        records.append(&[ended(2)]).expect("rewritten");
        assert_eq!(Records::open(dir.path()).expect("replay").attempts().len(), 2);
    }
}
