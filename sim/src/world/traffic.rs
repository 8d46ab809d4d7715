//! What clients want: jobs of many shapes, and second thoughts about them.

use std::num::NonZeroU32;

use sched::hold::HoldVerb;
use sched::ids::Timestamp;
use sched::job::Job;
use sched::mark::{NodesUpdate, Wish};
use sched::node::MarkKind;
use sched::reason::{Reason, Scope};
use sched::requeue::Requeue;
use sched::select::Selection;
use sched::spec::array::{ArraySpec, INDEX_MAX};
use sched::spec::array::{JobRef, TaskSelector};
use sched::spec::dependency::{After, Dependency, Term};
use sched::spec::duration::TimeLimit;
use sched::spec::job::{JobDraft, JobSpec, Memory, Work};
use sched::spec::retry::Retry;
use sched::step::Input;
use sched::task::{Task, TaskState};

use super::meddle::OPERATOR;
use super::{CPU_MEMORY_MIB, Happening, World};
use crate::chance::Chance;
use crate::draft;
use crate::task::Conduct;

/// The mean time between two clients.
const TRAFFIC_MS: u64 = 3_500;
/// The pause between two looks for what would wait for ever.
pub(super) const MERCY_MS: u64 = 60_000;
/// The user who cancels.
pub(super) const UID: u32 = 1000;

impl World {
    /// A client thinks of something, and another will after it.
    pub(super) fn traffic(&mut self) {
        if self.is_calm() {
            return;
        }
        // Some have their second thoughts at once.
        let next_ms_max = self.chance.pick(&[100, TRAFFIC_MS * 2, TRAFFIC_MS * 2]);
        let next_ms = self.chance.of(1..=next_ms_max);
        self.put(next_ms, Happening::Traffic);
        if self.chance.one_in(10) {
            return self.draw_update();
        }
        let open = self.open_jobs();
        if let Some(newest) = open.last()
            && self.chance.one_in(8)
        {
            return self.cancel(JobRef { job: newest.0, tasks: TaskSelector::All });
        }
        if open.is_empty() || self.chance.one_in(2) {
            let draft = self.draw_job();
            return self.submit(draft.check().expect("drawn within bounds"));
        }
        let job = self.chance.pick(&open).0;
        let tasks = match self.chance.below(3) {
            0 => TaskSelector::One(self.chance.of(0..=5) as u32),
            _ => TaskSelector::All,
        };
        let target = JobRef { job, tasks };
        match self.chance.below(3) {
            0 => self.hold(JobRef { job, tasks: TaskSelector::All }, true),
            1 => self.hold(JobRef { job, tasks: TaskSelector::All }, false),
            _ => self.cancel(target),
        }
    }

    /// A client submits.
    pub(crate) fn submit(&mut self, spec: JobSpec) {
        let ticket = self.clients.submit(spec);
        self.asks(ticket);
    }

    /// A client cancels.
    pub(crate) fn cancel(&mut self, target: JobRef) {
        let selection = Selection { targets: vec![target], ..Selection::default() };
        self.call(Input::Cancel { selection, asker: OPERATOR });
    }

    /// A client holds or releases.
    pub(crate) fn hold(&mut self, target: JobRef, hold: bool) {
        let verb = if hold { HoldVerb::UserHold } else { HoldVerb::Release };
        self.call(Input::Hold { targets: vec![target], verb, asker: OPERATOR });
    }

    /// An operator requeues.
    pub(crate) fn requeue(&mut self, target: JobRef, how: Requeue) {
        self.call(Input::Requeue { targets: vec![target], how, asker: OPERATOR });
    }

    /// An operator suspends or resumes.
    pub(crate) fn pause(&mut self, target: JobRef, suspend: bool) {
        self.call(Input::Pause { targets: vec![target], suspend, asker: OPERATOR });
    }

    /// A client signals the batch process.
    pub(crate) fn signal(&mut self, target: JobRef, signal: i32) {
        let selection = Selection { targets: vec![target], ..Selection::default() };
        self.call(Input::Signal { selection, signal, scope: Scope::Batch, asker: OPERATOR });
    }

    /// An administrator takes a node out of service, or puts it back.
    pub(crate) fn update_node(&mut self, name: &str, wish: Wish) {
        self.call(Input::UpdateNodes(NodesUpdate { names: vec![name.into()], wish, uid: 0, user: "root".into() }));
    }

    /// An administrator has doubts about a node, or has lost them.
    fn draw_update(&mut self) {
        let nodes: Vec<usize> = (0..self.nodes.len()).collect();
        let name = self.nodes[self.chance.pick(&nodes)].name.clone();
        let wish = match self.chance.below(3) {
            0 => Wish::Resume,
            kind => Wish::Mark {
                kind: if kind == 1 { MarkKind::Drain } else { MarkKind::Down },
                reason: "odd noises".into(),
                resume_after_s: Some(self.chance.of(1..=120)),
            },
        };
        self.update_node(&name, wish);
    }

    fn draw_job(&mut self) -> JobDraft {
        let widest = self.nodes.iter().map(|node| node.amount.cpus.count()).max().unwrap_or(1);
        let (now, known) = (self.now(), self.published().jobs().map(|job| job.id).collect::<Vec<_>>());
        let chance = &mut self.chance;
        let runs_ms_max = chance.pick(&[50, 2_000, 20_000, 90_000]);
        let runs_ms = (!chance.one_in(8)).then(|| chance.of(0..=runs_ms_max));
        let code = chance.pick(&[0, 0, 0, 3, 137]);
        let mut draft = draft::job(Conduct { runs_ms, code, stubborn: chance.one_in(6) });
        if chance.one_in(2) {
            let count = NonZeroU32::new(chance.of(1..=12) as u32).expect("at least 1");
            let throttle = NonZeroU32::new(chance.of(0..=3) as u32);
            draft.array = Some(ArraySpec::counted(count, throttle, INDEX_MAX).expect("few"));
        }
        match chance.below(8) {
            0 => draft.work = Work::Op("grayscale".into()).into(),
            1 => draft.map = Some(draft::map().into()),
            2 => draft.request.processes = Some(chance.of(1..=u64::from(widest) + 1) as u32),
            3 => draft.request.cpus_per_process = Some(chance.of(1..=u64::from(widest)) as u32),
            _ => {}
        }
        if matches!(*draft.work, Work::Op(_)) {
            draft.map = Some(draft::map().into());
        }
        if draft.map.is_some() && draft.array.is_none() {
            draft.array = Some(ArraySpec::counted(NonZeroU32::MIN, None, INDEX_MAX).expect("one"));
        }
        if draft.map.is_none() && chance.one_in(3) {
            draft.time_limit = Some(TimeLimit::Minutes(NonZeroU32::MIN));
        }
        let known: Vec<u32> = known.iter().map(|job| job.0).collect();
        if !known.is_empty() && chance.one_in(4) {
            let what = [After::Any, After::Ok, After::NotOk, After::Corr, After::Started { minutes: 0 }];
            let target = JobRef { job: chance.pick(&known), tasks: TaskSelector::All };
            let term = Term::On { what: chance.pick(&what), target };
            draft.dependency = Some(Dependency { any: false, terms: vec![term] });
            draft.kill_on_invalid_dep = chance.one_in(2);
        }
        draft.begin = chance.one_in(12).then(|| now.plus_ms(chance.of(0..=40_000)));
        draft.requeue = !chance.one_in(5);
        draft.hold = chance.one_in(10);
        draw_terms(chance, now, &mut draft);
        draft
    }

    /// Releases what is held, resumes what is suspended and cancels what can never end by itself; again after a while, for what has become so since.
    pub(super) fn show_mercy(&mut self) {
        self.put(MERCY_MS, Happening::Mercy);
        let jobs: Vec<_> = self.published().jobs().filter(|job| !job.is_done()).cloned().collect();
        for job in jobs {
            let target = JobRef { job: job.id.0, tasks: TaskSelector::All };
            let conduct: Conduct = job.terms.spec.name.parse().expect("every job is named for its conduct");
            let never_starts = job.waiting_reason() == Reason::DependencyNeverSatisfied || !job.hopeless.is_empty();
            // A deadline must end what never ends by itself.
            let never_ends = conduct.runs_ms.is_none() && job.terms.spec.deadline.is_none();
            if never_ends || never_starts || !self.fits(&job) {
                self.cancel(target);
                continue;
            }
            if job.tasks.values().any(|task| matches!(task.state, TaskState::Suspended { .. })) {
                self.pause(target.clone(), false);
            }
            let held = |task: &Task| task.own.as_ref().is_some_and(|own| own.held.is_some());
            if job.held.is_some() || job.tasks.values().any(held) {
                self.hold(target, false);
            }
        }
    }

    /// Whether the machines that are there could run each task of this job, if they had nothing else to do.
    fn fits(&self, job: &Job) -> bool {
        let own = job.tasks.values().map(|task| job.terms_of(task));
        std::iter::once(&job.terms).chain(own).all(|terms| {
            let request = &terms.spec.request;
            let each = request.process_cpus().milli();
            let there = self.nodes.iter().filter(|node| node.powered);
            let room: u32 = there.map(|node| node.amount.cpus.milli() / each).sum();
            room >= request.process_count()
        })
    }
}

/// When, where and how often a job may run.
fn draw_terms(chance: &mut Chance, now: Timestamp, draft: &mut JobDraft) {
    if draft.map.is_none() && chance.one_in(3) {
        // Little memory, so that others find some when it is suspended.
        draft.request.memory = Memory::PerNode(chance.of(1..=CPU_MEMORY_MIB / 4));
    }
    if chance.one_in(6) {
        let least_ms = if draft.time_limit.is_some() { 60_000 } else { 0 };
        draft.deadline = Some(now.plus_ms(least_ms + chance.of(5_000..=120_000)));
        draft.begin = None;
    }
    draft.retry = chance.one_in(3).then(|| Retry { times: chance.of(1..=3) as u32, on: None });
    draft.nice = chance.pick(&[0, 0, 50]);
    draft.partitions = match chance.below(6) {
        0 => vec![draft::EXPRESS.into()],
        1 => vec![draft::EXPRESS.into(), draft::DEBUG.into()],
        _ => Vec::new(),
    };
}
