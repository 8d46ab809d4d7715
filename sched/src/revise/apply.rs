//! One change made to terms, or refused.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::{Change, LimitChange, Scene, circle};
use crate::allow::Verb;
use crate::ids::Timestamp;
use crate::job::Job;
use crate::refusal::Refusal;
use crate::spec::duration::TimeLimit;
use crate::spec::job::{JobDraft, SpecError};
use crate::spec::labels::Labels;
use crate::submit;
use crate::task::TaskState;
use crate::terms::Terms;

impl Scene<'_> {
    pub(super) fn make(
        &self,
        job: &Job,
        task: Option<u32>,
        terms: &mut Terms,
        begin: &mut Option<Timestamp>,
        change: &Change,
    ) -> Result<(), Refusal> {
        match change {
            Change::TimeLimit(change) => return self.limit(job, task, terms, *change),
            Change::EndTime(end) => return self.end_time(job, task, terms, *end),
            Change::Priority(wanted) => return self.priority(job, terms, *wanted),
            Change::Nice(nice) => return self.nice(job, terms, *nice),
            Change::Begin(at) => {
                *begin = Some(*at).filter(|at| *at > self.now);
                edit(terms, |draft| draft.begin = Some(*at))?;
            }
            Change::Throttle(_) => return Ok(()),
            Change::Dependency(dependency) => {
                edit(terms, |draft| draft.dependency.clone_from(dependency))?;
                submit::check_dependency(self.cluster, &terms.spec)?;
                if circle::closes(self.cluster, job.id, dependency.as_ref()) {
                    return Err(Refusal::CircularDependency);
                }
            }
            Change::Requeue(requeue) => edit(terms, |draft| draft.requeue = *requeue)?,
            Change::Comment(comment) => edit(terms, |draft| draft.comment.clone_from(comment))?,
            Change::Name(name) => edit(terms, |draft| draft.name = name.as_str().into())?,
            Change::Deadline(deadline) => edit(terms, |draft| draft.deadline = *deadline)?,
            Change::Partitions(names) => edit(terms, |draft| draft.partitions.clone_from(names))?,
            Change::Nodes { min, max } => edit(terms, |draft| {
                (draft.request.nodes_min, draft.request.nodes_max) = (*min, *max);
            })?,
            Change::Processes(count) => edit(terms, |draft| draft.request.processes = Some(*count))?,
            Change::CpusPerProcess(count) => edit(terms, |draft| {
                (draft.request.cpus_per_process, draft.request.cpus_milli) = (Some(*count), None);
            })?,
            Change::Memory(memory) => edit(terms, |draft| draft.request.memory = *memory)?,
            Change::NodeList(names) => edit(terms, |draft| draft.request.nodes.clone_from(names))?,
            Change::Exclude(names) => edit(terms, |draft| draft.request.exclude.clone_from(names))?,
            Change::Features(wanted) => edit(terms, |draft| draft.request.constraint.clone_from(wanted))?,
            Change::Gres(asks) => edit(terms, |draft| draft.request.gres.clone_from(asks))?,
            Change::Licenses(asks) => edit(terms, |draft| draft.request.licenses.clone_from(asks))?,
            Change::WorkDir(dir) => edit(terms, |draft| draft.files.work_dir.clone_from(dir))?,
            Change::Stdin(name) => edit(terms, |draft| draft.files.stdin.clone_from(name))?,
            Change::Stdout(name) => edit(terms, |draft| draft.files.stdout.clone_from(name))?,
            Change::Stderr(name) => edit(terms, |draft| draft.files.stderr.clone_from(name))?,
            Change::Exclusive(exclusive) => edit(terms, |draft| draft.request.exclusive = *exclusive)?,
            Change::TimeMin(least) => edit(terms, |draft| draft.time_min = *least)?,
            Change::AdminComment(_) => {
                self.asker.may(Verb::AdminComment, job)?;
                edit(terms, |draft| label(&mut draft.labels, change))?;
            }
            Change::Account(_)
            | Change::Qos(_)
            | Change::Wckey(_)
            | Change::Reservation(_)
            | Change::Extra(_)
            | Change::MailType(_)
            | Change::MailUser(_) => edit(terms, |draft| label(&mut draft.labels, change))?,
        }
        Ok(())
    }

    fn nice(&self, job: &Job, terms: &mut Terms, nice: i32) -> Result<(), Refusal> {
        if nice < terms.spec.nice && nice < 0 {
            self.asker.may(Verb::RaisePriority, job)?;
        }
        let weighted = terms.priority + i64::from(terms.spec.nice);
        edit(terms, |draft| draft.nice = nice)?;
        if !terms.fixed {
            terms.priority = weighted - i64::from(nice);
        }
        Ok(())
    }

    /// A user may lower the limit of what runs, and ask for any for what waits; an operator may raise it, too.
    fn limit(&self, job: &Job, task: Option<u32>, terms: &mut Terms, change: LimitChange) -> Result<(), Refusal> {
        let minutes = |limit: TimeLimit| limit.seconds().map(|seconds| seconds / 60);
        let wanted = match (change, minutes(terms.time_limit)) {
            (LimitChange::To(wanted), _) => wanted.map(u64::from),
            (_, None) => None,
            (LimitChange::More(more), Some(now)) => Some(now + u64::from(more)),
            (LimitChange::Less(less), Some(now)) => Some(now.saturating_sub(u64::from(less)).max(1)),
        };
        let wanted = match wanted {
            None => TimeLimit::Unlimited,
            Some(minutes) => {
                let minutes = u32::try_from(minutes).ok().and_then(NonZeroU32::new);
                TimeLimit::Minutes(minutes.ok_or(Refusal::BadChange(SpecError::TimeLimit))?)
            }
        };
        let runs = match task {
            Some(index) => job.tasks.get(&index).is_some_and(|row| row.state.shares().is_some()),
            None => job.running_count() > 0,
        };
        if wanted > terms.time_limit && runs {
            self.asker.may(Verb::RaiseLimit, job)?;
        }
        terms.time_limit = wanted;
        edit(terms, |draft| draft.time_limit = Some(wanted))
    }

    /// The limit that ends what runs at `end`, rounded up to whole minutes.
    fn end_time(&self, job: &Job, task: Option<u32>, terms: &mut Terms, end: Timestamp) -> Result<(), Refusal> {
        let row = job.tasks.get(&task.unwrap_or(0)).filter(|_| task.is_some() || !job.is_array());
        let Some(TaskState::Running { since, .. }) = row.map(|row| &row.state) else { return Err(Refusal::NotRunning) };
        let minutes = u32::try_from(end.ms_since(*since).div_ceil(60_000)).unwrap_or(u32::MAX);
        self.limit(job, task, terms, LimitChange::To(Some(minutes.max(1))))
    }

    /// A priority that a person sets stays until the job is released; 0 holds, which is an event of its own.
    fn priority(&self, job: &Job, terms: &mut Terms, wanted: u32) -> Result<(), Refusal> {
        if wanted == 0 {
            return Ok(());
        }
        if i64::from(wanted) > terms.priority {
            self.asker.may(Verb::RaisePriority, job)?;
        }
        (terms.priority, terms.fixed) = (i64::from(wanted), true);
        Ok(())
    }
}

/// Names and remarks; any other change leaves them alone.
fn label(labels: &mut Labels, change: &Change) {
    match change {
        Change::Account(name) => labels.account.clone_from(name),
        Change::Qos(name) => labels.qos.clone_from(name),
        Change::Wckey(name) => labels.wckey.clone_from(name),
        Change::Reservation(name) => labels.reservation.clone_from(name),
        Change::Extra(text) => labels.extra.clone_from(text),
        Change::AdminComment(text) => labels.admin_comment.clone_from(text),
        Change::MailType(types) => labels.mail = *types,
        Change::MailUser(name) => labels.mail_user.clone_from(name),
        _ => {}
    }
}

fn edit(terms: &mut Terms, change: impl FnOnce(&mut JobDraft)) -> Result<(), Refusal> {
    terms.spec = Arc::new(terms.spec.revised(change).map_err(Refusal::BadChange)?);
    Ok(())
}
