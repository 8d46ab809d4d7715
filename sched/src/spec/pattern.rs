//! File name patterns of `-o`, `-e` and `-i`: `slurm-%A_%a.out`.
//!
//! Turns a pattern and the values of one task or step into a path. It opens and looks up nothing, and makes no
//! directories. Start at [`FileNamePattern::path`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The widest zero padding; a larger width counts as this one.
pub const WIDTH_MAX: usize = 10;

/// What `%a` gives outside of an array, and `%b` its last digit (Slurm's `NO_VAL`) [seen on 22.05.8].
const NO_INDEX: u32 = 4_294_967_294;

/// A file name in which `%` and a letter stand for a value, as in `out/%x-%5j.log`.
///
/// Every text is a pattern: what cannot be replaced stays as it is, as in Slurm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileNamePattern(String);

/// The values for one task of a job, or for one rank of a step.
#[derive(Clone, Copy, Debug)]
pub struct PatternValues<'a> {
    /// `%A`: the id that `sbatch` printed; a plain job's own.
    pub array_job_id: u32,
    /// `%a`, and `%b` its last digit: the task's index, if the job is an array.
    pub array_index: Option<u32>,
    /// `%j`, and the first half of `%J`: the task's own id.
    pub job_id: u32,
    /// `%x`.
    pub job_name: &'a str,
    /// `%N`: the node's host name up to the first dot.
    pub host: &'a str,
    /// `%u`.
    pub user: &'a str,
    /// `%s`, and the second half of `%J`: a step's number, or `batch`.
    pub step: &'a str,
    /// `%t`: the rank within the job.
    pub task_rank: u32,
    /// `%n`: the number of the node within the job.
    pub node_number: u32,
    /// `%r`: how often the job was started again.
    pub restart_count: u32,
}

impl FileNamePattern {
    /// Takes any text as a pattern.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pattern where none is given: `slurm-%j.out`, or `slurm-%A_%a.out` for an array.
    pub fn default_output(array: bool) -> Self {
        Self::new(if array { "slurm-%A_%a.out" } else { "slurm-%j.out" })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file, with a relative name taken from `workdir`.
    pub fn path(&self, values: &PatternValues<'_>, workdir: &Path) -> PathBuf {
        workdir.join(self.fill(values))
    }

    /// The name with all values put in.
    ///
    /// `%5j` pads a number with zeros to five places, at most [`WIDTH_MAX`]; `%%` is one `%`; an unknown letter stays
    /// with its `%`. One backslash anywhere turns all symbols off: each then makes the next character ordinary, and
    /// vanishes [seen on Slurm 22.05.8].
    pub fn fill(&self, values: &PatternValues<'_>) -> String {
        self.filled(|symbol| {
            let letter = symbol.chars().next_back().unwrap_or('%');
            let width = symbol[1..].trim_end_matches(letter);
            // More digits than a number holds ask for more than the widest padding.
            let width = if width.is_empty() { 0 } else { width.parse().unwrap_or(WIDTH_MAX).min(WIDTH_MAX) };
            value(letter, width, values)
        })
    }

    /// The file as `scontrol show job` names it: numbers that are to be padded, and what only a node knows, stay as typed
    /// [seen on 22.05.8].
    pub fn shown(&self, values: &PatternValues<'_>, workdir: &Path) -> PathBuf {
        workdir.join(self.filled(|symbol| match symbol.as_bytes() {
            [b'%', letter @ (b'A' | b'a' | b'j' | b'u' | b'x')] => value(char::from(*letter), 0, values),
            _ => None,
        }))
    }

    fn filled(&self, value: impl Fn(&str) -> Option<String>) -> String {
        if self.0.contains('\\') {
            return unescape(&self.0);
        }
        let mut name = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some(at) = rest.find('%') {
            name.push_str(&rest[..at]);
            let (symbol, after) = rest[at..].split_at(symbol_length(&rest[at..]));
            match value(symbol) {
                Some(value) => name.push_str(&value),
                None if symbol == "%%" => name.push('%'),
                None => name.push_str(symbol),
            }
            rest = after;
        }
        name.push_str(rest);
        name
    }
}

fn unescape(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        name.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    name
}

/// How many bytes `%`, digits and a letter take together, at the start of `text`.
fn symbol_length(text: &str) -> usize {
    let letter = text[1..].trim_start_matches(|c: char| c.is_ascii_digit());
    text.len() - letter.len() + letter.chars().next().map_or(0, char::len_utf8)
}

/// The value of a letter, numbers padded to `width`; `None` for a letter without a meaning.
fn value(letter: char, width: usize, values: &PatternValues<'_>) -> Option<String> {
    let padded = |number: u32| format!("{number:0width$}");
    let index = values.array_index.unwrap_or(NO_INDEX);
    Some(match letter {
        'A' => padded(values.array_job_id),
        'a' => padded(index),
        'b' => padded(index % 10),
        'J' if values.step == "batch" => padded(values.job_id),
        'J' => format!("{}.{}", values.job_id, values.step),
        'j' => padded(values.job_id),
        'N' => values.host.split('.').next().unwrap_or_default().to_owned(),
        'n' => padded(values.node_number),
        'r' => padded(values.restart_count),
        's' => values.step.parse().map_or_else(|_| values.step.to_owned(), padded),
        't' => padded(values.task_rank),
        'u' => values.user.to_owned(),
        'x' => values.job_name.to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BATCH: PatternValues<'static> = PatternValues {
        array_job_id: 84,
        array_index: Some(17),
        job_id: 96,
        job_name: "train",
        host: "n3.lan",
        user: "ada",
        step: "batch",
        task_rank: 0,
        node_number: 2,
        restart_count: 1,
    };

    fn filled(pattern: &str, values: &PatternValues<'_>) -> String {
        FileNamePattern::new(pattern).fill(values)
    }

    #[test]
    fn puts_values_in() {
        let cases = [
            ("plain.out", "plain.out"),
            ("%A_%a.out", "84_17.out"),
            ("%b %j %J %n %r %s %t %u %x %N", "7 96 96 2 1 batch 0 ada train n3"),
            ("%5j", "00096"),
            ("%1j", "96"),
            ("%0j", "96"),
            ("%10j", "0000000096"),
            ("%11j", "0000000096"),
            ("%99999999999999999999999j", "0000000096"),
            ("%2t", "00"),
            ("%5x", "train"),
            ("%5s", "batch"),
            ("100%%", "100%"),
            ("%%j", "%j"),
            ("%%%j", "%96"),
            ("%z %5z %", "%z %5z %"),
            ("%5", "%5"),
            ("%é%j", "%é96"),
            (r"\%j", "%j"),
            (r"e_%j_\%j_%x", "e_%j_%j_%x"),
            (r"spaces\ out_%j", "spaces out_%j"),
            (r"a\\b", r"a\b"),
            (r"end\", "end"),
        ];
        for (pattern, name) in cases {
            assert_eq!(filled(pattern, &BATCH), name, "{pattern}");
        }
    }

    #[test]
    fn a_step_has_its_number() {
        let step = PatternValues { step: "0", task_rank: 3, ..BATCH };
        assert_eq!(filled("%J %s %3s %2t", &step), "96.0 0 000 03");
    }

    #[test]
    fn a_plain_job_has_no_index() {
        let plain = PatternValues { array_job_id: 5, array_index: None, job_id: 5, ..BATCH };
        assert_eq!(filled("%A_%a_%b", &plain), "5_4294967294_4");
    }

    #[test]
    fn what_only_a_node_knows_is_shown_as_typed() {
        let shown = |pattern: &str| FileNamePattern::new(pattern).shown(&BATCH, Path::new("/w"));
        assert_eq!(
            shown("%A_%a_%j_%x.%N.%n%t%4j%%"),
            Path::new(&format!("/w/84_17_96_{}.%N.%n%t%4j%", BATCH.job_name))
        );
        assert_eq!(shown("/l/a\\%j"), Path::new("/l/a%j"));
    }

    #[test]
    fn relative_names_start_at_the_work_directory() {
        let path = |pattern: &str| FileNamePattern::new(pattern).path(&BATCH, Path::new("/home/ada"));
        assert_eq!(path("logs/%j"), Path::new("/home/ada/logs/96"));
        assert_eq!(path("/tmp/%j"), Path::new("/tmp/96"));
        let default = |array| FileNamePattern::default_output(array).path(&BATCH, Path::new("/home/ada"));
        assert_eq!(default(false), Path::new("/home/ada/slurm-96.out"));
        assert_eq!(default(true), Path::new("/home/ada/slurm-84_17.out"));
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[%\\\\0-9jAaé]{0,16}|\\PC{0,24}") {
            let _ = filled(&pattern, &BATCH);
        }

        #[test]
        fn a_pattern_without_symbols_is_itself(pattern in "[^%\\\\]{0,24}") {
            prop_assert_eq!(filled(&pattern, &BATCH), pattern);
        }
    }
}
