//! `listpids`: the processes of jobs on this machine, by what their environment says of them.
//!
//! Only processes count whose environment the caller may read, which root may of all. What noded started carries
//! `SLURMD_NODENAME` beside `SLURM_JOB_ID`; a shell of salloc does not.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::failure::{Failure, Outcome, print};

/// A process of a job.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    job: u32,
    step: String,
    pid: u32,
    /// Its ranks on its node and in its step, where it is a task's own process and not a child of one.
    ranks: Option<(String, String)>,
}

/// Lists those of a job or a step, or all; of one node, where several run on this machine.
pub(super) fn list(words: &[&str]) -> Outcome<ExitCode> {
    let (id, node) = match words {
        [] => ("*", None),
        [id] => (*id, None),
        [id, node] => (*id, Some(*node)),
        _ => return Err(Failure::new("too many arguments for keyword:listpids")),
    };
    let (job, step) = id.split_once('.').map_or((id, None), |(job, step)| (job, Some(step)));
    let job = match job {
        "*" => None,
        job => Some(job.parse().map_err(|_| Failure::new(format_args!("\"{job}\" does not look like a jobid")))?),
    };
    let wanted = |process: &Process| {
        job.is_none_or(|job: u32| process.job == job) && step.is_none_or(|step| process.step == step)
    };
    let mut found: Vec<Process> = processes(node).into_iter().filter(wanted).collect();
    found.sort_unstable();
    print(format_args!("{:<8} {:<8} {:<8} {:<7} {:<8}\n", "PID", "JOBID", "STEPID", "LOCALID", "GLOBALID"))?;
    for Process { job, step, pid, ranks } in &found {
        let (local, global) = ranks.as_ref().map_or(("-", "-"), |(local, global)| (local, global));
        print(format_args!("{pid:<8} {job:<8} {step:<8} {local:<7} {global:<8}\n"))?;
    }
    match job {
        Some(_) if found.is_empty() && step.is_some() => {
            Err(Failure::new(format_args!("Job step {id} does not exist on this node.")))
        }
        Some(job) if found.is_empty() => {
            Err(Failure::new(format_args!("There are no steps for job {job} on this node.")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn processes(node: Option<&str>) -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // One that is gone by now, or is somebody else's, cannot be read.
    let environment = |pid: u32| Some((pid, std::fs::read(format!("/proc/{pid}/environ")).ok()?));
    pids.filter_map(environment).filter_map(|(pid, environment)| of_environment(pid, &environment, node)).collect()
}

/// What an environment of `NAME=value` records says of its process; `None` for one of no job here.
fn of_environment(pid: u32, environment: &[u8], node: Option<&str>) -> Option<Process> {
    let records = environment.split(|byte| *byte == 0).filter_map(|record| std::str::from_utf8(record).ok());
    let variables: BTreeMap<&str, &str> = records.filter_map(|record| record.split_once('=')).collect();
    let own_node = variables.get("SLURMD_NODENAME")?;
    if node.is_some_and(|node| node != *own_node) {
        return None;
    }
    let is_task = variables.get("SLURM_TASK_PID").is_some_and(|task| *task == pid.to_string());
    let rank = |name| variables.get(name).map_or_else(|| "0".to_owned(), ToString::to_string);
    Some(Process {
        job: variables.get("SLURM_JOB_ID")?.parse().ok()?,
        step: variables.get("SLURM_STEP_ID").map_or_else(|| "batch".to_owned(), ToString::to_string),
        pid,
        ranks: is_task.then(|| (rank("SLURM_LOCALID"), rank("SLURM_PROCID"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_environment() {
        let task = b"SLURM_JOB_ID=7\0SLURMD_NODENAME=n1\0SLURM_STEP_ID=0\0SLURM_TASK_PID=42\0SLURM_PROCID=3\0SLURM_LOCALID=1\0";
        let expected = Process { job: 7, step: "0".into(), pid: 42, ranks: Some(("1".into(), "3".into())) };
        assert_eq!(of_environment(42, task, None), Some(expected));
        assert_eq!(of_environment(43, task, Some("n1")).expect("a child of it").ranks, None);
        assert_eq!(of_environment(42, task, Some("n2")), None);
        assert_eq!(of_environment(42, b"SLURM_JOB_ID=7\0", None), None, "it was not started by a node");
        let batch = of_environment(9, b"SLURM_JOB_ID=7\0SLURMD_NODENAME=n1\0", None).expect("a batch shell");
        assert_eq!((batch.step.as_str(), batch.ranks), ("batch", None));
    }
}
