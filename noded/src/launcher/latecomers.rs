//! Attempts that are claimed and wait for the folder of their output.
//!
//! Some programs make that folder only once they know the job's number (submitit does), and here a job starts within
//! milliseconds of its submit. So a folder that is not there is looked for again for a moment before the attempt fails as
//! in Slurm. Nobody else is held up meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::frame::{Launch, Outcome, Request, RunKey};

/// How long a missing folder is waited for: longer than a busy machine keeps a program from making it.
const FOLDER_WAIT: Duration = Duration::from_secs(3);

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is kept of what was asked for meanwhile; more of it is passed over.
const LATER_MAX: usize = 64;

/// An attempt that waits.
pub(super) struct Latecomer {
    pub(super) launch: Box<Launch>,
    /// Why it could not start when it was tried last.
    pub(super) outcome: Outcome,
    /// What was asked of it since.
    pub(super) later: Vec<Request>,
    next: Instant,
    until: Instant,
}

impl Latecomer {
    /// Whether its time is not over yet.
    pub(super) fn may_wait(&self, now: Instant) -> bool {
        now < self.until
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Latecomers(BTreeMap<RunKey, Latecomer>);

impl Latecomers {
    /// Keeps an attempt that was tried for the first time.
    pub(super) fn add(&mut self, launch: Box<Launch>, outcome: Outcome, now: Instant) {
        let (next, until) = (now + LOOK_EVERY, now + FOLDER_WAIT);
        self.0.insert(launch.key, Latecomer { launch, outcome, later: Vec::new(), next, until });
    }

    /// Keeps one that was tried again.
    pub(super) fn add_again(&mut self, late: Latecomer, outcome: Outcome, now: Instant) {
        self.0.insert(late.launch.key, Latecomer { outcome, next: now + LOOK_EVERY, ..late });
    }

    /// Those that should be tried now.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Latecomer> {
        self.take(|_, late| late.next <= now)
    }

    /// Those with such keys.
    pub(super) fn take_keys(&mut self, wanted: impl Fn(RunKey) -> bool) -> Vec<Latecomer> {
        self.take(|key, _| wanted(key))
    }

    /// Puts off what is asked of one that waits; gives back what is asked of others.
    pub(super) fn put_off(&mut self, request: Request) -> Option<Request> {
        let key = match &request {
            Request::Signal { key, .. }
            | Request::Suspend { key }
            | Request::Resume { key }
            | Request::Limit { key, .. } => *key,
            Request::Launch(_) | Request::Stop { .. } | Request::Lease { .. } | Request::Forget { .. } => {
                return Some(request);
            }
        };
        let Some(late) = self.0.get_mut(&key) else { return Some(request) };
        if late.later.len() < LATER_MAX {
            late.later.push(request);
        }
        None
    }

    /// Those that may run elsewhere once the node's lease is over.
    pub(super) fn leased(&self) -> impl Iterator<Item = RunKey> + '_ {
        self.0.values().filter(|late| late.launch.leased).map(|late| late.launch.key)
    }

    /// When the next should be tried.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.0.values().map(|late| late.next).min()
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, wanted: impl Fn(RunKey, &Latecomer) -> bool) -> Vec<Latecomer> {
        let keys: Vec<RunKey> = self.0.iter().filter(|(key, late)| wanted(**key, late)).map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| self.0.remove(key)).collect()
    }
}
