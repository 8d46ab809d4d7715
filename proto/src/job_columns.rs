//! Rows of jobs in columns: what a listing hands over to a caller who has said which fields he reads.
//!
//! A field of a page is a list of numbers, and a text that several rows share is there once. Only plain fields have columns, numbers and
//! texts; who reads any other gets whole rows. The controller packs ([`Packer`]), and a command reads ([`visit`]).

use std::collections::HashMap;

use crate::error::WireError;
use crate::v1::{JobColumn, JobColumns, JobRow};

/// A number on the wire: as protobuf has it, and what may be absent is one more, with 0 for absent.
trait Plain: Sized {
    fn pack(&self) -> u64;
    fn unpack(value: u64) -> Self;
}

macro_rules! plain {
    ($($kind:ty, $row:ident: $pack:expr, $value:ident: $unpack:expr;)*) => {$(
        impl Plain for $kind {
            fn pack(&self) -> u64 { let $row = *self; $pack }
            fn unpack($value: u64) -> Self { $unpack }
        }
    )*};
}

plain! {
    u32, own: own.into(), value: u32::try_from(value).unwrap_or(u32::MAX);
    u64, own: own, value: value;
    bool, own: own.into(), value: value != 0;
    i64, own: own.cast_unsigned(), value: value.cast_signed();
    i32, own: i64::from(own).cast_unsigned(), value: i32::try_from(value.cast_signed()).unwrap_or_default();
    Option<u32>, own: own.map_or(0, |own| u64::from(own) + 1),
        value: value.checked_sub(1).map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    Option<u64>, own: own.map_or(0, |own| own.saturating_add(1)), value: value.checked_sub(1);
}

/// How a field is read off a row, and put there.
#[derive(Clone, Copy)]
enum Place {
    Number { get: fn(&JobRow) -> u64, set: fn(&mut JobRow, u64) },
    Text { get: fn(&JobRow) -> &str, set: fn(&mut JobRow, &str) },
}

macro_rules! place {
    (number $name:ident) => {
        Place::Number { get: |row| Plain::pack(&row.$name), set: |row, value| row.$name = Plain::unpack(value) }
    };
    (text $name:ident) => {
        Place::Text {
            get: |row| &row.$name,
            set: |row, text| {
                row.$name.clear();
                row.$name.push_str(text);
            },
        }
    };
}

macro_rules! fields {
    ($($kind:ident $number:literal $constant:ident $name:ident;)*) => {
        /// The numbers of the plain fields of a `JobRow`, as its `.proto` file has them.
        pub mod field {
            #![allow(missing_docs, reason = "they are described there")]
            $(pub const $constant: u32 = $number;)*
        }

        const PLACES: &[(u32, Place)] = &[$(($number, place!($kind $name))),*];
    };
}

fields! {
    number 1 ID id;
    number 2 ARRAY_ID array_id;
    number 3 INDEX index;
    text 4 REMAINDER remainder;
    number 5 THROTTLE throttle;
    text 6 NAME name;
    text 7 USER user;
    number 8 UID uid;
    text 9 GROUP group;
    number 10 GID gid;
    text 11 PARTITION partition;
    number 12 STATE state;
    number 13 COMPLETING completing;
    text 14 REASON reason;
    text 15 NOTE note;
    number 16 PRIORITY priority;
    number 17 SUBMITTED_MS submitted_ms;
    number 18 STARTED_MS started_ms;
    number 19 ENDED_MS ended_ms;
    number 20 TIME_LIMIT_MINUTES time_limit_minutes;
    text 21 NODES nodes;
    number 22 NODE_COUNT node_count;
    text 23 BATCH_HOST batch_host;
    number 24 CPUS cpus;
    number 25 PROCESSES processes;
    number 26 CPUS_PER_PROCESS cpus_per_process;
    number 27 MEMORY_MIB memory_mib;
    number 28 MEMORY_PER_CPU memory_per_cpu;
    number 29 EXIT_CODE exit_code;
    number 30 EXIT_SIGNAL exit_signal;
    number 31 CANCELLED_BY cancelled_by;
    number 32 ATTEMPTS attempts;
    number 34 MEMORY_HELD_MIB memory_held_mib;
    text 35 DEPENDENCY dependency;
    number 36 ELIGIBLE_MS eligible_ms;
    number 41 NICE nice;
    number 42 DEADLINE_MS deadline_ms;
    number 43 PAUSED_MS paused_ms;
    number 44 SUSPENDED_MS suspended_ms;
    number 45 EXPECTED_START_MS expected_start_ms;
    text 46 EXPECTED_NODES expected_nodes;
    text 50 ACCOUNT account;
    text 51 QOS qos;
    text 52 WCKEY wckey;
    text 53 RESERVATION reservation;
    number 55 DERIVED_EXIT_CODE derived_exit_code;
    number 56 DERIVED_EXIT_SIGNAL derived_exit_signal;
    number 60 SPECIAL_EXIT special_exit;
    number 70 REQUEUED requeued;
}

fn place_of(number: u32) -> Option<Place> {
    PLACES.iter().find(|(known, _)| *known == number).map(|(_, place)| *place)
}

/// Some plain fields of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields(u128);

impl Fields {
    /// All of them.
    pub const ALL: Fields = Fields(u128::MAX);
    /// None of them.
    pub const NONE: Fields = Fields(0);

    /// Those with these numbers.
    #[must_use]
    pub fn of(numbers: &[u32]) -> Fields {
        numbers.iter().fold(Fields::NONE, |fields, number| fields.with(*number))
    }

    /// This one, too.
    #[must_use]
    pub const fn with(self, number: u32) -> Fields {
        if number < u128::BITS { Fields(self.0 | 1 << number) } else { self }
    }

    /// These, too.
    #[must_use]
    pub const fn and(self, others: Fields) -> Fields {
        Fields(self.0 | others.0)
    }

    /// Whether this one is among them.
    #[must_use]
    pub const fn has(self, number: u32) -> bool {
        number < u128::BITS && self.0 >> number & 1 == 1
    }

    /// Their numbers, in order.
    #[must_use]
    pub fn numbers(self) -> Vec<u32> {
        PLACES.iter().map(|(number, _)| *number).filter(|number| self.has(*number)).collect()
    }
}

/// Packs rows into columns.
#[derive(Default)]
pub struct Packer {
    columns: Vec<Packed>,
    rows: u32,
    texts: Vec<String>,
    /// Where each text stands, counted from 1.
    places: HashMap<String, u64>,
    text_bytes: usize,
}

struct Packed {
    number: u32,
    place: Place,
    values: Vec<u64>,
    /// Whether any of them is not the default.
    told: bool,
}

impl Packer {
    /// Of the fields with these numbers; none where there are none, or one has no columns.
    #[must_use]
    pub fn new(numbers: &[u32]) -> Option<Packer> {
        let column =
            |number: u32| place_of(number).map(|place| Packed { number, place, values: Vec::new(), told: false });
        let numbers: std::collections::BTreeSet<u32> = numbers.iter().copied().collect();
        let columns: Vec<Packed> = numbers.into_iter().map(column).collect::<Option<_>>()?;
        (!columns.is_empty()).then(|| Packer { columns, ..Packer::default() })
    }

    /// Adds a row.
    pub fn add(&mut self, row: &JobRow) {
        self.rows += 1;
        for column in &mut self.columns {
            let value = match column.place {
                Place::Number { get, .. } => get(row),
                Place::Text { get, .. } => match (get(row), column.values.last()) {
                    ("", _) => 0,
                    // Neighbours are alike more often than not.
                    (text, Some(last)) if *last > 0 && index(*last).is_some_and(|at| self.texts[at] == text) => *last,
                    (text, _) => match self.places.get(text) {
                        Some(place) => *place,
                        None => {
                            self.texts.push(text.to_owned());
                            self.text_bytes += text.len();
                            self.places.insert(text.to_owned(), self.texts.len() as u64);
                            self.texts.len() as u64
                        }
                    },
                },
            };
            column.told |= value != 0;
            column.values.push(value);
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows as usize
    }

    /// How many values they have, and how many bytes their texts.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.rows() * self.columns.len(), self.text_bytes)
    }

    /// The rows so far, and begins anew.
    pub fn take(&mut self) -> JobColumns {
        let column = |packed: &mut Packed| {
            let room = packed.values.len();
            let values = std::mem::replace(&mut packed.values, Vec::with_capacity(room));
            let values = if std::mem::take(&mut packed.told) { values } else { Vec::new() };
            JobColumn { field: packed.number, values }
        };
        self.places.clear();
        self.text_bytes = 0;
        JobColumns {
            rows: std::mem::take(&mut self.rows),
            texts: std::mem::take(&mut self.texts),
            columns: self.columns.iter_mut().map(column).collect(),
        }
    }
}

/// The place of a text among those of its page, counted from 0; none for the empty one.
fn index(value: u64) -> Option<usize> {
    usize::try_from(value).ok()?.checked_sub(1)
}

/// A column that is read.
struct Read<'a> {
    place: Place,
    values: &'a [u64],
    last: u64,
}

/// Shows each row of a page in turn in `holder`, whose row `row` gives: the fields of the page are set there, and no others are touched.
///
/// # Errors
/// When columns are not as long as they should be, or a text is not there.
pub fn visit<H>(
    page: &JobColumns,
    holder: &mut H,
    row: impl Fn(&mut H) -> &mut JobRow,
    mut each: impl FnMut(&H),
) -> Result<(), WireError> {
    let bad = |value: String| WireError::Meaningless { field: "columns", value };
    let mut read = Vec::with_capacity(page.columns.len());
    for column in &page.columns {
        // A field that this command does not know was not asked for.
        let Some(place) = place_of(column.field) else { continue };
        // The empty text is always there.
        put(place, row(holder), 0, &[]).unwrap_or_default();
        match column.values.len() {
            0 => {}
            rows if rows == page.rows as usize => read.push(Read { place, values: &column.values, last: 0 }),
            rows => return Err(bad(format!("{rows} values of {} rows", page.rows))),
        }
    }
    for at in 0..page.rows as usize {
        for column in &mut read {
            let value = column.values[at];
            if value != column.last {
                column.last = value;
                put(column.place, row(holder), value, &page.texts).ok_or_else(|| bad(format!("text {value}")))?;
            }
        }
        each(holder);
    }
    Ok(())
}

/// Puts a value where it belongs; none where there is no such text.
fn put(place: Place, row: &mut JobRow, value: u64, texts: &[String]) -> Option<()> {
    match place {
        Place::Number { set, .. } => set(row, value),
        Place::Text { set, .. } if value == 0 => set(row, ""),
        Place::Text { set, .. } => set(row, texts.get(index(value)?)?),
    }
    Some(())
}

#[cfg(test)]
mod tests;
