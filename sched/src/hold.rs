//! Holding what waits, and releasing it: whole jobs, or tasks, which then stand apart from the rest of their array.

use std::collections::BTreeMap;

use crate::allow::{Role, Verb};
use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::JobId;
use crate::job::Job;
use crate::refusal::Refusal;
use crate::select::{Asker, resolve};
use crate::spec::array::JobRef;
use crate::spec::index_set::IndexSet;
use crate::terms::Hold;

/// What `scontrol hold`, `uhold` and `release` ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldVerb {
    /// Held by whoever asks.
    Hold,
    /// Held as by the job's user, whoever asks.
    UserHold,
    /// Free to start again.
    Release,
}

/// Holds or releases. Answers for each target whether it could be done.
pub(crate) fn hold(
    cluster: &Cluster,
    targets: &[JobRef],
    verb: HoldVerb,
    asker: Asker,
) -> (Vec<Event>, Vec<Result<(), Refusal>>) {
    let mut numbers = Numbers::after(cluster);
    let mut events = Vec::new();
    let mut one = |target: &JobRef| -> Result<(), Refusal> {
        let (job, tasks) = resolve(cluster, target)?;
        asker.may(Verb::Hold, job)?;
        if job.is_done() {
            return Err(Refusal::HasFinished);
        }
        let admin = asker.role > Role::User && (asker.uid == 0 || asker.uid != job.terms.spec.user.uid);
        let hold = match verb {
            HoldVerb::Hold if admin => Some(Hold::Admin),
            HoldVerb::Hold | HoldVerb::UserHold => Some(Hold::User),
            HoldVerb::Release => None,
        };
        let tasks = match tasks.filter(|_| job.is_array()) {
            Some(tasks) => Some(numbers.of_tasks(job, &tasks)?),
            None => None,
        };
        if hold.is_none() && is_held_by_admin(job, tasks.as_deref()) {
            asker.may(Verb::ReleaseHeld, job)?;
        }
        events.push(Event::Held { job: job.id, hold, tasks });
        Ok(())
    };
    let found = targets.iter().map(&mut one).collect();
    (events, found)
}

fn is_held_by_admin(job: &Job, tasks: Option<&[(u32, JobId)]>) -> bool {
    let own = |index: &u32| job.tasks.get(index).and_then(|task| task.own.as_ref()).map(|own| own.held);
    match tasks {
        None => job.held == Some(Hold::Admin),
        Some(tasks) => tasks.iter().any(|(index, _)| own(index).unwrap_or(job.held) == Some(Hold::Admin)),
    }
}

/// Numbers for tasks that leave the remainder of their array.
pub(crate) struct Numbers<'a> {
    cluster: &'a Cluster,
    last: Option<JobId>,
    /// Those given so far, and how many to each job.
    given: BTreeMap<(JobId, u32), JobId>,
    given_count: BTreeMap<JobId, u64>,
}

impl<'a> Numbers<'a> {
    pub(crate) fn after(cluster: &'a Cluster) -> Numbers<'a> {
        Numbers { cluster, last: cluster.last_job, given: BTreeMap::new(), given_count: BTreeMap::new() }
    }

    /// The tasks among these that are not done, each with its own number: the one it has, or the next free one. The last task
    /// to leave the remainder gets the job's own.
    ///
    /// # Errors
    /// When all are done, or one waits for its counterpart in another array.
    pub(crate) fn of_tasks(&mut self, job: &Job, tasks: &IndexSet) -> Result<Vec<(u32, JobId)>, Refusal> {
        let mut numbered = Vec::new();
        for index in tasks.iter() {
            if job.blocked.contains(index) || job.hopeless.contains(index) {
                return Err(Refusal::WholeJobsOnly(job.id));
            }
            if let Some(row) = job.tasks.get(&index) {
                numbered.push((index, row.id));
            } else if job.pending.contains(index) {
                numbered.push((index, self.of_task(job, index)));
            }
        }
        if numbered.is_empty() { Err(Refusal::HasFinished) } else { Ok(numbered) }
    }

    fn of_task(&mut self, job: &Job, index: u32) -> JobId {
        if let Some(id) = self.given.get(&(job.id, index)) {
            return *id;
        }
        let given = self.given_count.entry(job.id).or_insert(0);
        *given += 1;
        let last_of_job = job.waiting_count() - job.requeued.len() == *given;
        let id = if last_of_job && !job.own_id_taken { job.id } else { self.cluster.id_after(self.last) };
        if id != job.id {
            self.last = Some(id);
        }
        self.given.insert((job.id, index), id);
        id
    }
}
