//! The columns of squeue, by Slurm's letters and under Slurm's headers. What Covey does not have prints Slurm's word
//! for nothing. Start at [`COLUMNS`].

use proto::v1::{JobDetail, JobRow, JobState};
use sched::spec::array::{ArraySpec, INDEX_MAX, LIST_BYTES_MAX, list_text};
use sched::spec::duration;
use sched::spec::index_set::IndexSet;
use sched::spec::size::Mebibytes;

use crate::show::{self, or_null, state_names};
use crate::table::Column;

/// A job's row, and when it was listed.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) row: JobRow,
    pub(super) now_ms: i64,
}

/// A column whose values are cut: words.
const fn word(letter: char, header: &'static str, value: fn(&Listed) -> String) -> Column<Listed> {
    Column { letter, header, cut: true, value }
}

/// A column whose values never lose their end: numbers, times, lists.
const fn whole(letter: char, header: &'static str, value: fn(&Listed) -> String) -> Column<Listed> {
    Column { letter, header, cut: false, value }
}

/// Every letter that `-o` takes.
pub(super) const COLUMNS: &[Column<Listed>] = &[
    word('A', "JOBID", |it| it.row.id.to_string()),
    word('a', "ACCOUNT", |_| none()),
    word('B', "EXEC_HOST", |it| if it.row.batch_host.is_empty() { "n/a".into() } else { it.row.batch_host.clone() }),
    word('b', "TRES_PER_NODE", |it| {
        let gres = it.row.detail.as_ref().map_or("", |detail| &detail.gres_per_node);
        if gres.is_empty() { "N/A".into() } else { gres.to_owned() }
    }),
    whole('C', "CPUS", |it| it.row.cpus.to_string()),
    whole('c', "MIN_CPUS", |it| it.row.cpus_per_process.max(1).to_string()),
    whole('D', "NODES", |it| it.row.node_count.to_string()),
    word('d', "MIN_TMP_DISK", |_| "0".into()),
    word('E', "DEPENDENCY", |it| or_null(&it.row.dependency)),
    whole('e', "END_TIME", end_time),
    word('F', "ARRAY_JOB_ID", |it| if it.row.array_id == 0 { it.row.id } else { it.row.array_id }.to_string()),
    word('f', "FEATURES", |it| detail(it, |detail| &detail.constraint)),
    word('G', "GROUP", |it| it.row.gid.to_string()),
    word('g', "GROUP", |it| it.row.group.clone()),
    word('h', "OVER_SUBSCRIBE", |it| {
        let alone = it.row.detail.as_ref().is_some_and(|detail| detail.exclusive);
        if alone { "NO" } else { "OK" }.into()
    }),
    word('i', "JOBID", |it| display_id(&it.row)),
    word('j', "NAME", |it| or_null(&it.row.name)),
    word('K', "ARRAY_TASK_ID", |it| tasks_text(&it.row).unwrap_or_else(|| "N/A".into())),
    word('k', "COMMENT", |it| detail(it, |detail| &detail.comment)),
    whole('L', "TIME_LEFT", time_left),
    whole('l', "TIME_LIMIT", time_limit),
    whole('M', "TIME", |it| duration::short(elapsed_s(&it.row, it.now_ms))),
    word('m', "MIN_MEMORY", |it| Mebibytes(it.row.memory_mib).to_string()),
    whole('N', "NODELIST", |it| it.row.nodes.clone()),
    word('n', "REQ_NODES", |it| it.row.detail.as_ref().map(|it| it.nodes_asked.clone()).unwrap_or_default()),
    word('o', "COMMAND", |it| detail(it, |detail| &detail.command)),
    word('P', "PARTITION", |it| it.row.partition.clone()),
    word('p', "PRIORITY", |it| format!("{:.14}", f64::from(it.row.priority) / f64::from(u32::MAX))),
    word('Q', "PRIORITY", |it| it.row.priority.to_string()),
    word('q', "QOS", |_| none()),
    whole('R', "NODELIST(REASON)", nodes_or_reason),
    word('r', "REASON", |it| it.row.reason.clone()),
    whole('S', "START_TIME", |it| show::time(start_ms(&it.row)).unwrap_or_else(|| "N/A".into())),
    word('T', "STATE", |it| state(&it.row).0.into()),
    word('t', "ST", |it| state(&it.row).1.into()),
    word('U', "UID", |it| it.row.uid.to_string()),
    word('u', "USER", |it| it.row.user.clone()),
    whole('V', "SUBMIT_TIME", |it| show::time(it.row.submitted_ms).unwrap_or_else(|| "N/A".into())),
    word('v', "RESERVATION", |_| none()),
    word('W', "LICENSES", |it| detail(it, |detail| &detail.licenses)),
    word('w', "WCKEY", |_| none()),
    word('x', "EXC_NODES", |it| it.row.detail.as_ref().map(|it| it.nodes_excluded.clone()).unwrap_or_default()),
    word('Y', "SCHEDNODES", |it| or_null(&it.row.expected_nodes)),
    word('y', "NICE", |it| it.row.nice.to_string()),
    word('Z', "WORK_DIR", |it| detail(it, |detail| &detail.work_dir)),
    word('z', "S:C:T", |_| "*:*:*".into()),
];

/// The letters that need what only a detailed listing carries.
pub(super) const DETAIL_LETTERS: [char; 9] = ['b', 'f', 'h', 'k', 'n', 'o', 'W', 'x', 'Z'];

/// The letters that need expected starts.
pub(super) const START_LETTERS: [char; 2] = ['S', 'Y'];

/// When a job has started, or should; 0 where nobody knows.
pub(crate) fn start_ms(row: &JobRow) -> i64 {
    if row.started_ms == 0 { row.expected_start_ms } else { row.started_ms }
}

/// The rows that a job's row becomes: one for every task still in a remainder, when that is wanted.
pub(super) fn rows_of(row: JobRow, now_ms: i64, expand: bool) -> impl Iterator<Item = Listed> {
    let rows = if expand { expanded(row) } else { vec![row] };
    rows.into_iter().map(move |row| Listed { row, now_ms })
}

/// One row for every task in a remainder.
pub(crate) fn expanded(row: JobRow) -> Vec<JobRow> {
    let Some(tasks) = remainder(&row) else { return vec![row] };
    tasks.iter().map(|index| JobRow { index: Some(index), remainder: String::new(), ..row.clone() }).collect()
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

/// The indices of a row in an array, as `7` or `2-9%2`; `None` outside of arrays.
pub(crate) fn tasks_text(row: &JobRow) -> Option<String> {
    let throttle = std::num::NonZeroU32::new(row.throttle);
    row.index
        .map(|index| index.to_string())
        .or_else(|| Some(list_text(&remainder(row)?, throttle, Some(LIST_BYTES_MAX))))
}

/// When a job ends at the latest, in milliseconds: at its end, or with its limit.
pub(crate) fn ends_ms(row: &JobRow) -> Option<i64> {
    match (row.ended_ms, row.time_limit_minutes) {
        (0, Some(minutes)) => Some(row.started_ms + i64::try_from(row.paused_ms + minutes.checked_mul(60_000)?).ok()?),
        (0, None) => None,
        (ended_ms, _) => Some(ended_ms),
    }
}

/// The names of a row's state; a job on its way out is COMPLETING, whatever comes of it.
pub(crate) fn state(row: &JobRow) -> (&'static str, &'static str) {
    match row {
        JobRow { completing: true, .. } => ("COMPLETING", "CG"),
        JobRow { special_exit: true, .. } => ("SPECIAL_EXIT", "SE"),
        row => state_names(row.state()),
    }
}

fn remainder(row: &JobRow) -> Option<IndexSet> {
    ArraySpec::parse(&row.remainder, INDEX_MAX).ok().map(|list| list.tasks().clone())
}

fn none() -> String {
    or_null("")
}

fn detail(it: &Listed, field: fn(&JobDetail) -> &String) -> String {
    or_null(it.row.detail.as_ref().map_or("", |detail| field(detail)))
}

/// A job as people name it: `5`, `5_3` or `5_[0-9%2]`.
pub(crate) fn display_id(row: &JobRow) -> String {
    match (row.array_id, row.index, tasks_text(row)) {
        (0, ..) | (_, None, None) => row.id.to_string(),
        (array, Some(index), _) => format!("{array}_{index}"),
        (array, None, Some(list)) => format!("{array}_[{list}]"),
    }
}

fn time_limit(it: &Listed) -> String {
    it.row.time_limit_minutes.map_or_else(|| "UNLIMITED".into(), |minutes| duration::short(minutes * 60))
}

fn time_left(it: &Listed) -> String {
    let left = |minutes: u64| duration::short((minutes * 60).saturating_sub(elapsed_s(&it.row, it.now_ms)));
    it.row.time_limit_minutes.map_or_else(|| "UNLIMITED".into(), left)
}

fn end_time(it: &Listed) -> String {
    if it.row.started_ms == 0 && it.row.ended_ms == 0 {
        return "N/A".into();
    }
    ends_ms(&it.row).and_then(show::time).unwrap_or_else(|| "NONE".into())
}

fn nodes_or_reason(it: &Listed) -> String {
    let row = &it.row;
    let tells_why = matches!(
        row.state(),
        JobState::Pending | JobState::Failed | JobState::Timeout | JobState::OutOfMemory | JobState::Deadline
    );
    if tells_why && !row.completing { format!("({})", row.reason) } else { row.nodes.clone() }
}
