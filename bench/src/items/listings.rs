//! Item 5: what people look at, over large queues and many nodes; and `scancel` of all.

use anyhow::Result;

use crate::client::idle_job;
use crate::cluster::Cluster;
use crate::crowd::Nodes;
use crate::process::timed;
use crate::report::{Report, Row, Unit, thousands};
use crate::sample::{Samples, ms};
use crate::scope::Scope;

const JOBS: u32 = 100_000;
const TASKS: u32 = 1_000_000;
const NODES: u32 = 10_000;
pub(crate) const CALLERS: u32 = 64;
/// A node that is full for ever once it has one task: so all others wait, as in a queue.
pub(crate) const FULL: Nodes = Nodes { count: 1, cpus: 1, endless: true };
/// Looks at the same listing in a round.
const LOOKS: u32 = 4;

pub(crate) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    separate_jobs(scope, report)?;
    an_array(scope, report)?;
    nodes(scope, report)
}

fn separate_jobs(scope: &Scope, report: &mut Report) -> Result<()> {
    let count = scope.of(JOBS);
    let (mut looks, mut cancels) = (Samples::default(), Samples::default());
    let mut cluster = Cluster::start(scope)?;
    cluster.add_crowd(FULL)?;
    let client = cluster.client()?;
    for _ in 0..scope.rounds {
        client.submit(&idle_job(), count, CALLERS)?;
        looks.add(look(&cluster, "squeue")?);
        cancels.add(timed(cluster.command("scancel").args(["--user", "root"]))?.as_secs_f64());
    }
    let jobs = thousands(count.into());
    let listing = format!("`squeue`, {jobs} separate pending jobs");
    report.add(Row::new("5", listing, Unit::Ms, looks).at_most(60.0));
    report.add(Row::new("5", format!("`scancel` of {jobs} separate jobs"), Unit::S, cancels).at_most(0.3));
    Ok(())
}

fn an_array(scope: &Scope, report: &mut Report) -> Result<()> {
    let count = scope.of(TASKS);
    let mut cluster = Cluster::start(scope)?;
    cluster.add_crowd(FULL)?;
    cluster.sbatch(&[&format!("--array=0-{}", count - 1), "-o", "none", "--exec", "/bin/true"])?;
    let mut looks = Samples::default();
    for _ in 0..scope.rounds {
        looks.add(look(&cluster, "squeue")?);
    }
    let what = format!("`squeue`, {} pending array tasks", thousands(count.into()));
    report.add(Row::new("5", what, Unit::Ms, looks).at_most(5.0));
    Ok(())
}

fn nodes(scope: &Scope, report: &mut Report) -> Result<()> {
    let count = scope.of(NODES);
    let mut cluster = Cluster::start(scope)?;
    cluster.add_crowd(Nodes { count, cpus: 64, endless: false })?;
    let mut looks = Samples::default();
    for _ in 0..scope.rounds {
        looks.add(look(&cluster, "sinfo")?);
    }
    let what = format!("`sinfo`, {} nodes", thousands(count.into()));
    report.add(Row::new("5", what, Unit::Ms, looks).at_most(50.0));
    Ok(())
}

/// What a listing takes as a process, in milliseconds: the median of some.
pub(crate) fn look(cluster: &Cluster, command: &str) -> Result<f64> {
    let mut looks = Samples::default();
    for _ in 0..LOOKS {
        looks.add(ms(timed(&mut cluster.command(command))?));
    }
    Ok(looks.median())
}
