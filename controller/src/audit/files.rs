//! The files of the audit log: three that are rotated by size, so that none of them pushes out what is in another, and reading them.

use std::collections::VecDeque;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use file_rotate::compression::Compression;
use file_rotate::suffix::AppendCount;
use file_rotate::{ContentLimit, FileRotate};
use sched::allow::{Verb, What};
use thiserror::Error;

use super::{Line, Outcome};

/// A file is put aside when it has more bytes than this.
const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// So many old files stay beside each that is written; the oldest goes.
const OLD_FILES_MAX: usize = 3;

/// Why there is no audit log.
#[derive(Debug, Error)]
pub enum AuditError {
    /// A file or the folder cannot be used.
    #[error("cannot keep the audit log in {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no thread for it.
    #[error("the audit log has no thread to be written by")]
    Thread(#[source] io::Error),
}

/// To which file a line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shelf {
    /// What was done to jobs and to users' tokens: of these there may be many.
    Users,
    /// What was done to nodes, partitions, settings and join tokens, and what nodes did.
    Cluster,
    /// What was refused or failed, whatever it was.
    Refused,
}

impl Shelf {
    const ALL: [Shelf; 3] = [Shelf::Users, Shelf::Cluster, Shelf::Refused];

    fn of(line: &Line) -> Shelf {
        let verb = || Verb::ALL.into_iter().find(|verb| verb.name() == line.verb);
        match line.outcome {
            Outcome::Refused | Outcome::Failed => Shelf::Refused,
            Outcome::Allowed if verb().is_some_and(|verb| verb.least(What::Own).is_some()) => Shelf::Users,
            Outcome::Allowed => Shelf::Cluster,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Shelf::Users => "users.jsonl",
            Shelf::Cluster => "cluster.jsonl",
            Shelf::Refused => "refused.jsonl",
        }
    }

    /// Its files, from the newest on; some may not be there.
    fn paths(self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        let name = self.file();
        let old = (1..=OLD_FILES_MAX).map(move |age| format!("{name}.{age}"));
        std::iter::once(name.to_owned()).chain(old).map(move |name| folder.join(name))
    }
}

/// The files that are written.
pub(super) struct Files {
    users: FileRotate<AppendCount>,
    cluster: FileRotate<AppendCount>,
    refused: FileRotate<AppendCount>,
}

impl Files {
    /// Opens them in this folder.
    pub(super) fn open(folder: &Path) -> Result<Files, AuditError> {
        let failed = |source| AuditError::File { path: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let [users, cluster, refused] = Shelf::ALL.map(|shelf| open_file(&folder.join(shelf.file())));
        Ok(Files { users: users?, cluster: cluster?, refused: refused? })
    }

    /// Writes a line, whole or not at all but for a crash of the machine.
    pub(super) fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let file = match Shelf::of(line) {
            Shelf::Users => &mut self.users,
            Shelf::Cluster => &mut self.cluster,
            Shelf::Refused => &mut self.refused,
        };
        file.write_all(&text)
    }
}

fn open_file(path: &Path) -> Result<FileRotate<AppendCount>, AuditError> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let ended = options.open(path).and_then(|mut file| end_last_line(&mut file));
    ended.map_err(|source| AuditError::File { path: path.to_owned(), source })?;
    let (old, limit) = (AppendCount::new(OLD_FILES_MAX), ContentLimit::BytesSurpassed(FILE_BYTES_MAX));
    Ok(FileRotate::new(path, old, limit, Compression::None, Some(options)))
}

/// A crash may have left half a line, which must not spoil the next one.
fn end_last_line(file: &mut File) -> io::Result<()> {
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// Which lines somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// A user or node by name, or a user by number.
    pub(crate) user: Option<String>,
    /// From this moment on, in microseconds since 1970.
    pub(crate) since_us: i64,
    /// Only what was refused.
    pub(crate) refused: bool,
    /// Only this verb.
    pub(crate) verb: Option<String>,
}

impl Wanted {
    /// Whether a line is among them.
    pub(crate) fn lets_pass(&self, line: &Line) -> bool {
        let is_user =
            |user: &String| line.who.name == *user || line.who.uid.is_some_and(|uid| uid.to_string() == *user);
        line.at_us >= self.since_us
            && (!self.refused || line.outcome == Outcome::Refused)
            && self.user.as_ref().is_none_or(is_user)
            && self.verb.as_ref().is_none_or(|verb| line.verb == verb.as_str())
    }

    /// The newest of them up to this moment, at most `most`, in their order. What a crash has left of a line is passed over.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub(crate) fn read(&self, folder: &Path, until_us: i64, most: usize) -> io::Result<Vec<Line>> {
        let mut found = Vec::new();
        for shelf in Shelf::ALL.into_iter().filter(|shelf| !self.refused || *shelf == Shelf::Refused) {
            let mut left = most;
            // The newest is opened first: when the files move on meanwhile, a line is read twice, and never missed.
            for path in shelf.paths(folder) {
                let lines = match File::open(&path) {
                    Ok(file) => self.newest(file, until_us, left)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                left -= lines.len();
                found.extend(lines);
                if left == 0 {
                    break;
                }
            }
        }
        found.sort_by_key(|line| line.at_us);
        found.dedup();
        found.drain(..found.len().saturating_sub(most));
        Ok(found)
    }

    fn newest(&self, file: File, until_us: i64, most: usize) -> io::Result<VecDeque<Line>> {
        let mut lines = VecDeque::new();
        for text in BufReader::new(file).split(b'\n') {
            let Ok(line) = serde_json::from_slice::<Line>(&text?) else { continue };
            if line.at_us <= until_us && self.lets_pass(&line) {
                if lines.len() == most {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::super::Who;
    use super::*;

    fn line(at_us: i64, outcome: Outcome, verb: Verb, name: &str) -> Line {
        let who = Who { uid: Some(1000), name: name.into(), by: "socket".into(), from: String::new() };
        Line { at_us, outcome, verb: verb.name().into(), who, what: "5".into(), why: String::new(), times: 1 }
    }

    #[test]
    fn lines_are_found_by_who_when_and_what() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("audit");
        let mut files = Files::open(&folder).expect("it opens");
        let all = [
            line(1, Outcome::Allowed, Verb::Submit, "ada"),
            line(2, Outcome::Refused, Verb::Cancel, "bob"),
            line(3, Outcome::Allowed, Verb::UpdateNodes, "root"),
            line(4, Outcome::Failed, Verb::Submit, "ada"),
        ];
        all.iter().for_each(|line| files.write(line).expect("written"));
        let read = |wanted: Wanted, most| -> Vec<i64> {
            let lines = wanted.read(&folder, 4, most).expect("read");
            lines.into_iter().map(|line| line.at_us).collect()
        };
        let any = Wanted::default;
        assert_eq!(any().read(&folder, i64::MAX, 100).expect("read"), all);
        assert_eq!(read(any(), 2), [3, 4], "the newest of all files");
        assert_eq!(any().read(&folder, 2, 100).expect("read").len(), 2, "up to a moment");
        assert_eq!(read(Wanted { user: Some("ada".into()), ..any() }, 9), [1, 4]);
        assert_eq!(read(Wanted { user: Some("1000".into()), ..any() }, 9).len(), 4);
        assert_eq!(read(Wanted { since_us: 3, ..any() }, 9), [3, 4]);
        assert_eq!(read(Wanted { refused: true, ..any() }, 9), [2]);
        assert_eq!(read(Wanted { verb: Some("submit".into()), ..any() }, 9), [1, 4]);
        assert_eq!(fs::metadata(&folder).expect("there").mode() & 0o777, 0o700);
        for shelf in Shelf::ALL {
            assert_eq!(fs::metadata(folder.join(shelf.file())).expect("there").mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_flood_keeps_to_its_file_and_its_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = Files::open(folder.path()).expect("it opens");
        files.write(&line(1, Outcome::Allowed, Verb::UpdateNodes, "root")).expect("written");
        let big = Line { why: "x".repeat(64 * 1024), ..line(2, Outcome::Refused, Verb::Cancel, "bob") };
        let rounds = (FILE_BYTES_MAX / big.why.len()) * (OLD_FILES_MAX + 3);
        for at_us in 2..rounds {
            files.write(&Line { at_us: i64::try_from(at_us).expect("small"), ..big.clone() }).expect("written");
        }
        let bytes: u64 = fs::read_dir(folder.path())
            .expect("there")
            .flatten()
            .map(|file| file.metadata().expect("there").len())
            .sum();
        let bound = (FILE_BYTES_MAX + 2 * big.why.len()) * (OLD_FILES_MAX + 1);
        assert!(bytes < bound as u64 && bytes > FILE_BYTES_MAX as u64, "{bytes}");
        let read = Wanted::default().read(folder.path(), i64::MAX, 100_000).expect("read");
        assert_eq!(read[0].at_us, 1, "what was done to the cluster is still there");
        let old = fs::metadata(folder.path().join("refused.jsonl.1")).expect("there");
        assert_eq!(old.mode() & 0o777, 0o600);
    }

    #[test]
    fn half_a_line_spoils_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("users.jsonl"), "{\"at_us\":1,\"outc").expect("written");
        let mut files = Files::open(folder.path()).expect("it opens");
        files.write(&line(2, Outcome::Allowed, Verb::Submit, "ada")).expect("written");
        assert_eq!(Wanted::default().read(folder.path(), i64::MAX, 9).expect("read").len(), 1);
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").expect("written");
        assert!(matches!(Files::open(&blocked), Err(AuditError::File { .. })));
    }
}
