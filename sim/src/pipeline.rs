//! The modelled pipeline of a noded: operations on blobs, and the blobs of mapped commands on their way in and out.
//!
//! What runs in it dies with noded; its claims and work folders stay on the disk.

use std::collections::BTreeMap;

use noded::roster::{Ends, Job};
use sched::ids::AttemptKey;
use sched::reason::Exit;
use sched::reconcile::{AttemptEnd, How};
use sched::task::Usage;

use crate::launcher::Fact;
use crate::task::Conduct;

/// How long a blob is on its way.
const MOVE_MS: u64 = 80;

/// The result of something in the pipeline.
#[derive(Debug)]
pub(crate) enum Moved {
    Staged(AttemptKey, Option<AttemptEnd>),
    Done(AttemptKey, AttemptEnd),
}

/// What one node stages, converts and publishes.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    under_way: BTreeMap<AttemptKey, (u64, Stage, AttemptEnd)>,
    /// On disk: operations that were begun.
    claims: BTreeMap<AttemptKey, ()>,
    /// On disk: mapped commands with a work folder.
    folders: BTreeMap<AttemptKey, Job>,
    facts: Vec<Fact>,
    /// Since when it stands still with its noded.
    still_since_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    In,
    Converts,
    Out,
}

impl Pipeline {
    pub(crate) fn convert(&mut self, job: &Job, now_ms: u64) {
        let key = job.key();
        if self.claims.insert(key, ()).is_some() {
            let end = AttemptEnd::failed("it was begun before".into());
            self.under_way.insert(key, (now_ms, Stage::Out, end));
            return;
        }
        let conduct: Conduct = job.brief.name.parse().expect("every job is named for its conduct");
        let end = exited(Exit { code: conduct.code, signal: 0 });
        let at_ms = conduct.runs_ms.map_or(u64::MAX, |ms| now_ms + ms);
        self.under_way.insert(key, (at_ms, Stage::Converts, end));
        self.facts.push(Fact::Began { key, shares: job.task.shares.clone(), process: false });
    }

    pub(crate) fn stage(&mut self, job: Job, now_ms: u64) {
        let key = job.key();
        self.folders.insert(key, job);
        self.under_way.insert(key, (now_ms + MOVE_MS, Stage::In, exited(Exit::default())));
    }

    pub(crate) fn publish(&mut self, job: &Job, now_ms: u64) {
        self.under_way.insert(job.key(), (now_ms + MOVE_MS, Stage::Out, exited(Exit::default())));
    }

    pub(crate) fn abandon(&mut self, key: AttemptKey, now_ms: u64) {
        if let Some((at_ms, _, end)) = self.under_way.get_mut(&key) {
            (*at_ms, *end) = (now_ms, AttemptEnd::terminated());
        }
    }

    pub(crate) fn drop_attempt(&mut self, key: AttemptKey) {
        self.under_way.remove(&key);
        self.claims.remove(&key);
        self.folders.remove(&key);
    }

    /// noded stands still, or goes on from there.
    pub(crate) fn stand(&mut self, still: bool, now_ms: u64) {
        let since_ms = std::mem::replace(&mut self.still_since_ms, still.then_some(now_ms));
        let stood_ms = if still { 0 } else { since_ms.map_or(0, |since_ms| now_ms - since_ms) };
        for (key, (at_ms, stage, _)) in &mut self.under_way {
            *at_ms = at_ms.saturating_add(stood_ms);
            if *stage == Stage::Converts {
                self.facts.push(Fact::Stands { key: *key, still });
            }
        }
    }

    /// noded is gone, and what it did with it.
    pub(crate) fn die(&mut self) {
        self.still_since_ms = None;
        for (key, (_, stage, _)) in std::mem::take(&mut self.under_way) {
            if stage == Stage::Converts {
                self.facts.push(Fact::Over { key, how: How::Lost });
            }
        }
    }

    /// The disk is lost.
    pub(crate) fn wipe(&mut self) {
        self.claims.clear();
        self.folders.clear();
    }

    /// What an earlier life left: operations that were begun, and mapped commands.
    pub(crate) fn left_behind(&self) -> (Vec<AttemptKey>, BTreeMap<AttemptKey, Job>) {
        (self.claims.keys().copied().collect(), self.folders.clone())
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        if self.still_since_ms.is_some() {
            return None;
        }
        self.under_way.values().map(|(at_ms, ..)| *at_ms).filter(|at_ms| *at_ms != u64::MAX).min()
    }

    pub(crate) fn on_clock(&mut self, now_ms: u64) -> Vec<Moved> {
        let due: Vec<AttemptKey> =
            self.under_way.iter().filter(|(_, (at_ms, ..))| *at_ms <= now_ms).map(|(key, _)| *key).collect();
        due.into_iter().filter_map(|key| self.finish(key)).collect()
    }

    fn finish(&mut self, key: AttemptKey) -> Option<Moved> {
        let (_, stage, end) = self.under_way.remove(&key)?;
        Some(match stage {
            Stage::In => Moved::Staged(key, (end.how != How::Exited(Exit::default())).then_some(end)),
            Stage::Converts => {
                self.facts.push(Fact::Over { key, how: end.how });
                Moved::Done(key, end)
            }
            Stage::Out => Moved::Done(key, end),
        })
    }

    pub(crate) fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }
}

fn exited(exit: Exit) -> AttemptEnd {
    AttemptEnd { how: How::Exited(exit), age_ms: 0, usage: Usage::default(), note: None }
}
