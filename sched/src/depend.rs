//! Dependencies as facts: what becomes true because another job has started or ended.
//!
//! [`follow`] is asked after each fact has been applied, and its answers are applied in turn: so a chain of any length
//! unwinds in a loop, one step for each job. [`left_of`] is asked before each fact is applied. A term that is met is dropped for good, and one that has failed stays failed,
//! even when its target is requeued and succeeds later (Slurm's rule).

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::JobId;
use crate::job::Job;
use crate::reason::Ending;
use crate::select::resolve;
use crate::spec::array::TaskSelector;
use crate::spec::dependency::{After, Dependency, Term};
use crate::spec::index_set::IndexSet;
use crate::steps::ends;

/// What a job still waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// Whether one term that is met is enough.
    pub any: bool,
    /// The terms that are not met.
    pub terms: Vec<Wait>,
}

/// A term that is not met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// The term.
    pub term: Term,
    /// The job that it waits for; `None` for a singleton.
    pub on: Option<JobId>,
    /// That job is an array.
    pub on_array: bool,
    /// It can never be met.
    pub failed: bool,
    /// Of `aftercorr` on an array: my tasks that have not been decided.
    pub open: IndexSet,
}

/// How a term stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open,
    Met,
    Failed,
}

impl Waits {
    /// All terms of a job that is being submitted, as not yet met.
    pub(crate) fn of(cluster: &Cluster, dependency: &Dependency, tasks: &IndexSet) -> Waits {
        let wait = |term: &Term| {
            let on = target_of(cluster, term);
            let array = on.and_then(|on| cluster.job(on)).and_then(|target| target.terms.spec.array.as_ref());
            let mut open = IndexSet::new();
            if let (Term::On { what: After::Corr, .. }, Some(array)) = (term, array) {
                open = tasks.clone();
                open.intersect_with(array.tasks());
            }
            Wait { term: term.clone(), on, on_array: array.is_some(), failed: false, open }
        };
        Waits { any: dependency.any, terms: dependency.terms.iter().map(wait).collect() }
    }

    /// Whether the whole job waits: terms that are not decided task by task.
    #[must_use]
    pub fn hold_all(&self) -> bool {
        self.terms.iter().any(|wait| wait.open.is_empty())
    }

    /// Whether it waits until it is the first of its user and name.
    pub(crate) fn behind_namesakes(&self) -> bool {
        self.terms.iter().any(|wait| wait.term == Term::Singleton)
    }

    /// Whether it waits for what can never be.
    #[must_use]
    pub fn are_hopeless(&self) -> bool {
        let mut failed = self.terms.iter().filter(|wait| wait.open.is_empty()).map(|wait| wait.failed);
        if self.any { failed.all(|failed| failed) } else { failed.any(|failed| failed) }
    }
}

/// The job that a term names; `None` for a singleton, or a job that is gone.
pub(crate) fn target_of(cluster: &Cluster, term: &Term) -> Option<JobId> {
    match term {
        Term::Singleton => None,
        Term::On { target, .. } => {
            let id = JobId(target.job);
            cluster.job(id).map(|job| job.id).or_else(|| cluster.task_of(id).map(|(job, _)| job))
        }
    }
}

/// What is left of an event that was decided together with others, once those have become true: of tasks that ended meanwhile, for
/// instance because what they waited for did, no second end is counted. `cluster` is as it is just before it.
#[must_use]
pub fn left_of(cluster: &Cluster, event: Event) -> Option<Event> {
    let waiting = |id: JobId, mut tasks: IndexSet| {
        let job = cluster.job(id)?;
        let only = if tasks.len() == 1 { tasks.iter().next() } else { None };
        match only {
            Some(index) if job.waits_with(index) => {}
            _ => tasks.intersect_with(&job.waiting_tasks()),
        }
        (!tasks.is_empty()).then_some(tasks)
    };
    match event {
        Event::Cancelled { job, tasks, uid } => waiting(job, tasks).map(|tasks| Event::Cancelled { job, tasks, uid }),
        Event::Expired { job, tasks } => waiting(job, tasks).map(|tasks| Event::Expired { job, tasks }),
        event => Some(event),
    }
}

/// What becomes true because `event` has: `cluster` is as it is after it.
#[must_use]
pub fn follow(cluster: &Cluster, event: &Event) -> Vec<Event> {
    match event {
        Event::Submitted { job, .. } => settle_all(cluster, *job),
        Event::Revised { job, tasks: None, .. } | Event::Undone { job, .. } => settle_all(cluster, *job),
        Event::Started { job, .. } | Event::Cancelled { job, .. } | Event::Expired { job, .. } => {
            settle_dependents(cluster, *job, None)
        }
        Event::Ended { key, .. } => settle_dependents(cluster, key.job, Some(key.index)),
        Event::Settled { job, met: false, .. } => give_up(cluster, *job),
        Event::Stopped { .. }
        | Event::Suspended { .. }
        | Event::Resumed { .. }
        | Event::Signalled { .. }
        | Event::Closing { .. }
        | Event::StepPartEnded { .. } => ends::follow(cluster, event),
        Event::Settled { met: true, .. }
        | Event::TasksSettled { .. }
        | Event::StepCreated { .. }
        | Event::StepStopped { .. }
        | Event::StepSignalled { .. }
        | Event::StepCleared { .. }
        | Event::Revised { .. }
        | Event::Throttled { .. }
        | Event::Limited { .. }
        | Event::Prioritized { .. }
        | Event::Requeued { .. }
        | Event::Waiting { .. }
        | Event::Held { .. }
        | Event::Began { .. }
        | Event::Forgotten { .. }
        | Event::NodeRegistered { .. }
        | Event::Cleared { .. }
        | Event::NodeSilent { .. }
        | Event::NodeDown { .. }
        | Event::NodeMarked { .. }
        | Event::NodeUnmarked { .. }
        | Event::NodeRemoved { .. }
        | Event::PartitionSet { .. }
        | Event::PartitionRemoved { .. }
        | Event::Membership(_) => Vec::new(),
    }
}

/// Every term of a job that was just submitted: some targets may have ended already.
fn settle_all(cluster: &Cluster, id: JobId) -> Vec<Event> {
    let Some(job) = cluster.job(id) else { return Vec::new() };
    let Some(waits) = &job.waits else { return Vec::new() };
    let settled = waits.terms.iter().filter_map(|wait| {
        let target = wait.on.and_then(|on| cluster.job(on));
        if wait.open.is_empty() { settle(cluster, job, wait) } else { settle_tasks(job, wait, target?, None) }
    });
    settled.collect()
}

/// The terms that wait for `target`, of which a task (or some) has started or ended; and singletons behind it.
fn settle_dependents(cluster: &Cluster, target: JobId, task: Option<u32>) -> Vec<Event> {
    let Some(record) = cluster.job(target) else { return Vec::new() };
    let mut events = Vec::new();
    for dependent in cluster.dependents_of(target) {
        let Some(job) = cluster.job(dependent) else { continue };
        for wait in job.waits.iter().flat_map(|waits| &waits.terms).filter(|wait| wait.on == Some(target)) {
            if wait.open.is_empty() {
                events.extend(settle(cluster, job, wait));
            } else {
                events.extend(settle_tasks(job, wait, record, task));
            }
        }
    }
    if cluster.has_singletons()
        && record.is_done()
        && let Some(next) = cluster.first_namesake(record)
        && let Some(job) = cluster.job(next)
    {
        let singles = job.waits.iter().flat_map(|waits| &waits.terms).filter(|wait| wait.term == Term::Singleton);
        events.extend(singles.filter_map(|wait| settle(cluster, job, wait)));
    }
    events
}

fn settle(cluster: &Cluster, job: &Job, wait: &Wait) -> Option<Event> {
    if wait.failed {
        return None;
    }
    let met = match verdict(cluster, job, wait) {
        Verdict::Open => return None,
        Verdict::Met => true,
        Verdict::Failed => false,
    };
    Some(Event::Settled { job: job.id, term: wait.term.clone(), met })
}

fn verdict(cluster: &Cluster, job: &Job, wait: &Wait) -> Verdict {
    let Term::On { what, target } = &wait.term else {
        return if cluster.first_namesake(job) == Some(job.id) { Verdict::Met } else { Verdict::Open };
    };
    // A target that is gone has ended long ago; only those that any end satisfies were accepted then.
    let Ok((record, tasks)) = resolve(cluster, target) else { return Verdict::Met };
    let tasks = tasks.filter(|_| target.tasks != TaskSelector::All || record.id.0 != target.job);
    let counts = Counts::of(record, tasks.as_ref());
    let decide = |met| if met { Verdict::Met } else { Verdict::Failed };
    match what {
        After::Started { .. } if counts.waiting > 0 => Verdict::Open,
        After::Started { .. } => Verdict::Met,
        _ if counts.waiting + counts.running > 0 => Verdict::Open,
        After::Any => Verdict::Met,
        After::Ok | After::Corr => decide(counts.not_ok == 0),
        After::NotOk => decide(counts.not_ok > 0),
    }
}

/// Where the tasks of a target are.
struct Counts {
    waiting: u64,
    running: u64,
    not_ok: u64,
}

impl Counts {
    /// Of the whole job in constant time, of some tasks one by one.
    fn of(job: &Job, tasks: Option<&IndexSet>) -> Counts {
        let Some(tasks) = tasks else {
            let not_ok = u64::from(job.tally.failed + job.tally.cancelled);
            return Counts { waiting: job.waiting_count(), running: job.running_count(), not_ok };
        };
        let mut counts = Counts { waiting: 0, running: 0, not_ok: 0 };
        let mut endings = job.done.endings();
        for index in tasks.iter() {
            match endings.of(index) {
                Some(Ending::Completed) => {}
                Some(_) => counts.not_ok += 1,
                None if job.waits_with(index) => counts.waiting += 1,
                None if job.tasks.contains_key(&index) => counts.running += 1,
                // Cancelled before it had a row, or never there.
                None => counts.not_ok += 1,
            }
        }
        counts
    }
}

/// `aftercorr`: my tasks whose counterparts have been decided; only the one named, or all.
fn settle_tasks(job: &Job, wait: &Wait, target: &Job, task: Option<u32>) -> Option<Event> {
    let (mut met, mut failed) = (IndexSet::new(), IndexSet::new());
    let mut endings = target.done.endings();
    let mut look = |index: u32| match endings.of(index) {
        Some(Ending::Completed) => {
            met.insert(index);
        }
        Some(_) => {
            failed.insert(index);
        }
        None if !target.waits_with(index) && !target.tasks.contains_key(&index) => {
            failed.insert(index);
        }
        None => {}
    };
    match task {
        Some(index) if wait.open.contains(index) => look(index),
        Some(_) => {}
        None => wait.open.iter().for_each(&mut look),
    }
    let decided = !met.is_empty() || !failed.is_empty();
    decided.then(|| Event::TasksSettled { job: job.id, term: wait.term.clone(), met, failed })
}

/// A job that waits for what can never be goes, where its user asked for that.
fn give_up(cluster: &Cluster, id: JobId) -> Vec<Event> {
    let Some(job) = cluster.job(id).filter(|job| job.terms.spec.kill_on_invalid_dep) else { return Vec::new() };
    if !job.waits.as_ref().is_some_and(Waits::are_hopeless) {
        return Vec::new();
    }
    vec![Event::Cancelled { job: id, tasks: job.waiting_tasks(), uid: job.terms.spec.user.uid }]
}
