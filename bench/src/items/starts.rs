//! Item 4: from the start of `sbatch` to the first thing that the job's program does, on an idle cluster of one real node.

use std::fs;

use anyhow::{Context, Result};

use crate::cluster::{Cluster, Groups};
use crate::process::now_ns;
use crate::report::{Report, Row, Unit};
use crate::sample::Samples;
use crate::scope::Scope;

const JOBS: u32 = 100;

pub(crate) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    let mut cluster = Cluster::start(scope)?;
    cluster.add_nodes(1, 2, Groups::Made)?;
    let client = cluster.client()?;
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let program = program.to_string_lossy();
    let output = cluster.work().join("now");
    let mut times = Samples::default();
    for _ in 0..scope.rounds * scope.of(JOBS) {
        let begun_ns = now_ns();
        let job = cluster.sbatch(&["-o", &output.to_string_lossy(), "--exec", &*program, "now"])?;
        client.wait(job)?;
        let said = fs::read_to_string(&output).context("the job has left no output")?;
        let started_ns: u64 = said.trim().parse().with_context(|| format!("the job has written {said:?}"))?;
        times.add(started_ns.saturating_sub(begun_ns) as f64 / 1e6);
    }
    let late: Samples = [times.percentile(99)].into_iter().collect();
    report.add(Row::new("4", "start of `sbatch` to the program's first word", Unit::Ms, times).at_most(5.0));
    report.add(Row::new("4", "the same, 99th percentile", Unit::Ms, late).at_most(10.0));
    Ok(())
}
