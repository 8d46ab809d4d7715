//! Whether jobs start in the order that their dependencies ask for, seen from the journal alone.
//!
//! It judges what must be so whatever the scheduler thinks: dependencies on whole jobs that all have to be met. Those of which
//! any one is enough, on single tasks, and `singleton` and `after`, are for the tests of the core.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sched::event::Event;
use sched::ids::JobId;
use sched::reason::Ending;
use sched::spec::array::TaskSelector;
use sched::spec::dependency::{After, Term};
use sched::spec::job::JobSpec;

use crate::violation::Violation;

/// What has ended how, and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Order {
    jobs: BTreeMap<JobId, Seen>,
    /// Which terms have come once for a task: a target that is requeued later takes nothing of it back.
    come: BTreeSet<(JobId, u32, usize)>,
}

#[derive(Debug)]
struct Seen {
    spec: Arc<JobSpec>,
    /// By task: whether it ended well.
    ended: BTreeMap<u32, bool>,
}

impl Order {
    pub(crate) fn on_event(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Submitted { job, terms, .. } => {
                self.jobs.insert(*job, Seen { spec: terms.spec.clone(), ended: BTreeMap::new() });
                self.note(*job);
            }
            Event::Ended { key, outcome, .. } => {
                self.ended(key.job, key.index, outcome.ending == Ending::Completed);
            }
            Event::Cancelled { job, tasks, .. } | Event::Expired { job, tasks } => {
                tasks.iter().for_each(|index| self.ended(*job, index, false));
            }
            Event::Undone { job, tasks, .. } => {
                let seen = self.jobs.get_mut(job).map(|seen| &mut seen.ended);
                seen.into_iter().for_each(|ended| ended.retain(|index, _| !tasks.contains(*index)));
            }
            Event::Started { job, placements } => {
                return placements.iter().try_for_each(|placement| self.started(*job, placement.index));
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, job: JobId, index: u32, well: bool) {
        if let Some(seen) = self.jobs.get_mut(&job) {
            seen.ended.insert(index, well);
        }
        let waiting: Vec<JobId> =
            self.jobs.keys().copied().filter(|other| self.targets(*other).any(|(.., on)| on == job)).collect();
        waiting.into_iter().for_each(|other| self.note(other));
    }

    /// The whole jobs that a job waits for, where it waits for all that it names: by the place of the term.
    fn targets(&self, job: JobId) -> impl Iterator<Item = (usize, After, JobId)> + '_ {
        let dependency = self.jobs.get(&job).and_then(|seen| seen.spec.dependency.as_ref());
        let terms =
            dependency.filter(|dependency| !dependency.any).into_iter().flat_map(|dependency| &dependency.terms);
        terms.enumerate().filter_map(|(i, term)| match term {
            Term::On { what, target } if target.tasks == TaskSelector::All => Some((i, *what, JobId(target.job))),
            Term::On { .. } | Term::Singleton => None,
        })
    }

    /// Takes note of what has come for a job by now.
    fn note(&mut self, job: JobId) {
        let Some(tasks) = self.jobs.get(&job).map(|seen| seen.tasks()) else { return };
        let has_come = |(term, what, on): (usize, After, JobId)| {
            let target = self.jobs.get(&on);
            let come =
                tasks.iter().copied().filter(move |index| target.is_none_or(|target| target.has_come(what, *index)));
            come.map(move |index| (job, index, term))
        };
        let come: Vec<_> = self.targets(job).flat_map(has_come).collect();
        self.come.extend(come);
    }

    fn started(&self, job: JobId, index: u32) -> Result<(), Violation> {
        match self.targets(job).find(|(term, ..)| !self.come.contains(&(job, index, *term))) {
            Some((.., on)) => Err(Violation::TooEarly { job, index, on }),
            None => Ok(()),
        }
    }
}

impl Seen {
    fn tasks(&self) -> Vec<u32> {
        self.spec.array.as_ref().map_or_else(|| vec![0], |array| array.tasks().iter().collect())
    }

    fn has_come(&self, what: After, index: u32) -> bool {
        let tasks = self.spec.array.as_ref().map_or(1, |array| array.count());
        let over = self.ended.len() as u64 == tasks;
        let well = self.ended.values().all(|well| *well);
        match what {
            After::Any => over,
            After::Ok => over && well,
            After::NotOk => over && !well,
            After::Corr if self.spec.array.as_ref().is_some_and(|array| array.tasks().contains(index)) => {
                self.ended.get(&index) == Some(&true)
            }
            After::Corr | After::Started { .. } => true,
        }
    }
}
