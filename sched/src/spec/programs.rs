//! `srun --multi-prog`: which program each task of a step runs, as the lines of a file say.
//!
//! A line has the numbers of tasks (`0-3,5`, or `*` for all that no line before it names), a program and its arguments, in
//! which `%t` is the task's number and `%o` its place among those of the line. Start at [`Programs::read`].

use thiserror::Error;

use crate::spec::index_set::IndexSet;
use crate::spec::words::split;

/// The longest file, in bytes: it travels with the step, and the journal holds it while that runs.
pub const PROGRAMS_BYTES_MAX: usize = 256 * 1024;

/// The lines of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs(Vec<Program>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Program {
    /// `None` for `*`.
    tasks: Option<IndexSet>,
    words: Vec<String>,
}

/// A file that says nothing of use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProgramsError {
    /// It is too long.
    #[error("it has {0} bytes, more than {PROGRAMS_BYTES_MAX}")]
    TooLong(usize),
    /// A line that is none.
    #[error("line {line} is invalid: write task numbers, such as 0-3,5 or *, and a program with its arguments")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// No line is left without comments.
    #[error("it names no program")]
    Empty,
}

impl Programs {
    /// Reads a file. A backslash at its end joins a line with the next; what follows a `#` at its beginning is a comment.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn read(text: &str) -> Result<Programs, ProgramsError> {
        if text.len() > PROGRAMS_BYTES_MAX {
            return Err(ProgramsError::TooLong(text.len()));
        }
        let mut programs = Vec::new();
        let mut joined = String::new();
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(part) = line.strip_suffix('\\') {
                joined += part;
                continue;
            }
            joined += line;
            let line = std::mem::take(&mut joined);
            if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
                programs.push(Program::read(line.trim()).ok_or(ProgramsError::Line { line: number })?);
            }
        }
        if programs.is_empty() { Err(ProgramsError::Empty) } else { Ok(Programs(programs)) }
    }

    /// The program of a task and its arguments; `None` where no line names it.
    #[must_use]
    pub fn words(&self, task: u32) -> Option<Vec<String>> {
        let names = |program: &&Program| program.tasks.as_ref().is_none_or(|tasks| tasks.contains(task));
        let program = self.0.iter().find(names)?;
        let place = program.tasks.as_ref().map_or(u64::from(task), |tasks| {
            let before = tasks.ranges().take_while(|(first, _)| *first < task);
            before.map(|(first, last)| u64::from(last.min(task - 1) - first) + 1).sum()
        });
        let filled = |word: &String| word.replace("%t", &task.to_string()).replace("%o", &place.to_string());
        Some(program.words.iter().map(filled).collect())
    }

    /// The first of so many tasks that no line names.
    #[must_use]
    pub fn without(&self, tasks: u32) -> Option<u32> {
        let mut named = IndexSet::new();
        for program in &self.0 {
            named.union_with(program.tasks.as_ref()?);
        }
        (0..tasks).find(|task| !named.contains(*task))
    }
}

impl Program {
    fn read(line: &str) -> Option<Program> {
        let (tasks, rest) = line.split_once(char::is_whitespace)?;
        let tasks = if tasks == "*" { None } else { Some(numbers(tasks)?) };
        let words = split(rest.as_bytes()).ok().filter(|words| !words.is_empty())?;
        let words = words.into_iter().map(String::from_utf8).collect::<Result<_, _>>().ok()?;
        Some(Program { tasks, words })
    }
}

/// A list such as `0-3,5`.
fn numbers(text: &str) -> Option<IndexSet> {
    let mut set = IndexSet::new();
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        if first > last {
            return None;
        }
        set.insert_range(first..=last);
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_the_program_of_the_first_line_that_names_it() {
        let text = "# who does what\n0       master --rank=%t\n\n2-3,5   worker 'a b' \\\n  %t %o\n*  idle %o\n";
        let programs = Programs::read(text).expect("good");
        let words = |task| programs.words(task).expect("named").join("|");
        assert_eq!(words(0), "master|--rank=0");
        assert_eq!((words(2), words(5)), ("worker|a b|2|0".into(), "worker|a b|5|2".into()));
        assert_eq!((words(1), programs.without(100)), ("idle|1".into(), None));
        let some = Programs::read("0-1 a\n3 b").expect("good");
        assert_eq!((some.without(2), some.without(3), some.words(2)), (None, Some(2), None));
    }

    #[test]
    fn what_is_no_line_is_refused_by_its_number() {
        for (text, line) in [("0 a\nx b", 2), ("0", 1), ("3-1 a", 1), ("0 a\n1 'b", 2), ("0,", 1)] {
            assert_eq!(Programs::read(text), Err(ProgramsError::Line { line }), "{text}");
        }
        assert_eq!(Programs::read("# nothing\n\n"), Err(ProgramsError::Empty));
        let long = "x".repeat(PROGRAMS_BYTES_MAX + 1);
        assert_eq!(Programs::read(&long), Err(ProgramsError::TooLong(PROGRAMS_BYTES_MAX + 1)));
    }
}
