//! What the controller counts of itself: for `sdiag`, which may start anew, and for `/metrics`, which never does.
//!
//! Nothing here is state: a restart begins at 0. The driver notes what each batch has done, the layer around the services notes each
//! call ([`calls`]), and whoever asks gets a copy. Start at [`Statistics`].

pub(crate) mod calls;
pub(crate) mod meters;
pub(crate) mod scrape;
mod shape;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sched::event::Event;
use sched::ids::Timestamp;
use sched::plan::Scope;
use sched::reason::Ending;
use sched::spec::array::ArraySpec;
use sched::spec::job::JobSpec;

use crate::clock;
use crate::history::day_of;
use meters::Meters;

/// Users whose calls are counted one by one; those of others count for nobody.
pub(crate) const USERS_MAX: usize = 1_000;

/// All counters of one controller.
pub(crate) struct Statistics {
    figures: Mutex<Figures>,
    pub(crate) meters: Meters,
}

/// What has happened since the last reset. Times are microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) since: Timestamp,
    pub(crate) submitted: u64,
    pub(crate) started: u64,
    pub(crate) completed: u64,
    pub(crate) cancelled: u64,
    pub(crate) failed: u64,
    pub(crate) passes: Passes,
    pub(crate) by_method: BTreeMap<&'static str, Calls>,
    /// By uid.
    pub(crate) by_user: BTreeMap<u32, Calls>,
}

/// Scheduling passes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Passes {
    pub(crate) count: u64,
    pub(crate) last_us: u64,
    pub(crate) max_us: u64,
    pub(crate) total_us: u64,
    pub(crate) last: Scope,
    pub(crate) total_tried: u64,
    pub(crate) total_queued: u64,
    pub(crate) last_at: Timestamp,
    pub(crate) backfilled: u64,
    pub(crate) backfilled_ever: u64,
}

/// Calls, and how long they took together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) count: u64,
    pub(crate) total_us: u64,
}

impl Default for Statistics {
    fn default() -> Statistics {
        let figures = Figures { since: clock::now(), ..Figures::default() };
        Statistics { figures: Mutex::new(figures), meters: Meters::default() }
    }
}

impl Statistics {
    /// The figures; they start anew with `reset`.
    pub(crate) fn read(&self, now: Timestamp, reset: bool) -> Figures {
        let mut figures = self.at(now);
        let read = figures.clone();
        if reset {
            figures.reset(now);
        }
        read
    }

    /// A scheduling pass is over.
    pub(crate) fn note_pass(&self, now: Timestamp, took: Duration, scope: Scope) {
        self.meters.pass_seconds.observe(took.as_secs_f64());
        self.meters.backfilled.inc_by(scope.backfilled as u64);
        self.at(now).passes.note(now, micros(took), scope);
    }

    /// These facts have become durable.
    pub(crate) fn note_events(&self, now: Timestamp, events: &[Event]) {
        let mut figures = self.at(now);
        for event in events {
            let (submitted, started, ending) = counts(event);
            figures.submitted += submitted;
            figures.started += started;
            self.meters.submitted.inc_by(submitted);
            self.meters.started.inc_by(started);
            if let Some((ending, tasks)) = ending {
                figures.end(ending, tasks);
                self.meters.ended(ending, tasks);
            }
        }
    }

    /// A call has been answered; `uid` is the caller's where the kernel says it.
    pub(crate) fn note_call(&self, method: &'static str, uid: Option<u32>, took: Duration) {
        self.meters.call(method, took);
        let mut figures = self.at(clock::now());
        figures.by_method.entry(method).or_default().note(took);
        if let Some(uid) = uid
            && (figures.by_user.len() < USERS_MAX || figures.by_user.contains_key(&uid))
        {
            figures.by_user.entry(uid).or_default().note(took);
        }
    }

    /// The figures of this day: as in Slurm, those of the scheduler begin anew at midnight UTC.
    fn at(&self, now: Timestamp) -> MutexGuard<'_, Figures> {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        if day_of(now) > day_of(figures.since) {
            let (by_method, by_user) = (std::mem::take(&mut figures.by_method), std::mem::take(&mut figures.by_user));
            figures.reset(now);
            (figures.by_method, figures.by_user) = (by_method, by_user);
        }
        figures
    }
}

impl Figures {
    fn reset(&mut self, now: Timestamp) {
        let Passes { last_us, last, last_at, backfilled_ever, .. } = self.passes;
        let passes = Passes { last_us, last, last_at, backfilled_ever, ..Passes::default() };
        *self = Figures { since: now, passes, ..Figures::default() };
    }

    fn end(&mut self, ending: Ending, tasks: u64) {
        match ending {
            Ending::Completed => self.completed += tasks,
            Ending::Cancelled(_) => self.cancelled += tasks,
            // sdiag's "failed" is what the cluster lost; a program that ends badly has completed.
            Ending::LaunchFailed | Ending::NodeFail => self.failed += tasks,
            Ending::Failed | Ending::Timeout | Ending::OutOfMemory | Ending::Deadline => self.completed += tasks,
        }
    }
}

impl Passes {
    fn note(&mut self, now: Timestamp, took_us: u64, scope: Scope) {
        self.count += 1;
        (self.last_us, self.last, self.last_at) = (took_us, scope, now);
        self.max_us = self.max_us.max(took_us);
        self.total_us += took_us;
        self.total_tried += scope.tried as u64;
        self.total_queued += scope.queued as u64;
        self.backfilled += scope.backfilled as u64;
        self.backfilled_ever += scope.backfilled as u64;
    }
}

impl Calls {
    fn note(&mut self, took: Duration) {
        self.count += 1;
        self.total_us += micros(took);
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// How many tasks a fact submits and starts, and how many it ends and how.
fn counts(event: &Event) -> (u64, u64, Option<(Ending, u64)>) {
    match event {
        Event::Submitted { terms, .. } => (tasks_of(&terms.spec), 0, None),
        Event::Started { placements, .. } => (0, placements.len() as u64, None),
        Event::Ended { outcome, .. } => (0, 0, Some((outcome.ending, 1))),
        Event::Cancelled { tasks, uid, .. } => (0, 0, Some((Ending::Cancelled(*uid), tasks.len()))),
        Event::Expired { tasks, .. } => (0, 0, Some((Ending::Deadline, tasks.len()))),
        // The others start and end nothing.
        _ => (0, 0, None),
    }
}

fn tasks_of(spec: &JobSpec) -> u64 {
    spec.array.as_ref().map_or(1, ArraySpec::count)
}

#[cfg(test)]
mod tests;
