//! A step's part on this node: from its order to the stepd that the launcher starts, and what the stepd leaves behind.
//!
//! Each has a folder of its own, until its end is counted: the stepd's order, its result, and what the launcher has to say to
//! whoever sits at its srun.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use proto::link::StartStep;
use sched::ids::StepKey;
use sched::reason::Exit;
use sched::reconcile::How;
use sched::spec::pattern::{FileNamePattern, PatternValues};
use sched::spec::programs::Programs;

use crate::environment::{NodeFacts, step_variables};
use crate::launch::{limits, run_as, warning};
use crate::launcher::frame::{FileSpec, JobTime, Launch, RunKey};
use crate::roster::Seen;
use crate::stepd::{StepOrder, StepResult, Stream, TaskOrder};

/// This program, as the launcher is: also when the file was replaced meanwhile.
const PROGRAM: &str = "/proc/self/exe";

/// The folders of steps.
#[derive(Debug)]
pub(crate) struct Steps {
    folder: PathBuf,
}

impl Steps {
    /// Below the node's own folder.
    pub(crate) fn of(node_folder: &std::path::Path) -> Steps {
        Steps { folder: node_folder.join("steps") }
    }

    /// What the launcher is asked for. Writes the stepd's order.
    ///
    /// # Errors
    /// When this node has no part in the step, or the order cannot be written.
    pub(crate) fn launch(
        &self,
        start: &StartStep,
        node: &NodeFacts,
        kill_wait_ms: u64,
        now_s: i64,
    ) -> io::Result<Launch> {
        let part = start.shares.iter().position(|share| share.node == node.name);
        let part = part.ok_or_else(|| io::Error::other("this node has no part in it"))?;
        let folder = self.folder_of(start.key);
        let order = StepOrder { user: run_as(&start.job.user)?, ..order(start, part, node, now_s) };
        let bytes = order.encode().map_err(io::Error::other)?;
        fs::create_dir_all(&folder)?;
        // It holds a secret.
        let path = folder.join("order");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&bytes)?;
        // Where the attempt's own process is, its launcher warns all of it.
        let is_batch_host = start.task.shares.first().is_some_and(|share| share.node == node.name);
        let warned_here = start.job.warning.filter(|warning| !warning.batch_only && !is_batch_host);
        let file = |name: &str| FileSpec { path: folder.join(name).into(), append: false };
        Ok(Launch {
            key: start.key.into(),
            argv: vec![PROGRAM.into(), "stepd".into()],
            env: Vec::new(),
            cwd: "/".into(),
            stdin: Some(path.into()),
            stdout: file("result"),
            stderr: Some(file("notes")),
            umask: 0o022,
            time_limit_s: start.spec.time_limit.and_then(|limit| limit.seconds()),
            kill_wait_ms,
            job_label: order.label,
            node_name: node.name.clone(),
            limits: limits(start.task.shares.iter().find(|share| share.node == node.name)),
            warning: warned_here.map(warning),
            // Its files are the node's: the stepd becomes the user when it has its order.
            user: None,
            soft_limits: Vec::new(),
            job_time: Some(JobTime { ran_ms: start.job_ran_ms, limit_s: start.job.time_limit.seconds() }),
            leased: start.job.requeue,
        })
    }

    /// What the launcher saw, with what the stepd itself has told of its tasks.
    pub(crate) fn told(&self, key: StepKey, seen: Seen) -> Seen {
        let Seen::Left { how, usage, note, age_ms } = seen else { return seen };
        let read = fs::read(self.folder_of(key).join("result")).ok();
        let Some(result) = read.and_then(|bytes| rmp_serde::from_slice::<StepResult>(&bytes).ok()) else {
            return Seen::Left { how, usage, note, age_ms };
        };
        let exit = Exit { code: result.exit_code, signal: result.exit_signal };
        let how = match how {
            How::Exited(_) => How::Exited(exit),
            How::TimedOut(_) => How::TimedOut(exit),
            how => how,
        };
        let StepResult { user_us, system_us, max_rss_kib: rss_kib_max, .. } = result;
        Seen::Left { how, usage: sched::task::Usage { user_us, system_us, rss_kib_max, ..usage }, note, age_ms }
    }

    /// Drops what is kept for a step.
    pub(crate) fn forget(&self, key: StepKey) {
        // Nothing is there for one that never began.
        fs::remove_dir_all(self.folder_of(key)).ok();
    }

    /// Drops what an earlier life has left for steps that nobody knows any more.
    pub(crate) fn forget_but(&self, known: impl Fn(&str) -> bool) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if !entry.file_name().to_str().is_some_and(&known) {
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }

    /// The name of a step's folder.
    pub(crate) fn name(key: StepKey) -> String {
        RunKey::from(key).to_string()
    }

    fn folder_of(&self, key: StepKey) -> PathBuf {
        self.folder.join(Steps::name(key))
    }
}

fn order(start: &StartStep, part: usize, node: &NodeFacts, now_s: i64) -> StepOrder {
    let (spec, share) = (&start.spec, &start.shares[part]);
    let programs = Programs::read(&spec.programs).ok();
    let job = match &start.job.array {
        Some(_) => format!("{}_{}", start.job.job, start.task.index),
        None => start.task.id.to_string(),
    };
    StepOrder {
        key: start.key,
        label: format!("{job}.{}", start.key.step),
        node: node.name.clone(),
        controller: node.controller.clone(),
        papers: node.papers.as_ref().map(|folder| folder.clone().into()),
        secret: start.secret.to_be_bytes().to_vec(),
        environment: step_variables(start, part, node, now_s),
        work_dir: spec.work_dir.as_str().into(),
        umask: spec.umask,
        limits: spec.limits.clone(),
        user: None,
        append: spec.append,
        kill_on_bad_exit: spec.kill_on_bad_exit,
        tasks: (0..share.tasks).map(|local| task(start, part, share.first_task + local, programs.as_ref())).collect(),
    }
}

fn task(start: &StartStep, part: usize, rank: u32, programs: Option<&Programs>) -> TaskOrder {
    let (spec, share) = (&start.spec, &start.shares[part]);
    let step = start.key.step.to_string();
    let values = PatternValues {
        job_id: start.task.id.0,
        array_job_id: start.job.job.0,
        array_index: start.job.array.as_ref().map(|_| start.task.index),
        job_name: &start.job.name,
        host: share.node.split('.').next().unwrap_or_default(),
        user: &start.job.user.name,
        step: &step,
        task_rank: rank,
        node_number: u32::try_from(part).unwrap_or(u32::MAX),
        restart_count: start.task.attempt - 1,
    };
    let stream = |pattern: &str| match pattern {
        "" => Stream::Srun,
        "none" => Stream::Null,
        pattern => Stream::File(FileNamePattern::new(pattern).fill(&values).into()),
    };
    let reads = spec.input_task.is_none_or(|only| only == rank);
    TaskOrder {
        rank,
        words: programs.and_then(|programs| programs.words(rank)).unwrap_or_else(|| spec.words.clone()),
        stdin: if reads { stream(&spec.stdin) } else { Stream::Null },
        stdout: stream(&spec.stdout),
        stderr: stream(&spec.stderr),
    }
}
