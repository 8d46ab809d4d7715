//! When the memory of attempts is looked at that no control group limits.
//!
//! A timer only: the look is [`Grip`](super::grip::Grip)'s, the limit [`Task`](super::task::Task)'s.

use std::time::{Duration, Instant};

/// From one look to the next.
const LOOK_WAIT: Duration = Duration::from_millis(250);

/// A look at a machine with very many processes is taken less often, so that the launcher spends at most this part of
/// its time on looking: a twentieth.
const WAIT_PER_LOOK: u32 = 19;

/// The timer; it stands still while nothing is to be watched.
#[derive(Default)]
pub(super) struct Watch {
    look_at: Option<Instant>,
}

impl Watch {
    /// Whether a look is due. `is_needed` says whether there is anything to look at.
    pub(super) fn is_due(&mut self, is_needed: bool, now: Instant) -> bool {
        self.look_at = is_needed.then(|| self.look_at.unwrap_or(now + LOOK_WAIT));
        self.look_at.is_some_and(|at| at <= now)
    }

    /// A look was taken, and took `took`.
    pub(super) fn on_looked(&mut self, took: Duration, now: Instant) {
        self.look_at = Some(now + LOOK_WAIT.max(took * WAIT_PER_LOOK));
    }

    /// When a look will be due.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.look_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_taken_while_needed_and_not_too_often() {
        let (start, mut watch) = (Instant::now(), Watch::default());
        assert!(!watch.is_due(false, start) && watch.next_wake().is_none());
        assert!(!watch.is_due(true, start));
        assert_eq!(watch.next_wake(), Some(start + LOOK_WAIT));
        assert!(watch.is_due(true, start + LOOK_WAIT));
        watch.on_looked(Duration::from_millis(100), start);
        assert_eq!(watch.next_wake(), Some(start + Duration::from_millis(1_900)));
        assert!(!watch.is_due(false, start + Duration::from_secs(9)) && watch.next_wake().is_none());
    }
}
