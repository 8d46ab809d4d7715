//! The environment of a step's tasks: srun's, what the job is, and what the step is. What each task has of its own is added by
//! its stepd.
//!
//! Which variables there are follows srun(1), OUTPUT ENVIRONMENT VARIABLES.

use std::sync::Arc;

use bytes::Bytes;
use proto::link::{Brief, StartStep, StepShare};
use sched::spec::hostlist;

use super::{NodeFacts, Variables, runs, variables};
use crate::launcher::frame::RawStr;
use crate::roster::Job;

/// Variables in which srun knows better than this node, which has not started the job.
const SRUNS_OWN: [&str; 7] = [
    "SLURM_JOB_START_TIME",
    "SLURM_JOB_END_TIME",
    "SLURM_EXPORT_ENV",
    "SLURM_LAUNCH_NODE_IPADDR",
    "SLURM_SRUN_COMM_HOST",
    "SLURM_SRUN_COMM_PORT",
    "ENVIRONMENT",
];

/// The variables of all tasks of a step's part; `part` is its place among the parts.
#[must_use]
pub(crate) fn step_variables(start: &StartStep, part: usize, node: &NodeFacts, now_s: i64) -> Vec<(RawStr, RawStr)> {
    let given = Bytes::copy_from_slice(&start.spec.environment.0);
    let brief = Brief { environment: given.clone(), ..start.job.clone() };
    let job = Job { brief: Arc::new(brief), task: Arc::new(start.task.clone()) };
    let mut all = Variables { all: variables(&job, node, &[], now_s) };
    for name in SRUNS_OWN {
        all.unset(name);
        if let Some(value) = value(&given, name) {
            all.set(name, &value);
        }
    }
    step(start, part, &mut all);
    all.all
}

fn step(start: &StartStep, part: usize, variables: &mut Variables) {
    let (spec, shares) = (&start.spec, &start.shares);
    let own = &shares[part];
    let nodes = hostlist::compress(shares.iter().map(|share| share.node.as_str()));
    let (step, count) = (start.key.step.to_string(), shares.len().to_string());
    let tasks = shares.iter().map(|share| share.tasks).sum::<u32>().to_string();
    let per_node = runs(shares, |share: &StepShare| share.tasks);
    let ranks: Vec<String> = (own.first_task..own.first_task + own.tasks).map(|rank| rank.to_string()).collect();
    for (name, value) in [
        ("SLURM_STEP_ID", step.as_str()),
        ("SLURM_STEPID", &step),
        ("SLURM_STEP_NODELIST", &nodes),
        ("SLURM_NODELIST", &nodes),
        ("SLURM_STEP_NUM_NODES", &count),
        ("SLURM_NNODES", &count),
        ("SLURM_STEP_NUM_TASKS", &tasks),
        ("SLURM_NTASKS", &tasks),
        ("SLURM_NPROCS", &tasks),
        ("SLURM_STEP_TASKS_PER_NODE", &per_node),
        ("SLURM_TASKS_PER_NODE", &per_node),
        ("SLURM_NODEID", &part.to_string()),
        ("SLURM_GTIDS", &ranks.join(",")),
        ("SLURM_CPUS_ON_NODE", &own.cpus.count().to_string()),
        ("SLURM_UMASK", &format!("{:04o}", spec.umask)),
    ] {
        variables.set(name, value);
    }
    if let Some(cpus) = spec.cpus_per_process {
        variables.set("SLURM_CPUS_PER_TASK", &cpus.to_string());
    }
    let held = start.task.shares.iter().find(|share| share.node == own.node);
    super::gpus(&start.job.request, held, variables);
    if let Some(devices) = held.map(|held| held.devices).filter(|devices| !devices.is_empty()) {
        variables.set("SLURM_STEP_GPUS", &devices.to_string());
    }
}

fn value(environment: &[u8], name: &str) -> Option<String> {
    let mut records = environment.split(|byte| *byte == 0);
    let value = records.find_map(|record| record.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}
