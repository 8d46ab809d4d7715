//! Rows of a listing, made from a job: one for the remainder of an array, one for each task with a record of its own.

use proto::v1;
use sched::cluster::Cluster;
use sched::depend::Wait;
use sched::ids::{JobId, NodeId, Timestamp};
use sched::job::{Done, Job, Task, TaskState};
use sched::reason::{Ending, Outcome};
use sched::resources::Share;
use sched::spec::array::TaskSelector;
use sched::spec::dependency::Term;
use sched::spec::hostlist;
use sched::spec::index_set::IndexSet;
use sched::spec::job::Memory;
use sched::spec::pattern::{FileNamePattern, PatternValues};

use super::jobs::Gone;
use super::nodes::minutes;

/// What a listing was asked to leave out.
pub(super) struct Filter<'a> {
    request: &'a v1::ListJobsRequest,
}

impl<'a> Filter<'a> {
    pub(super) fn new(request: &'a v1::ListJobsRequest) -> Filter<'a> {
        Filter { request }
    }

    /// Whether any row of the job may be wanted.
    pub(super) fn lets_pass(&self, job: &Job) -> bool {
        let one_of = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|word| word == value);
        one_of(&self.request.users, &job.spec.user.name)
            && one_of(&self.request.names, &job.spec.name)
            && one_of(&self.request.partitions, &job.partition)
    }

    /// Whether this row is wanted.
    pub(super) fn takes(&self, row: &v1::JobRow) -> bool {
        let states = &self.request.states;
        let nodes = &self.request.nodes;
        let on_wanted = || {
            let mine = hostlist::expand(&row.nodes).unwrap_or_default();
            nodes.iter().any(|node| mine.contains(node))
        };
        (states.is_empty() || states.contains(&row.state)) && (nodes.is_empty() || on_wanted())
    }
}

/// Where rows go.
pub(super) type Add<'a> = dyn FnMut(v1::JobRow) -> Result<(), Gone> + 'a;

/// Makes rows from one state of the cluster.
pub(super) struct RowMaker<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) detail: bool,
}

impl RowMaker<'_> {
    /// All rows of a job, or those of some tasks; of ended tasks only when asked.
    pub(super) fn rows(&self, job: &Job, tasks: Option<&IndexSet>, ended: bool, add: &mut Add<'_>) -> Result<(), Gone> {
        let wanted = |index: &u32| tasks.is_none_or(|tasks| tasks.contains(*index));
        self.remainder(job, tasks, ended, add)?;
        for (index, task) in job.tasks.iter().filter(|(index, _)| wanted(index)) {
            add(self.task_row(job, *index, task))?;
        }
        let done = job.done.iter().filter(|(index, _)| ended && wanted(index));
        done.map(|(index, done)| self.done_row(job, *index, done)).try_for_each(add)
    }

    fn remainder(&self, job: &Job, tasks: Option<&IndexSet>, ended: bool, add: &mut Add<'_>) -> Result<(), Gone> {
        let mut waiting = job.waiting_tasks();
        waiting.subtract(&job.requeued);
        if let Some(tasks) = tasks {
            waiting.intersect_with(tasks);
        }
        if !waiting.is_empty() {
            let mut row = self.shared(job, job.id, v1::JobState::Pending);
            row.reason = job.waiting_reason().to_string();
            if let (Some(_), Some(index), 1) = (tasks, waiting.min(), waiting.len()) {
                self.name_task(job, index, &mut row);
            } else {
                row.remainder = if job.is_array() { waiting.to_string() } else { String::new() };
            }
            add(row)?;
        }
        // A remainder that was cancelled whole leaves one record, with the list that it had; once a task has taken the job's own
        // number there is none.
        let all_cancelled = ended && waiting.is_empty() && tasks.is_none() && !job.own_id_taken;
        if let Some(cancelled) = job.cancelled.as_ref().filter(|_| all_cancelled) {
            let mut row = self.shared(job, job.id, v1::JobState::Cancelled);
            row.remainder = if job.is_array() { cancelled.last.to_string() } else { String::new() };
            row.ended_ms = cancelled.at.0;
            row.cancelled_by = Some(cancelled.uid);
            row.reason = "None".into();
            add(row)?;
        }
        Ok(())
    }

    fn task_row(&self, job: &Job, index: u32, task: &Task) -> v1::JobRow {
        let state = match &task.state {
            TaskState::Pending { .. } => v1::JobState::Pending,
            TaskState::Running { .. } => v1::JobState::Running,
            TaskState::Finishing { why, .. } => match why {
                sched::reason::StopWhy::Cancelled(_) => v1::JobState::Cancelled,
                sched::reason::StopWhy::TimeLimit => v1::JobState::Timeout,
            },
        };
        let mut row = self.shared(job, task.id, state);
        self.name_task(job, index, &mut row);
        row.attempts = task.attempts;
        row.reason = "None".into();
        match &task.state {
            TaskState::Pending { .. } => row.reason = job.waiting_reason().to_string(),
            TaskState::Running { since, shares } => self.place(&mut row, Some(*since), shares),
            TaskState::Finishing { since, shares, .. } => {
                row.completing = true;
                self.place(&mut row, Some(*since), shares);
            }
        }
        row
    }

    fn done_row(&self, job: &Job, index: u32, done: &Done) -> v1::JobRow {
        let mut row = self.shared(job, done.id, state_of(&done.outcome));
        self.name_task(job, index, &mut row);
        row.attempts = done.attempts;
        self.place(&mut row, done.started, &done.shares);
        row.ended_ms = done.ended.0;
        row.reason = done.outcome.reason().to_owned();
        row.note = done.outcome.note.as_deref().unwrap_or_default().to_owned();
        row.exit_code = done.outcome.exit.code.into();
        row.exit_signal = done.outcome.exit.signal.into();
        if let Ending::Cancelled(uid) = done.outcome.ending {
            row.cancelled_by = Some(uid);
        }
        row.usage = Some(done.usage.into());
        row
    }

    /// What all rows of a job have in common.
    fn shared(&self, job: &Job, id: JobId, state: v1::JobState) -> v1::JobRow {
        let spec = &job.spec;
        let (memory_mib, memory_per_cpu) = match spec.request.memory {
            Memory::Default => (0, false),
            Memory::PerNode(mib) => (mib, false),
            Memory::PerCpu(mib) => (mib, true),
        };
        let mut row = v1::JobRow {
            id: id.0,
            array_id: if job.is_array() { job.id.0 } else { 0 },
            throttle: spec.array.as_ref().and_then(|array| array.throttle()).map_or(0, std::num::NonZero::get),
            name: spec.name.clone(),
            user: spec.user.name.to_string(),
            uid: spec.user.uid,
            group: spec.user.group.to_string(),
            gid: spec.user.gid,
            partition: job.partition.to_string(),
            state: state.into(),
            dependency: dependency_text(job),
            priority: if job.held { 0 } else { job.priority },
            submitted_ms: job.submitted.0,
            time_limit_minutes: minutes(job.time_limit),
            node_count: spec.request.nodes_min,
            cpus: spec.request.cpus().count(),
            processes: spec.request.process_count(),
            cpus_per_process: spec.request.cpus_per_process.unwrap_or(1),
            memory_mib,
            memory_per_cpu,
            ..v1::JobRow::default()
        };
        if self.detail {
            row.detail = Some(self.job_detail(job, id, None));
        }
        row
    }

    fn name_task(&self, job: &Job, index: u32, row: &mut v1::JobRow) {
        if job.is_array() {
            row.index = Some(index);
            if self.detail {
                row.detail = Some(self.job_detail(job, JobId(row.id), Some(index)));
            }
        }
    }

    fn place(&self, row: &mut v1::JobRow, started: Option<Timestamp>, shares: &[Share]) {
        row.started_ms = started.map_or(0, |started| started.0);
        if shares.is_empty() {
            return;
        }
        let name = |node: NodeId| self.cluster.node_name(node).map(ToString::to_string).unwrap_or_default();
        row.nodes = hostlist::compress(shares.iter().map(|share| name(share.node)));
        row.node_count = u32::try_from(shares.len()).unwrap_or(u32::MAX);
        row.batch_host = name(shares[0].node);
        row.cpus = shares.iter().map(|share| share.amount.cpus.count()).sum();
        row.memory_held_mib = shares[0].amount.memory_mib;
    }

    fn job_detail(&self, job: &Job, id: JobId, index: Option<u32>) -> v1::JobDetail {
        let spec = &job.spec;
        let values = PatternValues {
            job_id: id.0,
            array_job_id: job.id.0,
            array_index: index,
            job_name: &spec.name,
            user: &spec.user.name,
            // What only a node knows stays as it was typed, as in Slurm.
            host: "%N",
            step: "batch",
            task_rank: 0,
            node_number: 0,
            restart_count: 0,
        };
        let path = |pattern: &FileNamePattern| {
            pattern.path(&values, std::path::Path::new(&spec.files.work_dir)).to_string_lossy().into_owned()
        };
        let named = |text: &Option<String>| text.as_deref().map(|text| path(&FileNamePattern::new(text)));
        let stdout =
            named(&spec.files.stdout).unwrap_or_else(|| path(&FileNamePattern::default_output(job.is_array())));
        let mut detail = v1::JobDetail {
            work_dir: spec.files.work_dir.clone(),
            command: spec.origin.command.clone(),
            stdin: named(&spec.files.stdin).unwrap_or_else(|| "/dev/null".into()),
            stderr: named(&spec.files.stderr).unwrap_or_else(|| stdout.clone()),
            stdout,
            comment: spec.comment.clone(),
            submit_host: spec.origin.host.clone(),
            requeue: spec.requeue,
            ..v1::JobDetail::default()
        };
        super::gres::wishes(&spec.request, &mut detail);
        detail
    }
}

/// What the job still waits for, in Slurm's words: `afterok:3_*(unfulfilled)`.
fn dependency_text(job: &Job) -> String {
    let Some(waits) = &job.waits else { return String::new() };
    let term = |wait: &Wait| {
        let all = matches!(&wait.term, Term::On { target, .. } if target.tasks == TaskSelector::All) && wait.on_array;
        let state = if wait.failed { "failed" } else { "unfulfilled" };
        format!("{}{}({state})", wait.term, if all { "_*" } else { "" })
    };
    let between = if waits.any { "?" } else { "," };
    waits.terms.iter().map(term).collect::<Vec<_>>().join(between)
}

fn state_of(outcome: &Outcome) -> v1::JobState {
    match outcome.ending {
        Ending::Completed => v1::JobState::Completed,
        Ending::Failed | Ending::LaunchFailed => v1::JobState::Failed,
        Ending::Cancelled(_) => v1::JobState::Cancelled,
        Ending::Timeout => v1::JobState::Timeout,
        Ending::NodeFail => v1::JobState::NodeFail,
        Ending::OutOfMemory => v1::JobState::OutOfMemory,
    }
}
