//! When a job was, is and will be. What has no time prints `N/A`, and an end that nobody limits `NONE`.

use sched::spec::duration;

use super::{Listed, elapsed_s, ends_ms, start_ms, whole, word, written};
use crate::show;
use crate::table::{Column, Cut, NO_LETTER};

pub(super) const COLUMNS: &[Column<Listed>] = &[
    word('S', &["starttime"], "START_TIME", |it| time(start_ms(&it.row))),
    word('e', &["endtime"], "END_TIME", end_time),
    word('V', &["submittime"], "SUBMIT_TIME", |it| time(it.row.submitted_ms)),
    Column {
        cut: Cut::OnlyLeft,
        ..written('M', &["timeused"], "TIME", |it, text| {
            duration::write_short(elapsed_s(&it.row, it.shown.now_ms), text);
        })
    },
    whole('l', &["timelimit"], "TIME_LIMIT", |it| limit(it.row.time_limit_minutes, 0)),
    whole('L', &["timeleft"], "TIME_LEFT", |it| limit(it.row.time_limit_minutes, elapsed_s(&it.row, it.shown.now_ms))),
    word(NO_LETTER, &["eligibletime"], "ELIGIBLE_TIME", |it| time(it.row.eligible_ms)),
    word(NO_LETTER, &["accruetime"], "ACCRUE_TIME", |it| time(it.row.eligible_ms)),
    word(NO_LETTER, &["deadline"], "DEADLINE", |it| time(it.row.deadline_ms)),
    word(NO_LETTER, &["lastschedeval"], "LAST_SCHED_EVAL", |it| time(it.row.started_ms)),
    word(NO_LETTER, &["pendingtime"], "PENDING_TIME", pending_s),
    word(NO_LETTER, &["mintime"], "TIME_MIN", |it| {
        let minutes = it.row.detail.as_ref().and_then(|detail| detail.time_min_minutes);
        duration::short(minutes.unwrap_or(0) * 60)
    }),
    word(NO_LETTER, &["delayboot"], "DELAY_BOOT", |_| duration::short(0)),
    word(NO_LETTER, &["preempttime"], "PREEMPT_TIME", |_| time(0)),
    whole(NO_LETTER, &["resizetime"], "RESIZE_TIME", |_| time(0)),
];

fn time(unix_ms: i64) -> String {
    show::time(unix_ms).unwrap_or_else(|| "N/A".into())
}

/// A limit without what has been used of it.
pub(in super::super) fn limit(minutes: Option<u64>, used_s: u64) -> String {
    minutes.map_or_else(|| "UNLIMITED".into(), |minutes| duration::short((minutes * 60).saturating_sub(used_s)))
}

fn end_time(it: &Listed) -> String {
    if it.row.started_ms == 0 && it.row.ended_ms == 0 {
        return time(0);
    }
    ends_ms(&it.row).and_then(show::time).unwrap_or_else(|| "NONE".into())
}

/// Seconds from the submit to the start.
fn pending_s(it: &Listed) -> String {
    let until_ms = if it.row.started_ms == 0 { it.shown.now_ms } else { it.row.started_ms };
    (until_ms.saturating_sub(it.row.submitted_ms).max(0) / 1000).to_string()
}
