//! A job, task or step as `sacct` shows it, and the texts that take more than a word to make.

use proto::v1::{JobDetail, JobRow, JobState, Usage};
use sched::spec::array::JobRef;
use sched::spec::duration;

use super::units::Unit;
use crate::commands::squeue::columns::{display_id, elapsed_s};
use crate::show::{self, state_names};

/// The step that a batch script is.
const BATCH: &str = "batch";

/// What is the same for all entries of a listing.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) now_ms: i64,
    pub(super) cluster: String,
    pub(super) unit: Unit,
}

/// One line: the allocation of a job or task, or a step of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) row: &'a JobRow,
    pub(super) shown: &'a Shown,
    step: Option<&'static str>,
}

impl<'a> Entry<'a> {
    /// The allocation, and the batch script once it has started.
    pub(super) fn all(row: &'a JobRow, shown: &'a Shown) -> impl Iterator<Item = Entry<'a>> {
        let step = (row.started_ms != 0).then_some(Entry { row, shown, step: Some(BATCH) });
        std::iter::once(Entry { row, shown, step: None }).chain(step)
    }

    pub(super) fn step_name(&self) -> Option<&'static str> {
        self.step
    }

    /// Whether it belongs to what an argument of `-j` names.
    pub(super) fn is_of(&self, job: &str) -> bool {
        let Ok(named) = job.parse::<JobRef>() else { return false };
        let tasks = |index| match &named.tasks {
            sched::spec::array::TaskSelector::All => true,
            sched::spec::array::TaskSelector::One(one) => index == *one,
            sched::spec::array::TaskSelector::Listed(list) => list.contains(index),
        };
        named.job == self.row.id || (named.job == self.row.array_id && self.row.index.is_none_or(tasks))
    }

    /// For fields that only allocations have.
    pub(super) fn of_job(&self, text: impl FnOnce(&JobRow) -> String) -> String {
        if self.step.is_none() { text(self.row) } else { String::new() }
    }

    /// For fields that only steps have.
    pub(super) fn of_step(&self, text: impl FnOnce(&JobRow) -> String) -> String {
        if self.step.is_some() { text(self.row) } else { String::new() }
    }

    pub(super) fn id(&self, raw: bool) -> String {
        let id = if raw { self.row.id.to_string() } else { display_id(self.row) };
        self.step.map_or(id.clone(), |step| format!("{id}.{step}"))
    }

    pub(super) fn name(&self) -> String {
        self.step.unwrap_or(&self.row.name).to_owned()
    }

    /// Who cancelled stands behind the job's state. The step of a job that Slurm stopped for a reason of its own was cancelled.
    pub(super) fn state(&self) -> String {
        match (self.row.state(), self.step, self.row.cancelled_by) {
            (JobState::Cancelled, None, Some(uid)) => format!("CANCELLED by {uid}"),
            (JobState::Timeout | JobState::Deadline | JobState::Preempted | JobState::NodeFail, Some(_), _) => {
                "CANCELLED".into()
            }
            (state, ..) => state_names(state).0.into(),
        }
    }

    /// Slurm records the end of a job that it stops when it stops it: only the step tells the signal.
    pub(super) fn exit_code(&self) -> String {
        let state = self.row.state();
        let stopped =
            matches!(state, JobState::Cancelled | JobState::Timeout | JobState::Deadline | JobState::Preempted);
        if stopped && self.step.is_none() {
            return "0:0".into();
        }
        format!("{}:{}", self.row.exit_code, self.row.exit_signal)
    }

    pub(super) fn started(&self) -> bool {
        self.row.started_ms != 0
    }

    pub(super) fn submit_time(&self) -> String {
        unknown(if self.step.is_some() { self.row.started_ms } else { self.row.submitted_ms })
    }

    pub(super) fn eligible_time(&self) -> String {
        unknown(if self.step.is_some() { self.row.started_ms } else { self.row.eligible_ms })
    }

    /// `None` for what ended before it could start.
    pub(super) fn start_time(&self) -> String {
        if !self.started() && self.row.ended_ms != 0 { "None".into() } else { unknown(self.row.started_ms) }
    }

    pub(super) fn end_time(&self) -> String {
        unknown(self.row.ended_ms)
    }

    pub(super) fn elapsed_s(&self) -> u64 {
        elapsed_s(self.row, self.shown.now_ms)
    }

    /// How long it stood still, which no other time counts.
    pub(super) fn suspended_s(&self) -> u64 {
        let now_ms = if self.row.suspended_ms == 0 { 0 } else { self.shown.now_ms - self.row.suspended_ms };
        (self.row.paused_ms + u64::try_from(now_ms).unwrap_or(0)) / 1000
    }

    pub(super) fn cpu_time_s(&self) -> u64 {
        self.elapsed_s() * u64::from(self.cpus())
    }

    /// From the moment when it could have started until it did, or was given up.
    pub(super) fn planned(&self) -> String {
        let until_ms = [self.row.started_ms, self.row.ended_ms, self.shown.now_ms].into_iter().find(|ms| *ms != 0);
        let waited_ms = until_ms.unwrap_or(0) - self.row.eligible_ms;
        if self.row.eligible_ms == 0 { String::new() } else { padded(u64::try_from(waited_ms).unwrap_or(0) / 1000) }
    }

    /// CPUs that are, or were, its own.
    pub(super) fn cpus(&self) -> u32 {
        if self.started() { self.row.cpus } else { 0 }
    }

    pub(super) fn time_limit(&self) -> String {
        self.row.time_limit_minutes.map_or_else(|| "UNLIMITED".into(), |minutes| padded(minutes * 60))
    }

    pub(super) fn nodes(&self) -> String {
        if self.row.nodes.is_empty() { "None assigned".into() } else { self.row.nodes.clone() }
    }

    /// The memory that was asked for, over all nodes; what it holds where nothing was asked for.
    pub(super) fn requested_memory(&self) -> String {
        let row = self.row;
        let mib = match (row.memory_mib, row.memory_per_cpu) {
            (0, _) => return self.held_memory(),
            (mib, true) => mib * u64::from(row.cpus),
            (mib, false) => mib * u64::from(row.node_count),
        };
        self.shown.unit.text(mib, MEBI)
    }

    fn held_memory(&self) -> String {
        self.shown.unit.text(self.row.memory_held_mib * u64::from(self.row.node_count), MEBI)
    }

    pub(super) fn allocated_tres(&self) -> String {
        if !self.started() {
            return String::new();
        }
        let (cpus, nodes) = (self.row.cpus, self.row.node_count);
        let billing = self.of_job(|_| format!("billing={cpus},"));
        format!("{billing}cpu={cpus},mem={},node={nodes}", self.held_memory())
    }

    pub(super) fn requested_tres(&self) -> String {
        let (cpus, nodes) = (self.row.cpus, self.row.node_count);
        format!("billing={cpus},cpu={cpus},mem={},node={nodes}", self.requested_memory())
    }

    /// Nothing is known of what a process uses before its end.
    pub(super) fn usage(&self, text: impl FnOnce(&Usage) -> String) -> String {
        self.row.usage.as_ref().map(text).unwrap_or_default()
    }

    pub(super) fn step_bytes(&self, bytes: fn(&Usage) -> u64) -> String {
        self.of_step(|_| self.usage(|usage| self.shown.unit.text(bytes(usage), 0)))
    }

    pub(super) fn detail(&self, field: fn(&JobDetail) -> &String) -> String {
        self.row.detail.as_ref().map(|detail| field(detail).clone()).unwrap_or_default()
    }
}

/// Sizes of memory are counted in MiB.
const MEBI: usize = 2;

/// Seconds as `01:02:03`.
pub(super) fn padded(seconds: u64) -> String {
    duration::padded(seconds)
}

/// CPU time as `00:01.234`, `01:02:03` from an hour on.
pub(super) fn cpu_time(us: u64) -> String {
    let (seconds, ms) = (us / 1_000_000, us / 1_000 % 1_000);
    if seconds >= 3_600 { padded(seconds) } else { format!("{:02}:{:02}.{ms:03}", seconds / 60, seconds % 60) }
}

fn unknown(unix_ms: i64) -> String {
    show::time(unix_ms).unwrap_or_else(|| "Unknown".into())
}
