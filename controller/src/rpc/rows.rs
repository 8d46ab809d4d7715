//! Rows of a listing, made from a job: one for the remainder of an array, one for each task with a record of its own.

use proto::job_columns::{Fields, field};
use proto::v1;
use sched::cluster::Cluster;
use sched::depend::Wait;
use sched::ids::{JobId, Name, Timestamp};
use sched::job::Job;
use sched::reason::{Ending, Exit, Outcome, StopWhy};
use sched::spec::array::TaskSelector;
use sched::spec::dependency::Term;
use sched::spec::hostlist;
use sched::spec::index_set::IndexSet;
use sched::spec::job::{JobSpec, Memory, Work};
use sched::spec::pattern::{FileNamePattern, PatternValues};
use sched::task::{Done, Task, TaskState, Usage, Verdict};
use sched::terms::{Hold, Terms};

use super::listing::Gone;
use super::nodes::minutes;
use super::why::Starts;
use crate::history::{Held, PastStep};

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
        let wanted = &self.request.partitions;
        one_of(&self.request.users, &job.terms.spec.user.name)
            && one_of(&self.request.names, &job.terms.spec.name)
            && one_of(&self.request.accounts, &job.terms.spec.labels.account)
            && one_of(&self.request.qos, &job.terms.spec.labels.qos)
            && one_of(&self.request.reservations, &job.terms.spec.labels.reservation)
            && (wanted.is_empty() || wanted.iter().any(|name| job.terms.partitions.iter().any(|own| **own == **name)))
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

/// About how many bytes the steps of one row may have; beyond, they come without their lists of nodes.
const STEPS_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Where rows go.
pub(crate) type Add<'a> = dyn FnMut(v1::JobRow) -> Result<(), Gone> + 'a;

/// Makes rows from one state of the cluster.
pub(crate) struct RowMaker<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) detail: bool,
    /// Also the steps of each row.
    pub(crate) steps: bool,
    /// When what waits should start, where that was asked for.
    pub(crate) starts: Option<Starts>,
    /// What will be read: no other texts are made.
    pub(crate) fields: Fields,
}

impl RowMaker<'_> {
    /// All rows of a job, or those of some tasks; of ended tasks only when asked.
    pub(crate) fn rows(&self, job: &Job, tasks: Option<&IndexSet>, ended: bool, add: &mut Add<'_>) -> Result<(), Gone> {
        let wanted = |index: &u32| tasks.is_none_or(|tasks| tasks.contains(*index));
        self.remainder(job, tasks, ended, add)?;
        // To begin with a map that is empty costs as much as the row of one that waits.
        if !job.tasks.is_empty() {
            for (index, task) in job.tasks.iter().filter(|(index, _)| wanted(index)) {
                add(self.active_row(job, *index, task))?;
            }
        }
        if !ended || job.done.is_empty() {
            return Ok(());
        }
        let add_past = |(index, done)| add(self.past_row(job, index, &done));
        match tasks {
            Some(tasks) => job.done.of(tasks).try_for_each(add_past),
            None => job.done.iter().try_for_each(add_past),
        }
    }

    /// The row of one task, where it has one of its own.
    pub(super) fn row_of(&self, job: &Job, index: u32) -> Option<v1::JobRow> {
        let active = job.tasks.get(&index).map(|task| self.active_row(job, index, task));
        active.or_else(|| job.done.get(index).map(|done| self.past_row(job, index, &done)))
    }

    fn active_row(&self, job: &Job, index: u32, task: &Task) -> v1::JobRow {
        let mut row = self.task_row(job, index, task);
        self.add_steps(&mut row, self.steps_of(job, index, task.attempts));
        row
    }

    fn past_row(&self, job: &Job, index: u32, done: &Done) -> v1::JobRow {
        let mut row = self.done_row(job, index, done, Held::of(self.cluster, &done.shares));
        self.add_steps(&mut row, self.steps_of(job, index, done.attempts));
        row
    }

    /// The rows of what waits, and of what ended without having run.
    pub(super) fn remainder(
        &self,
        job: &Job,
        tasks: Option<&IndexSet>,
        ended: bool,
        add: &mut Add<'_>,
    ) -> Result<(), Gone> {
        let face = Face { terms: &job.terms, partition: None, held: job.held, index: None };
        let listed = |one: Option<u32>, remainder: Option<&IndexSet>| {
            let mut row = self.shared(job, job.id, Face { index: one, ..face }, v1::JobState::Pending);
            row.reason = self.text(field::REASON, job.waiting_reason().word());
            self.expect(&mut row, (job.id, None), job.begin);
            row.remainder = self.made(field::REMAINDER, || remainder.map(ToString::to_string).unwrap_or_default());
            row
        };
        if tasks.is_none() && !job.is_array() {
            // Which tasks they are needs no look where there is one: sets cost more than the rest of the row.
            if job.has_remainder() {
                add(listed(None, None))?;
            }
        } else {
            let mut waiting = job.waiting_tasks();
            waiting.subtract(&job.requeued);
            if let Some(tasks) = tasks {
                waiting.intersect_with(tasks);
            }
            if !waiting.is_empty() {
                let one = tasks.and(waiting.min()).filter(|_| waiting.len() == 1);
                add(listed(one, Some(&waiting).filter(|_| one.is_none() && job.is_array())))?;
            }
        }
        // All that ended without having run leave one record.
        let Some(ended) = job.ended_waiting.as_ref().filter(|_| ended) else { return Ok(()) };
        // History keeps one list alone.
        let mut list = if ended.tasks.is_empty() { ended.last.clone() } else { ended.tasks.clone() };
        if let Some(tasks) = tasks {
            list.intersect_with(tasks);
        }
        if !list.is_empty() {
            let one = tasks.and(list.min()).filter(|_| list.len() == 1);
            let outcome = Outcome::bare(ended.ending);
            let mut row = self.shared(job, job.id, Face { index: one, ..face }, state_of(&outcome));
            if one.is_none() && job.is_array() {
                row.remainder = list.to_string();
            }
            row.ended_ms = ended.at.0;
            row.cancelled_by = cancelled_by(&outcome);
            row.reason = outcome.reason().to_owned();
            add(row)?;
        }
        Ok(())
    }

    /// The steps of one attempt, where it has any: how each ended, and what tells the rest of it.
    fn steps_of<'a>(
        &'a self,
        job: &'a Job,
        index: u32,
        attempt: u32,
    ) -> impl Iterator<Item = (Exit, impl FnOnce() -> PastStep + 'a)> + 'a {
        let steps = job.steps_of(index).filter(move |(_, step)| step.attempt == attempt);
        steps.map(move |(number, step)| (step.exit(), move || PastStep::of(self.cluster, number, step)))
    }

    /// Adds steps to the row of their task: their highest exit code, and where the listing asked for them themselves, which
    /// are made for nobody else.
    pub(super) fn add_steps<S: FnOnce() -> PastStep>(
        &self,
        row: &mut v1::JobRow,
        steps: impl Iterator<Item = (Exit, S)>,
    ) {
        let mut bytes = 0;
        for (exit, step) in steps {
            let derived = (u32::from(exit.code), u32::from(exit.signal));
            if derived > (row.derived_exit_code, row.derived_exit_signal) {
                (row.derived_exit_code, row.derived_exit_signal) = derived;
            }
            if self.steps {
                let mut step = step_row(step(), row.state());
                bytes += 128 + step.name.len() + step.nodes.len();
                if bytes > STEPS_BYTES_MAX {
                    step.nodes.clear();
                }
                row.steps.push(step);
            }
        }
    }

    fn task_row(&self, job: &Job, index: u32, task: &Task) -> v1::JobRow {
        let terms = job.terms_of(task);
        let held = task.own.as_ref().map_or(job.held, |own| own.held);
        let face = Face { terms, partition: task.partition.as_ref(), held, index: Some(index) };
        let mut row = self.shared(job, task.id, face, state_of_row(task, terms));
        row.attempts = task.attempts;
        row.paused_ms = task.paused_ms;
        row.reason = "None".into();
        match &task.state {
            TaskState::Pending { .. } => {
                row.reason = self.text(field::REASON, job.row_reason(task).word());
                let begin = task.own.as_ref().map_or(job.begin, |own| own.begin);
                self.expect(&mut row, (job.id, job.apart.contains(index).then_some(index)), begin);
            }
            TaskState::Running { since, shares } => {
                place(&mut row, Some(*since), Held::of(self.cluster, shares));
                if self.detail {
                    row.shares = super::gres::shares(self.cluster, shares);
                }
            }
            TaskState::Suspended { since, at, full, .. } => {
                row.suspended_ms = at.0;
                place(&mut row, Some(*since), Held::of(self.cluster, full));
            }
            TaskState::Finishing { since, shares, why, .. } => {
                row.completing = true;
                if let StopWhy::Cancelled(uid) = why {
                    row.cancelled_by = Some(*uid);
                }
                place(&mut row, Some(*since), Held::of(self.cluster, shares));
            }
            TaskState::Closing { since, shares, ended, verdict } => {
                row.completing = true;
                place(&mut row, Some(*since), Held::of(self.cluster, shares));
                if let Verdict::Ended { outcome, usage } = verdict {
                    row.ended_ms = ended.0;
                    judged(&mut row, outcome, *usage);
                }
            }
        }
        row
    }

    /// Says when and where what stands in the queue as `entry` should start, or may.
    fn expect(&self, row: &mut v1::JobRow, entry: (JobId, Option<u32>), begin: Option<Timestamp>) {
        let Some(starts) = &self.starts else { return };
        match (starts.get(&entry), begin) {
            (Some((at, nodes)), _) => {
                row.expected_start_ms = at.0;
                let names = nodes.iter().filter_map(|node| self.cluster.node_name(*node));
                row.expected_nodes = hostlist::compress(names);
            }
            (None, Some(begin)) => row.expected_start_ms = begin.0,
            (None, None) => {}
        }
    }

    /// The row of a task that has ended, and of what it held.
    pub(super) fn done_row(&self, job: &Job, index: u32, done: &Done, held: Option<Held>) -> v1::JobRow {
        let terms = done.terms.as_ref().unwrap_or(&job.terms);
        let face = Face { terms, partition: done.partition.as_ref(), held: None, index: Some(index) };
        let mut row = self.shared(job, done.id, face, state_of(&done.outcome));
        row.attempts = done.attempts;
        row.paused_ms = done.paused_ms;
        place(&mut row, done.started, held);
        row.ended_ms = done.ended.0;
        judged(&mut row, &done.outcome, done.usage);
        row
    }

    /// A value of a row, where it will be read. What it is made of lies here and there: not to look is most of what a row costs.
    fn made<T: Default>(&self, number: u32, make: impl FnOnce() -> T) -> T {
        if self.fields.has(number) { make() } else { T::default() }
    }

    /// The same of a text.
    fn text(&self, number: u32, text: &str) -> String {
        self.made(number, || text.to_owned())
    }

    /// What all rows of a job have in common.
    fn shared(&self, job: &Job, id: JobId, face: Face<'_>, state: v1::JobState) -> v1::JobRow {
        let Face { terms, partition, held, index } = face;
        let spec = &terms.spec;
        let memory = || {
            let asked = spec.request.memory;
            let here = self.cluster.partition(partition.unwrap_or_else(|| terms.partition()));
            match here.map_or(asked, |here| here.memory_of(asked)) {
                Memory::Default => (0, false),
                Memory::PerNode(mib) => (mib, false),
                Memory::PerCpu(mib) => (mib, true),
            }
        };
        let reads_memory = self.fields.has(field::MEMORY_MIB) || self.fields.has(field::MEMORY_PER_CPU);
        let (memory_mib, memory_per_cpu) = if reads_memory { memory() } else { (0, false) };
        let index = index.filter(|_| job.is_array());
        v1::JobRow {
            id: id.0,
            array_id: if job.is_array() { job.id.0 } else { 0 },
            index,
            throttle: job.throttle.map_or(0, std::num::NonZero::get),
            name: self.text(field::NAME, &spec.name),
            user: self.text(field::USER, &spec.user.name),
            uid: self.made(field::UID, || spec.user.uid),
            group: self.text(field::GROUP, &spec.user.group),
            gid: self.made(field::GID, || spec.user.gid),
            partition: self.made(field::PARTITION, || match (partition, terms.partitions.as_slice()) {
                (Some(one), _) | (None, [one]) => String::from(&**one),
                (None, several) => several.join(","),
            }),
            state: state.into(),
            dependency: self.made(field::DEPENDENCY, || dependency_text(job)),
            special_exit: held == Some(Hold::SpecialExit) && state == v1::JobState::Pending,
            priority: if held.is_some() { 0 } else { u32::try_from(terms.priority.max(1)).unwrap_or(u32::MAX) },
            nice: self.made(field::NICE, || spec.nice),
            deadline_ms: self.made(field::DEADLINE_MS, || spec.deadline.map_or(0, |deadline| deadline.0)),
            submitted_ms: job.submitted.0,
            eligible_ms: eligible_ms(job),
            time_limit_minutes: minutes(terms.time_limit),
            node_count: self.made(field::NODE_COUNT, || spec.request.nodes_min),
            cpus: self.made(field::CPUS, || spec.request.cpus().count()),
            processes: self.made(field::PROCESSES, || spec.request.process_count()),
            cpus_per_process: self.made(field::CPUS_PER_PROCESS, || spec.request.cpus_per_process.unwrap_or(1)),
            memory_mib,
            memory_per_cpu,
            account: self.text(field::ACCOUNT, &spec.labels.account),
            qos: self.text(field::QOS, &spec.labels.qos),
            wckey: self.text(field::WCKEY, &spec.labels.wckey),
            reservation: self.text(field::RESERVATION, &spec.labels.reservation),
            detail: self.detail.then(|| Box::new(job_detail(job, spec, id, index))),
            ..v1::JobRow::default()
        }
    }
}

/// What a row shows of its task: whose terms, where it was started, by whom it is held, and its index.
#[derive(Clone, Copy)]
struct Face<'a> {
    terms: &'a Terms,
    partition: Option<&'a Name>,
    held: Option<Hold>,
    index: Option<u32>,
}

fn job_detail(job: &Job, spec: &JobSpec, id: JobId, index: Option<u32>) -> v1::JobDetail {
    let values = PatternValues {
        job_id: id.0,
        array_job_id: job.id.0,
        array_index: index,
        job_name: &spec.name,
        user: &spec.user.name,
        // What only a node knows is not shown.
        host: "",
        step: "batch",
        task_rank: 0,
        node_number: 0,
        restart_count: 0,
    };
    let path = |pattern: &FileNamePattern| {
        pattern.shown(&values, std::path::Path::new(&spec.files.work_dir)).to_string_lossy().into_owned()
    };
    let named = |text: &Option<String>| text.as_deref().map(|text| path(&FileNamePattern::new(text)));
    let stdout = named(&spec.files.stdout).unwrap_or_else(|| path(&FileNamePattern::default_output(job.is_array())));
    let mut detail = v1::JobDetail {
        work_dir: spec.files.work_dir.clone(),
        command: spec.origin.command.clone(),
        stdin: named(&spec.files.stdin).unwrap_or_else(|| "/dev/null".into()),
        stderr: named(&spec.files.stderr).unwrap_or_else(|| stdout.clone()),
        stdout,
        comment: spec.comment.clone(),
        inject_failure: spec.inject_failure.map(|inject| inject.to_string()).unwrap_or_default(),
        submit_host: spec.origin.host.clone(),
        requeue: spec.requeue,
        submit_line: spec.origin.line.clone(),
        submit_session: spec.origin.session,
        mail_type: if spec.labels.mail.is_none() { String::new() } else { spec.labels.mail.to_string() },
        mail_user: spec.labels.mail_user.clone(),
        append: spec.files.append,
        time_min_minutes: spec.time_min.and_then(minutes),
        extra: spec.labels.extra.clone(),
        admin_comment: spec.labels.admin_comment.clone(),
        batch: !matches!(*spec.work, Work::Allocation),
        ..v1::JobDetail::default()
    };
    super::gres::wishes(&spec.request, &mut detail);
    detail
}

fn step_row(step: PastStep, job: v1::JobState) -> v1::StepRow {
    let running = if job == v1::JobState::Suspended { job } else { v1::JobState::Running };
    let row = v1::StepRow {
        step: step.number,
        name: step.name,
        nodes: step.nodes,
        node_count: step.node_count,
        tasks: step.tasks,
        cpus: step.cpus,
        started_ms: step.started.0,
        time_limit_minutes: step.time_limit.and_then(minutes),
        ..v1::StepRow::default()
    };
    let Some((at, ending, exit, usage)) = step.end else { return v1::StepRow { state: running.into(), ..row } };
    v1::StepRow {
        state: state_of(&Outcome::bare(ending)).into(),
        ended_ms: at.0,
        exit_code: exit.code.into(),
        exit_signal: exit.signal.into(),
        usage: Some(usage.into()),
        ..row
    }
}

/// How a task has ended.
fn judged(row: &mut v1::JobRow, outcome: &Outcome, usage: Usage) {
    row.reason = outcome.reason().to_owned();
    row.note = outcome.note.as_deref().unwrap_or_default().to_owned();
    row.exit_code = outcome.exit.code.into();
    row.exit_signal = outcome.exit.signal.into();
    row.cancelled_by = cancelled_by(outcome);
    row.usage = Some(usage.into());
}

fn place(row: &mut v1::JobRow, started: Option<Timestamp>, held: Option<Held>) {
    row.started_ms = started.map_or(0, |started| started.0);
    let Some(held) = held else { return };
    row.nodes = held.nodes;
    row.node_count = held.node_count;
    row.batch_host = held.batch_host;
    row.cpus = held.cpus;
    row.memory_held_mib = held.memory_mib;
}

/// Since when nothing but its turn has kept the job.
fn eligible_ms(job: &Job) -> i64 {
    job.eligible.map_or(0, |at| at.0)
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

fn cancelled_by(outcome: &Outcome) -> Option<u32> {
    match outcome.ending {
        Ending::Cancelled(uid) => Some(uid),
        _ => None,
    }
}

fn state_of_row(task: &Task, terms: &Terms) -> v1::JobState {
    match &task.state {
        TaskState::Pending { .. } => v1::JobState::Pending,
        TaskState::Running { .. } => v1::JobState::Running,
        TaskState::Suspended { .. } => v1::JobState::Suspended,
        TaskState::Closing { verdict: Verdict::Ended { outcome, .. }, .. } => state_of(outcome),
        TaskState::Closing { verdict: Verdict::Requeued { .. }, .. } => v1::JobState::Pending,
        TaskState::Finishing { why, .. } => match why {
            StopWhy::Cancelled(_) => v1::JobState::Cancelled,
            StopWhy::TimeLimit => v1::JobState::Timeout,
            StopWhy::Deadline => v1::JobState::Deadline,
            // What goes back into the queue is PENDING and COMPLETING at once, as in Slurm.
            StopWhy::Requeue => v1::JobState::Pending,
            StopWhy::NodeDown if terms.spec.requeue => v1::JobState::Pending,
            StopWhy::NodeDown => v1::JobState::NodeFail,
            StopWhy::Released(0) | StopWhy::JobOver => v1::JobState::Completed,
            StopWhy::Released(_) => v1::JobState::Failed,
        },
    }
}

pub(crate) fn state_of(outcome: &Outcome) -> v1::JobState {
    match outcome.ending {
        Ending::Completed => v1::JobState::Completed,
        Ending::Failed | Ending::LaunchFailed => v1::JobState::Failed,
        Ending::Cancelled(_) => v1::JobState::Cancelled,
        Ending::Timeout => v1::JobState::Timeout,
        Ending::NodeFail => v1::JobState::NodeFail,
        Ending::OutOfMemory => v1::JobState::OutOfMemory,
        Ending::Deadline => v1::JobState::Deadline,
    }
}
