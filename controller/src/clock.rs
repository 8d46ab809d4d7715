//! The cluster's time: the wall's, taken in steadily.
//!
//! Somebody may set the machine's clock by an hour while nodes are waited for and limits run. So the cluster's time goes on from
//! where it is, and catches up with the wall by going at most an eighth faster or slower than the machine's own clock: what
//! it measures is never off by more, which is half of what leases leave for it ([`sched::lease`]). A start takes the wall's at once.

use std::sync::{Mutex, PoisonError};

use sched::ids::Timestamp;
use traces::clock::{boot_ms, wall_ms};
use tracing::warn;

/// Time goes at most so much faster or slower than it passes: one part in this many.
const SLEW: i64 = 8;
/// A difference from the wall's clock of so much is told, once.
const TOLD_MS: i64 = 60_000;

/// The time now. It never goes back within one process.
#[must_use]
pub(crate) fn now() -> Timestamp {
    static STEADY: Mutex<Option<Steady>> = Mutex::new(None);
    let mut steady = STEADY.lock().unwrap_or_else(PoisonError::into_inner);
    let (wall_ms, boot_ms) = (wall_ms(), boot_ms());
    steady.get_or_insert(Steady { now_ms: wall_ms, boot_ms, told: false }).read(wall_ms, boot_ms)
}

/// Time that has been told so far.
struct Steady {
    now_ms: i64,
    boot_ms: u64,
    told: bool,
}

impl Steady {
    fn read(&mut self, wall_ms: i64, boot_ms: u64) -> Timestamp {
        let passed_ms = i64::try_from(boot_ms.saturating_sub(self.boot_ms)).unwrap_or(i64::MAX);
        let slack_ms = passed_ms / SLEW;
        let steady_ms = self.now_ms.saturating_add(passed_ms);
        self.tell(wall_ms.saturating_sub(steady_ms));
        // What is too short to be shared out waits: it is counted with what passes next.
        if slack_ms > 0 {
            self.now_ms = wall_ms.clamp(steady_ms.saturating_sub(slack_ms), steady_ms.saturating_add(slack_ms));
            self.boot_ms = boot_ms;
            return Timestamp(self.now_ms);
        }
        Timestamp(steady_ms)
    }

    fn tell(&mut self, ahead_ms: i64) {
        let is_off = ahead_ms.saturating_abs() >= TOLD_MS;
        if is_off && !self.told {
            let ahead_s = ahead_ms / 1000;
            warn!(ahead_s, "the machine's clock was set; it is caught up with slowly, or at once by a restart");
        }
        self.told = is_off;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Reads the clock every so many milliseconds; answers what it says in the end, and the largest and smallest step on the way.
    fn run(steady: &mut Steady, offset_ms: i64, every_ms: u64, for_ms: u64) -> (i64, i64, i64) {
        let (mut last, mut least, mut most) = (None, i64::MAX, i64::MIN);
        let from_ms = steady.boot_ms;
        for boot_ms in (from_ms..=from_ms + for_ms).step_by(every_ms as usize) {
            let now = steady.read(boot_ms as i64 + offset_ms, boot_ms).0;
            if let Some(before) = last.replace(now) {
                (least, most) = (least.min(now - before), most.max(now - before));
            }
        }
        (last.expect("it was read"), least, most)
    }

    #[test]
    fn a_clock_that_is_set_changes_no_interval_by_more_than_an_eighth() {
        for step_ms in [HOUR_MS, -HOUR_MS] {
            let mut steady = Steady { now_ms: 0, boot_ms: 0, told: false };
            let (now, least, most) = run(&mut steady, step_ms, 1_000, 80_000);
            assert!(least >= 875 && most <= 1_125, "{least} {most}");
            assert_eq!(now, if step_ms > 0 { 90_000 } else { 70_000 });
            run(&mut steady, step_ms, 1_000, 9 * HOUR_MS as u64);
            let (boot_ms, now) = (steady.boot_ms as i64, steady.now_ms);
            assert_eq!(now, boot_ms + step_ms, "caught up");
        }
    }

    #[test]
    fn a_clock_that_is_read_often_still_catches_up_and_never_goes_back() {
        let mut steady = Steady { now_ms: 0, boot_ms: 0, told: false };
        let (now, least, _) = run(&mut steady, -HOUR_MS, 1, 80_000);
        assert_eq!((now, least >= 0), (70_000, true));
        assert_eq!(run(&mut Steady { now_ms: 0, boot_ms: 0, told: false }, 0, 3, 9_000), (9_000, 3, 3));
    }
}
