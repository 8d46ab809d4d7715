//! Item 7: what 10,000 idle nodes cost the controller, each with a connection, a stream and the heartbeats of its lease.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::cluster::Cluster;
use crate::crowd::Nodes;
use crate::process::{cpu_s, resident_mib};
use crate::report::{Report, Row, Unit, thousands};
use crate::sample::Samples;
use crate::scope::Scope;

const NODES: u32 = 10_000;
/// How long is looked at in a round: several heartbeats of each node.
const WINDOW: Duration = Duration::from_secs(20);

pub(crate) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    let count = scope.of(NODES);
    let mut cluster = Cluster::start(scope)?;
    let joined = cluster.add_crowd(Nodes { count, cpus: 64, endless: false })?;
    let pid = cluster.controller_pid();
    let (mut busy, mut memory) = (Samples::default(), Samples::default());
    for _ in 0..scope.rounds {
        let (begun, used_s) = (Instant::now(), cpu_s(pid)?);
        // The measured thing is time that passes.
        while begun.elapsed() < WINDOW {
            thread::park_timeout(WINDOW.saturating_sub(begun.elapsed()));
        }
        busy.add(100.0 * (cpu_s(pid)? - used_s) / begun.elapsed().as_secs_f64());
        memory.add(resident_mib(pid)?);
    }
    let nodes = format!("{} idle nodes", thousands(count.into()));
    let joined: Samples = [joined.as_secs_f64()].into_iter().collect();
    report.add(Row::new("7", format!("{nodes}: from none to all joined"), Unit::S, joined));
    report.add(Row::new("7", format!("{nodes}: controller's share of a core"), Unit::Percent, busy).at_most(5.0));
    report.add(Row::new("7", format!("{nodes}: controller's memory"), Unit::MiB, memory).at_most(400.0));
    Ok(())
}
