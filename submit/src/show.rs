//! Times, states and names as Slurm prints them, for several commands.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proto::v1::JobState;

/// Every state: long name, short name, and the number by which Slurm sorts.
pub(crate) const STATES: [(JobState, &str, &str); 12] = [
    (JobState::Pending, "PENDING", "PD"),
    (JobState::Running, "RUNNING", "R"),
    (JobState::Suspended, "SUSPENDED", "S"),
    (JobState::Completed, "COMPLETED", "CD"),
    (JobState::Cancelled, "CANCELLED", "CA"),
    (JobState::Failed, "FAILED", "F"),
    (JobState::Timeout, "TIMEOUT", "TO"),
    (JobState::NodeFail, "NODE_FAIL", "NF"),
    (JobState::Preempted, "PREEMPTED", "PR"),
    (JobState::BootFail, "BOOT_FAIL", "BF"),
    (JobState::Deadline, "DEADLINE", "DL"),
    (JobState::OutOfMemory, "OUT_OF_MEMORY", "OOM"),
];

/// The flags that Slurm knows beside the states. Covey has only the first; the others match no job.
pub(crate) const FLAGS: [(&str, &str); 12] = [
    ("COMPLETING", "CG"),
    ("CONFIGURING", "CF"),
    ("RESIZING", "RS"),
    ("RESV_DEL_HOLD", "RD"),
    ("REQUEUED", "RQ"),
    ("REQUEUE_FED", "RF"),
    ("REQUEUE_HOLD", "RH"),
    ("REVOKED", "RV"),
    ("SIGNALING", "SI"),
    ("SPECIAL_EXIT", "SE"),
    ("STAGE_OUT", "SO"),
    ("STOPPED", "ST"),
];

/// The long and the short name of a state.
pub(crate) fn state_names(state: JobState) -> (&'static str, &'static str) {
    let found = STATES.iter().find(|(known, ..)| *known == state);
    found.map_or(("UNKNOWN", "?"), |(_, long, short)| (long, short))
}

/// A point in time, local, as `2026-11-20T13:38:00`; `None` for 0. `SLURM_TIME_FORMAT` may ask for another form.
pub(crate) fn time(unix_ms: i64) -> Option<String> {
    static FORM: std::sync::OnceLock<Form> = std::sync::OnceLock::new();
    let form = FORM.get_or_init(|| Form::of(&std::env::var("SLURM_TIME_FORMAT").unwrap_or_default()));
    let now = || jiff::Zoned::now().date();
    time_as(unix_ms, form, now)
}

/// How points in time are written.
#[derive(Debug)]
enum Form {
    Standard,
    /// Shorter the nearer it is.
    Relative,
    /// As strftime(3) has it.
    Strftime(String),
}

impl Form {
    /// What `SLURM_TIME_FORMAT` says; what makes no sense is told once.
    fn of(text: &str) -> Form {
        match text {
            "" | "standard" => Form::Standard,
            "relative" => Form::Relative,
            text if text.contains('%') => Form::Strftime(text.to_owned()),
            _ => {
                eprintln!("covey: error: invalid SLURM_TIME_FORMAT = '{text}'");
                Form::Standard
            }
        }
    }
}

fn time_as(unix_ms: i64, form: &Form, today: impl Fn() -> jiff::civil::Date) -> Option<String> {
    let time = local(unix_ms)?;
    let standard = || time.strftime(STANDARD_TIME).to_string();
    Some(match form {
        Form::Standard => standard(),
        Form::Relative => time.strftime(relative_form(time.date(), today())).to_string(),
        Form::Strftime(format) => jiff::fmt::strtime::format(format, &time).unwrap_or_else(|_| standard()),
    })
}

/// Slurm's choice by the distance in days.
fn relative_form(day: jiff::civil::Date, today: jiff::civil::Date) -> &'static str {
    let days = day.duration_since(today).as_hours() / 24;
    match days {
        0 => "%H:%M:%S",
        -1 => "Ystday %H:%M",
        1 => "Tomorr %H:%M",
        2..=6 => "%a %H:%M",
        _ if day.year() == today.year() || days.abs() <= 365 => "%-d %b %H:%M",
        _ => "%-d %b %Y",
    }
}

/// How times are printed where nothing else is asked for.
const STANDARD_TIME: &str = "%Y-%m-%dT%H:%M:%S";

/// The line above long listings, as `Fri Nov 20 13:38:00 2026`.
pub(crate) fn date_line(unix_ms: i64) -> String {
    local(unix_ms).map_or_else(String::new, |time| time.strftime("%a %b %d %H:%M:%S %Y").to_string())
}

fn local(unix_ms: i64) -> Option<jiff::Zoned> {
    let time = Timestamp::from_millisecond(unix_ms).ok().filter(|_| unix_ms != 0)?;
    Some(time.to_zoned(TimeZone::system()))
}

/// A text, or Slurm's word for none.
pub(crate) fn or_null(text: &str) -> String {
    if text.is_empty() { "(null)".into() } else { text.into() }
}

/// Adds a number. Tables have a million of them: `format!` would take several times as long as all the rest of a line.
pub(crate) fn push_number(text: &mut String, number: u64) {
    sched::spec::duration::write_number(number, text);
}

/// A comma list as typed, without its empty items.
pub(crate) fn items(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_a_form_and_fall_back_to_slurms() {
        let today = || jiff::civil::date(2027, 1, 15);
        let text = |ms, form: &str| time_as(ms, &Form::of(form), today);
        assert_eq!(text(1_800_000_000_123, "%s").as_deref(), Some("1800000000"));
        assert_eq!(text(1_800_000_000_000, "%Q%").map(|text| text.len()), Some("2027-01-15T08:00:00".len()));
        assert_eq!(text(1_800_000_000_000, "standard").map(|text| text.len()), Some("2027-01-15T08:00:00".len()));
        assert_eq!(text(0, "%s"), None);
    }

    #[test]
    fn relative_times_are_shorter_the_nearer_they_are() {
        let today = jiff::civil::date(2026, 11, 20);
        for (day, form) in [
            ((2026, 11, 20), "%H:%M:%S"),
            ((2026, 11, 19), "Ystday %H:%M"),
            ((2026, 11, 21), "Tomorr %H:%M"),
            ((2026, 11, 26), "%a %H:%M"),
            ((2026, 11, 27), "%-d %b %H:%M"),
            ((2026, 11, 18), "%-d %b %H:%M"),
            ((2025, 11, 20), "%-d %b %H:%M"),
            ((2024, 6, 6), "%-d %b %Y"),
        ] {
            let day = jiff::civil::date(day.0, day.1, day.2);
            assert_eq!(relative_form(day, today), form, "{day}");
        }
    }
}
