//! Whether jobs start in the order that their dependencies ask for, seen from the journal alone.
//!
//! It judges what must be so whatever the scheduler thinks: dependencies on whole jobs that all have to be met. Those of which
//! any one is enough, on single tasks, and `singleton` and `after`, are for the tests of the core.

use std::collections::BTreeMap;
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
            }
            Event::Ended { key, outcome, .. } => {
                self.ended(key.job, key.index, outcome.ending == Ending::Completed);
            }
            Event::Cancelled { job, tasks, .. } => tasks.iter().for_each(|index| self.ended(*job, index, false)),
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
    }

    fn started(&self, job: JobId, index: u32) -> Result<(), Violation> {
        let dependency = self.jobs.get(&job).and_then(|seen| seen.spec.dependency.as_ref());
        let Some(dependency) = dependency.filter(|dependency| !dependency.any) else { return Ok(()) };
        for term in &dependency.terms {
            if let Term::On { what, target } = term
                && target.tasks == TaskSelector::All
                && let Some(on) = self.jobs.get(&JobId(target.job))
                && !on.has_come(*what, index)
            {
                return Err(Violation::TooEarly { job, index, on: JobId(target.job) });
            }
        }
        Ok(())
    }
}

impl Seen {
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
