//! `ListHistory`: rows of the jobs that are history and of those that are still in memory, as one listing for `sacct`.
//!
//! A job that leaves memory is durable history before the state without it is published. So the state is taken first, and
//! what both have is taken from it: nothing is missing, and nothing comes twice. History is read row by row, however long it is.

use std::collections::BTreeSet;

use proto::error::refused;
use proto::job_columns::Fields;
use proto::reason::ErrorReason;
use proto::v1;
use sched::cluster::Cluster;
use sched::ids::{JobId, Timestamp};
use sched::job::Job;
use sched::spec::array::{JobRef, TaskSelector};
use sched::spec::index_set::IndexSet;
use tonic::Status;
use tracing::warn;

use super::jobs::{Pager, Wanted, find};
use super::listing::{Gone, listing};
use super::rows::{Filter, RowMaker};
use super::{Answers, Desk};
use crate::history::{self, Past, PastRun, PastTask, day_of, key_prefix, run_prefix};
use crate::journal::{Journal, JournalError, PastRow, Rows};

pub(super) fn list(desk: &Desk, request: v1::ListHistoryRequest, uid: u32) -> Result<Answers<v1::JobsPage>, Status> {
    let window = Window { from_ms: request.from_ms, until_ms: request.until_ms };
    let mut jobs = request.jobs.unwrap_or_default();
    let states = std::mem::take(&mut jobs.states);
    let cluster = desk.published.cluster();
    let (wanted, unknown) = find(&cluster, &jobs.ids)?;
    let journal = desk.journal.clone();
    let name = desk.config.load().settings.cluster_name.clone();
    Ok(listing(uid, move |outlet| {
        let pager = Pager::new(outlet, Vec::new()).of(name);
        let sift = Sift { filter: Filter::new(&jobs), window, states: &states, pager };
        let maker = RowMaker { cluster: &cluster, detail: true, steps: jobs.steps, starts: None, fields: Fields::ALL };
        let duplicates = request.duplicates;
        let mut listing = Listing { cluster: &cluster, journal: &*journal, maker, sift, duplicates };
        let listed = match wanted {
            None => listing.everything(),
            Some(wanted) => listing.named(&wanted, &unknown),
        };
        listed.and_then(|()| listing.sift.pager.send())
    }))
}

/// Both ends included, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Window {
    from_ms: i64,
    until_ms: i64,
}

impl Window {
    /// Whether any of it lies between two moments; an end of 0 has not come.
    fn meets(self, start_ms: i64, end_ms: i64) -> bool {
        start_ms <= self.until_ms && (end_ms == 0 || end_ms >= self.from_ms)
    }

    /// Whether a row is meant. A state means: at some moment of the window, so a job that has ended was RUNNING as well.
    fn takes(self, row: &v1::JobRow, states: &[i32]) -> bool {
        let was = |state: i32| match v1::JobState::try_from(state).unwrap_or_default() {
            v1::JobState::Pending => {
                let until = if row.started_ms == 0 { row.ended_ms } else { row.started_ms };
                self.meets(row.submitted_ms, until)
            }
            v1::JobState::Running => row.started_ms != 0 && self.meets(row.started_ms, row.ended_ms),
            v1::JobState::Suspended => row.state == state && self.meets(row.started_ms, row.ended_ms),
            _ => row.state == state && (row.ended_ms == 0 || self.meets(row.ended_ms, row.ended_ms)),
        };
        if states.is_empty() {
            self.meets(row.submitted_ms, row.ended_ms)
        } else {
            states.iter().any(|state| was(*state))
        }
    }
}

/// Lets the rows through that were asked for.
struct Sift<'a> {
    filter: Filter<'a>,
    window: Window,
    states: &'a [i32],
    pager: Pager<'a>,
}

impl Sift<'_> {
    fn add(&mut self, row: v1::JobRow) -> Result<(), Gone> {
        let wanted = self.filter.takes(&row) && self.window.takes(&row, self.states);
        if wanted { self.pager.add(row) } else { Ok(()) }
    }
}

struct Listing<'a> {
    cluster: &'a Cluster,
    journal: &'a dyn Journal,
    maker: RowMaker<'a>,
    sift: Sift<'a>,
    /// Runs before the last one are told, too.
    duplicates: bool,
}

impl Listing<'_> {
    fn everything(&mut self) -> Result<(), Gone> {
        let first_day = day_of(Timestamp(self.sift.window.from_ms));
        self.past(self.journal.history(first_day..u32::MAX), None, &|_| true)?;
        self.cluster.jobs().try_for_each(|job| self.present(job, None))
    }

    /// The jobs and tasks that were named: first those that memory knows under these names, then those that history does.
    fn named(&mut self, wanted: &Wanted, unknown: &[String]) -> Result<(), Gone> {
        for (id, tasks) in wanted {
            if self.duplicates {
                let meant = |task: Option<&PastTask>| {
                    task.is_some_and(|task| tasks.as_ref().is_none_or(|tasks| tasks.contains(task.index)))
                };
                self.past(self.journal.history_of(0..u32::MAX, &run_prefix(*id)), None, &meant)?;
            }
            if let Some(job) = self.cluster.job(*id) {
                self.present(job, tasks.as_ref())?;
            }
        }
        let mut numbers = BTreeSet::new();
        for target in unknown.iter().filter_map(|id| id.parse::<JobRef>().ok()) {
            let tasks = match target.tasks {
                TaskSelector::All => None,
                TaskSelector::One(index) => Some(index.into()),
                TaskSelector::Listed(tasks) => Some(tasks),
            };
            let found = self.past_job(JobId(target.job), tasks.as_ref())?;
            if !found && tasks.is_none() {
                numbers.insert(JobId(target.job));
            }
        }
        if numbers.is_empty() {
            return Ok(());
        }
        // What is left may be the own number of a task, which only its job's rows know.
        let meant = |task: Option<&PastTask>| task.is_some_and(|task| numbers.contains(&task.done.id));
        self.past(self.journal.history(0..u32::MAX), None, &meant)
    }

    /// One job of the past, by its number; false when there is none.
    fn past_job(&mut self, id: JobId, tasks: Option<&IndexSet>) -> Result<bool, Gone> {
        let mut rows = self.journal.history_of(0..u32::MAX, &key_prefix(id)).peekable();
        let found = rows.peek().is_some();
        let meant = |task: Option<&PastTask>| match (tasks, task) {
            (Some(tasks), Some(task)) => tasks.contains(task.index),
            (None, _) | (Some(_), None) => true,
        };
        self.past(Box::new(rows), tasks, &meant)?;
        Ok(found)
    }

    fn present(&mut self, job: &Job, tasks: Option<&IndexSet>) -> Result<(), Gone> {
        if !self.sift.filter.lets_pass(job) {
            return Ok(());
        }
        let sift = &mut self.sift;
        self.maker.rows(job, tasks, true, &mut |row| sift.add(row))
    }

    /// What is meant of these rows of history; the remainder of an array is asked about as no task, and `tasks` of it are told.
    fn past(
        &mut self,
        rows: Rows<'_, PastRow>,
        tasks: Option<&IndexSet>,
        meant: &dyn Fn(Option<&PastTask>) -> bool,
    ) -> Result<(), Gone> {
        let mut job: Option<Box<Job>> = None;
        // A task's row waits for the rest of its steps.
        let mut open: Option<v1::JobRow> = None;
        for row in rows {
            let row = row.map_err(|error| self.sift.pager.fail(unreadable(&error)))?;
            match history::read(&row) {
                Ok(Past::Job(past)) => {
                    open.take().map_or(Ok(()), |row| self.sift.add(row))?;
                    let present = self.cluster.job(past.id).is_some_and(|job| job.submitted == past.submitted);
                    job = Some(past).filter(|past| !present && self.sift.filter.lets_pass(past));
                    if let Some(job) = job.as_deref().filter(|_| meant(None)) {
                        let sift = &mut self.sift;
                        self.maker.remainder(job, tasks, true, &mut |row| sift.add(row))?;
                    }
                }
                Ok(Past::Tasks(rows)) => {
                    let Some(job) = &job else { continue };
                    for task in rows.into_iter().filter(|task| meant(Some(task))) {
                        if !task.more {
                            open.take().map_or(Ok(()), |row| self.sift.add(row))?;
                            open = Some(self.maker.done_row(job, task.index, &task.done, task.held));
                        }
                        if let Some(row) = &mut open {
                            let steps = task.steps.into_iter().map(|step| (step.exit(), move || step));
                            self.maker.add_steps(row, steps);
                        }
                    }
                }
                Ok(Past::Run(run)) => {
                    open.take().map_or(Ok(()), |row| self.sift.add(row))?;
                    if self.duplicates && self.sift.filter.lets_pass(&run.job) && meant(Some(&run.task)) {
                        self.sift.add(self.run_row(*run))?;
                    }
                }
                Err(error) => {
                    job = None;
                    warn!(day = row.day, error = &error as &dyn std::error::Error, "a row of history is left out");
                }
            }
        }
        open.map_or(Ok(()), |row| self.sift.add(row))
    }
}

impl Listing<'_> {
    fn run_row(&self, run: PastRun) -> v1::JobRow {
        let row = self.maker.done_row(&run.job, run.task.index, &run.task.done, run.task.held);
        v1::JobRow { requeued: run.requeued, usage: row.usage.filter(|_| run.accounted), ..row }
    }
}

fn unreadable(error: &JournalError) -> Status {
    refused(ErrorReason::Storage, "Unable to read the accounting records", Some(&error.to_string()))
}

#[cfg(test)]
mod tests;
