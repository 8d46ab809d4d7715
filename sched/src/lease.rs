//! Leases: how long a node lets tasks that may run elsewhere go on without a word from the controller.
//!
//! A node counts its lease from the moment at which it *sent* the heartbeat (or registration) that the controller answered, by a
//! clock that nobody sets and that counts while the machine sleeps. The controller answers only while it holds the node's link,
//! and counts [`Settings::node_timeout_s`] from when it let go of that. So whatever messages and clocks do on their way, the
//! lease is over first, by a quarter of that time. How the pieces fit: `docs/reliability.md`.
//!
//! No clock is here: [`crate::wake`] judges by the times that it is told, and `noded` counts.

use crate::cluster::Cluster;
use crate::event::{Event, Placement};
use crate::finish;
use crate::ids::{AttemptKey, NodeId, Timestamp};
use crate::node::{Health, MarkKind, Node, Offer};
use crate::reconcile::AttemptEnd;
use crate::settings::Settings;

/// The most of `SlurmdTimeout` that a lease may last, in percent. The rest is for clocks that do not go at the same speed, for a
/// busy machine, and for processes that take their time to die.
pub const LEASE_PERCENT_MAX: u64 = 75;
/// Heartbeats in one lease, where no setting says otherwise.
const BEATS_PER_LEASE: u64 = 8;
/// Heartbeats are this far apart at the least, whatever the settings say.
const HEARTBEAT_MS_MIN: u64 = 50;

/// What a node is told of its lease when it registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// From one heartbeat to the next, in milliseconds.
    pub heartbeat_ms: u64,
    /// From a heartbeat that was answered to the TERM, in milliseconds.
    pub lasts_ms: u64,
    /// From the TERM to the KILL, in milliseconds.
    pub kill_wait_ms: u64,
}

impl Lease {
    /// What the settings come to; `None` where no node is ever given up, and so no task has to die for it.
    #[must_use]
    pub fn of(settings: &Settings) -> Option<Lease> {
        let timeout_ms = settings.node_timeout_s.saturating_mul(1000);
        let longest_ms = timeout_ms.saturating_mul(LEASE_PERCENT_MAX) / 100;
        let over_ms = settings.lease_s.map_or(longest_ms, |s| s.saturating_mul(1000).min(longest_ms));
        let kill_wait_ms = settings.kill_wait_s.saturating_mul(1000).min(over_ms / 2);
        let lasts_ms = over_ms - kill_wait_ms;
        let heartbeat_ms = settings.heartbeat_s.map_or(lasts_ms / BEATS_PER_LEASE, |s| s.saturating_mul(1000));
        let heartbeat_ms = heartbeat_ms.clamp(HEARTBEAT_MS_MIN, (lasts_ms / 2).max(HEARTBEAT_MS_MIN));
        (timeout_ms > 0).then_some(Lease { heartbeat_ms, lasts_ms, kill_wait_ms })
    }
}

/// When a silent node is given up: not before what it was last promised has run out, whatever the settings say by now.
pub(crate) fn give_up_at(health: Health, patience_ms: u64, settings: &Settings) -> Option<Timestamp> {
    match health {
        Health::Silent { since } if settings.node_timeout_s > 0 => {
            Some(since.plus_ms(settings.node_timeout_s.saturating_mul(1000).max(patience_ms)))
        }
        Health::Silent { .. } | Health::Up { .. } | Health::Down { .. } => None,
    }
}

/// For how long the silence of a node that registers now is waited out at the least, whatever the settings say later: by the lease
/// that it is told now, and by one that it has from before, should it never hear of this one.
pub(crate) fn patience_ms(settings: &Settings, offer: &Offer) -> u64 {
    let timeout_ms = if offer.abilities.leases { settings.node_timeout_s.saturating_mul(1000) } else { 0 };
    timeout_ms.max(offer.lease_left_ms.saturating_mul(100) / LEASE_PERCENT_MAX)
}

/// Whether a node that comes under a known name with other records has to wait: what its former self runs is in the books, and
/// nobody knows it dead. It is when it is given up, or when an administrator marks it down.
#[must_use]
pub fn keeps_its_name(cluster: &Cluster, node: &Node) -> bool {
    let known_dead = matches!(node.health, Health::Down { .. })
        || node.mark.as_ref().is_some_and(|mark| mark.kind == MarkKind::Down);
    let runs = cluster.attempts_on(node.id).next().is_some() || cluster.steps_on(node.id).next().is_some();
    runs && !known_dead
}

/// Whether the nodes of an attempt that starts now end it by themselves when their lease is over.
pub(crate) fn covers(cluster: &Cluster, placement: &Placement) -> bool {
    let keeps = |node: NodeId| cluster.node(node).is_some_and(|node| node.offer.abilities.leases);
    placement.shares.iter().all(|share| keeps(share.node))
}

/// The end of an attempt whose node is given up. One under a lease is dead by now, and waits again where it may; of any other
/// nobody knows whether it still runs, and it is not tried again.
pub(crate) fn run_out(
    cluster: &Cluster,
    settings: &Settings,
    now: Timestamp,
    node: NodeId,
    key: AttemptKey,
) -> Option<Event> {
    let leased = cluster.job(key.job)?.tasks.get(&key.index)?.leased;
    if leased {
        finish::judge(cluster, settings, now, node, key, &AttemptEnd::lost())
    } else {
        finish::give_up(cluster, node, key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(node_timeout_s: u64, lease_s: Option<u64>, heartbeat_s: Option<u64>) -> Option<Lease> {
        Lease::of(&Settings { node_timeout_s, lease_s, heartbeat_s, ..Settings::default() })
    }

    #[test]
    fn a_lease_is_over_well_before_its_node_is_given_up() {
        let usual = lease(300, None, None).expect("nodes are given up");
        assert_eq!((usual.lasts_ms, usual.kill_wait_ms, usual.heartbeat_ms), (195_000, 30_000, 24_375));
        let short = lease(4, None, None).expect("nodes are given up");
        assert_eq!((short.lasts_ms, short.kill_wait_ms, short.heartbeat_ms), (1_500, 1_500, 187));
        let asked = lease(300, Some(60), Some(5)).expect("nodes are given up");
        assert_eq!((asked.lasts_ms, asked.kill_wait_ms, asked.heartbeat_ms), (30_000, 30_000, 5_000));
        let too_long = lease(300, Some(1_000), Some(1_000)).expect("nodes are given up");
        assert_eq!((too_long.lasts_ms, too_long.heartbeat_ms), (195_000, 97_500), "bounded by the timeout");
        assert_eq!(lease(0, Some(60), None), None, "nobody is ever given up");
        for timeout_s in 1..1_000 {
            let Lease { heartbeat_ms, lasts_ms, kill_wait_ms } = lease(timeout_s, None, None).expect("a lease");
            assert!(heartbeat_ms * 2 <= lasts_ms && (lasts_ms + kill_wait_ms) * 4 <= timeout_s * 3_000, "{timeout_s}");
        }
    }
}
