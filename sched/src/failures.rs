//! Nodes on which everything fails at once: a black hole is always free, so it draws the whole queue into it.
//!
//! What fails at once may be the fault of the node (a missing mount, a full disk) or of the job (a mistyped program), and one end
//! cannot tell. What can is that *different* jobs fail there one after the other. So a run counts jobs, not tasks: an array
//! counts once however many of its tasks fail, and so do all jobs of one user under one name, so that a script which fails
//! ten thousand times says nothing against a node. A job counts only where it failed within [`AT_ONCE_MS`] of its start,
//! by an exit code or because it could not be started; one that was cancelled, ran too long or took too much memory does not.
//! Any task that ends well there ends the run. A sweep of differently named broken jobs can still fool the rule, and no rule
//! sees better from here: so `DrainAfterFailures` is 0 (off) until an administrator chooses a number.

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{Name, NodeId, Timestamp};
use crate::job::Job;
use crate::node::{Mark, MarkKind};
use crate::reason::{Ending, Exit, Outcome};
use crate::settings::Settings;
use crate::task::TaskState;

/// What ends so soon after its start failed at once.
pub const AT_ONCE_MS: u64 = 2_000;
/// The highest `DrainAfterFailures`, and the most jobs that a run remembers; those beyond are not counted.
pub const FAILURES_MAX: u32 = 100;

/// Different jobs that failed at once on one node, with none that did well in between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FailureRun {
    /// Users and names of the jobs.
    jobs: Vec<(u32, Name)>,
}

impl FailureRun {
    /// How many jobs.
    #[must_use]
    pub fn count(&self) -> usize {
        self.jobs.len()
    }

    /// Counts the end of a task that ran so long.
    pub(crate) fn note(&mut self, job: &Job, outcome: &Outcome, ran_ms: u64) {
        if outcome.ending == Ending::Completed {
            self.jobs.clear();
        } else if matches!(outcome.ending, Ending::Failed | Ending::LaunchFailed) && ran_ms <= AT_ONCE_MS {
            let (uid, name) = (job.terms.spec.user.uid, &job.terms.spec.name);
            let known = self.jobs.iter().any(|(other, named)| *other == uid && named == name);
            if !known && self.jobs.len() < FAILURES_MAX as usize {
                self.jobs.push((uid, name.clone()));
            }
        }
    }
}

/// The drain of a node that these ends, not yet applied, bring to the run that the settings allow.
pub(crate) fn drain(
    cluster: &Cluster,
    settings: &Settings,
    now: Timestamp,
    id: NodeId,
    ends: &[Event],
) -> Option<Event> {
    let node = cluster.node(id).filter(|node| node.mark.is_none() && settings.drain_after_failures > 0)?;
    let mut run = node.failures.clone();
    for event in ends {
        let Event::Ended { key, outcome, age_ms, .. } = event else { continue };
        let Some(job) = cluster.job(key.job) else { continue };
        run.note(job, outcome, ran_ms(job, key.index, now, *age_ms));
        if run.count() >= settings.drain_after_failures as usize {
            let exit = match outcome.exit {
                Exit { code, signal: 0 } => code.to_string(),
                exit => exit.to_string(),
            };
            let (count, within_s, last) = (run.count(), AT_ONCE_MS / 1000, job.label(key.index));
            let reason = format!(
                "{count} jobs in a row failed within {within_s} s of their start; the last was {last} with exit {exit}"
            );
            return Some(Event::NodeMarked { node: id, mark: Mark::own(MarkKind::Drain, &reason, now) });
        }
    }
    None
}

/// How long the running attempt of a task has run when it ended `age_ms` before `now`.
pub(crate) fn ran_ms(job: &Job, index: u32, now: Timestamp, age_ms: u64) -> u64 {
    match job.tasks.get(&index).map(|task| &task.state) {
        Some(
            TaskState::Running { since, .. } | TaskState::Suspended { since, .. } | TaskState::Finishing { since, .. },
        ) => now.minus_ms(age_ms).ms_since(*since),
        Some(TaskState::Closing { since, ended, .. }) => ended.ms_since(*since),
        Some(TaskState::Pending { .. }) | None => 0,
    }
}
