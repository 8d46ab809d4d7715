//! Applied to one job: tasks that start, stop, are suspended, wait again, stand apart, or end while they wait.
//!
//! Each function is handed a job and makes one fact true of it; what is computed from jobs is kept by the callers in
//! [`super`].

use std::sync::Arc;

use crate::event::Placement;
use crate::ids::{AttemptKey, JobId, Timestamp};
use crate::job::{Job, Tally};
use crate::reason::{Ending, Outcome, Reason, StopWhy};
use crate::resources::Share;
use crate::signals::Signals;
use crate::spec::index_set::IndexSet;
use crate::task::{Done, EndedTasks, Own, Task, TaskState, Usage, without_cpus};
use crate::terms::{Hold, Terms};

/// `covered` says whether all its nodes keep leases.
pub(super) fn start(job: &mut Job, at: Timestamp, placement: &Placement, covered: bool) {
    let index = placement.index;
    let row = job.tasks.get(&index);
    let waited = job.pending.remove(index) || job.requeued.remove(index);
    assert!(waited, "task {index} of job {} was started without waiting", job.id);
    job.apart.remove(index);
    job.own_id_taken |= placement.id == job.id;
    let own = row.and_then(|row| row.own.clone());
    let retried = row.map_or(0, |row| row.retried);
    let state = TaskState::Running { since: at, shares: placement.shares.clone() };
    let (id, attempts, partition) = (placement.id, placement.attempt, placement.partition.clone());
    let leased = covered && row.map_or(&job.terms, |row| job.terms_of(row)).spec.requeue;
    let signals = Signals::default();
    job.tasks.insert(index, Task { id, attempts, state, own, partition, paused_ms: 0, retried, signals, leased });
}

pub(super) fn stop(job: &mut Job, at: Timestamp, key: AttemptKey, why: StopWhy) {
    let task = job.tasks.get_mut(&key.index).expect("a task that is stopped has a row");
    match &task.state {
        TaskState::Running { since, shares } => {
            task.state = TaskState::Finishing { since: *since, shares: shares.clone(), why, stopped: at };
        }
        TaskState::Suspended { since, shares, at: paused, .. } => {
            task.paused_ms += at.ms_since(*paused);
            task.state = TaskState::Finishing { since: *since, shares: shares.clone(), why, stopped: at };
        }
        TaskState::Pending { .. } | TaskState::Finishing { .. } | TaskState::Closing { .. } => {}
    }
}

/// What an attempt held, and what it holds from now on.
pub(super) type Exchanged = (Arc<[Share]>, Arc<[Share]>);

pub(super) fn suspend(job: &mut Job, at: Timestamp, key: AttemptKey) -> Exchanged {
    let task = job.tasks.get_mut(&key.index).expect("a task that is suspended has a row");
    let TaskState::Running { since, shares: full } = &task.state else { panic!("{key} is suspended and does not run") };
    let (since, full) = (*since, full.clone());
    let shares = without_cpus(&full);
    task.state = TaskState::Suspended { since, at, shares: shares.clone(), full: full.clone() };
    (full, shares)
}

pub(super) fn resume(job: &mut Job, at: Timestamp, key: AttemptKey) -> Exchanged {
    let task = job.tasks.get_mut(&key.index).expect("a task that is resumed has a row");
    let TaskState::Suspended { since, at: paused, shares, full } = &task.state else {
        panic!("{key} is resumed and was not suspended")
    };
    let (since, paused, shares, full) = (*since, *paused, shares.clone(), full.clone());
    task.paused_ms += at.ms_since(paused);
    task.state = TaskState::Running { since, shares: full.clone() };
    (shares, full)
}

/// When the batch process of an attempt ended that has waited for its steps since.
pub(super) fn closed_at(job: &Job, key: AttemptKey) -> Option<Timestamp> {
    match job.tasks.get(&key.index)?.state {
        TaskState::Closing { ended, .. } => Some(ended),
        TaskState::Pending { .. }
        | TaskState::Running { .. }
        | TaskState::Suspended { .. }
        | TaskState::Finishing { .. } => None,
    }
}

/// Takes the row of an attempt that holds something out of its job: when it started, what it holds, and the row.
pub(super) fn take_running(job: &mut Job, key: AttemptKey) -> (Timestamp, Arc<[Share]>, Task) {
    let task = job.tasks.remove(&key.index).expect("a task that ends has a row");
    assert_eq!(task.attempts, key.attempt, "only the newest attempt of {key} can end");
    match &task.state {
        TaskState::Running { since, shares }
        | TaskState::Suspended { since, shares, .. }
        | TaskState::Finishing { since, shares, .. }
        | TaskState::Closing { since, shares, .. } => (*since, shares.clone(), task),
        TaskState::Pending { .. } => panic!("{key} ended while it waited"),
    }
}

/// A task whose attempt is over waits again: with the rest of its job, or apart from it.
pub(super) fn wait_again(job: &mut Job, at: Timestamp, index: u32, task: Task, rest: Rest) {
    let before = task.own.as_deref().cloned().unwrap_or_default();
    let begin = rest.until.filter(|until| *until > at);
    let own = Own { terms: before.terms, held: rest.hold.or(before.held), begin, reason: Reason::None };
    let own = (own != Own::default()).then(|| Arc::new(own));
    if own.is_some() {
        job.apart.insert(index);
    }
    job.requeued.insert(index);
    let retried = task.retried + u32::from(rest.failed);
    let state = TaskState::Pending { since: at };
    let signals = Signals::default();
    let task = Task { state, own, partition: None, paused_ms: 0, retried, signals, leased: false, ..task };
    job.tasks.insert(index, task);
    job.ended = None;
    // Slurm counts a requeued job's wait from its requeue. The tasks of an array share their times, and keep them.
    if !rest.failed && !job.is_array() {
        (job.submitted, job.eligible) = (at, None);
    }
}

/// How a task waits after an attempt.
#[derive(Clone, Copy, Default)]
pub(super) struct Rest {
    pub(super) until: Option<Timestamp>,
    pub(super) hold: Option<Hold>,
    /// Its attempt failed, and this is one of its retries.
    pub(super) failed: bool,
}

/// Done tasks wait again, and are counted no more.
pub(super) fn undo(job: &mut Job, at: Timestamp, tasks: &IndexSet, hold: Option<Hold>) {
    let undone = job.done.remove_all(tasks);
    assert_eq!(undone.len() as u64, tasks.len(), "a task that is to run again is done");
    for (index, done) in undone {
        let own = done.terms.map(|terms| Arc::new(Own { terms: Some(terms), ..Own::default() }));
        let state = TaskState::Pending { since: at };
        let (id, attempts) = (done.id, done.attempts);
        let (signals, leased) = (Signals::default(), false);
        let task = Task { id, attempts, state, own, partition: None, paused_ms: 0, retried: 0, signals, leased };
        wait_again(job, at, index, task, Rest { hold, ..Rest::default() });
    }
    let mut tally = Tally::default();
    job.done.iter().for_each(|(_, done)| tally.count(&done.outcome));
    if let Some(ended) = &job.ended_waiting {
        tally.count_many(&Outcome::bare(ended.ending), ended.tasks.len());
    }
    job.tally = tally;
    (job.submitted, job.eligible) = (at, None);
}

/// These tasks stand apart from now on: those that have no row get one with the number beside them.
pub(super) fn part(job: &mut Job, at: Timestamp, tasks: &[(u32, JobId)], change: impl Fn(&mut Own)) {
    for &(index, id) in tasks {
        let waits = job.pending.remove(index) || job.requeued.contains(index);
        let new = || {
            let state = TaskState::Pending { since: at };
            let (signals, leased) = (Signals::default(), false);
            Task { id, attempts: 0, state, own: None, partition: None, paused_ms: 0, retried: 0, signals, leased }
        };
        let mut task = job.tasks.get(&index).cloned().unwrap_or_else(new);
        job.own_id_taken |= task.id == job.id;
        let (held, begin, reason) = (job.held, job.begin, job.reason);
        let own = task.own.get_or_insert_with(|| Arc::new(Own { terms: None, held, begin, reason }));
        change(Arc::make_mut(own));
        job.tasks.insert(index, task);
        if waits {
            job.requeued.insert(index);
            job.apart.insert(index);
        }
    }
}

/// Other terms hold for the job. Tasks that run keep the former ones, unless the change is meant for them, too.
pub(super) fn revise(job: &mut Job, terms: &Arc<Terms>, running_too: bool) {
    let former = std::mem::replace(&mut job.terms, terms.clone());
    if running_too {
        release_leases(job);
        return;
    }
    let runs = |task: &Task| task.state.shares().is_some() && task.own.as_ref().is_none_or(|own| own.terms.is_none());
    let keep: Vec<u32> = job.tasks.iter().filter(|(_, task)| runs(task)).map(|(index, _)| *index).collect();
    for index in keep {
        let task = job.tasks.get_mut(&index).expect("it was there a moment ago");
        let own = task.own.get_or_insert_with(Default::default);
        Arc::make_mut(own).terms = Some(former.clone());
    }
}

/// What is not to be requeued any more goes on beyond a lease, for good: a node that is told to start it again is told so.
pub(super) fn release_leases(job: &mut Job) {
    let free = |(index, task): (&u32, &Task)| (task.leased && !job.terms_of(task).spec.requeue).then_some(*index);
    let free: Vec<u32> = job.tasks.iter().filter_map(free).collect();
    for index in free {
        job.tasks.get_mut(&index).expect("it was there a moment ago").leased = false;
    }
}

/// Tasks end without having run.
pub(super) fn end_waiting(job: &mut Job, at: Timestamp, tasks: &IndexSet, ending: Ending) {
    let outcome = Outcome::bare(ending);
    let mut rows = job.requeued.clone();
    rows.intersect_with(tasks);
    for index in rows.iter() {
        let task = job.tasks.remove(&index).expect("a requeued task has a row");
        job.tally.count(&outcome);
        let done = Done {
            id: task.id,
            attempts: task.attempts,
            started: None,
            ended: at,
            shares: Arc::new([]),
            outcome: outcome.clone(),
            usage: Usage::default(),
            terms: task.own.as_ref().and_then(|own| own.terms.clone()),
            partition: None,
            paused_ms: 0,
        };
        job.done.insert(index, done);
    }
    job.requeued.subtract(&rows);
    job.apart.subtract(&rows);
    let mut plain = job.waiting_tasks();
    plain.intersect_with(tasks);
    if !plain.is_empty() {
        for set in [&mut job.pending, &mut job.blocked, &mut job.hopeless] {
            set.subtract(&plain);
        }
        if let Some(waits) = &mut job.waits {
            // A term of which no task is left is no term of the whole job.
            waits.terms.retain_mut(|wait| {
                let by_task = !wait.open.is_empty();
                wait.open.subtract(&plain);
                !by_task || !wait.open.is_empty()
            });
        }
        job.waits.take_if(|waits| waits.terms.is_empty());
        job.tally.count_many(&outcome, plain.len());
        let mut all = job.ended_waiting.take().map_or_else(IndexSet::new, |before| before.tasks);
        all.union_with(&plain);
        job.ended_waiting = Some(Box::new(EndedTasks { tasks: all, last: plain, ending, at }));
    }
    if job.is_done() {
        job.ended = Some(at);
    }
}
