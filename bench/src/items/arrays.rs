//! Item 2: arrays on simulated nodes, where no process is started: what the controller and the wire can do, durably.

use std::time::Instant;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::crowd::Nodes;
use crate::report::{Report, Row, Unit, thousands};
use crate::sample::{Samples, rate};
use crate::scope::Scope;

const NODES: Nodes = Nodes { count: 64, cpus: 64, endless: false };

pub(crate) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    for full in [100_000, 1_000_000] {
        let count = scope.of(full);
        let mut rates = Samples::default();
        let mut cluster = Cluster::start(scope)?;
        cluster.add_crowd(NODES)?;
        for _ in 0..scope.rounds {
            rates.add(array_rate(&cluster, count)?);
        }
        let what = format!("array of {} on {} simulated nodes", thousands(count.into()), NODES.count);
        report.add(Row::new("2", what, Unit::PerSecond, rates).at_least(50_000.0));
    }
    Ok(())
}

/// Tasks in a second, from the start of `sbatch` to the end of the last one, counted durably.
pub(crate) fn array_rate(cluster: &Cluster, count: u32) -> Result<f64> {
    let client = cluster.client()?;
    let begun = Instant::now();
    let job = cluster.sbatch(&[&format!("--array=0-{}", count - 1), "-o", "none", "--exec", "/bin/true"])?;
    client.wait(job)?;
    Ok(rate(count, begun.elapsed()))
}
