//! What is kept of a job when it leaves the cluster: one row with its facts, and rows with its tasks, a few hundred each.
//!
//! Texts are cut, so that every row has a bound; the full script and environment go with the job.

use std::sync::Arc;

use sched::ids::{JobId, Timestamp};
use sched::job::{Done, Job, Tally};
use sched::spec::duration::TimeLimit;
use sched::spec::job::{Request, User};
use serde::{Deserialize, Serialize};

use crate::journal::{HISTORY_VALUE_BYTES_MAX, HistoryRow};
use crate::pack::pack;

/// The longest text that a row keeps of any field, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// A row of tasks is closed when it has this many bytes; the last task added may be a long one.
const TASKS_BYTES_MAX: usize = HISTORY_VALUE_BYTES_MAX - 8 * 1024;
const MS_A_DAY: i64 = 24 * 60 * 60 * 1000;

/// A row, ready for a commit.
pub(crate) struct OwnedRow {
    day: u32,
    key: [u8; 8],
    value: Vec<u8>,
}

/// A job's own row.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PastJob {
    id: JobId,
    name: String,
    user: User,
    partition: String,
    submitted: Timestamp,
    ended: Timestamp,
    time_limit: TimeLimit,
    request: Request,
    array: bool,
    tally: Tally,
    /// Tasks that were cancelled before they had a row, as ranges, and by whom.
    cancelled: String,
    cancelled_by: Option<u32>,
    work_dir: String,
    command: String,
    comment: String,
}

impl OwnedRow {
    pub(crate) fn borrowed(&self) -> HistoryRow<'_> {
        HistoryRow { day: self.day, key: &self.key, value: &self.value }
    }
}

/// The rows of a job that is done, under the day of its end.
pub(crate) fn rows(job: &Job) -> Vec<OwnedRow> {
    let ended = job.ended.expect("only a job that has ended becomes history");
    let day = u32::try_from(ended.0.div_euclid(MS_A_DAY)).unwrap_or(0);
    let mut rows = Vec::new();
    let mut add = |value: Vec<u8>| {
        let number = u32::try_from(rows.len()).expect("a job has fewer rows than tasks");
        let mut key = [0; 8];
        key[..4].copy_from_slice(&job.id.0.to_be_bytes());
        key[4..].copy_from_slice(&number.to_be_bytes());
        rows.push(OwnedRow { day, key, value });
    };
    add(pack(&past_job(job, ended)));
    let mut tasks: Vec<(u32, &Done)> = Vec::new();
    let mut bytes = 0;
    for (index, done) in &job.done {
        tasks.push((*index, done));
        bytes += task_bytes(done);
        if bytes > TASKS_BYTES_MAX {
            add(pack(&tasks));
            tasks.clear();
            bytes = 0;
        }
    }
    if !tasks.is_empty() {
        add(pack(&tasks));
    }
    rows
}

/// At most so many bytes when packed: numbers, shares and the note.
fn task_bytes(done: &Done) -> usize {
    100 + 40 * done.shares.len() + done.outcome.note.as_ref().map_or(0, |note: &Arc<str>| note.len())
}

fn past_job(job: &Job, ended: Timestamp) -> PastJob {
    let spec = &job.spec;
    PastJob {
        id: job.id,
        name: cut(&spec.name),
        user: User { name: cut(&spec.user.name).into(), group: cut(&spec.user.group).into(), ..spec.user.clone() },
        partition: cut(&job.partition),
        submitted: job.submitted,
        ended,
        time_limit: job.time_limit,
        request: spec.request.clone(),
        array: job.is_array(),
        tally: job.tally,
        cancelled: job.cancelled.as_ref().map(|cancelled| cut(&cancelled.tasks.to_string())).unwrap_or_default(),
        cancelled_by: job.cancelled.as_ref().map(|cancelled| cancelled.uid),
        work_dir: cut(&spec.files.work_dir),
        command: cut(&spec.origin.command),
        comment: cut(&spec.comment),
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
