//! What a job's row says beyond its fields: names, times and counts that are computed from several of them, for every
//! command that prints jobs.

use proto::v1::{JobRow, JobState};
use sched::spec::array::{ArraySpec, INDEX_MAX, LIST_BYTES_MAX, list_text};
use sched::spec::index_set::IndexSet;

use crate::show::state_names;

/// A job as people name it: `5`, `5_3` or `5_[0-9%2]`.
pub(crate) fn display_id(row: &JobRow) -> String {
    id_within(row, Some(LIST_BYTES_MAX))
}

/// The same with a list of indices of at most so many bytes.
pub(crate) fn id_within(row: &JobRow, bytes_max: Option<usize>) -> String {
    match (row.array_id, row.index) {
        (0, _) => row.id.to_string(),
        (array, Some(index)) => format!("{array}_{index}"),
        (array, None) => match tasks_within(row, bytes_max) {
            Some(list) => format!("{array}_[{list}]"),
            None => row.id.to_string(),
        },
    }
}

/// The indices of a row in an array, as `7` or `2-9%2`; `None` outside of arrays.
pub(crate) fn tasks_text(row: &JobRow) -> Option<String> {
    tasks_within(row, Some(LIST_BYTES_MAX))
}

/// The same in at most so many bytes.
pub(crate) fn tasks_within(row: &JobRow, bytes_max: Option<usize>) -> Option<String> {
    let throttle = std::num::NonZeroU32::new(row.throttle);
    row.index.map(|index| index.to_string()).or_else(|| Some(list_text(&remainder(row)?, throttle, bytes_max)))
}

/// One row for every task in a remainder.
pub(crate) fn expanded(row: JobRow) -> Vec<JobRow> {
    let Some(tasks) = remainder(&row) else { return vec![row] };
    tasks.iter().map(|index| JobRow { index: Some(index), remainder: String::new(), ..row.clone() }).collect()
}

/// The number of the job, or of the array that the row is of.
pub(crate) fn array_or_job(row: &JobRow) -> u32 {
    if row.array_id == 0 { row.id } else { row.array_id }
}

fn remainder(row: &JobRow) -> Option<IndexSet> {
    ArraySpec::parse(&row.remainder, INDEX_MAX).ok().map(|list| list.tasks().clone())
}

/// When a job has started, or should; 0 where nobody knows.
pub(crate) fn start_ms(row: &JobRow) -> i64 {
    if row.started_ms == 0 { row.expected_start_ms } else { row.started_ms }
}

/// When a job ends at the latest, in milliseconds: at its end, or with its limit.
pub(crate) fn ends_ms(row: &JobRow) -> Option<i64> {
    match (row.ended_ms, row.time_limit_minutes) {
        (0, Some(minutes)) => Some(row.started_ms + i64::try_from(row.paused_ms + minutes.checked_mul(60_000)?).ok()?),
        (0, None) => None,
        (ended_ms, _) => Some(ended_ms),
    }
}

/// Seconds that a job has run, or ran; while it is suspended the clock stands.
pub(crate) fn elapsed_s(row: &JobRow, now_ms: i64) -> u64 {
    let end_ms = match (row.ended_ms, row.suspended_ms) {
        (0, 0) => now_ms,
        (0, suspended_ms) => suspended_ms,
        (ended_ms, _) => ended_ms,
    };
    let ran_ms = u64::try_from(end_ms - row.started_ms).unwrap_or(0).saturating_sub(row.paused_ms);
    if row.started_ms == 0 { 0 } else { ran_ms / 1000 }
}

/// How often it was started again; what waits after an attempt is about to be, and counts as if it were.
pub(crate) fn restarts(row: &JobRow) -> u32 {
    let runs_or_ran = row.state() != JobState::Pending && row.started_ms != 0;
    row.attempts.saturating_sub(runs_or_ran.into())
}

/// The names of a row's state; a job on its way out is COMPLETING, whatever comes of it.
pub(crate) fn state(row: &JobRow) -> (&'static str, &'static str) {
    match row {
        JobRow { completing: true, .. } => ("COMPLETING", "CG"),
        JobRow { special_exit: true, .. } => ("SPECIAL_EXIT", "SE"),
        row => state_names(row.state()),
    }
}

/// Whether it has, or had, nodes of its own.
pub(crate) fn has_started(row: &JobRow) -> bool {
    row.started_ms != 0 && row.state() != JobState::Pending
}

/// What was asked for, in Slurm's short form; memory only where it was named.
pub(crate) fn tres_asked(row: &JobRow) -> String {
    let times = if row.memory_per_cpu { row.cpus } else { row.node_count };
    tres(row, row.memory_mib.saturating_mul(times.into()))
}

/// What it holds, or held; `None` for what has not started.
pub(crate) fn tres_held(row: &JobRow) -> Option<String> {
    has_started(row).then(|| tres(row, row.memory_held_mib.saturating_mul(row.node_count.into())))
}

/// An amount of memory in a list of resources: in the largest unit that gives a whole number.
pub(crate) fn tres_memory(mib: u64) -> String {
    let (mut count, mut unit) = (mib, 'M');
    for larger in "GTPE".chars() {
        if count < 1024 || !count.is_multiple_of(1024) {
            break;
        }
        (count, unit) = (count / 1024, larger);
    }
    format!("{count}{unit}")
}

fn tres(row: &JobRow, memory_mib: u64) -> String {
    let memory = if memory_mib == 0 { String::new() } else { format!("mem={},", tres_memory(memory_mib)) };
    format!("cpu={},{memory}node={},billing={}", row.cpus, row.node_count, row.cpus)
}
