//! What is kept of a job when it leaves the cluster: one row with the job itself, and rows with its tasks, a few hundred each. A run
//! after which a task waits again has a row of its own, at once ([`runs`]).
//!
//! A row is listed by the same code as a job in memory (`rpc/rows`), so both print the same line. What only the future of a job
//! needed is gone, and texts are cut, so that every row has a bound. Start at [`rows`] and [`read`].

use std::num::NonZeroU32;
use std::sync::Arc;

use sched::cluster::Cluster;
use sched::event::Event;
use sched::ids::{JobId, NodeId, Timestamp};
use sched::job::Job;
use sched::reason::{Ending, Exit, Outcome, StopWhy};
use sched::resources::Share;
use sched::spec::array::{ArraySpec, INDEX_MAX};
use sched::spec::duration::TimeLimit;
use sched::spec::hostlist;
use sched::spec::index_set::IndexSet;
use sched::spec::job::{Files, JobDraft, JobSpec, Map, Origin, Request, User, Work};
use sched::spec::labels::Labels;
use sched::steps::{Step, StepState};
use sched::task::{Done, EndedTasks, Task, TaskState, Usage};
use sched::terms::Terms;
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::journal::{HISTORY_VALUE_BYTES_MAX, HistoryRow, PastRow};
use crate::pack::{UnpackError, pack, unpack};

/// The longest text that a row keeps of any field, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// The longest text that is kept of a job whose row would be too large all the same.
const SHORT_TEXT_BYTES_MAX: usize = 64;
/// The longest list of nodes that a task keeps, in bytes.
const NODES_BYTES_MAX: usize = 4 * 1024;
/// The longest list of nodes that a step keeps, in bytes.
const STEP_NODES_BYTES_MAX: usize = 512;
/// Of a remainder that was cancelled, so many ranges of indices are kept.
const RANGES_MAX: usize = 512;
/// A row of tasks is closed when it has this many bytes; the last task added may be a long one.
const TASKS_BYTES_MAX: usize = HISTORY_VALUE_BYTES_MAX - 8 * 1024;
const MS_A_DAY: i64 = 24 * 60 * 60 * 1000;

/// A row, ready for a commit.
pub(crate) struct OwnedRow {
    day: u32,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// A row as it comes back.
pub(crate) enum Past {
    /// A job, before its tasks.
    Job(Box<Job>),
    /// Some tasks of the job before.
    Tasks(Vec<PastTask>),
    /// A run before the last one of a task.
    Run(Box<PastRun>),
}

/// A run after which a task waited again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PastRun {
    /// As it was then.
    pub(crate) job: Job,
    pub(crate) task: PastTask,
    /// It was stopped by a requeue.
    pub(crate) requeued: bool,
    /// It had been accounted for, and what it used is known.
    pub(crate) accounted: bool,
}

/// A task that ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PastTask {
    pub(crate) index: u32,
    /// Its shares are in `held`.
    pub(crate) done: Done,
    pub(crate) held: Option<Held>,
    /// The steps of its last attempt; of many, some are in the entries after it.
    #[serde(default)]
    pub(crate) steps: Vec<PastStep>,
    /// It is no other task, and holds more steps of the one before.
    #[serde(default)]
    pub(crate) more: bool,
}

/// A step as listings show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PastStep {
    pub(crate) number: u32,
    pub(crate) name: String,
    /// A hostlist.
    pub(crate) nodes: String,
    pub(crate) node_count: u32,
    pub(crate) tasks: u32,
    pub(crate) cpus: u32,
    pub(crate) started: Timestamp,
    pub(crate) time_limit: Option<TimeLimit>,
    /// When and how it ended, and what it used; nothing while it runs.
    pub(crate) end: Option<(Timestamp, Ending, Exit, Usage)>,
}

impl PastStep {
    pub(crate) fn of(cluster: &Cluster, number: u32, step: &Step) -> PastStep {
        let name = |node: NodeId| cluster.node_name(node).map(ToString::to_string).unwrap_or_default();
        PastStep {
            number,
            name: cut(&step.name, SHORT_TEXT_BYTES_MAX),
            nodes: hostlist::compress(step.parts.iter().map(|part| name(part.node))),
            node_count: u32::try_from(step.parts.len()).unwrap_or(u32::MAX),
            tasks: step.tasks(),
            cpus: step.parts.iter().map(|part| part.cpus.count()).sum(),
            started: step.started,
            time_limit: step.time_limit,
            end: match &step.state {
                StepState::Running { .. } => None,
                StepState::Ended { at, outcome, usage } => Some((*at, outcome.ending, outcome.exit, *usage)),
            },
        }
    }

    /// How it ended; no exit code while it runs.
    pub(crate) fn exit(&self) -> Exit {
        self.end.map(|(_, _, exit, _)| exit).unwrap_or_default()
    }

    /// Cut, so that it has a bound.
    fn past(self) -> PastStep {
        PastStep { nodes: cut(&self.nodes, STEP_NODES_BYTES_MAX), ..self }
    }

    fn bytes(&self) -> usize {
        100 + self.name.len() + self.nodes.len()
    }
}

/// What a task holds or held over all its nodes, by the names that they have, or had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// A hostlist.
    pub(crate) nodes: String,
    pub(crate) node_count: u32,
    pub(crate) batch_host: String,
    pub(crate) cpus: u32,
    /// On the first node.
    pub(crate) memory_mib: u64,
}

impl Held {
    /// `None` for no shares at all.
    pub(crate) fn of(cluster: &Cluster, shares: &[Share]) -> Option<Held> {
        let first = shares.first()?;
        let name = |node: NodeId| cluster.node_name(node).map(ToString::to_string).unwrap_or_default();
        Some(Held {
            nodes: hostlist::compress(shares.iter().map(|share| name(share.node))),
            node_count: u32::try_from(shares.len()).unwrap_or(u32::MAX),
            batch_host: name(first.node),
            cpus: shares.iter().map(|share| share.amount.cpus.count()).sum(),
            memory_mib: first.amount.memory_mib,
        })
    }
}

impl OwnedRow {
    pub(crate) fn borrowed(&self) -> HistoryRow<'_> {
        HistoryRow { day: self.day, key: &self.key, value: &self.value }
    }
}

/// The day of a moment, counted from 1970 in UTC.
pub(crate) fn day_of(at: Timestamp) -> u32 {
    u32::try_from(at.0.div_euclid(MS_A_DAY)).unwrap_or(0)
}

/// What the keys of all rows of a job start with.
pub(crate) fn key_prefix(job: JobId) -> [u8; 4] {
    job.0.to_be_bytes()
}

/// The rows of a job that is done, under the day of its end.
pub(crate) fn rows(cluster: &Cluster, job: &Job) -> Vec<OwnedRow> {
    let day = day_of(job.ended.expect("only a job that has ended becomes history"));
    let mut rows = Vec::new();
    let mut add = |value: Vec<u8>| {
        let number = u32::try_from(rows.len()).expect("a job has fewer rows than tasks");
        let key = [key_prefix(job.id), number.to_be_bytes()].concat();
        rows.push(OwnedRow { day, key, value });
    };
    let Some(row) = job_row(job, &|job| pack(job), HISTORY_VALUE_BYTES_MAX) else { return Vec::new() };
    add(row);
    let mut tasks: Vec<PastTask> = Vec::new();
    let mut bytes = 0;
    for (index, done) in job.done.iter() {
        let task = past_task(cluster, index, &done);
        let nodes = task.held.as_ref().map_or(0, |held| held.nodes.len() + held.batch_host.len());
        bytes += task.done.terms.as_ref().map_or(0, |terms| pack(terms).len());
        bytes += 100 + nodes + done.outcome.note.as_ref().map_or(0, |note| note.len());
        tasks.push(task);
        for (number, step) in job.steps_of(index) {
            let step = PastStep::of(cluster, number, step).past();
            bytes += step.bytes();
            if bytes > TASKS_BYTES_MAX {
                add(pack(&tasks));
                bytes = 100 + step.bytes();
                tasks = vec![more_of(index, &done)];
            }
            tasks.last_mut().expect("one was pushed").steps.push(step);
        }
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

/// What the keys of all rows of earlier runs of a job start with: behind those of its tasks.
pub(crate) fn run_prefix(job: JobId) -> Vec<u8> {
    [key_prefix(job), RUN].concat()
}

/// Of the tasks of an array that are requeued at once after their ends, so many runs are kept.
const RUNS_MAX: usize = 1_000;

/// Stands where other rows have their number.
const RUN: [u8; 4] = [0xff; 4];

/// The rows of runs that an event, which has not been applied yet, lets wait again.
pub(crate) fn runs(cluster: &Cluster, at: Timestamp, event: &Event) -> Vec<OwnedRow> {
    match event {
        Event::Requeued { key, failed, .. } => {
            let found = cluster.job(key.job).and_then(|job| Some((job, job.tasks.get(&key.index)?)));
            found
                .and_then(|(job, task)| run_row(cluster, job, key.index, stopped_run(task, at, *failed)?))
                .into_iter()
                .collect()
        }
        Event::Undone { job, tasks, .. } => {
            let Some(job) = cluster.job(*job) else { return Vec::new() };
            let done = tasks.iter().filter_map(|index| Some((index, job.done.get(index)?)));
            let ran = done.filter(|(_, done)| done.started.is_some());
            ran.take(RUNS_MAX)
                .filter_map(|(index, done)| {
                    run_row(cluster, job, index, Run { done, requeued: false, accounted: true })
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// A run on its way into a row.
struct Run {
    done: Done,
    requeued: bool,
    accounted: bool,
}

/// A run that ends now without being accounted for.
fn stopped_run(task: &Task, at: Timestamp, failed: bool) -> Option<Run> {
    let (since, shares, why) = match &task.state {
        TaskState::Running { since, shares } | TaskState::Suspended { since, full: shares, .. } => {
            (since, shares, None)
        }
        TaskState::Finishing { since, shares, why, .. } => (since, shares, Some(*why)),
        TaskState::Closing { since, shares, .. } => (since, shares, (!failed).then_some(StopWhy::Requeue)),
        TaskState::Pending { .. } => return None,
    };
    let requeued = why == Some(StopWhy::Requeue);
    let ending = if failed { Ending::Failed } else { Ending::NodeFail };
    let done = Done {
        id: task.id,
        attempts: task.attempts,
        started: Some(*since),
        ended: at,
        shares: shares.clone(),
        outcome: Outcome::bare(ending),
        usage: Usage::default(),
        terms: task.own.as_ref().and_then(|own| own.terms.clone()),
        partition: task.partition.clone(),
        paused_ms: task.paused_ms,
    };
    Some(Run { done, requeued, accounted: false })
}

fn run_row(cluster: &Cluster, job: &Job, index: u32, run: Run) -> Option<OwnedRow> {
    let Run { done, requeued, accounted } = run;
    let (day, attempt) = (day_of(done.ended), done.attempts);
    let packed = |job: &Job| {
        let task = past_task(cluster, index, &done);
        pack(&PastRun { job: job.clone(), task, requeued, accounted })
    };
    // Of the job only what is the same for all tasks is wanted.
    let none = IndexSet::new;
    let bare = Job {
        pending: none(),
        blocked: none(),
        hopeless: none(),
        tasks: Default::default(),
        requeued: none(),
        apart: none(),
        ended_waiting: None,
        ..job.clone()
    };
    let value = job_row(&bare, &packed, HISTORY_VALUE_BYTES_MAX)?;
    let key = [run_prefix(job.id), index.to_be_bytes().to_vec(), attempt.to_be_bytes().to_vec()].concat();
    Some(OwnedRow { day, key, value })
}

/// Opens a row. The job's row is the first of its rows.
///
/// # Errors
/// When another version of Covey wrote it; its bytes are sound, or the journal would have said so.
pub(crate) fn read(row: &PastRow) -> Result<Past, UnpackError> {
    match row.key.get(4..) {
        Some([0xff, 0xff, 0xff, 0xff, ..]) => unpack("row of a run", &row.value).map(|run| Past::Run(Box::new(run))),
        Some([0, 0, 0, 0]) => unpack("row of a past job", &row.value).map(|job| Past::Job(Box::new(job))),
        _ => unpack("row of past tasks", &row.value).map(Past::Tasks),
    }
}

/// The row of the job itself: with less of it where it would be too large, since a commit that the journal refuses would hold
/// up everything. `None` for one that has become too large in a way that nobody has thought of.
fn job_row(job: &Job, pack: &dyn Fn(&Job) -> Vec<u8>, bytes_max: usize) -> Option<Vec<u8>> {
    let fits = |row: &Vec<u8>| row.len() <= bytes_max;
    let full = pack(&past_job(job, past_spec(&job.terms.spec, TEXT_BYTES_MAX)));
    if fits(&full) {
        return Some(full);
    }
    let spec = past_spec(&job.terms.spec, SHORT_TEXT_BYTES_MAX);
    let bare =
        JobDraft { request: Request::default().into(), ..JobDraft::clone(&spec) }.check().expect("a bare job is sound");
    let row = Some(pack(&past_job(job, bare))).filter(fits);
    if row.is_none() {
        error!(job = %job.id, "the job is too large for history and will be missing there");
    }
    row
}

fn past_task(cluster: &Cluster, index: u32, done: &Done) -> PastTask {
    let held = Held::of(cluster, &done.shares);
    let held = held.map(|held| Held { nodes: cut(&held.nodes, NODES_BYTES_MAX), ..held });
    let terms = done.terms.as_ref().map(|terms| Arc::new(past_terms(terms)));
    let done = Done { shares: Arc::new([]), terms, ..done.clone() };
    PastTask { index, done, held, steps: Vec::new(), more: false }
}

/// An entry for more steps of a task that has one already.
fn more_of(index: u32, done: &Done) -> PastTask {
    let outcome = Outcome { note: None, ..done.outcome.clone() };
    let done = Done { shares: Arc::new([]), terms: None, partition: None, outcome, ..done.clone() };
    PastTask { index, done, held: None, steps: Vec::new(), more: true }
}

fn past_job(job: &Job, spec: JobSpec) -> Job {
    let ended_waiting = job.ended_waiting.as_ref().map(|ended| {
        let mut last = IndexSet::new();
        let all = if ended.tasks.is_empty() { &ended.last } else { &ended.tasks };
        all.ranges().take(RANGES_MAX).for_each(|(from, to)| last.insert_range(from..=to));
        Box::new(EndedTasks { tasks: IndexSet::new(), last, ..**ended })
    });
    let terms = Arc::new(Terms { spec: Arc::new(spec), ..Terms::clone(&job.terms) });
    Job { terms, done: Default::default(), steps: Default::default(), ended_waiting, waits: None, ..job.clone() }
}

/// Terms of a task's own, which are few: short, so that they fit beside those of other tasks.
fn past_terms(terms: &Terms) -> Terms {
    Terms { spec: Arc::new(past_spec(&terms.spec, SHORT_TEXT_BYTES_MAX)), ..terms.clone() }
}

/// What is still worth telling of a spec. An array keeps its limit, and not which tasks it had: they have rows.
fn past_spec(spec: &JobSpec, text_bytes_max: usize) -> JobSpec {
    let text = |text: &str| cut(text, text_bytes_max);
    let pattern = |pattern: &Option<String>| pattern.as_deref().map(text);
    let array = spec.array.as_ref().map(|array| {
        ArraySpec::counted(NonZeroU32::MIN, array.throttle(), INDEX_MAX).expect("one task is within every limit")
    });
    let work = match &*spec.work {
        Work::Script { script, .. } => Work::Script { script: *script, arguments: Vec::new() },
        Work::Command(words) => Work::Command(words.iter().take(1).map(|word| text(word)).collect()),
        Work::Op(op) => Work::Op(text(op)),
        Work::Allocation => Work::Allocation,
    };
    let short_map = |map: &Map| Map {
        from: text(&map.from),
        to: text(&map.to),
        output_name: text(&map.output_name),
        manifest: map.manifest,
    };
    let (user, files, origin) = (&*spec.user, &*spec.files, &*spec.origin);
    let draft = JobDraft {
        name: text(&spec.name).into(),
        user: User { name: text(&user.name).into(), group: text(&user.group).into(), ..user.clone() }.into(),
        partitions: Vec::new(),
        array,
        work: work.into(),
        map: spec.map.as_deref().map(short_map).map(Into::into),
        files: Files {
            work_dir: text(&files.work_dir),
            stdin: pattern(&files.stdin),
            stdout: pattern(&files.stdout),
            stderr: pattern(&files.stderr),
            ..files.clone()
        }
        .into(),
        dependency: None,
        comment: text(&spec.comment),
        export: String::new(),
        origin: Origin {
            host: text(&origin.host),
            dir: text(&origin.dir),
            command: text(&origin.command),
            line: text(&origin.line),
            ..*origin
        }
        .into(),
        labels: past_labels(&spec.labels, text_bytes_max).into(),
        limits: Vec::new().into(),
        ..JobDraft::clone(spec)
    };
    draft.check().expect("less of a sound job is sound")
}

fn past_labels(labels: &Labels, text_bytes_max: usize) -> Labels {
    let text = |text: &str| cut(text, text_bytes_max);
    Labels {
        account: text(&labels.account),
        qos: text(&labels.qos),
        wckey: text(&labels.wckey),
        reservation: text(&labels.reservation),
        extra: text(&labels.extra),
        admin_comment: text(&labels.admin_comment),
        mail_user: text(&labels.mail_user),
        ..*labels
    }
}

fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

#[cfg(test)]
pub(crate) mod tests;
