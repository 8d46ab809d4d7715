//! Steps as `squeue -s` lists them: those that run, and the batch scripts among them. Start at [`lines`].

use std::cmp::Ordering;
use std::rc::Rc;

use proto::v1::{JobRow, JobState, StepRow};
use sched::spec::duration;

use super::columns::{Shown, whole, word};
use crate::failure::{Failure, Outcome};
use crate::row::{array_or_job, display_id, elapsed_s};
use crate::show::{self, items, or_null};
use crate::table::{Column, Columns, Cut, NO_LETTER, Value};

/// What `%all` stands for. As in Slurm, it ends with a bar.
pub(super) const ALL: &str = "%b|%i|%j|%l|%u|%A|%M|%N|%P|%S|%U|";
/// The order of the rows that nobody asked to be different.
pub(super) const ORDER: &str = "P,i";

/// A step that runs.
#[derive(Clone, Debug)]
pub(super) struct Line {
    job: Rc<JobRow>,
    shown: Rc<Shown>,
    /// `None` for the batch script.
    step: Option<StepRow>,
}

/// Every column that `-s -o` and `-s -O` take.
pub(super) const COLUMNS: Columns<Line> = &[&[
    word('i', &["stepid"], "STEPID", |it| format!("{}.{}", display_id(&it.job), it.suffix())),
    word('j', &["stepname", "name"], "NAME", |it| it.name().to_owned()),
    word('P', &["partition"], "PARTITION", |it| it.job.partition.clone()),
    word('u', &["username"], "USER", |it| it.job.user.clone()),
    word('U', &["userid"], "UID", |it| it.job.uid.to_string()),
    whole('M', &["timeused"], "TIME", |it| duration::short(it.elapsed_s())),
    whole('N', &["nodes", "nodelist"], "NODELIST", |it| {
        it.step.as_ref().map_or_else(|| it.job.batch_host.clone(), |step| step.nodes.clone())
    }),
    word('S', &["starttime"], "START_TIME", |it| show::time(it.started_ms()).unwrap_or_else(|| "N/A".into())),
    whole('l', &["timelimit"], "TIME_LIMIT", |it| {
        let minutes = it.step.as_ref().and_then(|step| step.time_limit_minutes);
        minutes.map_or_else(|| "UNLIMITED".into(), |minutes| duration::short(minutes * 60))
    }),
    word('A', &["numtasks"], "TASKS", |it| it.step.as_ref().map_or(1, |step| step.tasks).to_string()),
    Column {
        letter: 'b',
        names: &["gres", "tres-per-node"],
        header: "TRES_PER_JOB",
        cut: Cut::Always,
        value: Value::Made(|_| or_null("")),
    },
    word(NO_LETTER, &["jobid"], "JOB_ID", |it| it.job.id.to_string()),
    word(NO_LETTER, &["arrayjobid"], "ARRAY_JOB_ID", |it| it.job.array_id.to_string()),
    word(NO_LETTER, &["arraytaskid"], "ARRAY_TASK_ID", |it| {
        it.job.index.map_or_else(|| "N/A".into(), |index| index.to_string())
    }),
    word(NO_LETTER, &["numcpus"], "NUM_CPUS", |it| it.step.as_ref().map_or(0, |step| step.cpus).to_string()),
    word(NO_LETTER, &["stepstate"], "STATE", |it| {
        let state = it.step.as_ref().map_or(JobState::Running, StepRow::state);
        show::state_names(state).0.into()
    }),
    word(NO_LETTER, &["cluster"], "CLUSTER", |it| it.shown.cluster.clone()),
    word(NO_LETTER, &["container"], "CONTAINER", |_| or_null("")),
    word(NO_LETTER, &["cpus-per-tres"], "CPUS_PER_TRES", |_| or_null("")),
    word(NO_LETTER, &["cpufreq"], "CPU_FREQ", |_| "0-0:0".into()),
    word(NO_LETTER, &["mem-per-tres"], "MEM_PER_TRES", |_| or_null("")),
    word(NO_LETTER, &["network"], "NETWORK", |_| or_null("")),
    word(NO_LETTER, &["resvports"], "RESERVED_PORTS", |_| or_null("")),
    word(NO_LETTER, &["tres-bind"], "TRES_BIND", |_| or_null("")),
    word(NO_LETTER, &["tres-freq"], "TRES_FREQ", |_| or_null("")),
    word(NO_LETTER, &["tres-per-step", "tres-per-job"], "TRES_PER_STEP", |_| or_null("")),
    word(NO_LETTER, &["tres-per-socket"], "TRES_PER_SOCKET", |_| or_null("")),
    word(NO_LETTER, &["tres-per-task"], "TRES_PER_TASK", |_| or_null("")),
]];

impl Line {
    fn name(&self) -> &str {
        self.step.as_ref().map_or("batch", |step| &step.name)
    }

    fn suffix(&self) -> String {
        self.step.as_ref().map_or_else(|| "batch".into(), |step| step.step.to_string())
    }

    fn started_ms(&self) -> i64 {
        self.step.as_ref().map_or(self.job.started_ms, |step| step.started_ms)
    }

    /// A step has no clock that stands: time of suspension counts, as Slurm's manual warns.
    fn elapsed_s(&self) -> u64 {
        let Some(step) = &self.step else { return elapsed_s(&self.job, self.shown.now_ms) };
        u64::try_from(self.shown.now_ms - step.started_ms).unwrap_or(0) / 1000
    }

    /// Numbered steps come before the batch script.
    fn place(&self) -> (u32, Option<u32>, u32) {
        (array_or_job(&self.job), self.job.index, self.step.as_ref().map_or(u32::MAX, |step| step.step))
    }
}

/// The steps of a job that run.
pub(super) fn lines(row: JobRow, shown: &Rc<Shown>) -> Vec<Line> {
    let runs = matches!(row.state(), JobState::Running | JobState::Suspended) || row.completing;
    if !runs {
        return Vec::new();
    }
    let mut row = row;
    let steps = std::mem::take(&mut row.steps).into_iter().filter(|step| step.ended_ms == 0).map(Some);
    let is_batch = row.detail.as_ref().is_some_and(|detail| detail.batch) && !row.batch_host.is_empty();
    let batch = (is_batch && row.ended_ms == 0).then_some(None);
    let job = Rc::new(row);
    steps.chain(batch).map(|step| Line { job: Rc::clone(&job), shown: Rc::clone(shown), step }).collect()
}

/// Sorts by letters such as `P,-i`. As in Slurm, a letter by which no step is sorted does nothing.
pub(super) fn sort(lines: &mut [Line], keys: &str) {
    let keys: Vec<(char, bool)> = super::order::signed(keys).collect();
    lines.sort_by(|a, b| {
        let by_key = |(letter, backwards): &(char, bool)| {
            let order = compare(*letter, a, b);
            if *backwards { order.reverse() } else { order }
        };
        keys.iter().map(by_key).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
}

fn compare(letter: char, a: &Line, b: &Line) -> Ordering {
    match letter {
        'i' => a.place().cmp(&b.place()),
        'j' => a.name().cmp(b.name()),
        'N' => a.step.as_ref().map(|step| &step.nodes).cmp(&b.step.as_ref().map(|step| &step.nodes)),
        'P' => a.job.partition.cmp(&b.job.partition),
        'S' => a.started_ms().cmp(&b.started_ms()),
        'M' => a.elapsed_s().cmp(&b.elapsed_s()),
        'U' => a.job.uid.cmp(&b.job.uid),
        'u' => a.job.user.cmp(&b.job.user),
        'A' => a.step.as_ref().map(|step| step.tasks).cmp(&b.step.as_ref().map(|step| step.tasks)),
        _ => Ordering::Equal,
    }
}

/// The steps that `-s` and `-n` name; none for all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Of which job, and its number or `batch`.
    steps: Vec<(String, String)>,
    names: Vec<String>,
}

impl Named {
    /// Reads a list such as `5.0,6_3.batch`.
    pub(super) fn read(list: &str) -> Outcome<Named> {
        let read = |item: String| {
            let parts = item.split_once('.').filter(|(job, step)| {
                let is_step = step.parse::<u32>().is_ok() || *step == "batch";
                is_step && job.parse::<sched::spec::array::JobRef>().is_ok()
            });
            let bad = || Failure::new(format_args!("squeue: error: Invalid job_step id: {item}.??"));
            parts.map(|(job, step)| (job.to_owned(), step.to_owned())).ok_or_else(bad)
        };
        Ok(Named { steps: items(list).into_iter().map(read).collect::<Outcome<_>>()?, names: Vec::new() })
    }

    /// Only those that are called so.
    pub(super) fn called(&mut self, names: Vec<String>) {
        self.names = names;
    }

    /// The jobs that they are of.
    pub(super) fn jobs(&self) -> Vec<String> {
        self.steps.iter().map(|(job, _)| job.clone()).collect()
    }

    pub(super) fn keeps(&self, line: &Line) -> bool {
        let is = |job: &str| {
            job == display_id(&line.job) || [line.job.id, line.job.array_id].iter().any(|id| id.to_string() == job)
        };
        let suffix = line.suffix();
        (self.names.is_empty() || self.names.iter().any(|name| name == line.name()))
            && (self.steps.is_empty() || self.steps.iter().any(|(job, step)| *step == suffix && is(job)))
    }
}
