//! The columns of squeue, by Slurm's letters and names and under Slurm's headers, as 22.05 prints them. Start at
//! [`COLUMNS`]; the themes are in the files below. What Covey does not have prints Slurm's word for nothing.

mod absent;
mod course;
mod shape;
mod times;
mod who;

use std::rc::Rc;

use proto::v1::{JobDetail, JobRow};

use crate::row::{elapsed_s, ends_ms, expanded, restarts, start_ms, state};
use crate::show::or_null;
use crate::table::{Column, Columns, Cut, Format, Value};

/// Every column that `-o` and `-O` take.
pub(super) const COLUMNS: Columns<Listed> =
    &[who::COLUMNS, course::COLUMNS, times::COLUMNS, shape::COLUMNS, absent::COLUMNS];

/// What `%all` stands for: every letter, in Slurm's order.
pub(super) const ALL: &str = "%a|%b|%c|%d|%e|%f|%g|%h|%i|%j|%k|%l|%m|%n|%o|%p|%q|%r|%s|%t|%u|%v|%w|%x|%y|%z|\
    %A|%B|%C|%D|%E|%F|%G|%H|%I|%J|%K|%L|%M|%N|%O|%P|%Q|%R|%S|%T|%U|%V|%W|%X|%Y|%Z";

/// A job's row, and what all rows are shown with.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) row: JobRow,
    pub(super) shown: Rc<Shown>,
}

/// What is the same for all rows of a listing.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// The controller's time.
    pub(super) now_ms: i64,
    /// The cluster's name.
    pub(super) cluster: String,
    /// Sizes of memory in the unit of their request: `--noconvert`.
    pub(super) noconvert: bool,
    /// The most bytes of a list of indices: `SLURM_BITSTR_LEN`.
    pub(super) list_bytes_max: Option<usize>,
}

/// A column whose values are cut: words.
pub(super) const fn word<R>(
    letter: char,
    names: &'static [&'static str],
    header: &'static str,
    value: fn(&R) -> String,
) -> Column<R> {
    Column { letter, names, header, cut: Cut::Always, value: Value::Made(value) }
}

/// The same for values that rows have in them.
const fn lent<R>(
    letter: char,
    names: &'static [&'static str],
    header: &'static str,
    value: fn(&R) -> &str,
) -> Column<R> {
    Column { letter, names, header, cut: Cut::Always, value: Value::Lent(value) }
}

/// The same for values that are written: numbers.
const fn written<R>(
    letter: char,
    names: &'static [&'static str],
    header: &'static str,
    value: fn(&R, &mut String),
) -> Column<R> {
    Column { letter, names, header, cut: Cut::Always, value: Value::Written(value) }
}

/// A column whose values never lose their end: times and lists of nodes.
pub(super) const fn whole<R>(
    letter: char,
    names: &'static [&'static str],
    header: &'static str,
    value: fn(&R) -> String,
) -> Column<R> {
    Column { letter, names, header, cut: Cut::OnlyLeft, value: Value::Made(value) }
}

/// Whether a column is one of those that are the same for every job.
pub(super) fn is_absent(column: &Column<Listed>) -> bool {
    absent::COLUMNS.iter().any(|absent| absent.names == column.names)
}

/// What a format shows that only a costlier listing carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Files, folders, comments and wishes.
    pub(super) detail: bool,
    /// When and where what waits should start.
    pub(super) starts: bool,
}

/// The letters that need what only a detailed listing carries.
const DETAIL_LETTERS: &str = "bfhknoWxZ";
/// The same for names without a letter.
const DETAIL_NAMES: [&str; 16] = [
    "admin_comment",
    "allocnodes",
    "allocsid",
    "batchflag",
    "mintime",
    "ntpernode",
    "requeue",
    "stderr",
    "stdin",
    "stdout",
    "tres-per-job",
    "tres-per-task",
    "mailtype",
    "mailuser",
    "submitline",
    "extra",
];
/// The letters that need expected starts.
const START_LETTERS: &str = "SY";

impl Needs {
    /// What the columns of a format need.
    pub(super) fn of(format: &Format<Listed>) -> Needs {
        let mut needs = Needs::default();
        for column in format.columns() {
            needs.detail |= DETAIL_LETTERS.contains(column.letter)
                || column.names.first().is_some_and(|name| DETAIL_NAMES.contains(name));
            needs.starts |= START_LETTERS.contains(column.letter);
        }
        needs
    }

    /// The same for the letters of `--sort`.
    pub(super) fn and_sort(self, keys: &str) -> Needs {
        Needs { detail: self.detail || keys.contains(|letter| DETAIL_LETTERS.contains(letter)), ..self }
    }
}

/// The rows that a job's row becomes: one for every task still in a remainder, and one for every partition that it waits
/// for, when that is wanted.
pub(super) fn rows_of(
    row: JobRow,
    shown: &Rc<Shown>,
    by_task: bool,
    by_partition: bool,
) -> impl Iterator<Item = Listed> + use<> {
    let shown = Rc::clone(shown);
    // Nearly always it is one, which needs no list.
    let (one, mut several) = if by_task { (None, expanded(row)) } else { (Some(row), Vec::new()) };
    let one = if by_partition {
        several = one.into_iter().chain(several).flat_map(parted).collect();
        None
    } else {
        one
    };
    one.into_iter().chain(several).map(move |row| Listed { row, shown: Rc::clone(&shown) })
}

fn parted(row: JobRow) -> Vec<JobRow> {
    let one = |name: &str| JobRow { partition: name.into(), ..row.clone() };
    row.partition.split(',').map(one).collect()
}

/// A text of a row, or Slurm's word for none.
fn known(text: &str) -> &str {
    if text.is_empty() { "(null)" } else { text }
}

fn none() -> String {
    or_null("")
}

/// A text of the details, or Slurm's word for none.
fn detail(it: &Listed, field: fn(&JobDetail) -> &String) -> String {
    or_null(it.row.detail.as_ref().map_or("", |detail| field(detail)))
}

/// A text of the details, with another word for none.
fn detail_or(it: &Listed, field: fn(&JobDetail) -> &String, none: &str) -> String {
    let text = it.row.detail.as_ref().map_or("", |detail| field(detail));
    if text.is_empty() { none.to_owned() } else { text.to_owned() }
}
