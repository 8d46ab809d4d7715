//! Time limits as users write them, and lengths of time as Slurm's commands print them.
//!
//! A limit is whole minutes; an elapsed time is whole seconds. Points in time (`--begin`) are not here, and neither is
//! any clock. Start at [`TimeLimit`].

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest limit that may be asked for, about 68 years: its seconds still fit in 31 bits. Longer is refused;
/// whoever wants no limit says so.
pub const MINUTES_MAX: u32 = i32::MAX as u32 / 60;

/// How long a job may run. Ordered, with `Unlimited` last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TimeLimit {
    /// Whole minutes.
    Minutes(NonZeroU32),
    /// No limit of its own; a partition's may still hold.
    Unlimited,
}

impl TimeLimit {
    /// The limit in seconds; `None` without one.
    pub fn seconds(self) -> Option<u64> {
        match self {
            Self::Minutes(minutes) => Some(u64::from(minutes.get()) * 60),
            Self::Unlimited => None,
        }
    }

    /// The form of `squeue`: `2:00`, `1-00:00:00`, `UNLIMITED`.
    pub fn short(self) -> String {
        self.seconds().map_or_else(|| "UNLIMITED".to_owned(), short)
    }
}

impl fmt::Display for TimeLimit {
    /// Writes the form of `scontrol` and `sacct`: `00:02:00`, `1-00:00:00`, `UNLIMITED`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.seconds().map_or_else(|| "UNLIMITED".to_owned(), padded))
    }
}

impl FromStr for TimeLimit {
    type Err = TimeLimitError;

    /// Reads `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`, or `UNLIMITED`, `INFINITE` and `-1` in any case.
    ///
    /// Fields need no padding and may exceed 60. Seconds round up to a minute, and zero is no limit, as in Slurm.
    fn from_str(text: &str) -> Result<Self, TimeLimitError> {
        if text == "-1" || ["unlimited", "infinite"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Ok(Self::Unlimited);
        }
        let fields = Fields::read(text).ok_or_else(|| TimeLimitError::Form { text: text.to_owned() })?;
        let minutes = fields.minutes().filter(|minutes| *minutes <= u64::from(MINUTES_MAX));
        let minutes = minutes.and_then(|minutes| u32::try_from(minutes).ok());
        let minutes = minutes.ok_or_else(|| TimeLimitError::TooLong { text: text.to_owned() })?;
        Ok(NonZeroU32::new(minutes).map_or(Self::Unlimited, Self::Minutes))
    }
}

/// Why a time limit was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TimeLimitError {
    /// None of the known forms.
    #[error("'{text}' is not a time limit: write M, M:S, H:M:S, D-H, D-H:M, D-H:M:S or UNLIMITED")]
    Form {
        /// The text.
        text: String,
    },
    /// More than [`MINUTES_MAX`].
    #[error("the time limit '{text}' is longer than {MINUTES_MAX} minutes: write UNLIMITED for no limit")]
    TooLong {
        /// The text.
        text: String,
    },
}

/// The numbers of a time limit, by unit.
#[derive(Default)]
struct Fields {
    days: u64,
    hours: u64,
    minutes: u64,
    seconds: u64,
}

impl Fields {
    fn read(text: &str) -> Option<Self> {
        let (days, clock) = text.split_once('-').map_or((None, text), |(days, clock)| (Some(days), clock));
        let fields: Vec<u64> = clock.split(':').map(number).collect::<Option<_>>()?;
        let zero = Self { days: days.map_or(Some(0), number)?, ..Self::default() };
        Some(match (days.is_some(), fields.as_slice()) {
            (false, &[minutes]) => Self { minutes, ..zero },
            (false, &[minutes, seconds]) => Self { minutes, seconds, ..zero },
            (true, &[hours]) => Self { hours, ..zero },
            (true, &[hours, minutes]) => Self { hours, minutes, ..zero },
            (_, &[hours, minutes, seconds]) => Self { hours, minutes, seconds, ..zero },
            _ => return None,
        })
    }

    fn minutes(&self) -> Option<u64> {
        let hours = self.days.checked_mul(24)?.checked_add(self.hours)?;
        let minutes = hours.checked_mul(60)?.checked_add(self.minutes)?;
        minutes.checked_add(self.seconds.div_ceil(60))
    }
}

/// Reads digits only; a number past all bounds becomes the largest, which no limit allows.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Prints seconds as `squeue` prints elapsed time: `0:21`, `1:02:03`, `2-03:04:05`.
pub fn short(seconds: u64) -> String {
    let mut text = String::new();
    write_short(seconds, &mut text);
    text
}

/// Adds what [`short`] prints: long tables have a hundred thousand of them, too many for `format!`.
pub fn write_short(seconds: u64, text: &mut String) {
    let (days, hours, minutes, seconds) = split(seconds);
    if days > 0 {
        write_number(days, text);
        text.push('-');
        write_pair(hours, text);
    } else if hours > 0 {
        write_number(hours, text);
    }
    if days > 0 || hours > 0 {
        text.push(':');
        write_pair(minutes, text);
    } else {
        write_number(minutes, text);
    }
    text.push(':');
    write_pair(seconds, text);
}

/// Adds a number in decimal digits.
pub fn write_number(number: u64, text: &mut String) {
    if number >= 10 {
        write_number(number / 10, text);
    }
    text.push(digit(number));
}

/// Adds a number below 100 in two digits.
fn write_pair(number: u64, text: &mut String) {
    text.push(digit(number / 10));
    text.push(digit(number));
}

/// The last one.
fn digit(number: u64) -> char {
    char::from(b"0123456789"[usize::try_from(number % 10).unwrap_or_default()])
}

/// Prints seconds as `scontrol` and `sacct` do: `00:00:21`, `01:02:03`, `2-03:04:05`.
pub fn padded(seconds: u64) -> String {
    let (days, hours, minutes, seconds) = split(seconds);
    let days = if days == 0 { String::new() } else { format!("{days}-") };
    format!("{days}{hours:02}:{minutes:02}:{seconds:02}")
}

/// Days, hours, minutes, seconds.
fn split(seconds: u64) -> (u64, u64, u64, u64) {
    (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Text, `squeue -o %l`, `scontrol show job`: as printed by Slurm 22.05.8.
    #[test]
    fn reads_and_prints_as_slurm_does() {
        let cases = [
            ("2", "2:00", "00:02:00"),
            ("90", "1:30:00", "01:30:00"),
            ("0:01", "1:00", "00:01:00"),
            ("1:00", "1:00", "00:01:00"),
            ("1:01", "2:00", "00:02:00"),
            ("0:60", "1:00", "00:01:00"),
            ("0:61", "2:00", "00:02:00"),
            ("0:3600", "1:00:00", "01:00:00"),
            ("100:00:00", "4-04:00:00", "4-04:00:00"),
            ("1:90:00", "2:30:00", "02:30:00"),
            ("1:2:3", "1:03:00", "01:03:00"),
            ("01:02:03", "1:03:00", "01:03:00"),
            ("1-0", "1-00:00:00", "1-00:00:00"),
            ("1-25", "2-01:00:00", "2-01:00:00"),
            ("1-2:3", "1-02:03:00", "1-02:03:00"),
            ("1-2:3:4", "1-02:04:00", "1-02:04:00"),
            ("0-0:5", "5:00", "00:05:00"),
            ("525600", "365-00:00:00", "365-00:00:00"),
            ("0", "UNLIMITED", "UNLIMITED"),
            ("0:0:0", "UNLIMITED", "UNLIMITED"),
            ("-1", "UNLIMITED", "UNLIMITED"),
            ("Infinite", "UNLIMITED", "UNLIMITED"),
            ("UNLIMITED", "UNLIMITED", "UNLIMITED"),
        ];
        for (text, squeue, scontrol) in cases {
            let limit: TimeLimit = text.parse().expect(text);
            assert_eq!((limit.short().as_str(), limit.to_string().as_str()), (squeue, scontrol), "{text}");
        }
    }

    #[test]
    fn digits_are_written_as_format_writes_them() {
        for number in [0, 7, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut text = "<".to_owned();
            write_number(number, &mut text);
            assert_eq!(text, format!("<{number}"));
        }
        for (seconds, short) in
            [(0, "0:00"), (59, "0:59"), (600, "10:00"), (3_723, "1:02:03"), (864_007, "10-00:00:07")]
        {
            assert_eq!(super::short(seconds), short);
        }
    }

    #[test]
    fn refuses_what_slurm_refuses_and_what_overflows() {
        for text in [
            "",
            ":",
            "1:",
            ":30",
            "-5",
            "1-",
            "1:2:3:4",
            "1-2:3:4:5",
            "1-1-1",
            "1.5",
            "1m",
            " 1",
            "1 ",
            "+5",
            "unlim",
            "1:-1",
        ] {
            assert!(matches!(text.parse::<TimeLimit>(), Err(TimeLimitError::Form { .. })), "{text}");
        }
        for text in ["35791395", "100000000000", "99999999999999999999999", "18446744073709551615-23:59:59"] {
            assert!(matches!(text.parse::<TimeLimit>(), Err(TimeLimitError::TooLong { .. })), "{text}");
        }
        assert!("35791394".parse::<TimeLimit>().is_ok());
    }

    #[test]
    fn elapsed_times_look_as_in_squeue_and_sacct() {
        let cases = [
            (0, "0:00", "00:00:00"),
            (21, "0:21", "00:00:21"),
            (600, "10:00", "00:10:00"),
            (3723, "1:02:03", "01:02:03"),
            (183_845, "2-03:04:05", "2-03:04:05"),
        ];
        for (seconds, squeue, sacct) in cases {
            assert_eq!((short(seconds).as_str(), padded(seconds).as_str()), (squeue, sacct));
        }
    }

    #[test]
    fn no_limit_is_the_longest() {
        let day: TimeLimit = "1-0".parse().expect("one day");
        assert!(day < TimeLimit::Unlimited && day > "23:59:00".parse().expect("less than a day"));
    }

    proptest! {
        #[test]
        fn a_printed_limit_reads_back(minutes in 0..=MINUTES_MAX) {
            let limit = NonZeroU32::new(minutes).map_or(TimeLimit::Unlimited, TimeLimit::Minutes);
            prop_assert_eq!(limit.to_string().parse(), Ok(limit));
            prop_assert_eq!(limit.short().parse(), Ok(limit));
        }

        #[test]
        fn no_text_panics(text in "[0-9:-]{0,30}|\\PC{0,20}") {
            let _ = text.parse::<TimeLimit>();
        }
    }
}
