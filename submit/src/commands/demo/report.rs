//! The outcome in words: who did how much, what went wrong, and the sum.

use blobs::StoreUrl;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::DecimalBytes;

use super::job::Run;

/// Failed tasks that are shown; the others are counted.
const FAILURES_SHOWN_MAX: usize = 20;

/// What came of the job.
#[derive(Clone, Debug)]
pub(super) struct Report {
    total: usize,
    seconds: f64,
    nodes: Vec<NodeShare>,
    faults: Vec<String>,
    output: String,
}

/// What one node did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct NodeShare {
    node: String,
    tasks: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl NodeShare {
    fn add(&mut self, tasks: u64, bytes_in: u64, bytes_out: u64) {
        self.tasks += tasks;
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
    }
}

impl Report {
    /// `faults` has an entry for each task.
    pub(super) fn new(run: &Run, faults: Vec<Option<String>>, output: &StoreUrl) -> Report {
        Report {
            total: run.tasks.len(),
            seconds: run.seconds,
            nodes: shares(run),
            faults: faults.into_iter().flatten().collect(),
            output: output.to_string().trim_end_matches('/').to_owned(),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.faults.is_empty()
    }

    /// A row for each node, and their sum.
    pub(super) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["node", "tasks", "pictures/s", "in", "out"]);
        let mut all = NodeShare { node: "all".into(), ..NodeShare::default() };
        for share in &self.nodes {
            all.add(share.tasks, share.bytes_in, share.bytes_out);
            table.add_row(self.row(share));
        }
        table.add_row(self.row(&all));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2)).set_cell_alignment(CellAlignment::Right);
        }
        if let Some(node) = table.column_mut(0) {
            node.set_cell_alignment(CellAlignment::Left);
        }
        table.trim_fmt()
    }

    fn row(&self, share: &NodeShare) -> [String; 5] {
        let rate = format!("{:.1}", self.rate(share.tasks));
        let [bytes_in, bytes_out] = [share.bytes_in, share.bytes_out].map(|bytes| DecimalBytes(bytes).to_string());
        [share.node.clone(), share.tasks.to_string(), rate, bytes_in, bytes_out]
    }

    /// Such as `49/49 converted in 0.612 s (80.1 pictures/s) to file:///tmp/x/output`.
    pub(super) fn sum(&self) -> String {
        let Report { total, seconds, output, .. } = self;
        let good = total - self.faults.len();
        let rate = self.rate(good as u64);
        format!("{good}/{total} converted in {seconds:.3} s ({rate:.1} pictures/s) to {output}")
    }

    /// What went wrong, a line each; empty if nothing did.
    pub(super) fn failures(&self) -> String {
        let shown = self.faults.iter().take(FAILURES_SHOWN_MAX).map(|fault| format!("covey demo: error: {fault}\n"));
        let more = self.faults.len().saturating_sub(FAILURES_SHOWN_MAX);
        let rest = (more > 0).then(|| format!("covey demo: error: and {more} more\n"));
        shown.chain(rest).collect()
    }

    #[expect(clippy::cast_precision_loss, reason = "no job has 2^52 tasks")]
    fn rate(&self, pictures: u64) -> f64 {
        if self.seconds > 0.0 { pictures as f64 / self.seconds } else { 0.0 }
    }
}

/// Completed tasks by node, in the order of the nodes' numbers.
fn shares(run: &Run) -> Vec<NodeShare> {
    let mut shares: Vec<NodeShare> = Vec::new();
    for task in run.tasks.iter().filter(|task| task.is_completed()) {
        let node = &task.row.nodes;
        let at = shares.iter().position(|share| share.node == *node).unwrap_or_else(|| {
            shares.push(NodeShare { node: node.clone(), ..NodeShare::default() });
            shares.len() - 1
        });
        let usage = task.row.usage.unwrap_or_default();
        shares[at].add(1, usage.bytes_in, usage.bytes_out);
    }
    shares.sort_by_cached_key(|share| {
        let stem = share.node.trim_end_matches(|c: char| c.is_ascii_digit());
        (stem.to_owned(), share.node[stem.len()..].parse::<u64>().ok())
    });
    shares
}

#[cfg(test)]
mod tests {
    use proto::v1::{JobRow, JobState, Usage};

    use super::super::job::Task;
    use super::*;

    fn task(node: &str, state: JobState, bytes_in: u64) -> Task {
        let usage = Some(Usage { bytes_in, bytes_out: bytes_in / 2, ..Usage::default() });
        let row = JobRow { nodes: node.into(), state: state.into(), usage, ..JobRow::default() };
        Task { row, ..Task::default() }
    }

    fn report(faults: usize) -> Report {
        let done = |node, bytes_in| task(node, JobState::Completed, bytes_in);
        let tasks = vec![
            done("linux10", 2_000_000),
            done("linux2", 300_000),
            task("linux2", JobState::Failed, 7),
            done("linux2", 1_000_000),
        ];
        let mut found = vec![None; tasks.len() - faults.min(tasks.len())];
        found.extend((0..faults).map(|number| Some(format!("{number}.jpg: no"))));
        let url = "file:///tmp/x/output/".parse().expect("a URL");
        Report::new(&Run { seconds: 0.5, tasks }, found, &url)
    }

    #[test]
    fn every_node_is_told_with_what_it_did() {
        let table = report(1).table();
        let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
        let expected = [
            "node tasks pictures/s in out",
            "linux2 2 4.0 1.30 MB 650.00 kB",
            "linux10 1 2.0 2.00 MB 1.00 MB",
            "all 3 6.0 3.30 MB 1.65 MB",
        ];
        assert_eq!(lines, expected, "{table}");
    }

    #[test]
    fn the_sum_counts_what_is_good() {
        let whole = report(0);
        assert!(whole.is_whole() && whole.failures().is_empty());
        assert_eq!(whole.sum(), "4/4 converted in 0.500 s (8.0 pictures/s) to file:///tmp/x/output");
        let part = report(1);
        assert!(!part.is_whole());
        assert_eq!(part.sum(), "3/4 converted in 0.500 s (6.0 pictures/s) to file:///tmp/x/output");
        assert_eq!(part.failures(), "covey demo: error: 0.jpg: no\n");
    }

    #[test]
    fn many_failures_are_counted_and_not_listed() {
        let faults = (0..25).map(|number| Some(format!("{number}.jpg: no"))).collect();
        let run = Run { seconds: 1.0, tasks: vec![Task::default(); 25] };
        let report = Report::new(&run, faults, &"memory:///o/".parse().expect("a URL"));
        assert_eq!(report.failures().lines().count(), FAILURES_SHOWN_MAX + 1);
        assert!(report.failures().ends_with("and 5 more\n"));
        assert_eq!(report.sum(), "0/25 converted in 1.000 s (0.0 pictures/s) to memory:///o");
    }
}
