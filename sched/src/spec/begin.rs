//! `--begin`: a moment in the forms that Slurm's `parse_time` takes. The present and its time zone come in as a value.
//!
//! `now`, `now+2hours`, `16:00`, `4:30PM`, `noon`, `teatime`, `tomorrow`, `0131`, `1/31/27`, `2027-01-31T08:00`, `uts1800000000`, or a
//! date and a time joined by a blank or a dash. A time of day that has passed means tomorrow; a date alone means its first minute.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan, Zoned};
use thiserror::Error;

use crate::ids::Timestamp;

/// A text that names no moment.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no time: write now+1hour, 16:00, tomorrow, 2027-01-31 or 2027-01-31T08:00")]
pub struct BeginError(String);

/// Reads a moment, seen from `now`.
///
/// # Errors
/// When the text names none.
pub fn read(text: &str, now: &Zoned) -> Result<Timestamp, BeginError> {
    let lower = text.trim().to_ascii_lowercase();
    let moment = from_now(&lower, now).or_else(|| since_1970(&lower)).or_else(|| on_the_calendar(&lower, now));
    moment.ok_or_else(|| BeginError(text.to_owned()))
}

/// `now`, `now+N[unit]`; units may be cut short.
fn from_now(text: &str, now: &Zoned) -> Option<Timestamp> {
    let rest = text.strip_prefix("now")?.trim();
    let now = Timestamp(now.timestamp().as_millisecond());
    if rest.is_empty() {
        return Some(now);
    }
    let amount = rest.strip_prefix('+')?.trim();
    let digits = amount.find(|c: char| !c.is_ascii_digit()).unwrap_or(amount.len());
    let count: u64 = amount[..digits].parse().ok()?;
    let unit = amount[digits..].trim();
    let units = [("seconds", 1), ("minutes", 60), ("hours", 3_600), ("days", 86_400), ("weeks", 604_800)];
    let (_, seconds) = units.into_iter().find(|(name, _)| name.starts_with(unit))?;
    Some(now.plus_ms(count.checked_mul(seconds)?.checked_mul(1_000)?))
}

fn since_1970(text: &str) -> Option<Timestamp> {
    text.strip_prefix("uts")?.parse::<u32>().ok().map(|seconds| Timestamp(i64::from(seconds) * 1_000))
}

/// A date, a time of day, or both.
fn on_the_calendar(text: &str, now: &Zoned) -> Option<Timestamp> {
    let iso = |parts: &(&str, &str)| parts.0.contains('-') && parts.0.ends_with(|c: char| c.is_ascii_digit());
    if let Some((date, time)) = text.split_once('t').filter(iso) {
        return moment(read_date(date, now)?, read_time(time)?, now);
    }
    let joined = text.split_once(' ').or_else(|| text.split_once('-').filter(|_| read_date(text, now).is_none()));
    if let Some((first, second)) = joined {
        let (first, second) = (first.trim(), second.trim());
        let either = |date, time| moment(read_date(date, now)?, read_time(time)?, now);
        return either(first, second).or_else(|| either(second, first));
    }
    if let Some(date) = read_date(text, now) {
        return moment(date, Time::midnight(), now);
    }
    let time = read_time(text)?;
    let today = now.date();
    let day = if time > now.time() { today } else { today.tomorrow().ok()? };
    moment(day, time, now)
}

fn moment(date: Date, time: Time, now: &Zoned) -> Option<Timestamp> {
    let zoned = date.to_datetime(time).to_zoned(now.time_zone().clone()).ok()?;
    Some(Timestamp(zoned.timestamp().as_millisecond()))
}

fn read_date(text: &str, now: &Zoned) -> Option<Date> {
    let today = now.date();
    match text {
        "today" => return Some(today),
        "tomorrow" => return today.tomorrow().ok(),
        _ => {}
    }
    let number = |digits: &str| digits.parse::<i16>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let numbers = |separator: char| text.split(separator).map(number).collect::<Option<Vec<i16>>>();
    let (year, month, day) = match (numbers('-').as_deref(), numbers('/').as_deref(), numbers('.').as_deref()) {
        (Some(&[year, month, day]), ..) if year >= 1000 => (Some(year), month, day),
        (_, Some(&[month, day]), _) | (_, _, Some(&[month, day])) => (None, month, day),
        (_, Some(&[month, day, year]), _) | (_, _, Some(&[month, day, year])) => (Some(year), month, day),
        _ if matches!(text.len(), 4 | 6) => {
            let pair = |at: usize| text.get(at..at + 2).and_then(number);
            (if text.len() == 6 { Some(pair(4)?) } else { None }, pair(0)?, pair(2)?)
        }
        _ => return None,
    };
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    match year {
        Some(year) => Date::new(if year < 100 { year + 2000 } else { year }, month, day).ok(),
        None => {
            let this_year = Date::new(today.year(), month, day).ok()?;
            if this_year < today { this_year.checked_add(1.year()).ok() } else { Some(this_year) }
        }
    }
}

fn read_time(text: &str) -> Option<Time> {
    let words = [("midnight", 0), ("elevenses", 11), ("noon", 12), ("fika", 15), ("teatime", 16)];
    if let Some((_, hour)) = words.into_iter().find(|(word, _)| *word == text) {
        return Time::new(hour, 0, 0, 0).ok();
    }
    let (clock, half) = match text.strip_suffix("pm") {
        Some(clock) => (clock, Some(12)),
        None => text.strip_suffix("am").map_or((text, None), |clock| (clock, Some(0))),
    };
    let fields: Vec<i8> = clock.trim().split(':').map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let (hour, minute, second) = match fields[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let hour = match half {
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(half) => hour % 12 + half,
        None => hour,
    };
    Time::new(hour, minute, second, 0).ok()
}

/// A moment of UTC, for callers without a zone of their own.
#[must_use]
pub fn utc(at: Timestamp) -> Zoned {
    let duration = SignedDuration::from_millis(at.0);
    jiff::Timestamp::from_duration(duration).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T13:00:00Z.
    const NOW: Timestamp = Timestamp(1_795_179_600_000);

    fn at(text: &str) -> String {
        read(text, &utc(NOW)).map_or_else(|error| error.to_string(), |at| utc(at).datetime().to_string())
    }

    #[test]
    fn moments_are_read() {
        for (text, moment) in [
            ("now", "2026-11-20T13:00:00"),
            ("now+90", "2026-11-20T13:01:30"),
            ("now+2hours", "2026-11-20T15:00:00"),
            ("now+1d", "2026-11-21T13:00:00"),
            ("NOW+1week", "2026-11-27T13:00:00"),
            ("16:00", "2026-11-20T16:00:00"),
            ("9:30", "2026-11-21T09:30:00"),
            ("4:15PM", "2026-11-20T16:15:00"),
            ("12:05am", "2026-11-21T00:05:00"),
            ("midnight", "2026-11-21T00:00:00"),
            ("teatime", "2026-11-20T16:00:00"),
            ("tomorrow", "2026-11-21T00:00:00"),
            ("noon-tomorrow", "2026-11-21T12:00:00"),
            ("tomorrow 8:00", "2026-11-21T08:00:00"),
            ("1224", "2026-12-24T00:00:00"),
            ("0131", "2027-01-31T00:00:00"),
            ("12/24/27", "2027-12-24T00:00:00"),
            ("12.24", "2026-12-24T00:00:00"),
            ("2027-02-28", "2027-02-28T00:00:00"),
            ("2027-02-28T08:30", "2027-02-28T08:30:00"),
            ("2027-02-28T08:30:15", "2027-02-28T08:30:15"),
            ("uts1800000000", "2027-01-15T08:00:00"),
        ] {
            assert_eq!(at(text), moment, "{text}");
        }
    }

    #[test]
    fn what_names_no_moment_is_refused() {
        for text in ["", "soon", "now-1", "now+", "now+1fortnight", "25:00", "13:00pm", "2027-02-30", "1332", "8"] {
            assert!(read(text, &utc(NOW)).is_err(), "{text} gave {}", at(text));
        }
    }
}
