//! The time window of `sacct` and its defaults, which depend on `-j` and `-s` (sacct(1), DEFAULT TIME WINDOW).

use jiff::{ToSpan, Zoned};
use proto::v1::JobRow;
use sched::spec::begin::{self, BeginError};

use crate::failure::{Failure, Outcome};

/// Both ends included, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from_ms: i64,
    pub(super) until_ms: i64,
}

impl Window {
    /// The window that `-S` and `-E` name, or that stands in for them.
    ///
    /// # Errors
    /// A text that is no time.
    pub(super) fn of(start: Option<&str>, end: Option<&str>, jobs: bool, states: bool, now: &Zoned) -> Outcome<Window> {
        let now_ms = now.timestamp().as_millisecond();
        let start_ms = start.map(|text| moment("sacct", text, now)).transpose()?;
        let end_ms = end.map(|text| moment("sacct", text, now)).transpose()?;
        let midnight = || now.start_of_day().map_or(now_ms, |day| day.timestamp().as_millisecond());
        let from_ms = start_ms.unwrap_or_else(|| match (jobs, states) {
            (true, _) => 0,
            (false, true) => now_ms,
            (false, false) => midnight(),
        });
        // A job that starts while the question travels is there, too.
        let to_now = i64::MAX;
        let until_ms = end_ms.unwrap_or(if states { start_ms.unwrap_or(to_now) } else { to_now });
        if until_ms < from_ms {
            return Err(Failure::new("sacct: error: End time is before the start time: give a later --endtime"));
        }
        Ok(Window { from_ms, until_ms })
    }

    /// A row with its start and end moved into the window.
    pub(super) fn truncated(self, row: &JobRow) -> JobRow {
        let mut row = row.clone();
        if row.started_ms != 0 {
            row.started_ms = row.started_ms.max(self.from_ms);
            if self.until_ms != i64::MAX && (row.ended_ms == 0 || row.ended_ms > self.until_ms) {
                row.ended_ms = self.until_ms;
            }
        }
        row
    }
}

/// A moment as `--begin` takes it, or `now-2days`. A time of day is today's, even where it has passed.
///
/// # Errors
/// A text that is no time, in the name of `command`.
pub(crate) fn moment(command: &str, text: &str, now: &Zoned) -> Outcome<i64> {
    let bad = |error: BeginError| {
        Failure::new(format_args!("{command}: error: Invalid time specification: {text}")).hint(Some(error))
    };
    let lower = text.trim().to_ascii_lowercase();
    let now_ms = now.timestamp().as_millisecond();
    if let Some(ago) = lower.strip_prefix("now-") {
        let ahead = begin::read(&format!("now+{ago}"), now).map_err(bad)?;
        return Ok(now_ms - (ahead.0 - now_ms));
    }
    let tells_the_day = ["now", "today", "tomorrow"].iter().any(|word| lower.contains(word));
    // Seen from the last moment of yesterday, the next 16:00 is today's.
    let eve = now.start_of_day().and_then(|day| day.checked_sub(1.millisecond()));
    let seen_from = eve.ok().filter(|_| !tells_the_day);
    Ok(begin::read(text, seen_from.as_ref().unwrap_or(now)).map_err(bad)?.0)
}
