//! A job, task or step as `sacct` shows it, and the texts that take more than a word to make.

use std::num::NonZeroU32;

use proto::v1::{JobDetail, JobRow, JobState, StepRow, Usage};
use sched::spec::array::{ArraySpec, INDEX_MAX, JobRef, LIST_BYTES_MAX, TaskSelector, list_text};
use sched::spec::duration;

use super::units::Unit;
use crate::row::{display_id, elapsed_s};
use crate::show::{self, state_names};

/// The step that a batch script is.
const BATCH: &str = "batch";

/// What is the same for all entries of a listing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) now_ms: i64,
    pub(crate) cluster: String,
    pub(crate) unit: Unit,
    /// `SLURM_BITSTR_LEN`: bytes of the list of tasks that wait; `None` for Slurm's own bound.
    pub(crate) list_bytes: Option<usize>,
}

/// One line: the allocation of a job or task, or a step of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(super) row: &'a JobRow,
    pub(super) shown: &'a Shown,
    part: Part<'a>,
}

/// What of a job or task a line is about.
#[derive(Clone, Copy, Debug)]
enum Part<'a> {
    Allocation,
    Batch,
    Step(&'a StepRow),
}

impl<'a> Entry<'a> {
    /// The allocation, the batch script once it has started, and the steps in the order of their starts.
    pub(crate) fn all(row: &'a JobRow, shown: &'a Shown) -> impl Iterator<Item = Entry<'a>> {
        let batch = row.started_ms != 0 && row.detail.as_ref().is_none_or(|detail| detail.batch);
        let parts = std::iter::once(Part::Allocation).chain(batch.then_some(Part::Batch));
        parts.chain(row.steps.iter().map(Part::Step)).map(move |part| Entry { row, shown, part })
    }

    /// `batch`, or the number of a step; `None` for an allocation.
    pub(crate) fn step_name(&self) -> Option<String> {
        match self.part {
            Part::Allocation => None,
            Part::Batch => Some(BATCH.into()),
            Part::Step(step) => Some(step.step.to_string()),
        }
    }

    /// Whether it has begun and not ended.
    pub(crate) fn runs(&self) -> bool {
        self.started_ms() != 0 && self.ended_ms() == 0
    }

    /// Whether it belongs to what an argument of `-j` names.
    pub(crate) fn is_of(&self, job: &str) -> bool {
        let Ok(named) = job.parse::<JobRef>() else { return false };
        let tasks = |index| match &named.tasks {
            TaskSelector::All => true,
            TaskSelector::One(one) => index == *one,
            TaskSelector::Listed(list) => list.contains(index),
        };
        named.job == self.row.id || (named.job == self.row.array_id && self.row.index.is_none_or(tasks))
    }

    /// For fields that only allocations have.
    pub(super) fn of_job(&self, text: impl FnOnce(&JobRow) -> String) -> String {
        if matches!(self.part, Part::Allocation) { text(self.row) } else { String::new() }
    }

    /// For fields that only steps have.
    pub(super) fn of_step(&self, text: impl FnOnce(&Entry<'a>) -> String) -> String {
        if matches!(self.part, Part::Allocation) { String::new() } else { text(self) }
    }

    pub(crate) fn id(&self, raw: bool) -> String {
        let id = if raw { self.row.id.to_string() } else { self.long_id() };
        self.step_name().map_or(id.clone(), |step| format!("{id}.{step}"))
    }

    /// The number, with as much of the list of what waits as was asked for.
    fn long_id(&self) -> String {
        let list = ArraySpec::parse(&self.row.remainder, INDEX_MAX).ok();
        let Some((list, bytes)) = list.zip(self.shown.list_bytes) else { return display_id(self.row) };
        let bytes = if bytes == 0 { None } else { Some(bytes.max(LIST_BYTES_MIN)) };
        format!("{}_[{}]", self.row.array_id, list_text(list.tasks(), NonZeroU32::new(self.row.throttle), bytes))
    }

    pub(super) fn name(&self) -> String {
        match self.part {
            Part::Allocation => self.row.name.clone(),
            Part::Batch => BATCH.into(),
            Part::Step(step) => step.name.clone(),
        }
    }

    /// Who cancelled stands behind the job's state. The batch script of a job that Slurm stopped for a reason of its own was cancelled.
    pub(super) fn state(&self) -> String {
        match (self.row.state(), self.part, self.row.cancelled_by) {
            (_, Part::Step(step), _) => state_names(step.state()).0.into(),
            (_, Part::Allocation, _) if self.row.requeued => "REQUEUED".into(),
            (JobState::Cancelled, Part::Allocation, Some(uid)) => format!("CANCELLED by {uid}"),
            (JobState::Timeout | JobState::Deadline | JobState::Preempted | JobState::NodeFail, Part::Batch, _) => {
                "CANCELLED".into()
            }
            (state, ..) => state_names(state).0.into(),
        }
    }

    /// Slurm records the end of a job that it stops when it stops it: only the step tells the signal.
    pub(super) fn exit_code(&self) -> String {
        let stopped = matches!(
            self.row.state(),
            JobState::Cancelled | JobState::Timeout | JobState::Deadline | JobState::Preempted
        );
        match self.part {
            Part::Allocation if stopped => "0:0".into(),
            Part::Allocation | Part::Batch => format!("{}:{}", self.row.exit_code, self.row.exit_signal),
            Part::Step(step) => format!("{}:{}", step.exit_code, step.exit_signal),
        }
    }

    fn started_ms(&self) -> i64 {
        if let Part::Step(step) = self.part { step.started_ms } else { self.row.started_ms }
    }

    fn ended_ms(&self) -> i64 {
        if let Part::Step(step) = self.part { step.ended_ms } else { self.row.ended_ms }
    }

    pub(super) fn started(&self) -> bool {
        self.started_ms() != 0
    }

    pub(super) fn submit_time(&self) -> String {
        if let Part::Allocation = self.part { unknown(self.row.submitted_ms) } else { unknown(self.started_ms()) }
    }

    pub(super) fn eligible_time(&self) -> String {
        if let Part::Allocation = self.part { unknown(self.row.eligible_ms) } else { unknown(self.started_ms()) }
    }

    /// `None` for what ended before it could start.
    pub(super) fn start_time(&self) -> String {
        if !self.started() && self.ended_ms() != 0 { "None".into() } else { unknown(self.started_ms()) }
    }

    pub(super) fn end_time(&self) -> String {
        unknown(self.ended_ms())
    }

    pub(super) fn elapsed_s(&self) -> u64 {
        let Part::Step(step) = self.part else { return elapsed_s(self.row, self.shown.now_ms) };
        let end_ms = if step.ended_ms == 0 { self.shown.now_ms } else { step.ended_ms };
        if step.started_ms == 0 { 0 } else { u64::try_from(end_ms - step.started_ms).unwrap_or(0) / 1000 }
    }

    /// How long it stood still, which no other time counts.
    pub(super) fn suspended_s(&self) -> u64 {
        let now_ms = if self.row.suspended_ms == 0 { 0 } else { self.shown.now_ms - self.row.suspended_ms };
        (self.row.paused_ms + u64::try_from(now_ms).unwrap_or(0)) / 1000
    }

    pub(super) fn cpu_time_s(&self) -> u64 {
        self.elapsed_s() * u64::from(self.cpus())
    }

    /// From the moment when it could have started until it did, or was given up; seconds.
    pub(super) fn planned_s(&self) -> Option<u64> {
        let until_ms = [self.row.started_ms, self.row.ended_ms, self.shown.now_ms].into_iter().find(|ms| *ms != 0);
        let waited_ms = until_ms.unwrap_or(0) - self.row.eligible_ms;
        (self.row.eligible_ms != 0).then(|| u64::try_from(waited_ms).unwrap_or(0) / 1000)
    }

    /// CPUs that are, or were, its own.
    pub(super) fn cpus(&self) -> u32 {
        match self.part {
            Part::Step(step) => step.cpus,
            Part::Allocation | Part::Batch if self.started() => self.row.cpus,
            Part::Allocation | Part::Batch => 0,
        }
    }

    pub(super) fn requested_cpus(&self) -> u32 {
        if let Part::Step(step) = self.part { step.cpus } else { self.row.cpus }
    }

    pub(super) fn time_limit(&self) -> String {
        self.row.time_limit_minutes.map_or_else(|| "UNLIMITED".into(), |minutes| padded(minutes * 60))
    }

    pub(super) fn nodes(&self) -> String {
        match self.part {
            Part::Step(step) => step.nodes.clone(),
            Part::Batch => self.row.batch_host.clone(),
            Part::Allocation if self.row.nodes.is_empty() => "None assigned".into(),
            Part::Allocation => self.row.nodes.clone(),
        }
    }

    pub(super) fn node_count(&self) -> u32 {
        match self.part {
            Part::Step(step) => step.node_count,
            Part::Batch => 1,
            Part::Allocation => self.row.node_count,
        }
    }

    pub(super) fn tasks(&self) -> u32 {
        if let Part::Step(step) = self.part { step.tasks } else { 1 }
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

    pub(super) fn held_memory(&self) -> String {
        self.shown.unit.text(self.row.memory_held_mib * u64::from(self.row.node_count), MEBI)
    }

    /// Of an allocation what its scripts, processes and steps used together. Nothing is known of what a process uses before its end.
    pub(super) fn usage(&self) -> Option<Usage> {
        let steps = || self.row.steps.iter().filter_map(|step| step.usage);
        match self.part {
            Part::Step(step) => step.usage,
            Part::Batch => self.row.usage,
            Part::Allocation => self.row.usage.into_iter().chain(steps()).reduce(sum),
        }
    }

    /// The node of a step that has only one.
    pub(super) fn only_node(&self) -> String {
        if self.node_count() == 1 && self.usage().is_some() { self.nodes() } else { String::new() }
    }

    /// The task of a step that has only one.
    pub(super) fn only_task(&self) -> String {
        if self.tasks() == 1 && self.usage().is_some() { "0".into() } else { String::new() }
    }

    pub(super) fn step_bytes(&self, bytes: fn(&Usage) -> u64) -> String {
        let text = |usage: Usage| self.shown.unit.text(bytes(&usage), 0);
        self.of_step(|step| step.usage().map(text).unwrap_or_default())
    }

    /// CPU time of the mean task of a step.
    pub(super) fn mean_cpu(&self) -> String {
        let mean = |usage: Usage| padded(cpu_us(&usage) / u64::from(self.tasks().max(1)) / 1_000_000);
        self.of_step(|step| step.usage().map(mean).unwrap_or_default())
    }

    pub(super) fn detail(&self, field: fn(&JobDetail) -> &String) -> String {
        self.of_job(|row| row.detail.as_ref().map(|detail| field(detail).clone()).unwrap_or_default())
    }
}

/// User and system time in microseconds.
pub(super) fn cpu_us(usage: &Usage) -> u64 {
    usage.user_us + usage.system_us
}

fn sum(one: Usage, other: Usage) -> Usage {
    Usage {
        user_us: one.user_us + other.user_us,
        system_us: one.system_us + other.system_us,
        rss_kib_max: one.rss_kib_max.max(other.rss_kib_max),
        bytes_in: one.bytes_in + other.bytes_in,
        bytes_out: one.bytes_out + other.bytes_out,
    }
}

/// The shortest list of tasks that can still be cut.
const LIST_BYTES_MIN: usize = 8;
const _: () = assert!(LIST_BYTES_MIN <= LIST_BYTES_MAX);

/// Sizes of memory are counted in MiB.
const MEBI: usize = 2;

/// Seconds as `01:02:03`.
pub(crate) fn padded(seconds: u64) -> String {
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
