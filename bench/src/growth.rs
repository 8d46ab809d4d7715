//! How cost grows: the same work at ten times the size, again and again. What grows no faster than what it works on is flat in these tables.

use anyhow::Result;

use crate::client::idle_job;
use crate::cluster::Cluster;
use crate::crowd::Nodes;
use crate::items::arrays::array_rate;
use crate::items::listings::{CALLERS, FULL, look};
use crate::process::{resident_mib, timed};
use crate::report::{Report, Unit, thousands};
use crate::sample::{ms, rate};
use crate::scope::Scope;

const TASKS: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
const JOBS: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
const NODES: [u32; 4] = [10, 100, 1_000, 10_000];
/// The array that clusters of all sizes work on.
const TASKS_OF_NODES: u32 = 100_000;

pub(crate) fn measure(scope: &Scope, report: &mut Report) -> Result<()> {
    let wanted = |counts: [u32; 4]| counts.into_iter().take(if scope.quick { 3 } else { 4 });
    let mut table =
        Table::new("tasks of one array", &["sbatch", "dispatch", "mean pass", "squeue, pending", "restart", "memory"]);
    for count in wanted(TASKS) {
        table.add(count, tasks(scope, count)?);
    }
    report.add_table(table.text());
    let mut table = Table::new("separate jobs", &["submit", "mean pass", "squeue", "restart", "memory"]);
    for count in wanted(JOBS) {
        table.add(count, jobs(scope, count)?);
    }
    report.add_table(table.text());
    let mut table = Table::new("simulated nodes", &["all joined", "dispatch", "mean pass", "sinfo", "memory"]);
    for count in wanted(NODES) {
        table.add(count, nodes(scope, count)?);
    }
    report.add_table(table.text());
    Ok(())
}

/// An array that runs through on simulated nodes, and one that waits.
fn tasks(scope: &Scope, count: u32) -> Result<Vec<String>> {
    let array = format!("--array=0-{}", count - 1);
    let mut cluster = Cluster::start(scope)?;
    cluster.add_crowd(Nodes { count: 64, cpus: 64, endless: false })?;
    let client = cluster.client()?;
    client.take_statistics()?;
    let dispatch = array_rate(&cluster, count)?;
    let pass = mean_pass(&client.take_statistics()?);
    let submit = ms(timed(cluster.command("sbatch").args(["--hold", &array, "-o", "none", "--wrap", "true"]))?);
    let squeue = look(&cluster, "squeue")?;
    let memory = resident_mib(cluster.controller_pid())?;
    let restart = cluster.restart_killed()?.as_secs_f64();
    Ok(vec![
        Unit::Ms.show(submit),
        Unit::PerSecond.show(dispatch),
        pass,
        Unit::Ms.show(squeue),
        Unit::S.show(restart),
        Unit::MiB.show(memory),
    ])
}

/// Separate jobs that wait behind one another.
fn jobs(scope: &Scope, count: u32) -> Result<Vec<String>> {
    let mut cluster = Cluster::start(scope)?;
    cluster.add_crowd(FULL)?;
    let client = cluster.client()?;
    client.take_statistics()?;
    let submit = rate(count, client.submit(&idle_job(), count, CALLERS)?);
    let pass = mean_pass(&client.take_statistics()?);
    let squeue = look(&cluster, "squeue")?;
    let memory = resident_mib(cluster.controller_pid())?;
    let restart = cluster.restart_killed()?.as_secs_f64();
    Ok(vec![Unit::PerSecond.show(submit), pass, Unit::Ms.show(squeue), Unit::S.show(restart), Unit::MiB.show(memory)])
}

/// An array of one size on clusters of many.
fn nodes(scope: &Scope, count: u32) -> Result<Vec<String>> {
    let mut cluster = Cluster::start(scope)?;
    let joined = cluster.add_crowd(Nodes { count, cpus: 64, endless: false })?;
    let client = cluster.client()?;
    client.take_statistics()?;
    let dispatch = array_rate(&cluster, scope.of(TASKS_OF_NODES))?;
    let pass = mean_pass(&client.take_statistics()?);
    let sinfo = look(&cluster, "sinfo")?;
    let memory = resident_mib(cluster.controller_pid())?;
    Ok(vec![
        Unit::S.show(joined.as_secs_f64()),
        Unit::PerSecond.show(dispatch),
        pass,
        Unit::Ms.show(sinfo),
        Unit::MiB.show(memory),
    ])
}

fn mean_pass(statistics: &proto::v1::GetStatisticsReply) -> String {
    let passes = statistics.passes.unwrap_or_default();
    Unit::Ms.show(passes.total_us as f64 / passes.count.max(1) as f64 / 1e3)
}

/// A table whose first column is a size.
struct Table {
    text: String,
}

impl Table {
    fn new(of: &str, columns: &[&str]) -> Table {
        Table { text: format!("| {of} | {} |\n|---:|{}\n", columns.join(" | "), "---:|".repeat(columns.len())) }
    }

    fn add(&mut self, size: u32, cells: Vec<String>) {
        self.text += &format!("| {} | {} |\n", thousands(size.into()), cells.join(" | "));
    }

    fn text(self) -> String {
        self.text
    }
}
