//! `scontrol update jobid=...`: other terms for a job, or for tasks, which then stand apart from the rest of their array.
//!
//! What shapes an attempt (nodes, CPUs, memory, files, ...) changes for what waits; limits, names and orders change for what runs,
//! too. Every change is checked like a submit. Start at [`revise`].

mod apply;
mod circle;

use std::cell::Cell;
use std::sync::Arc;

use crate::allow::{Role, Verb};
use crate::cluster::Cluster;
use crate::event::Event;
use crate::hold::Numbers;
use crate::ids::{AttemptKey, JobId, Name, Timestamp};
use crate::job::Job;
use crate::refusal::Refusal;
use crate::resources::Share;
use crate::select::{Asker, resolve};
use crate::settings::Settings;
use crate::spec::array::JobRef;
use crate::spec::constraint::Constraint;
use crate::spec::dependency::Dependency;
use crate::spec::duration::TimeLimit;
use crate::spec::gres::GresAsk;
use crate::spec::job::Memory;
use crate::spec::labels::MailTypes;
use crate::spec::licenses::LicenseAsk;
use crate::submit;
use crate::task::TaskState;
use crate::terms::{Hold, Terms};

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// `TimeLimit=`, `+=` and `-=`.
    TimeLimit(LimitChange),
    /// `EndTime=`: the limit of what runs, so that it ends then.
    EndTime(Timestamp),
    /// `Priority=`; 0 holds.
    Priority(u32),
    /// `Nice=`.
    Nice(i32),
    /// `ArrayTaskThrottle=`; 0 for no limit.
    Throttle(u32),
    /// `Requeue=`.
    Requeue(bool),
    /// `Comment=`.
    Comment(String),
    /// `Name=`.
    Name(String),
    /// `Deadline=`.
    Deadline(Option<Timestamp>),
    /// `Partition=`.
    Partitions(Vec<Name>),
    /// `Dependency=`; nothing clears it.
    Dependency(Option<Dependency>),
    /// `NumNodes=`.
    Nodes {
        /// The least.
        min: u32,
        /// The most.
        max: Option<u32>,
    },
    /// `NumTasks=`.
    Processes(u32),
    /// `CPUsPerTask=`.
    CpusPerProcess(u32),
    /// `MinMemoryNode=` and `MinMemoryCPU=`.
    Memory(Memory),
    /// `ReqNodeList=`; nothing clears it.
    NodeList(Vec<Name>),
    /// `ExcNodeList=`; nothing clears it.
    Exclude(Vec<Name>),
    /// `Features=`; nothing clears it.
    Features(Option<Constraint>),
    /// `Gres=`, for each node; nothing clears it.
    Gres(Vec<GresAsk>),
    /// `Licenses=`; nothing clears it.
    Licenses(Vec<LicenseAsk>),
    /// `StartTime=` and `EligibleTime=`.
    Begin(Timestamp),
    /// `WorkDir=`.
    WorkDir(String),
    /// `StdIn=`; nothing for none.
    Stdin(Option<String>),
    /// `StdOut=`.
    Stdout(Option<String>),
    /// `StdErr=`.
    Stderr(Option<String>),
    /// `Account=`.
    Account(String),
    /// `QOS=`.
    Qos(String),
    /// `WCKey=`.
    Wckey(String),
    /// `Reservation=`; nothing clears it.
    Reservation(String),
    /// `Extra=`.
    Extra(String),
    /// `AdminComment=`, for administrators.
    AdminComment(String),
    /// `MailType=`.
    MailType(MailTypes),
    /// `MailUser=`.
    MailUser(String),
    /// `TimeMin=`; nothing clears it.
    TimeMin(Option<TimeLimit>),
    /// `OverSubscribe=NO` takes whole nodes, and `=YES` or `=OK` does not.
    Exclusive(bool),
}

/// A change of a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitChange {
    /// To so many minutes; none for no limit.
    To(Option<u32>),
    /// By so many minutes more.
    More(u32),
    /// By so many minutes less.
    Less(u32),
}

/// What changes are judged by.
pub(crate) struct Scene<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Timestamp,
    pub(crate) asker: Asker,
    /// How many terms have been changed for this one asker.
    pub(crate) revised: Cell<u32>,
}

/// Changes jobs and tasks. Answers for each target whether it could be done; one change that cannot refuses all of its target's.
pub(crate) fn revise(
    scene: &Scene<'_>,
    targets: &[JobRef],
    changes: &[Change],
) -> (Vec<Event>, Vec<Result<(), Refusal>>) {
    let mut numbers = Numbers::after(scene.cluster);
    let mut events = Vec::new();
    let found = targets.iter().map(|target| {
        let (job, tasks) = resolve(scene.cluster, target)?;
        scene.asker.may(Verb::Update, job)?;
        if job.is_done() {
            return Err(Refusal::HasFinished);
        }
        let changed = match tasks.filter(|_| job.is_array()) {
            None => scene.whole_job(job, changes)?,
            Some(tasks) => scene.tasks(job, &numbers.of_tasks(job, &tasks)?, changes)?,
        };
        events.extend(changed);
        Ok(())
    });
    let found = found.collect();
    (events, found)
}

impl Scene<'_> {
    /// First what holds for running tasks, too, then what only those get that wait.
    fn whole_job(&self, job: &Job, changes: &[Change]) -> Result<Vec<Event>, Refusal> {
        let all: Vec<&Change> = changes.iter().collect();
        let of_apart = || job.apart.iter().filter_map(|index| job.tasks[&index].own.as_ref()?.held).max();
        let hold = self.hold_after(job, job.held.max(of_apart()), &all)?;
        // A release gives up a fixed priority, so that it comes before the one that is set.
        let mut events: Vec<Event> =
            hold.map(|hold| Event::Held { job: job.id, hold, tasks: None }).into_iter().collect();
        let (shape, rest): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| change.is_shape());
        if !shape.is_empty() && job.waiting_count() == 0 {
            return Err(Refusal::NoLongerPending);
        }
        let (mut terms, mut begin) = (job.terms.clone(), job.begin);
        for (changes, running_too) in [(rest, true), (shape, false)] {
            let revised = self.changed(job, &terms, &mut begin, &changes, None)?;
            if *revised != *terms || begin != job.begin || (running_too && hold == Some(None)) {
                terms = revised;
                events.push(Event::Revised { job: job.id, tasks: None, terms: terms.clone(), begin, running_too });
            }
        }
        for change in changes {
            if let Change::Throttle(throttle) = change
                && job.is_array()
            {
                events.push(Event::Throttled { job: job.id, throttle: (*throttle).try_into().ok() });
            }
        }
        for (index, task) in &job.tasks {
            let own = task.own.as_ref().is_some_and(|own| own.terms.is_some());
            let shape = task.state.shares().is_none();
            if own {
                let mine: Vec<&Change> = changes.iter().filter(|change| shape || !change.is_shape()).collect();
                events.extend(self.task(job, (*index, task.id), &mine)?);
            } else if terms.time_limit != job.terms.time_limit {
                events.extend(limited(job, *index, &terms));
            }
        }
        Ok(events)
    }

    fn tasks(&self, job: &Job, tasks: &[(u32, JobId)], changes: &[Change]) -> Result<Vec<Event>, Refusal> {
        let mine: Vec<&Change> = changes.iter().collect();
        let of_whole_jobs = |change: &&Change| matches!(change, Change::Throttle(_) | Change::Dependency(_));
        if mine.iter().any(of_whole_jobs) {
            return Err(Refusal::WholeJobsOnly(job.id));
        }
        let mut events = Vec::new();
        for task in tasks {
            let runs = job.tasks.get(&task.0).is_some_and(|row| row.state.shares().is_some());
            if runs && changes.iter().any(Change::is_shape) {
                return Err(Refusal::NoLongerPending);
            }
            events.extend(self.task(job, *task, &mine)?);
        }
        Ok(events)
    }

    /// The changes of one task.
    fn task(&self, job: &Job, task: (u32, JobId), changes: &[&Change]) -> Result<Vec<Event>, Refusal> {
        let row = job.tasks.get(&task.0);
        let former = row.map_or(&job.terms, |row| job.terms_of(row));
        let mut begin = row.and_then(|row| row.own.as_ref()).map_or(job.begin, |own| own.begin);
        let terms = self.changed(job, former, &mut begin, changes, Some(task.0))?;
        let limit_changed = terms.time_limit != former.time_limit;
        let limited = if limit_changed { limited(job, task.0, &terms) } else { Vec::new() };
        let revised = Event::Revised { job: job.id, tasks: Some(vec![task]), terms, begin, running_too: true };
        let held = row.and_then(|row| row.own.as_ref()).map_or(job.held, |own| own.held);
        let held = self.hold_after(job, held, changes)?;
        let held = held.map(|hold| Event::Held { job: job.id, hold, tasks: Some(vec![task]) });
        Ok(std::iter::once(revised).chain(held).chain(limited).collect())
    }

    /// What setting a priority does to a hold: 0 holds, and any other releases, because Slurm's held jobs are those of priority 0.
    fn hold_after(&self, job: &Job, held: Option<Hold>, changes: &[&Change]) -> Result<Option<Option<Hold>>, Refusal> {
        let set = changes.iter().rev().find_map(|change| match change {
            Change::Priority(wanted) => Some(*wanted),
            _ => None,
        });
        match (set, held) {
            (None, _) => Ok(None),
            (Some(0), _) => Ok(Some(Some(if self.asker.role > Role::User { Hold::Admin } else { Hold::User }))),
            (Some(_), None) => Ok(None),
            (Some(_), Some(Hold::Admin)) => self.asker.may(Verb::ReleaseHeld, job).map(|()| Some(None)),
            (Some(_), Some(_)) => Ok(Some(None)),
        }
    }

    /// The former terms with all changes made, checked as at a submit.
    fn changed(
        &self,
        job: &Job,
        former: &Arc<Terms>,
        begin: &mut Option<Timestamp>,
        changes: &[&Change],
        task: Option<u32>,
    ) -> Result<Arc<Terms>, Refusal> {
        let mut terms = (**former).clone();
        for change in changes {
            self.make(job, task, &mut terms, begin, change)?;
        }
        if terms == **former {
            return Ok(former.clone());
        }
        // Whatever it asks for now must be there, as at a submit: of all changes together, as one alone may ask for what no node
        // has. The limit and the priority that were set meanwhile stay.
        if changes.iter().any(|change| change.is_shape() || matches!(change, Change::Deadline(_))) {
            terms.partitions = submit::terms(self.cluster, self.settings, self.now, terms.spec.clone())?.partitions;
        }
        // No two terms of a job share a revision, not even those that one command changes.
        self.revised.set(self.revised.get() + 1);
        terms.revision = job.revision_max() + self.revised.get();
        Ok(Arc::new(terms))
    }
}

/// The orders that tell a running attempt's node of its other time limit; where its steps are warned by it, all its nodes.
fn limited(job: &Job, index: u32, terms: &Terms) -> Vec<Event> {
    let Some(task) = job.tasks.get(&index) else { return Vec::new() };
    match &task.state {
        TaskState::Running { shares, .. } | TaskState::Suspended { shares, .. } => {
            let key = AttemptKey { job: job.id, index, attempt: task.attempts };
            let nodes = if terms.warns_steps() { shares.len() } else { 1 };
            let told = |share: &Share| Event::Limited { key, node: share.node, limit: terms.time_limit };
            shares.iter().take(nodes).map(told).collect()
        }
        TaskState::Pending { .. } | TaskState::Finishing { .. } | TaskState::Closing { .. } => Vec::new(),
    }
}

impl Change {
    /// Whether it shapes attempts that have yet to start, and so cannot touch one that runs.
    fn is_shape(&self) -> bool {
        match self {
            Change::Partitions(_)
            | Change::Dependency(_)
            | Change::Nodes { .. }
            | Change::Processes(_)
            | Change::CpusPerProcess(_)
            | Change::Memory(_)
            | Change::NodeList(_)
            | Change::Exclude(_)
            | Change::Features(_)
            | Change::Gres(_)
            | Change::Licenses(_)
            | Change::Begin(_)
            | Change::WorkDir(_)
            | Change::Stdin(_)
            | Change::Stdout(_)
            | Change::Stderr(_)
            | Change::Reservation(_)
            | Change::Exclusive(_) => true,
            Change::TimeLimit(_)
            | Change::EndTime(_)
            | Change::Priority(_)
            | Change::Nice(_)
            | Change::Throttle(_)
            | Change::Requeue(_)
            | Change::Comment(_)
            | Change::Name(_)
            | Change::Deadline(_)
            | Change::Account(_)
            | Change::Qos(_)
            | Change::Wckey(_)
            | Change::Extra(_)
            | Change::AdminComment(_)
            | Change::MailType(_)
            | Change::MailUser(_)
            | Change::TimeMin(_) => false,
        }
    }
}
