//! Which task has which number: a run where neighbours have neighbouring numbers, which the tasks of an array mostly have.

use imbl::OrdMap;

use crate::ids::JobId;

/// Tasks whose own number is not their job's, by that number.
///
/// Runs are as long as they can be, so that equal maps are equal, however they came about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TaskIds(OrdMap<u32, Run>);

/// The numbers from its key on belong to these tasks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    count: u32,
    job: JobId,
    /// Of the first task.
    index: u32,
}

impl TaskIds {
    /// The job and task that have a number.
    pub(crate) fn get(&self, id: JobId) -> Option<(JobId, u32)> {
        let (first, run) = self.0.get_prev(&id.0)?;
        let place = id.0 - first;
        (place < run.count).then(|| (run.job, run.index + place))
    }

    /// Gives a number to a task. It had none, or this one.
    pub(crate) fn insert(&mut self, id: JobId, job: JobId, index: u32) {
        if self.get(id).is_some() {
            return;
        }
        let mut first = id.0;
        let mut run = Run { count: 1, job, index };
        let follows = |before: u32, run: &Run, after: u32, next: &Run| {
            before.checked_add(run.count) == Some(after)
                && run.job == next.job
                && run.index.checked_add(run.count) == Some(next.index)
        };
        if let Some((before, former)) = self.0.get_prev(&first).map(|(before, former)| (*before, *former))
            && follows(before, &former, first, &run)
        {
            (first, run) = (before, Run { count: former.count + 1, ..former });
        }
        if let Some((after, next)) = self.0.get_next(&id.0).map(|(after, next)| (*after, *next))
            && follows(first, &run, after, &next)
        {
            self.0.remove(&after);
            run.count += next.count;
        }
        self.0.insert(first, run);
    }

    /// Takes a number away from its task.
    pub(crate) fn remove(&mut self, id: JobId) {
        let Some((first, run)) = self.0.get_prev(&id.0).map(|(first, run)| (*first, *run)) else { return };
        let place = id.0 - first;
        if place >= run.count {
            return;
        }
        self.0.remove(&first);
        if place > 0 {
            self.0.insert(first, Run { count: place, ..run });
        }
        let left = run.count - place - 1;
        if left > 0 {
            self.0.insert(id.0 + 1, Run { count: left, index: run.index + place + 1, ..run });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_hold_what_a_map_would(changes in prop::collection::vec((0_u32..60, 0_u32..2, any::<bool>()), 0..200)) {
            let (mut runs, mut map) = (TaskIds::default(), BTreeMap::new());
            for (id, job, adds) in changes {
                let id = JobId(id);
                if adds {
                    // The numbers of a job's tasks follow their indices, but for a gap now and then.
                    let index = id.0 / 7 * 8 + id.0 % 7;
                    map.entry(id).or_insert((JobId(job), index));
                    runs.insert(id, map[&id].0, index);
                } else {
                    map.remove(&id);
                    runs.remove(id);
                }
            }
            for id in (0..62).map(JobId) {
                prop_assert_eq!(runs.get(id), map.get(&id).copied());
            }
            let mut anew = TaskIds::default();
            map.iter().rev().for_each(|(id, (job, index))| anew.insert(*id, *job, *index));
            prop_assert_eq!(runs, anew);
        }
    }

    #[test]
    fn the_numbers_of_an_array_are_one_run() {
        let mut runs = TaskIds::default();
        let shuffled = (0..1000).map(|place| place * 7 % 1000);
        shuffled.for_each(|place| runs.insert(JobId(5 + place), JobId(4), place));
        assert_eq!(runs.0.len(), 1);
    }
}
