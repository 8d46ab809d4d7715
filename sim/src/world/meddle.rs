//! What people do to jobs that are there: suspend and resume, requeue, hold and release single tasks, signal, and change limits,
//! throttles and shapes.
//!
//! They know no more than a listing shows, so much of it comes too late, twice, or to what it does not suit.

use sched::allow::Role;
use sched::hold::HoldVerb;
use sched::ids::JobId;
use sched::reason::Scope;
use sched::requeue::Requeue;
use sched::revise::{Change, LimitChange};
use sched::select::{Asker, Selection};
use sched::spec::array::{JobRef, TaskSelector};
use sched::step::Input;

use super::traffic::UID;
use super::{Happening, World};
use crate::chance::Chance;

/// The mean time between two meddlers.
const MEDDLE_MS: u64 = 2_000;
/// Whoever meddles may do everything to jobs.
pub(super) const OPERATOR: Asker = Asker { uid: UID, role: Role::Operator };

/// Draws what is done, by numbers of its own: so that what else happens in a run depends on it only by what it brings about.
#[derive(Debug)]
pub(super) struct Meddler(Chance);

impl Meddler {
    pub(super) fn new(seed: u64) -> Meddler {
        Meddler(Chance::new(seed.rotate_left(32)))
    }

    /// Something done to one of these jobs, or to some of these tasks.
    fn draw(&mut self, jobs: &[JobId], running: &[(JobId, u32)]) -> Option<Input> {
        let targets = self.draw_targets(jobs, running)?;
        let chance = &mut self.0;
        Some(match chance.below(12) {
            0..=2 => Input::Pause { targets, suspend: true, asker: OPERATOR },
            3 => Input::Pause { targets, suspend: false, asker: OPERATOR },
            4 | 5 => {
                let (hold, incomplete) = (chance.one_in(3), chance.one_in(2));
                Input::Requeue { targets, how: Requeue { hold, incomplete, ..Requeue::default() }, asker: OPERATOR }
            }
            6 | 7 => {
                let verb = chance.pick(&[HoldVerb::Hold, HoldVerb::UserHold, HoldVerb::Release, HoldVerb::Release]);
                Input::Hold { targets, verb, asker: OPERATOR }
            }
            8 => {
                let scope = chance.pick(&[Scope::Steps, Scope::Batch, Scope::Full]);
                let selection = Selection { targets, ..Selection::default() };
                Input::Signal { selection, signal: chance.pick(&[9, 10, 15]), scope, asker: OPERATOR }
            }
            _ => Input::Revise { targets, changes: vec![self.draw_change()], asker: OPERATOR },
        })
    }

    /// A job or one of its tasks; sometimes both, as people do.
    fn draw_targets(&mut self, jobs: &[JobId], running: &[(JobId, u32)]) -> Option<Vec<JobRef>> {
        let chance = &mut self.0;
        let one = |(job, index): (JobId, u32)| JobRef { job: job.0, tasks: TaskSelector::One(index) };
        let whole = |job: JobId| JobRef { job: job.0, tasks: TaskSelector::All };
        if !running.is_empty() && chance.one_in(2) {
            let (job, index) = chance.pick(running);
            let both = chance.one_in(8).then(|| whole(job));
            return Some(std::iter::once(one((job, index))).chain(both).collect());
        }
        if jobs.is_empty() {
            return None;
        }
        let job = chance.pick(jobs);
        Some(vec![if chance.one_in(2) { one((job, chance.of(0..=5) as u32)) } else { whole(job) }])
    }

    fn draw_change(&mut self) -> Change {
        let chance = &mut self.0;
        let few = chance.of(0..=3) as u32;
        match chance.below(7) {
            0 | 1 => Change::Throttle(few),
            2 => Change::TimeLimit(LimitChange::To((few > 0).then_some(few))),
            3 => Change::TimeLimit(if few > 1 { LimitChange::More(few) } else { LimitChange::Less(1) }),
            4 => Change::CpusPerProcess(1 + few % 2),
            5 => Change::Nice(few as i32 * 100),
            _ => Change::Priority(few),
        }
    }
}

impl World {
    /// Somebody does something to a job, and another will after it.
    pub(super) fn meddle(&mut self) {
        if self.is_calm() {
            return;
        }
        let next_ms = self.meddler.0.of(1..=2 * MEDDLE_MS);
        self.put(next_ms, Happening::Meddling);
        let jobs: Vec<JobId> = self.published().jobs().map(|job| job.id).collect();
        let running: Vec<(JobId, u32)> = {
            let cluster = self.published();
            let keys = cluster.nodes().flat_map(|node| cluster.attempts_on(node.id));
            keys.map(|key| (key.job, key.index)).collect()
        };
        if let Some(input) = self.meddler.draw(&jobs, &running) {
            self.tell(|| format!("client: asks for {input:?}"));
            self.call(input);
        }
    }
}
