//! The load: small arrays whose tasks write down when they begin and end, and what became of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use proto::dial::dial;
use proto::v1::{JobRow, JobState, ListHistoryRequest, ListJobsRequest, work};
use sched::spec::inject::InjectedFailure;
use tokio::time::{Instant, sleep};

use crate::ask::Ask;
use crate::call::{CallError, client, unnamed};
use crate::export;
use crate::failure::{Failure, Outcome};
use crate::local::layout::Layout;
use crate::send::{Submission, send};
use crate::submitter::Submitter;

/// Tasks of each array.
const TASKS: u32 = 8;
/// How long a task takes.
const TASK_S: &str = "0.3";
/// The pause between two submits.
const PAUSE: Duration = Duration::from_millis(250);
/// For a controller that is being started again to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two looks at what has not ended.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// What is submitted, and what was acknowledged of it.
pub(super) struct Load {
    layout: Layout,
    submission: Submission,
    inject: Option<InjectedFailure>,
    folder: PathBuf,
    acknowledged: Vec<u32>,
    refused: Vec<String>,
}

/// What became of the load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) jobs: usize,
    pub(super) tasks: usize,
    /// Why submits were not acknowledged.
    pub(super) refused: Vec<String>,
    /// Acknowledged, and not to be found: jobs, or tasks as `5_3`.
    pub(super) lost: Vec<String>,
    /// Tasks of which one run was begun twice, or two ran at once, or that were done and never ran.
    pub(super) wrong: Vec<String>,
    /// Runs after the first one.
    pub(super) requeued: u32,
    pub(super) failed_on_purpose: usize,
    pub(super) failed_otherwise: usize,
    /// Where the tasks have written, while anything is wrong.
    pub(super) folder: PathBuf,
}

/// What one task has written: each line is a run, and whether it began or ended.
type Lines = BTreeMap<(u32, u32), Vec<(u32, bool)>>;

impl Load {
    pub(super) fn prepare(layout: &Layout, inject: Option<InjectedFailure>, submitter: &Submitter) -> io::Result<Load> {
        let folder = layout.dir().join("chaos").join(std::process::id().to_string());
        fs::create_dir_all(&folder)?;
        let log = folder.join("log");
        fs::write(&log, "")?;
        let line = |word: &str| {
            let log = log.display();
            format!("echo {word} $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID ${{SLURM_RESTART_COUNT:-0}} >> '{log}'\n")
        };
        let script = format!("#!/bin/sh\n{}sleep {TASK_S}\n{}", line("begin"), line("end"));
        let ask = Ask { output: Some("none".into()), ..Ask::default() };
        let kind = work::Kind::Script(work::Script { arguments: Vec::new() });
        let mut spec = ask.spec("chaos".into(), "covey chaos".into(), kind, submitter);
        spec.array = format!("0-{}", TASKS - 1);
        let environment = export::environment(Some("NONE"), std::iter::empty());
        let submission = Submission { spec, script: Some(script.into_bytes()), environment, manifest: Vec::new() };
        let (acknowledged, refused) = Default::default();
        Ok(Load { layout: layout.clone(), submission, inject, folder, acknowledged, refused })
    }

    /// Submits one array after the other, as a user would whose commands come again while the controller is away.
    pub(super) async fn submit_until(&mut self, until: Instant) {
        while Instant::now() < until {
            // Which tasks fail follows from the seed and the index alone: with one seed all arrays would fail alike.
            let seed_of =
                |inject: InjectedFailure| inject.with_seed(inject.seed().wrapping_add(self.acknowledged.len() as u64));
            let inject = self.inject.map(|inject| seed_of(inject).to_string());
            self.submission.spec.inject_failure = inject.unwrap_or_default();
            match self.submit().await {
                Ok(job) => self.acknowledged.push(job),
                Err(error) => self.refused.push(error.text()),
            }
            sleep(PAUSE).await;
        }
    }

    async fn submit(&self) -> Result<u32, CallError> {
        let channel = unnamed(dial(&self.layout.endpoints(), PATIENCE).await?);
        Ok(send(&channel, &self.submission, None).await?.job_id)
    }

    /// Waits until everything that was acknowledged has ended, and holds it against what the tasks have written.
    ///
    /// # Errors
    /// When it does not end in time, or the controller stays away.
    pub(super) async fn settle(&mut self, patience: Duration) -> Outcome<Found> {
        let deadline = Instant::now() + patience;
        loop {
            let rows =
                self.rows().await.map_err(|error| Failure::call("covey chaos", "covey chaos: error: ", &error))?;
            let open = rows.iter().filter(|row| is_open(row)).count();
            if open == 0 {
                let lines = read(&fs::read_to_string(self.folder.join("log"))?);
                return Ok(self.judge(&rows, &lines));
            }
            if Instant::now() >= deadline {
                let text =
                    format!("covey chaos: error: {open} rows of jobs have not ended {} s later", patience.as_secs());
                return Err(
                    Failure::new(text).hint(Some("squeue --name chaos shows them, covey why JOB says why they wait"))
                );
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    async fn rows(&self) -> Result<Vec<JobRow>, CallError> {
        let channel = unnamed(dial(&self.layout.endpoints(), PATIENCE).await?);
        let ids = self.acknowledged.iter().map(ToString::to_string).collect();
        let jobs = ListJobsRequest { ids, ended: true, ..ListJobsRequest::default() };
        let request = ListHistoryRequest { jobs: Some(jobs), until_ms: i64::MAX, ..ListHistoryRequest::default() };
        let mut rows = Vec::new();
        if self.acknowledged.is_empty() {
            return Ok(rows);
        }
        let mut pages = client(&channel).list_history(request).await?.into_inner();
        while let Some(page) = pages.message().await? {
            rows.extend(page.rows);
        }
        Ok(rows)
    }

    fn judge(&self, rows: &[JobRow], lines: &Lines) -> Found {
        let known: BTreeMap<(u32, u32), &JobRow> =
            rows.iter().filter_map(|row| Some(((row.array_id, row.index?), row))).collect();
        let jobs: BTreeSet<u32> = self.acknowledged.iter().copied().collect();
        let mut found = Found { jobs: self.acknowledged.len(), folder: self.folder.clone(), ..Found::default() };
        found.tasks = found.jobs * TASKS as usize;
        found.refused.clone_from(&self.refused);
        if jobs.len() < self.acknowledged.len() {
            found.wrong.push("a number that was given twice".into());
        }
        for task in jobs.into_iter().flat_map(|job| (0..TASKS).map(move |index| (job, index))) {
            let name = format!("{}_{}", task.0, task.1);
            let Some(row) = known.get(&task) else {
                found.lost.push(name);
                continue;
            };
            found.requeued += row.attempts.saturating_sub(1);
            match row.state() {
                JobState::Completed => {}
                JobState::Failed if row.note.contains("on purpose") => found.failed_on_purpose += 1,
                _ => found.failed_otherwise += 1,
            }
            let ran = lines.get(&task).map_or(&[][..], Vec::as_slice);
            if !is_in_order(ran) || !ran.iter().any(|(_, ends)| *ends) {
                found.wrong.push(name);
            }
        }
        found
    }

    /// Removes what the tasks have written.
    pub(super) fn clear(&self) {
        // What stays behind is a small file in the cluster's folder.
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn is_open(row: &JobRow) -> bool {
    row.completing || matches!(row.state(), JobState::Pending | JobState::Running | JobState::Suspended)
}

/// Whether no run began twice, and none said anything after the next had begun.
fn is_in_order(lines: &[(u32, bool)]) -> bool {
    let begun: Vec<u32> = lines.iter().filter(|(_, ends)| !ends).map(|(run, _)| *run).collect();
    begun.is_sorted_by(|a, b| a < b) && lines.is_sorted_by_key(|(run, _)| *run)
}

/// What the tasks have written. A line that was torn by a kill says nothing.
fn read(text: &str) -> Lines {
    let mut lines = Lines::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, job, index, run] = words[..] else { continue };
        let (Ok(job), Ok(index), Ok(run)) = (job.parse(), index.parse(), run.parse()) else { continue };
        lines.entry((job, index)).or_default().push((run, word == "end"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(acknowledged: Vec<u32>) -> Load {
        let layout = Layout::find(Some(std::path::Path::new("/nowhere"))).expect("a path");
        let (submission, inject, folder, refused) = Default::default();
        Load { layout, submission, inject, folder, acknowledged, refused }
    }

    fn row(job: u32, index: u32, state: JobState, attempts: u32) -> JobRow {
        JobRow { array_id: job, index: Some(index), state: state.into(), attempts, ..JobRow::default() }
    }

    fn well(job: u32) -> (Vec<JobRow>, Lines) {
        let rows = (0..TASKS).map(|index| row(job, index, JobState::Completed, 1)).collect();
        let lines = (0..TASKS).map(|index| ((job, index), vec![(0, false), (0, true)])).collect();
        (rows, lines)
    }

    #[test]
    fn what_went_well_is_good_and_failures_on_purpose_are_counted() {
        let (mut rows, mut lines) = well(5);
        rows[1] = JobRow { note: "failed on purpose".into(), ..row(5, 1, JobState::Failed, 1) };
        rows[2] = row(5, 2, JobState::Completed, 2);
        // Its first run was killed before it could end.
        lines.insert((5, 2), vec![(0, false), (1, false), (1, true)]);
        let found = load(vec![5]).judge(&rows, &lines);
        assert_eq!((found.lost.len(), found.wrong.len(), found.failed_otherwise), (0, 0, 0));
        assert_eq!((found.tasks, found.requeued, found.failed_on_purpose), (8, 1, 1));
    }

    #[test]
    fn what_is_lost_ran_twice_or_never_ran_is_named() {
        let (mut rows, mut lines) = well(5);
        rows.remove(0);
        lines.insert((5, 1), vec![(0, false), (0, false), (0, true)]);
        lines.insert((5, 2), vec![(0, false), (1, false), (0, true), (1, true)]);
        lines.remove(&(5, 3));
        let found = load(vec![5, 6]).judge(&rows, &lines);
        assert_eq!(found.wrong, ["5_1", "5_2", "5_3"]);
        assert_eq!((found.lost.len(), found.lost[0].as_str()), (9, "5_0"));
        assert_eq!(load(vec![5, 5]).judge(&well(5).0, &well(5).1).wrong, ["a number that was given twice"]);
    }

    #[test]
    fn torn_lines_say_nothing() {
        let lines = read("begin 5 0 0\nbegin 5\nend 5 0 0\nend 5 1 x\n");
        assert_eq!(lines, BTreeMap::from([((5, 0), vec![(0, false), (0, true)])]));
    }
}
