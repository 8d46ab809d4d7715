//! What a node counts of itself for `/metrics`: its link, its attempts, and what they used.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use sched::reason::Exit;
use sched::reconcile::{AttemptEnd, How};
use sched::resources::Amount;

/// A label and its value.
type Label = [(&'static str, &'static str); 1];

/// All meters of a node, and the registry that names them.
pub(crate) struct Meters {
    registry: Registry,
    pub(crate) link_up: Gauge,
    pub(crate) registrations: Counter,
    pub(crate) attempts: Gauge,
    pub(crate) launched: Counter,
    pub(crate) converted: Counter,
    ended: Family<Label, Counter>,
    cpu_ms: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
}

impl Meters {
    /// The meters of a node that offers so much.
    pub(crate) fn of(amount: &Amount) -> Meters {
        let mut meters = Meters {
            registry: Registry::with_prefix("covey_node"),
            link_up: Gauge::default(),
            registrations: Counter::default(),
            attempts: Gauge::default(),
            launched: Counter::default(),
            converted: Counter::default(),
            ended: Family::default(),
            cpu_ms: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
        };
        meters.register();
        let (cpus, memory): (Gauge, Gauge) = (Gauge::default(), Gauge::default());
        cpus.set(amount.cpus.count().into());
        memory.set(i64::try_from(amount.memory_mib << 20).unwrap_or(i64::MAX));
        meters.registry.register("cpus", "CPUs that tasks may hold", cpus);
        meters.registry.register("memory_bytes", "Memory that tasks may hold", memory);
        meters
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("link_up", "Whether the node talks to its controller", self.link_up.clone());
        registry.register("registrations", "Registrations with the controller", self.registrations.clone());
        registry.register("attempts", "Attempts that are here", self.attempts.clone());
        registry.register("launched", "Attempts that were launched as processes", self.launched.clone());
        registry.register("converted", "Built-in operations that were begun", self.converted.clone());
        registry.register("ended", "Attempts that have ended, by how", self.ended.clone());
        registry.register("cpu_milliseconds", "CPU time of attempts that have ended", self.cpu_ms.clone());
        registry.register("blob_bytes_in", "Bytes of blobs that attempts read", self.bytes_in.clone());
        registry.register("blob_bytes_out", "Bytes of blobs that attempts wrote", self.bytes_out.clone());
    }

    /// An attempt has ended.
    pub(crate) fn end(&self, end: &AttemptEnd) {
        let how = match end.how {
            How::Exited(exit) if exit == Exit::default() => "completed",
            How::Exited(_) => "failed",
            How::TimedOut(_) => "timed_out",
            How::OutOfMemory => "out_of_memory",
            How::NotStarted => "not_started",
            How::Lost => "lost",
        };
        self.ended.get_or_create(&[("how", how)]).inc();
        self.cpu_ms.inc_by((end.usage.user_us + end.usage.system_us) / 1000);
        self.bytes_in.inc_by(end.usage.bytes_in);
        self.bytes_out.inc_by(end.usage.bytes_out);
    }

    /// The text for Prometheus.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes all that is written");
        text
    }
}
