//! Item 6: the controller's resident memory with a long queue and with a large array half done, and how soon it answers again after
//! `kill -9` with either.

use anyhow::Result;

use crate::client::idle_job;
use crate::cluster::Cluster;
use crate::crowd::Nodes;
use crate::items::listings::{CALLERS, FULL};
use crate::process::resident_mib;
use crate::report::{Report, Row, Unit, thousands};
use crate::sample::Samples;
use crate::scope::Scope;

const JOBS: u32 = 100_000;
const TASKS: u32 = 1_000_000;

pub(crate) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    separate_jobs(scope, report)?;
    half_done(scope, report)
}

fn separate_jobs(scope: &Scope, report: &mut Report) -> Result<()> {
    let count = scope.of(JOBS);
    let (mut memory, mut restarts) = (Samples::default(), Samples::default());
    for _ in 0..scope.rounds {
        let mut cluster = Cluster::start(scope)?;
        cluster.add_crowd(FULL)?;
        cluster.client()?.submit(&idle_job(), count, CALLERS)?;
        memory.add(resident_mib(cluster.controller_pid())?);
        restarts.add(cluster.restart_killed()?.as_secs_f64());
    }
    let jobs = format!("{} separate pending jobs", thousands(count.into()));
    report.add(Row::new("6", format!("controller's memory, {jobs}"), Unit::MiB, memory).at_most(120.0));
    report.add(Row::new("6", format!("restart after `kill -9`, {jobs}"), Unit::S, restarts).at_most(0.3));
    Ok(())
}

fn half_done(scope: &Scope, report: &mut Report) -> Result<()> {
    let count = scope.of(TASKS);
    let (mut memory, mut restarts) = (Samples::default(), Samples::default());
    for _ in 0..scope.rounds {
        let mut cluster = Cluster::start(scope)?;
        cluster.add_crowd(Nodes { count: 64, cpus: 64, endless: false })?;
        let job = cluster.sbatch(&[&format!("--array=0-{}", count - 1), "-o", "none", "--exec", "/bin/true"])?;
        cluster.client()?.watch(job, |progress| progress.completed >= u64::from(count / 2))?;
        // As it is in the middle of the work, not after it has come to rest.
        memory.add(resident_mib(cluster.controller_pid())?);
        restarts.add(cluster.restart_killed()?.as_secs_f64());
    }
    let array = format!("array of {} half done", thousands(count.into()));
    report.add(Row::new("6", format!("controller's memory, {array}"), Unit::MiB, memory).at_most(40.0));
    report.add(Row::new("6", format!("restart after `kill -9`, {array}"), Unit::S, restarts).at_most(1.0));
    Ok(())
}
