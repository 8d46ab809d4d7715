//! Keeping the lease: heartbeats to the controller, and what is told to the launcher and the pipeline of its answers.

use std::time::Duration;

use proto::link::FromNode;
use sched::lease::Lease;
use tracing::warn;

use super::Node;
use crate::clock::{boot_ms, monotonic_ms};
use crate::launcher::frame::Request;
use crate::lease::Tenure;
use crate::roster::Act;

/// The lease, with what others were told of it.
#[derive(Default)]
pub(super) struct LeaseKeeping {
    tenure: Tenure,
    /// What the launcher of this connection was told last.
    told: Option<(Option<u64>, u64)>,
    /// It was over, and the link that was up then has not been made anew.
    deaf: bool,
}

impl LeaseKeeping {
    /// With the launcher's word on what an earlier life was given.
    pub(super) fn found((until_ms, kill_wait_ms): (Option<u64>, u64)) -> LeaseKeeping {
        let mut keeping = LeaseKeeping::default();
        keeping.tenure.on_found(until_ms, kill_wait_ms);
        keeping
    }

    pub(super) fn on_registered(&mut self) {
        self.deaf = false;
        self.tenure.on_registered(boot_ms());
    }

    pub(super) fn on_welcome(&mut self, lease: Option<Lease>) {
        self.tenure.on_welcome(lease);
    }

    pub(super) fn on_granted(&mut self, at_ms: u64) {
        // Nobody answers what was not said yet.
        self.tenure.on_granted(at_ms.min(boot_ms()));
    }

    pub(super) fn on_lost(&mut self) {
        self.tenure.on_lost();
    }

    /// Another launcher, or another connection to it, has heard nothing so far.
    pub(super) fn on_launcher_hello(&mut self) {
        self.told = None;
    }

    /// Whether nothing counts that is heard now.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf
    }

    pub(super) fn left_ms(&self) -> u64 {
        self.tenure.left_ms(boot_ms())
    }

    /// In how long something is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.tenure.next_due().map(|at_ms| Duration::from_millis(at_ms.saturating_sub(boot_ms())))
    }
}

/// Waits so long; without a time, for ever.
pub(super) async fn wait(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

impl Node {
    /// Sends a heartbeat that is due. When the lease is over, what was ordered before counts no more: the link is made anew, and
    /// the registration tells what does.
    pub(super) fn keep_lease(&mut self) -> Vec<Act> {
        let now_ms = boot_ms();
        if self.lease.tenure.take_end(now_ms) {
            warn!("nothing was heard of the controller for the time of the lease: what may run elsewhere ends here");
            (self.to_controller, self.lease.deaf) = (None, true);
            self.lease.tenure.on_lost();
            return self.roster.on_lease_over(monotonic_ms());
        }
        if self.lease.tenure.take_beat(now_ms)
            && let Some(sender) = &self.to_controller
        {
            // A link that takes nothing earns no answer.
            sender.try_send(FromNode::Heartbeat { at_ms: now_ms }).ok();
        }
        Vec::new()
    }

    /// Tells the launcher and the pipeline until when the lease holds, before they are asked for anything that it covers.
    pub(super) async fn pass_on_lease(&mut self) {
        let held = self.lease.tenure.held();
        self.pipeline.hold_until(held.0);
        let is_promised = self.lease.told.is_some() || held.0.is_some();
        if self.abilities.leases && is_promised && self.lease.told != Some(held) {
            let (until_ms, kill_wait_ms) = held;
            self.hand.ask(&[Request::Lease { until_ms, kill_wait_ms }]).await;
            self.lease.told = Some(held);
        }
    }
}
