//! What tasks write, as srun passes it on: to its own streams or into files, with labels or as it is.
//!
//! A thread of its own does the writing, so that a reader who is slow holds up the step and not srun's signals. Start at
//! [`Printer`].

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sched::spec::pattern::{FileNamePattern, PatternValues};

use super::spec::{Plan, Sink};
use crate::failure::{Failure, Outcome};

/// A line that is longer is passed on in pieces.
const LINE_BYTES_MAX: usize = 64 << 10;

/// One of the two streams.
enum Target {
    Stdout,
    Stderr,
    File(File),
    Nothing,
}

/// The streams, and the lines that are not whole yet.
pub(super) struct Printer {
    stdout: Target,
    stderr: Target,
    /// Both go into one file.
    same: bool,
    label_width: Option<usize>,
    only_task: Option<u32>,
    partial: BTreeMap<(u32, bool), Vec<u8>>,
}

impl Printer {
    /// Opens the files that srun itself writes to.
    pub(super) fn open(
        plan: &Plan,
        values: &PatternValues<'_>,
        dir: &Path,
        label_width: Option<usize>,
    ) -> Outcome<Printer> {
        let same = plan.stdout == plan.stderr && matches!(plan.stdout, Sink::File(_));
        let target = |what, sink: &Sink, own| match sink {
            Sink::Own => Ok(own),
            Sink::Elsewhere => Ok(Target::Nothing),
            Sink::File(pattern) => {
                let path = FileNamePattern::new(pattern.as_str()).path(values, dir);
                let file = open(&path, plan.spec.append, plan.spec.umask);
                file.map(Target::File).map_err(|error| not_open(what, &error))
            }
        };
        let stdout = target("stdout", &plan.stdout, Target::Stdout)?;
        let stderr = if same { Target::Nothing } else { target("stderr", &plan.stderr, Target::Stderr)? };
        Ok(Printer { stdout, stderr, same, label_width, only_task: plan.only_task, partial: BTreeMap::new() })
    }

    /// Passes on what a task has written.
    pub(super) fn write(&mut self, task: u32, error: bool, bytes: &[u8]) -> io::Result<()> {
        if !error && self.only_task.is_some_and(|only| only != task) {
            return Ok(());
        }
        let Some(width) = self.label_width else { return self.put(error, bytes) };
        let mut lines = self.partial.remove(&(task, error)).unwrap_or_default();
        lines.extend_from_slice(bytes);
        let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole = if lines.len() - whole > LINE_BYTES_MAX { lines.len() } else { whole };
        let rest = lines.split_off(whole);
        if !rest.is_empty() {
            self.partial.insert((task, error), rest);
        }
        self.put(error, &labelled(task, width, &lines))
    }

    /// A task has ended: what is left of its last lines is passed on.
    pub(super) fn end(&mut self, task: u32) -> io::Result<()> {
        for error in [false, true] {
            if let (Some(rest), Some(width)) = (self.partial.remove(&(task, error)), self.label_width) {
                self.put(error, &labelled(task, width, &rest))?;
            }
        }
        Ok(())
    }

    fn put(&mut self, error: bool, bytes: &[u8]) -> io::Result<()> {
        match if error && !self.same { &mut self.stderr } else { &mut self.stdout } {
            Target::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Target::Stderr => io::stderr().write_all(bytes),
            Target::File(file) => file.write_all(bytes),
            Target::Nothing => Ok(()),
        }
    }
}

/// `0: text`, for each line; the last one may be without an end, and then gets one.
fn labelled(task: u32, width: usize, lines: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.len() + 16);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(format!("{task:width$}: ").as_bytes());
        text.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            text.push(b'\n');
        }
    }
    text
}

/// Slurm's words for a file that srun cannot open.
pub(super) fn not_open(what: &str, error: &io::Error) -> Failure {
    let text = error.to_string();
    let why = text.split(" (os error").next().unwrap_or_default();
    Failure::new(format_args!("srun: error: Could not open {what} file: {why}"))
}

fn open(path: &Path, append: bool, umask: u32) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(0o666 & !umask).open(path)?;
    if !append && file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_before_whole_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let file = Target::File(open(&path, false, 0o22).expect("a file"));
        let (stderr, partial) = (Target::Nothing, BTreeMap::new());
        let mut printer =
            Printer { stdout: file, stderr, same: true, label_width: Some(2), only_task: Some(1), partial };
        printer.write(1, false, b"one\ntw").expect("written");
        printer.write(10, true, b"other\n").expect("written");
        printer.write(0, false, b"not wanted\n").expect("passed over");
        printer.write(1, false, b"o\nrest").expect("written");
        printer.end(1).expect("written");
        let text = std::fs::read_to_string(&path).expect("there");
        assert_eq!(text, " 1: one\n10: other\n 1: two\n 1: rest\n");
    }
}
