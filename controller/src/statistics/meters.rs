//! The meters behind `/metrics` that only ever grow, and a few that follow what is open.
//!
//! Their labels are our own words: methods of the services, and ways to end. What the cluster looks like at the moment is read when
//! somebody asks ([`super::shape`]).

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use sched::reason::Ending;

/// A label and its value.
type Label = [(&'static str, &'static str); 1];

/// Upper ends of the buckets for what takes a thread's time, in seconds.
const WORK_SECONDS: [f64; 9] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];
/// And for what waits for a disk or another thread.
const WAIT_SECONDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// All meters of a controller, and the registry that names them.
pub(crate) struct Meters {
    pub(crate) registry: Registry,
    pub(crate) submitted: Counter,
    pub(crate) started: Counter,
    ended: Family<Label, Counter>,
    pub(crate) pass_seconds: Histogram,
    pub(crate) backfilled: Counter,
    commits: Counter,
    commit_bytes: Counter,
    commit_seconds: Histogram,
    pub(crate) commit_failures: Counter,
    pub(crate) links_up: Gauge,
    pub(crate) calls_open: Gauge,
    calls: Family<Label, Histogram, fn() -> Histogram>,
}

impl Default for Meters {
    fn default() -> Meters {
        let seconds: fn() -> Histogram = || Histogram::new(WAIT_SECONDS);
        let mut meters = Meters {
            registry: Registry::with_prefix("covey"),
            submitted: Counter::default(),
            started: Counter::default(),
            ended: Family::default(),
            pass_seconds: Histogram::new(WORK_SECONDS),
            backfilled: Counter::default(),
            commits: Counter::default(),
            commit_bytes: Counter::default(),
            commit_seconds: seconds(),
            commit_failures: Counter::default(),
            links_up: Gauge::default(),
            calls_open: Gauge::default(),
            calls: Family::new_with_constructor(seconds),
        };
        meters.register();
        meters
    }
}

impl Meters {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("tasks_submitted", "Tasks that were accepted", self.submitted.clone());
        registry.register("tasks_started", "Attempts that were given to nodes", self.started.clone());
        registry.register("tasks_ended", "Tasks that have ended, by how", self.ended.clone());
        registry.register("pass_seconds", "How long scheduling passes take", self.pass_seconds.clone());
        registry.register("tasks_backfilled", "Tasks that started past one that waits", self.backfilled.clone());
        registry.register("journal_commits", "Commits of the journal", self.commits.clone());
        registry.register("journal_bytes", "Bytes of the records that were committed", self.commit_bytes.clone());
        registry.register("journal_commit_seconds", "How long commits take", self.commit_seconds.clone());
        registry.register("journal_failures", "Commits that the disk refused", self.commit_failures.clone());
        registry.register("links_up", "Nodes that are connected", self.links_up.clone());
        registry.register("calls_open", "Calls that are being answered", self.calls_open.clone());
        registry.register("call_seconds", "How long calls take until their answer begins", self.calls.clone());
    }

    /// A call has been answered.
    pub(crate) fn call(&self, method: &'static str, took: Duration) {
        self.calls.get_or_create(&[("method", method)]).observe(took.as_secs_f64());
    }

    /// A record has become durable.
    pub(crate) fn commit(&self, bytes: usize, took: Duration) {
        self.commits.inc();
        self.commit_bytes.inc_by(bytes as u64);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// Tasks have ended.
    pub(crate) fn ended(&self, ending: Ending, tasks: u64) {
        let how = match ending {
            Ending::Completed => "completed",
            Ending::Failed => "failed",
            Ending::LaunchFailed => "launch_failed",
            Ending::Cancelled(_) => "cancelled",
            Ending::Timeout => "timeout",
            Ending::NodeFail => "node_fail",
            Ending::OutOfMemory => "out_of_memory",
            Ending::Deadline => "deadline",
        };
        self.ended.get_or_create(&[("how", how)]).inc_by(tasks);
    }
}
