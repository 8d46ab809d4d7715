//! How a node goes that was told to retire (`--retire`): what runs may end for so long, and the rest is stopped.
//!
//! [`Retirement`] keeps the time; the rest is what [`Node`] does meanwhile. Its goodbye is in `leave.rs`. A noded without `--retire` never
//! begins this: it stops at once, and its tasks wait for the next noded.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::Node;
use crate::roster::Act;

/// From TERM to KILL of what has not ended by then: whoever takes a machine away does not wait for long.
const KILL_WAIT_MS: u64 = 5_000;
/// For what was stopped to be gone, and for the controller to count its ends.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// How far it is.
#[derive(Debug)]
pub(super) struct Retirement {
    patience: Option<Duration>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    InService,
    /// What runs may end.
    Waiting {
        until: Instant,
    },
    /// What still ran was stopped.
    Stopping {
        until: Instant,
    },
    /// It has waited enough.
    Over,
}

impl Retirement {
    /// A node that has such patience, or does not retire.
    pub(super) fn with(patience: Option<Duration>) -> Retirement {
        Retirement { patience, phase: Phase::InService }
    }

    /// It was told to go. Whether it retires; told again it changes nothing.
    pub(super) fn begin(&mut self) -> bool {
        let Some(patience) = self.patience else { return false };
        if matches!(self.phase, Phase::InService) {
            self.phase = Phase::Waiting { until: Instant::now() + patience };
        }
        true
    }

    /// Whether it has begun.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.phase, Phase::InService)
    }

    /// Whether the node goes now: nothing is left of what it ran, or there is no time left to wait for it.
    pub(super) fn is_over(&self, nothing_left: bool) -> bool {
        matches!(self.phase, Phase::Over) || self.is_under_way() && nothing_left
    }

    /// Waits until the time of this phase is over, which begins the next one; for ever where there is none.
    pub(super) async fn next_phase(&mut self) {
        self.phase = match self.phase {
            Phase::InService | Phase::Over => std::future::pending().await,
            Phase::Waiting { until } => {
                sleep_until(until).await;
                Phase::Stopping { until: Instant::now() + STOP_WAIT }
            }
            Phase::Stopping { until } => {
                sleep_until(until).await;
                Phase::Over
            }
        };
    }
}

impl Node {
    /// A node that has something to wait for tells the controller, by a link made anew, to give it nothing else.
    pub(super) fn on_retiring(&mut self) -> Vec<Act> {
        info!(live = self.roster.live_count(), "retiring");
        if !self.roster.is_empty() {
            self.to_controller = None;
        }
        Vec::new()
    }

    /// Another phase of its retirement has begun.
    pub(super) fn on_phase(&mut self) -> Vec<Act> {
        if !matches!(self.retirement.phase, Phase::Stopping { .. }) {
            return Vec::new();
        }
        info!(live = self.roster.live_count(), "stopping what still runs");
        self.rules.kill_wait_ms = KILL_WAIT_MS;
        self.roster.retire()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_waits_then_stops_what_is_left_and_then_goes() {
        let mut retirement = Retirement::with(Some(Duration::ZERO));
        assert!(!retirement.is_under_way() && !retirement.is_over(true), "it is in service");
        assert!(retirement.begin() && retirement.is_under_way());
        assert!(retirement.is_over(true) && !retirement.is_over(false), "it waits for what runs");
        retirement.next_phase().await;
        assert!(retirement.begin(), "told again it changes nothing");
        assert!(matches!(retirement.phase, Phase::Stopping { .. }) && !retirement.is_over(false));
        retirement.phase = Phase::Stopping { until: Instant::now() };
        retirement.next_phase().await;
        assert!(retirement.is_over(false), "whatever is left");
    }

    #[test]
    fn a_node_without_patience_does_not_retire() {
        let mut retirement = Retirement::with(None);
        assert!(!retirement.begin() && !retirement.is_under_way());
    }
}
