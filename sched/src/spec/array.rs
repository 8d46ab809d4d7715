//! Array specifications and task references: `--array=0-20:5%2`, `7_3`, `7_[1-3,9]`.
//!
//! Reads what `-a/--array` and the id arguments of `squeue`, `scancel` and `scontrol` take, and prints the list that
//! stands in brackets in `squeue`. It does not know which tasks exist: that is the job's [`IndexSet`].
//! Start at [`ArraySpec::parse`].

use std::fmt::{self, Write};
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::index_set::IndexSet;

/// The highest index that any array may have, whatever the configured limit (Slurm: `MaxArraySize` is at most 4000001).
pub const INDEX_MAX: u32 = 4_000_000;

/// What `SLURM_BITSTR_LEN` is when unset: the room for a list of indices in `squeue`.
pub const LIST_BYTES_MAX: usize = 64;

/// How many indices the stepped items of one list may spell out together; a longer list is refused, because it only
/// names indices twice and would keep the reader busy.
const SPELLED_OUT_MAX: u64 = INDEX_MAX as u64;

/// The tasks of an array as they were asked for. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArraySpec {
    tasks: IndexSet,
    throttle: Option<NonZeroU32>,
    step: u32,
}

impl ArraySpec {
    /// Reads `LIST[%L]`, where LIST is a comma list of `N`, `N-M` and `N-M:S`, with or without brackets around it.
    ///
    /// As in Slurm, order and repetition do not matter, empty items count for nothing, and `%0` is no throttle.
    ///
    /// # Errors
    /// When the text is no such list, names no index, or names one above `index_max` (or [`INDEX_MAX`]).
    pub fn parse(text: &str, index_max: u32) -> Result<Self, ArrayError> {
        let (list, throttle) = match text.split_once('%') {
            Some((list, throttle)) => (list, parse_throttle(throttle.trim_end_matches(']'))?),
            None => (text, None),
        };
        let list = list.strip_prefix('[').unwrap_or(list);
        let list = list.strip_suffix(']').unwrap_or(list);
        let tasks = parse_list(list, index_max)?;
        let step = match list.split_once(':') {
            Some((_, step)) if !list.contains(',') => step.parse().unwrap_or(1),
            _ => 1,
        };
        Ok(Self { tasks, throttle, step })
    }

    /// The array with the indices `0..count`, as a map over `count` blobs makes it.
    ///
    /// # Errors
    /// When the last index is above `index_max` (or [`INDEX_MAX`]).
    pub fn counted(count: NonZeroU32, throttle: Option<NonZeroU32>, index_max: u32) -> Result<Self, ArrayError> {
        let (last, index_max) = (count.get() - 1, index_max.min(INDEX_MAX));
        if last > index_max {
            return Err(ArrayError::AboveMax { index: last.to_string(), index_max });
        }
        Ok(Self { tasks: IndexSet::from(0..=last), throttle, step: 1 })
    }

    /// The indices asked for.
    pub fn tasks(&self) -> &IndexSet {
        &self.tasks
    }

    /// How many tasks may run at the same time; `None` is no limit.
    pub fn throttle(&self) -> Option<NonZeroU32> {
        self.throttle
    }

    /// `SLURM_ARRAY_TASK_STEP`: the step of a single `N-M:S`, otherwise 1.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// `SLURM_ARRAY_TASK_COUNT`.
    pub fn count(&self) -> u64 {
        self.tasks.len()
    }

    /// `SLURM_ARRAY_TASK_MIN`.
    pub fn min(&self) -> u32 {
        self.tasks.min().expect("an array spec is never empty")
    }

    /// `SLURM_ARRAY_TASK_MAX`.
    pub fn max(&self) -> u32 {
        self.tasks.max().expect("an array spec is never empty")
    }
}

impl fmt::Display for ArraySpec {
    /// Writes a text that reads back as the same spec, uncut. What listings show is [`list_text`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            1 => write!(f, "{}", self.tasks)?,
            step => write!(f, "{}-{}:{step}", self.min(), self.max())?,
        }
        self.throttle.map_or(Ok(()), |throttle| write!(f, "%{throttle}"))
    }
}

/// The list of indices as `squeue` puts it into brackets and `scontrol` after `ArrayTaskId=`, such as `2-9%2`.
///
/// `bytes_max` is the room for the list without the throttle, with one byte for C's end mark: what would leave less
/// than two bytes free is cut and ends in `...`; `None` never cuts. More than five indices at equal distances over more
/// than ten print as `0-100:5`, uncut. [seen on Slurm 22.05.8]
pub fn list_text(tasks: &IndexSet, throttle: Option<NonZeroU32>, bytes_max: Option<usize>) -> String {
    let mut text = match regular_step(tasks) {
        Some((min, max, step)) => format!("{min}-{max}:{step}"),
        None => cut_list(tasks, bytes_max.unwrap_or(usize::MAX)),
    };
    if let Some(throttle) = throttle {
        text += &format!("%{throttle}");
    }
    text
}

/// The bounds and the distance of a set worth writing as a stepped range.
fn regular_step(tasks: &IndexSet) -> Option<(u32, u32, u32)> {
    let (min, max, count) = (tasks.min()?, tasks.max()?, tasks.len());
    let step = tasks.iter().nth(1)? - min;
    let worthwhile = step > 1 && count > 5 && max - min > 10;
    let plausible = u64::from((max - min) / step) + 1 == count;
    let regular = || tasks.iter().all(|index| (index - min).is_multiple_of(step));
    (worthwhile && plausible && regular()).then_some((min, max, step))
}

fn cut_list(tasks: &IndexSet, bytes_max: usize) -> String {
    let mut list = Room { text: String::new(), bytes_max: bytes_max.saturating_sub(3) };
    if write!(list, "{tasks}").is_err() {
        list.text.truncate(bytes_max.saturating_sub(4));
        list.text.push_str("...");
    }
    list.text
}

/// A text that fails as soon as it is too long, so that printing a cut list costs no more than its length.
struct Room {
    text: String,
    bytes_max: usize,
}

impl fmt::Write for Room {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.text.push_str(piece);
        if self.text.len() > self.bytes_max { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Which tasks of a job an argument means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskSelector {
    /// `A`: the whole job, or the one task whose own number is A.
    All,
    /// `A_i`.
    One(u32),
    /// `A_[list]`.
    Listed(IndexSet),
}

/// A job or some of its tasks, as written on a command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRef {
    /// The number before the underscore.
    pub job: u32,
    /// What follows it.
    pub tasks: TaskSelector,
}

impl FromStr for JobRef {
    type Err = JobRefError;

    fn from_str(text: &str) -> Result<Self, JobRefError> {
        let (job, tasks) = text.split_once('_').map_or((text, None), |(job, tasks)| (job, Some(tasks)));
        let bad_id = || JobRefError::Id { text: text.to_owned() };
        let bad_tasks = |source| JobRefError::Tasks { text: text.to_owned(), source };
        let job = digits(job).and_then(|job| job.parse().ok()).ok_or_else(bad_id)?;
        let tasks = match tasks {
            None => TaskSelector::All,
            Some(tasks) => match tasks.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
                Some(list) => TaskSelector::Listed(parse_list(list, INDEX_MAX).map_err(bad_tasks)?),
                None => TaskSelector::One(parse_index(tasks, tasks, INDEX_MAX).map_err(bad_tasks)?),
            },
        };
        Ok(Self { job, tasks })
    }
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tasks {
            TaskSelector::All => write!(f, "{}", self.job),
            TaskSelector::One(index) => write!(f, "{}_{index}", self.job),
            TaskSelector::Listed(tasks) => write!(f, "{}_[{tasks}]", self.job),
        }
    }
}

/// Why a list of array indices was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ArrayError {
    /// No index at all.
    #[error("the array list '{list}' names no index: give at least one, as in 0-9")]
    Empty {
        /// The list.
        list: String,
    },
    /// An item that is none of the three forms.
    #[error("array item '{item}' is not an index N, a range N-M or a stepped range N-M:S")]
    Item {
        /// The item.
        item: String,
    },
    /// A range that ends before it starts.
    #[error("array range '{item}' runs backwards: write the smaller index first")]
    Backwards {
        /// The item.
        item: String,
    },
    /// `N-M:0`.
    #[error("array range '{item}' has the step 0: the smallest step is 1")]
    ZeroStep {
        /// The item.
        item: String,
    },
    /// An index above the limit.
    #[error("array index {index} is too large: the largest allowed is {index_max}")]
    AboveMax {
        /// The index as written.
        index: String,
        /// The limit.
        index_max: u32,
    },
    /// Something other than one number after `%`.
    #[error("array throttle '%{throttle}' is not one number of tasks at the end, as in 0-9%2")]
    Throttle {
        /// The text after the first `%`.
        throttle: String,
    },
    /// Stepped ranges over the same indices again and again.
    #[error("array range '{item}' makes the list spell out more than {SPELLED_OUT_MAX} indices: name each once")]
    TooLong {
        /// The item at which the limit was passed.
        item: String,
    },
}

/// Why a job reference was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum JobRefError {
    /// No number where the job id belongs.
    #[error("'{text}' does not start with a job id: write A, A_i or A_[list]")]
    Id {
        /// The whole argument.
        text: String,
    },
    /// A bad part after the underscore.
    #[error("the tasks in '{text}' cannot be read")]
    Tasks {
        /// The whole argument.
        text: String,
        /// What is wrong with them.
        source: ArrayError,
    },
}

fn parse_throttle(text: &str) -> Result<Option<NonZeroU32>, ArrayError> {
    let bad = || ArrayError::Throttle { throttle: text.to_owned() };
    let limit = digits(text).and_then(|text| text.parse().ok()).ok_or_else(bad)?;
    Ok(NonZeroU32::new(limit))
}

fn parse_list(list: &str, index_max: u32) -> Result<IndexSet, ArrayError> {
    let index_max = index_max.min(INDEX_MAX);
    let mut tasks = IndexSet::new();
    let mut spelled_out = 0;
    for item in list.split(',').map(str::trim_start).filter(|item| !item.is_empty()) {
        let (start, end, step) = parse_item(item, index_max)?;
        if step == 1 {
            tasks.insert_range(start..=end);
            continue;
        }
        spelled_out += u64::from((end - start) / step) + 1;
        if spelled_out > SPELLED_OUT_MAX {
            return Err(ArrayError::TooLong { item: item.to_owned() });
        }
        tasks.union_with(&(start..=end).step_by(step as usize).collect());
    }
    if tasks.is_empty() {
        return Err(ArrayError::Empty { list: list.to_owned() });
    }
    Ok(tasks)
}

/// Reads `N`, `N-M` or `N-M:S` as first index, last index and step.
fn parse_item(item: &str, index_max: u32) -> Result<(u32, u32, u32), ArrayError> {
    let Some((start, rest)) = item.split_once('-') else {
        let index = parse_index(item, item, index_max)?;
        return Ok((index, index, 1));
    };
    let (end, step) = rest.split_once(':').unwrap_or((rest, "1"));
    let start = parse_index(start, item, index_max)?;
    let end = parse_index(end, item, index_max)?;
    let step = digits(step).ok_or_else(|| ArrayError::Item { item: item.to_owned() })?;
    match step.parse().unwrap_or(u32::MAX) {
        0 => Err(ArrayError::ZeroStep { item: item.to_owned() }),
        _ if end < start => Err(ArrayError::Backwards { item: item.to_owned() }),
        step => Ok((start, end, step)),
    }
}

fn parse_index(text: &str, item: &str, index_max: u32) -> Result<u32, ArrayError> {
    let index = digits(text).ok_or_else(|| ArrayError::Item { item: item.to_owned() })?;
    let allowed = index.parse().ok().filter(|index| *index <= index_max);
    allowed.ok_or_else(|| ArrayError::AboveMax { index: index.to_owned(), index_max })
}

/// Passes on what consists of ASCII digits only, and at least one.
fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: u32 = 1000;

    fn spec(text: &str) -> ArraySpec {
        ArraySpec::parse(text, LIMIT).expect(text)
    }

    fn shown(text: &str) -> String {
        let spec = ArraySpec::parse(text, INDEX_MAX).expect(text);
        list_text(spec.tasks(), spec.throttle(), Some(LIST_BYTES_MAX))
    }

    #[test]
    fn reads_what_slurm_reads() {
        let cases: &[(&str, &str, Option<u32>, u32)] = &[
            ("0-9", "0-9", None, 1),
            ("5", "5", None, 1),
            ("5-5", "5", None, 1),
            ("3,1,2,2", "1-3", None, 1),
            ("0-10:5", "0,5,10", None, 5),
            ("0-4:9", "0", None, 9),
            ("0-10:5,7", "0,5,7,10", None, 1),
            ("0-20:5%2", "0,5,10,15,20", Some(2), 5),
            ("[0-3]", "0-3", None, 1),
            ("[0-3%2]", "0-3", Some(2), 1),
            ("[0-3]%2", "0-3", Some(2), 1),
            ("1, 2", "1-2", None, 1),
            ("1,2,", "1-2", None, 1),
            ("0-3%0", "0-3", None, 1),
            ("01-03", "1-3", None, 1),
            ("1000", "1000", None, 1),
        ];
        for (text, tasks, throttle, step) in cases {
            let spec = spec(text);
            let read = (spec.tasks().to_string(), spec.throttle().map(NonZeroU32::get), spec.step());
            assert_eq!(read, (tasks.to_string(), *throttle, *step), "{text}");
        }
    }

    #[test]
    fn refuses_with_the_bad_text_and_the_cure() {
        let cases = [
            ("3-1", "array range '3-1' runs backwards: write the smaller index first"),
            ("0-4:0", "array range '0-4:0' has the step 0: the smallest step is 1"),
            ("1001", "array index 1001 is too large: the largest allowed is 1000"),
            ("1-99999999999", "array index 99999999999 is too large: the largest allowed is 1000"),
            ("", "the array list '' names no index: give at least one, as in 0-9"),
            ("%2", "the array list '' names no index: give at least one, as in 0-9"),
            ("0-3%", "array throttle '%' is not one number of tasks at the end, as in 0-9%2"),
            ("0-3%2%3", "array throttle '%2%3' is not one number of tasks at the end, as in 0-9%2"),
            ("0x10", "array item '0x10' is not an index N, a range N-M or a stepped range N-M:S"),
        ];
        for (text, message) in cases {
            let error = ArraySpec::parse(text, LIMIT).expect_err(text).to_string();
            assert_eq!(error, message, "{text}");
        }
        for text in ["1 ,2", "1:2", "1-3:", "1-", "-1", "1-2-3", "a", "1-3:x", "0-3%x", "+1"] {
            assert!(ArraySpec::parse(text, LIMIT).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_that_repeats_itself_without_end_is_refused_early() {
        let text = "0-4000000:2,".repeat(100);
        assert!(matches!(ArraySpec::parse(&text, INDEX_MAX), Err(ArrayError::TooLong { .. })));
        assert!(ArraySpec::parse(&"0-4000000,".repeat(1000), INDEX_MAX).is_ok());
    }

    #[test]
    fn tells_the_six_variables() {
        let spec = spec("10-50:20%3");
        assert_eq!((spec.count(), spec.min(), spec.max(), spec.step()), (3, 10, 50, 20));
        let counted = |count| ArraySpec::counted(NonZeroU32::new(count).expect("not 0"), None, LIMIT);
        assert_eq!(counted(10), ArraySpec::parse("0-9", LIMIT));
        assert_eq!(counted(LIMIT + 1), ArraySpec::parse("0-1000", LIMIT));
        assert_eq!(counted(LIMIT + 2), ArraySpec::parse("0-1001", LIMIT));
    }

    /// Every expectation here was printed by `squeue -o %K` of Slurm 22.05.8.
    #[test]
    fn lists_look_as_in_squeue() {
        let ranges = "1001-1003,2001-2003,3001-3003,4001-4003,5001-5003,6001";
        let cases: &[(&str, &str)] = &[
            ("0-9%2", "0-9%2"),
            ("0-5,8", "0-5,8"),
            ("0-20:5", "0,5,10,15,20"),
            ("0-24:12", "0,12,24"),
            ("1-11:2", "1,3,5,7,9,11"),
            ("0-15:3", "0-15:3"),
            ("0-22:2%3", "0-22:2%3"),
            ("0,5,10,15,20,25,30", "0-30:5"),
            ("0-11,100-200:50", "0-11,100,150,200"),
        ];
        for (text, list) in cases {
            assert_eq!(shown(text), *list, "{text}");
        }
        assert_eq!(shown(&format!("{ranges},7001,9")), format!("9,{ranges},7001"), "61 bytes fit");
        let cut = "99,1001-1003,2001-2003,3001-3003,4001-4003,5001-5003,6001,70...";
        assert_eq!(shown(&format!("{ranges},7001,99")), cut, "62 bytes do not");
        assert_eq!(shown(&format!("{ranges},10001,10003%7")), format!("{ranges},10001...%7"));
        let tasks = spec("1-3,5-7,9,11,13-14,20");
        assert_eq!(list_text(tasks.tasks(), None, None), "1-3,5-7,9,11,13-14,20");
        assert_eq!(list_text(tasks.tasks(), None, Some(9)), "1-3,5...");
    }

    #[test]
    fn job_references_read_and_print() {
        for text in ["12", "12_3", "12_[1-3,9]", "67043328"] {
            assert_eq!(text.parse::<JobRef>().expect(text).to_string(), text);
        }
        let listed = "7_[3,1-2]".parse::<JobRef>().expect("a list");
        assert_eq!(listed, JobRef { job: 7, tasks: TaskSelector::Listed(IndexSet::from(1..=3)) });
        for text in
            ["", "abc", "_1", "1_", "1_x", "1_[", "1_[]", "1_[0-3%2]", "1_1-2", "1_4000001", "4294967296", "-1", "1.0"]
        {
            assert!(text.parse::<JobRef>().is_err(), "{text}");
        }
    }

    fn specs() -> impl Strategy<Value = ArraySpec> {
        let listed = prop::collection::btree_set(0..=LIMIT, 1..60).prop_map(|set| (IndexSet::from_iter(set), 1));
        let stepped = (0..=LIMIT, 0..40u32, 1..25u32).prop_map(|(min, count, step)| {
            let tasks = (min..=LIMIT).step_by(step as usize).take(count as usize + 1);
            (tasks.collect(), step)
        });
        (prop_oneof![listed, stepped], any::<u32>()).prop_map(|((tasks, step), throttle)| ArraySpec {
            tasks,
            throttle: NonZeroU32::new(throttle),
            step,
        })
    }

    proptest! {
        #[test]
        fn a_printed_spec_reads_back(spec in specs()) {
            prop_assert_eq!(ArraySpec::parse(&spec.to_string(), LIMIT), Ok(spec));
        }

        #[test]
        fn an_uncut_list_names_the_same_tasks(spec in specs()) {
            let list = list_text(spec.tasks(), spec.throttle(), None);
            let read = ArraySpec::parse(&list, LIMIT).expect("a list is an array text");
            prop_assert_eq!((read.tasks(), read.throttle()), (spec.tasks(), spec.throttle()));
        }

        #[test]
        fn no_text_panics(text in "[0-9,:%\\[\\]_-]{0,24}|\\PC{0,24}") {
            let _ = ArraySpec::parse(&text, INDEX_MAX).map(|spec| list_text(spec.tasks(), None, Some(64)));
            let _ = text.parse::<JobRef>();
        }
    }
}
