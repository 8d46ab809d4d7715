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

/// A point in time, local, as `2026-11-20T13:38:00`; `None` for 0.
pub(crate) fn time(unix_ms: i64) -> Option<String> {
    local(unix_ms).map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string())
}

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
