//! What a script shows: the queue, the jobs and the nodes, as the newest durable state has them.

use std::fmt::Write;

use sched::cluster::Cluster;
use sched::job::Job;
use sched::node::NodeWord;
use sched::resources::Share;
use sched::spec::array::list_text;
use sched::spec::index_set::IndexSet;
use sched::task::TaskState;

use crate::world::World;

/// Something to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Queue,
    Jobs,
    Nodes,
}

/// The table as text, each line indented, under the time.
pub(super) fn table(world: &World, table: Table) -> String {
    let cluster = world.published();
    let rows = match table {
        Table::Queue => cluster.jobs().flat_map(|job| queue_rows(cluster, job)).collect(),
        Table::Jobs => cluster.jobs().map(|job| job_row(job)).collect(),
        Table::Nodes => node_rows(cluster),
    };
    let seconds = world.now_ms() as f64 / 1000.0;
    let rows = if rows.is_empty() { vec!["nothing".to_owned()] } else { rows };
    rows.into_iter().fold(format!("  -- {seconds} s\n"), |mut text, row| {
        // A text takes everything.
        writeln!(text, "  {row}").ok();
        text
    })
}

/// What waits, in one row; then what runs, in one for each task.
fn queue_rows(cluster: &Cluster, job: &Job) -> Vec<String> {
    let mut waiting: IndexSet = job.waiting_tasks();
    waiting.subtract(&job.apart);
    let mut rows = Vec::new();
    if !waiting.is_empty() {
        let tasks =
            if job.is_array() { format!("_[{}]", list_text(&waiting, job.throttle, None)) } else { String::new() };
        rows.push(format!("{}{tasks} waits ({})", job.id, job.waiting_reason()));
    }
    for (index, task) in &job.tasks {
        let again = if task.attempts > 1 { format!(", attempt {}", task.attempts) } else { String::new() };
        let (word, shares) = match &task.state {
            TaskState::Pending { .. } if job.apart.contains(*index) => {
                rows.push(format!("{} waits ({}){again}", job.label(*index), job.row_reason(task)));
                continue;
            }
            TaskState::Pending { .. } => continue,
            TaskState::Running { shares, .. } => ("runs", shares),
            TaskState::Suspended { full, .. } => ("is suspended", full),
            TaskState::Finishing { shares, .. } => ("stops", shares),
            TaskState::Closing { shares, .. } => ("closes", shares),
        };
        rows.push(format!("{} {word} on {}{again}", job.label(*index), names(cluster, shares)));
    }
    rows
}

fn names(cluster: &Cluster, shares: &[Share]) -> String {
    let name = |share: &Share| cluster.node(share.node).map_or("?".to_owned(), |node| node.name.to_string());
    shares.iter().map(name).collect::<Vec<_>>().join(",")
}

fn job_row(job: &Job) -> String {
    let tally = &job.tally;
    let attempts: u32 = job.done.iter().map(|(_, done)| done.attempts).sum();
    let mut row =
        format!("{}: {} completed, {} failed, {} cancelled", job.id, tally.completed, tally.failed, tally.cancelled);
    let open = job.waiting_count() + job.running_count();
    if open > 0 {
        write!(row, ", {open} open").ok();
    }
    write!(row, "; {attempts} attempts ended").ok();
    for (index, done) in job.done.iter().filter(|(_, done)| done.outcome.wait_status() != 0) {
        write!(row, "; {} {:?} {}", job.label(index), done.outcome.ending, done.outcome.exit).ok();
    }
    row
}

fn node_rows(cluster: &Cluster) -> Vec<String> {
    let row = |node: &std::sync::Arc<sched::node::Node>| {
        let state = node.state();
        let word = match (state.leaving, state.word) {
            (Some(_), _) if node.attempts > 0 => "draining",
            (Some(_), _) => "drained",
            (None, NodeWord::Idle) => "idle",
            (None, NodeWord::Mixed) => "mixed",
            (None, NodeWord::Allocated) => "allocated",
            (None, NodeWord::Down) => "down",
        };
        let star = if state.responds { "" } else { "*" };
        format!("{} {word}{star}, {} of {} CPUs held", node.name, node.held.cpus, node.offer.amount.cpus)
    };
    cluster.nodes().map(row).collect()
}
