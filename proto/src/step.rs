//! A step on the wire and in the house: `v1::StepSpec` to [`StepSpec`] on arrival, and back; and the names of steps.

use sched::ids::{AttemptKey, JobId, StepKey};
use sched::spec::hostlist;
use sched::spec::step::{Environment, StepDraft, StepSpec};

use crate::error::WireError;
use crate::request::read_names;
use crate::spec::{read_limits, read_time_limit, write_limits, write_time_limit};
use crate::v1;

impl TryFrom<v1::StepSpec> for StepSpec {
    type Error = WireError;

    /// Reads a spec that arrived, and checks it.
    fn try_from(spec: v1::StepSpec) -> Result<StepSpec, WireError> {
        let draft = StepDraft {
            name: spec.name,
            words: spec.words,
            environment: Environment(spec.environment.into()),
            work_dir: spec.work_dir,
            processes: spec.processes,
            cpus_per_process: spec.cpus_per_process,
            nodes_min: spec.nodes_min,
            nodes_max: spec.nodes_max,
            processes_per_node: spec.processes_per_node,
            nodes: read_names(&spec.nodes)?,
            exclude: read_names(&spec.exclude)?,
            overlap: spec.overlap,
            exact: spec.exact,
            immediate: spec.immediate,
            stdin: spec.stdin,
            stdout: spec.stdout,
            stderr: spec.stderr,
            append: spec.append,
            umask: spec.umask,
            kill_on_bad_exit: spec.kill_on_bad_exit,
            input_task: spec.input_task,
            time_limit: read_time_limit(spec.time_limit_minutes, false)?,
            limits: read_limits(&spec.limits)?,
            gres: spec.gres,
            programs: spec.programs,
        };
        Ok(draft.check()?)
    }
}

impl From<&StepSpec> for v1::StepSpec {
    fn from(spec: &StepSpec) -> v1::StepSpec {
        let spec = StepDraft::clone(spec);
        v1::StepSpec {
            name: spec.name,
            words: spec.words,
            environment: spec.environment.0.to_vec(),
            work_dir: spec.work_dir,
            processes: spec.processes,
            cpus_per_process: spec.cpus_per_process,
            nodes_min: spec.nodes_min,
            nodes_max: spec.nodes_max,
            processes_per_node: spec.processes_per_node,
            nodes: hostlist::compress(&spec.nodes),
            exclude: hostlist::compress(&spec.exclude),
            overlap: spec.overlap,
            exact: spec.exact,
            immediate: spec.immediate,
            stdin: spec.stdin,
            stdout: spec.stdout,
            stderr: spec.stderr,
            append: spec.append,
            umask: spec.umask,
            kill_on_bad_exit: spec.kill_on_bad_exit,
            input_task: spec.input_task,
            time_limit_minutes: write_time_limit(spec.time_limit).0,
            limits: write_limits(&spec.limits),
            gres: spec.gres,
            programs: spec.programs,
        }
    }
}

impl From<v1::StepName> for StepKey {
    fn from(name: v1::StepName) -> StepKey {
        let attempt = AttemptKey { job: JobId(name.job), index: name.index, attempt: name.attempt };
        StepKey { attempt, step: name.step }
    }
}

impl From<StepKey> for v1::StepName {
    fn from(key: StepKey) -> v1::StepName {
        let AttemptKey { job, index, attempt } = key.attempt;
        v1::StepName { job: job.0, index, attempt, step: key.step }
    }
}
