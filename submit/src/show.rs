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
pub(crate) const FLAGS: [(&str, &str); 7] = [
    ("COMPLETING", "CG"),
    ("CONFIGURING", "CF"),
    ("REQUEUED", "RQ"),
    ("REQUEUE_HOLD", "RH"),
    ("SPECIAL_EXIT", "SE"),
    ("STOPPED", "ST"),
    ("STAGE_OUT", "SO"),
];

/// The long and the short name of a state.
pub(crate) fn state_names(state: JobState) -> (&'static str, &'static str) {
    let found = STATES.iter().find(|(known, ..)| *known == state);
    found.map_or(("UNKNOWN", "?"), |(_, long, short)| (long, short))
}

/// A point in time, local, as `2026-11-20T13:38:00`; `None` for 0. `SLURM_TIME_FORMAT` may ask for another form of strftime.
pub(crate) fn time(unix_ms: i64) -> Option<String> {
    let asked = std::env::var("SLURM_TIME_FORMAT").ok().filter(|format| format.contains('%'));
    time_as(unix_ms, asked.as_deref().unwrap_or(STANDARD_TIME))
}

fn time_as(unix_ms: i64, format: &str) -> Option<String> {
    let time = local(unix_ms)?;
    let standard = || time.strftime(STANDARD_TIME).to_string();
    Some(jiff::fmt::strtime::format(format, &time).unwrap_or_else(|_| standard()))
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

/// A comma list as typed, without its empty items.
pub(crate) fn items(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_a_form_and_fall_back_to_slurms() {
        assert_eq!(time_as(1_800_000_000_123, "%s").as_deref(), Some("1800000000"));
        assert_eq!(time_as(1_800_000_000_000, "%Q%").map(|text| text.len()), Some("2027-01-15T08:00:00".len()));
        assert_eq!(time_as(0, "%s"), None);
    }
}
