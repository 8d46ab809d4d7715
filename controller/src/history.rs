//! What is kept of a job when it leaves the cluster: one row with its facts, and rows with its tasks, a few hundred each.
//!
//! Texts are cut, so that every row has a bound; the full script and environment go with the job.

use sched::cluster::Cluster;
use sched::ids::{JobId, Timestamp};
use sched::job::{Job, Tally};
use sched::task::{Done, Usage};
use sched::reason::Outcome;
use sched::spec::duration::TimeLimit;
use sched::spec::hostlist;
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

/// A task in a row of tasks; what it held is added up over its nodes.
#[derive(Debug, Serialize)]
struct PastTask<'a> {
    index: u32,
    id: JobId,
    attempts: u32,
    started: Option<Timestamp>,
    ended: Timestamp,
    /// A hostlist.
    nodes: String,
    cpus_milli: u32,
    memory_mib: u64,
    outcome: &'a Outcome,
    usage: Usage,
}

impl OwnedRow {
    pub(crate) fn borrowed(&self) -> HistoryRow<'_> {
        HistoryRow { day: self.day, key: &self.key, value: &self.value }
    }
}

/// The rows of a job that is done, under the day of its end.
pub(crate) fn rows(cluster: &Cluster, job: &Job) -> Vec<OwnedRow> {
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
    let mut tasks: Vec<PastTask<'_>> = Vec::new();
    let mut bytes = 0;
    for (index, done) in &job.done {
        let task = past_task(cluster, *index, done);
        bytes += 100 + task.nodes.len() + done.outcome.note.as_ref().map_or(0, |note| note.len());
        tasks.push(task);
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

fn past_task<'a>(cluster: &Cluster, index: u32, done: &'a Done) -> PastTask<'a> {
    let names = done.shares.iter().filter_map(|share| cluster.node_name(share.node));
    let (cpus, memory_mib) = done
        .shares
        .iter()
        .fold((0, 0), |(cpus, memory), share| (cpus + share.amount.cpus.milli(), memory + share.amount.memory_mib));
    PastTask {
        index,
        id: done.id,
        attempts: done.attempts,
        started: done.started,
        ended: done.ended,
        nodes: cut(&hostlist::compress(names)),
        cpus_milli: cpus,
        memory_mib,
        outcome: &done.outcome,
        usage: done.usage,
    }
}

fn past_job(job: &Job, ended: Timestamp) -> PastJob {
    let spec = &job.terms.spec;
    PastJob {
        id: job.id,
        name: cut(&spec.name),
        user: User { name: cut(&spec.user.name).into(), group: cut(&spec.user.group).into(), ..spec.user.clone() },
        partition: cut(&job.terms.partitions.join(",")),
        submitted: job.submitted,
        ended,
        time_limit: job.terms.time_limit,
        request: spec.request.clone(),
        array: job.is_array(),
        tally: job.tally,
        cancelled: job.ended_waiting.as_ref().map(|ended| cut(&ended.tasks.to_string())).unwrap_or_default(),
        cancelled_by: job.ended_waiting.as_ref().and_then(|ended| match ended.ending {
            Ending::Cancelled(uid) => Some(uid),
            _ => None,
        }),
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
