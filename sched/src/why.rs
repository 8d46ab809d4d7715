//! `covey why`: all that keeps a job or a task where it is, in sentences, the most important first.
//!
//! Listings show one word ([`crate::reason::Reason`]); here stands what is behind it: who holds it, what it waits for, what is
//! missing on which nodes and who has that, what is ahead, and when it should start. It is computed from one state of the
//! cluster and changes nothing. Every list in it is short ([`LISTED_MAX`]). Start at [`explain`].

mod ahead;
mod partitions;
mod placed;
mod room;
mod waiting;

use std::fmt;

use crate::cluster::Cluster;
use crate::ids::{JobId, Name, Timestamp};
use crate::job::Job;
use crate::reason::{Ending, Outcome};
use crate::refusal::Refusal;
use crate::select::resolve;
use crate::settings::Settings;
use crate::spec::array::JobRef;
use crate::task::TaskState;

/// The most nodes, jobs, tasks or terms that are named one by one; of more, their number is told.
pub const LISTED_MAX: usize = 5;

/// Why a job or a task is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// How people name it: `12`, or `12_3`.
    pub label: String,
    /// Slurm's word for its state.
    pub state: &'static str,
    /// Slurm's word for the reason, as listings show it.
    pub reason: String,
    /// What there is to say, the most important first.
    pub findings: Vec<Finding>,
}

/// One sentence, and what programs may want of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// The sentence. Where [`Finding::at`] belongs it has `{at}`, once, and ahead of any words of users: each reader prints
    /// times in a zone of their own.
    pub text: String,
    /// The moment it is about.
    pub at: Option<Timestamp>,
    /// The jobs and tasks that it names.
    pub jobs: Vec<String>,
    /// The nodes that it names.
    pub nodes: Vec<Name>,
}

/// What a finding is about. Programs know these by their `Display`, which never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Who holds it, and how it is released.
    Held,
    /// A job that it waits for.
    Dependency,
    /// A dependency that can never be met.
    Never,
    /// It does not start before a moment.
    Begin,
    /// It failed, and is tried again at a moment.
    Retry,
    /// As many tasks of its array run as may.
    Throttle,
    /// A partition that lets it not start, and why.
    Partition,
    /// What it asks for, and what there is.
    Request,
    /// A node, and what is missing there.
    Node,
    /// A node that takes no work, and why.
    Unavailable,
    /// Who has what it needs, and until when.
    Holder,
    /// What is ahead in the queue.
    Ahead,
    /// When and where it should start.
    Expected,
    /// By when it has to start.
    Deadline,
    /// Where its tasks are.
    Tasks,
    /// Where it runs or ran, and since when.
    Placed,
    /// When its time limit ends it.
    Limit,
    /// How it ended.
    Ended,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Held => "held",
            Kind::Dependency => "dependency",
            Kind::Never => "never",
            Kind::Begin => "begin",
            Kind::Retry => "retry",
            Kind::Throttle => "throttle",
            Kind::Partition => "partition",
            Kind::Request => "request",
            Kind::Node => "node",
            Kind::Unavailable => "unavailable",
            Kind::Holder => "holder",
            Kind::Ahead => "ahead",
            Kind::Expected => "expected",
            Kind::Deadline => "deadline",
            Kind::Tasks => "tasks",
            Kind::Placed => "placed",
            Kind::Limit => "limit",
            Kind::Ended => "ended",
        })
    }
}

impl Finding {
    fn new(kind: Kind, text: impl Into<String>) -> Finding {
        Finding { kind, text: text.into(), at: None, jobs: Vec::new(), nodes: Vec::new() }
    }

    fn at(self, at: Timestamp) -> Finding {
        Finding { at: Some(at), ..self }
    }

    fn job(self, label: String) -> Finding {
        Finding { jobs: vec![label], ..self }
    }

    fn node(self, name: &Name) -> Finding {
        Finding { nodes: vec![name.clone()], ..self }
    }
}

/// What is read.
#[derive(Clone, Copy)]
struct Scene<'a> {
    cluster: &'a Cluster,
    settings: &'a Settings,
    now: Timestamp,
}

/// Explains a job, or a task; of a list of tasks the first. It costs about as much as a scheduling pass.
///
/// # Errors
/// When there is no such job, or not any more.
pub fn explain(cluster: &Cluster, settings: &Settings, now: Timestamp, target: &JobRef) -> Result<Why, Refusal> {
    let scene = Scene { cluster, settings, now };
    let (job, tasks) = resolve(cluster, target)?;
    Ok(match tasks.and_then(|tasks| tasks.min()) {
        Some(index) => of_task(scene, job, index),
        None if job.is_array() => of_array(scene, job),
        None => of_task(scene, job, 0),
    })
}

fn of_task(scene: Scene<'_>, job: &Job, index: u32) -> Why {
    let label = job.label(index);
    if let Some(done) = job.done.get(index) {
        let (state, reason) = (ending_word(done.outcome.ending), done.outcome.reason().to_owned());
        return Why { label, state, reason, findings: placed::ended(scene, job, index, &done) };
    }
    let (state, findings) = match job.tasks.get(&index) {
        Some(task) => match &task.state {
            TaskState::Pending { .. } => return waiting::why(scene, job, label, Some(index)),
            TaskState::Running { .. } => ("RUNNING", placed::running(scene, job, task)),
            TaskState::Suspended { .. } => ("SUSPENDED", placed::running(scene, job, task)),
            TaskState::Finishing { .. } | TaskState::Closing { .. } => {
                ("COMPLETING", placed::running(scene, job, task))
            }
        },
        None if job.waits_with(index) => return waiting::why(scene, job, label, Some(index)),
        None => {
            let ending = job.ended_waiting.as_ref().map_or(Ending::Cancelled(0), |ended| ended.ending);
            (ending_word(ending), placed::never_started(job))
        }
    };
    Why { label, state, reason: "None".into(), findings }
}

/// What waits of an array says why; else what runs, or has failed.
fn of_array(scene: Scene<'_>, job: &Job) -> Why {
    let label = job.id.to_string();
    let tally = placed::tally(job);
    if job.waiting_count() > 0 {
        let apart = job.apart.min().filter(|_| job.waiting_count() == job.apart.len());
        let mut why = waiting::why(scene, job, label, apart);
        why.findings.push(tally);
        return why;
    }
    let state = match &job.tally {
        _ if !job.tasks.is_empty() => "RUNNING",
        tally if tally.failed > 0 => "FAILED",
        tally if tally.cancelled > 0 => "CANCELLED",
        _ => "COMPLETED",
    };
    let mut findings = vec![tally];
    findings.extend(placed::of_tasks(scene, job));
    Why { label, state, reason: "None".into(), findings }
}

/// Slurm's word for the state of what ended so.
fn ending_word(ending: Ending) -> &'static str {
    match ending {
        Ending::Completed => "COMPLETED",
        Ending::Failed | Ending::LaunchFailed => "FAILED",
        Ending::Cancelled(_) => "CANCELLED",
        Ending::Timeout => "TIMEOUT",
        Ending::NodeFail => "NODE_FAIL",
        Ending::OutOfMemory => "OUT_OF_MEMORY",
        Ending::Deadline => "DEADLINE",
    }
}

/// How something ended: `FAILED with exit code 3`.
fn outcome_text(outcome: &Outcome) -> String {
    let word = ending_word(outcome.ending);
    match (outcome.ending, outcome.exit) {
        (Ending::Cancelled(uid), _) => format!("{word} by uid {uid}"),
        (Ending::LaunchFailed, _) => format!("{word}: it could not be started"),
        (Ending::Failed, exit) if exit.signal > 0 => format!("{word} by signal {}", exit.signal),
        (Ending::Failed, exit) => format!("{word} with exit code {}", exit.code),
        _ => word.to_owned(),
    }
}

/// `1 CPU`, `3 CPUs`: a number with its noun.
fn counted(count: impl fmt::Display, noun: &str) -> String {
    let count = count.to_string();
    if count == "1" { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Memory for people, from MiB.
fn memory(mib: u64) -> String {
    if mib > 0 && mib.is_multiple_of(1024) { format!("{} GiB", mib / 1024) } else { format!("{mib} MiB") }
}

/// The first of some names, and how many more there are: `a, b and 3 more`.
fn listed(first: &[impl AsRef<str>], count: usize) -> String {
    let words: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
    match count.saturating_sub(words.len()) {
        0 => words.join(", "),
        more => format!("{} and {more} more", words.join(", ")),
    }
}

/// The number of an entry of the queue, as people name it.
fn entry_label(job: &Job, entry: Option<u32>) -> String {
    entry.map_or_else(|| JobId::to_string(&job.id), |index| job.label(index))
}
