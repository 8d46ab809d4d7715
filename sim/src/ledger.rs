//! Whether each task ends once, is tried again as often as was asked for, and runs beside no more of its array than may: seen
//! from the journal alone.
//!
//! A requeue of what is done takes its end back; only then may the task start and end once more.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use sched::cluster::Cluster;
use sched::event::Event;
use sched::ids::JobId;
use sched::spec::retry::Retry;

use crate::violation::Violation;

/// A page for each job.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pages: BTreeMap<JobId, Page>,
}

#[derive(Debug, Default)]
struct Page {
    retry: Option<Retry>,
    /// How often each task was tried again because it failed.
    retried: BTreeMap<u32, u32>,
    throttle: Option<NonZeroU32>,
    /// Tasks that run and were not told to stop.
    running: BTreeSet<u32>,
    ended: BTreeSet<u32>,
}

impl Ledger {
    pub(crate) fn on_event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Submitted { job, terms, .. } => {
                let (retry, array) = (terms.spec.retry.clone(), terms.spec.array.as_ref());
                let throttle = array.and_then(|array| array.throttle());
                self.pages.insert(*job, Page { retry, throttle, ..Page::default() });
            }
            Event::Throttled { job, throttle } => self.page(*job).throttle = *throttle,
            Event::Started { job, placements } => {
                let tasks = placements.iter().map(|placement| placement.index);
                return self.page(*job).started(*job, tasks);
            }
            Event::Stopped { key, .. } => drop(self.page(key.job).running.remove(&key.index)),
            Event::Requeued { key, failed, .. } => {
                let page = self.page(key.job);
                page.running.remove(&key.index);
                return if *failed { page.tried_again(key.job, key.index) } else { Ok(()) };
            }
            Event::Ended { key, outcome, .. } => {
                let page = self.page(key.job);
                page.running.remove(&key.index);
                let retried = page.retried.get(&key.index).copied().unwrap_or(0);
                if page.retry.as_ref().is_some_and(|retry| retry.covers(outcome, retried)) {
                    return Err(Violation::Retries { job: key.job, index: key.index, retried });
                }
                return page.ended(key.job, key.index);
            }
            Event::Cancelled { job, tasks, .. } | Event::Expired { job, tasks } => {
                let page = self.page(*job);
                return tasks.iter().try_for_each(|index| page.ended(*job, index));
            }
            Event::Undone { job, tasks, .. } => {
                let page = self.page(*job);
                for index in tasks.iter() {
                    page.ended.remove(&index);
                    page.retried.remove(&index);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the books count as many ends as there were.
    pub(crate) fn check(&self, cluster: &Cluster) -> Result<(), Violation> {
        for job in cluster.jobs() {
            let ended = self.pages.get(&job.id).map_or(0, |page| page.ended.len());
            let counted = job.tally.total();
            if ended != counted as usize {
                return Err(Violation::Tally { job: job.id, counted, ended });
            }
        }
        Ok(())
    }

    fn page(&mut self, job: JobId) -> &mut Page {
        self.pages.entry(job).or_default()
    }
}

impl Page {
    /// The limit counts when something starts: it may have been lowered while more ran.
    fn started(&mut self, job: JobId, tasks: impl Iterator<Item = u32>) -> Result<(), Violation> {
        for index in tasks {
            if self.ended.contains(&index) {
                return Err(Violation::StartedAfterItsEnd { job, index });
            }
            self.running.insert(index);
        }
        let running = u32::try_from(self.running.len()).expect("a run has few tasks");
        match self.throttle.filter(|limit| running > limit.get()) {
            Some(limit) => Err(Violation::Throttle { job, running, limit: limit.get() }),
            None => Ok(()),
        }
    }

    fn tried_again(&mut self, job: JobId, index: u32) -> Result<(), Violation> {
        let retried = self.retried.entry(index).or_insert(0);
        *retried += 1;
        let (retried, times) = (*retried, self.retry.as_ref().map_or(0, |retry| retry.times));
        if retried > times { Err(Violation::Retries { job, index, retried }) } else { Ok(()) }
    }

    fn ended(&mut self, job: JobId, index: u32) -> Result<(), Violation> {
        if self.ended.insert(index) { Ok(()) } else { Err(Violation::EndedTwice { job, index }) }
    }
}
