//! The node's lease: what may run elsewhere is ended here in time, whatever has become of noded.
//!
//! noded says until when the lease holds, and says it again with each word from the controller. Its end is told by a timer on the
//! clock that goes on while the machine sleeps, so that a machine that was asleep ends first of all what it no longer may run.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::super::LauncherError;
use super::super::frame::{RunKey, StopWhy};
use super::super::task::Task;
use super::Attempts;
use crate::clock::boot_ms;

/// Until when what is leased may run.
pub(super) struct Lease {
    /// None before noded has told any, and where it holds for ever.
    until_ms: Option<u64>,
    kill_wait_ms: u64,
    stage: Stage,
    timer: OwnedFd,
}

/// How far its end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Holds,
    /// What is leased has been told to end.
    Over,
    /// And nothing of it may be left.
    Dead,
}

impl Lease {
    pub(super) fn none() -> Result<Lease, LauncherError> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK);
        let timer = timer.map_err(|errno| LauncherError::System { call: "timerfd_create", source: errno.into() })?;
        Ok(Lease { until_ms: None, kill_wait_ms: 0, stage: Stage::Holds, timer })
    }

    /// It holds until then.
    pub(super) fn extend(&mut self, until_ms: Option<u64>, kill_wait_ms: u64) {
        (self.until_ms, self.kill_wait_ms, self.stage) = (until_ms, kill_wait_ms, Stage::Holds);
        self.set_timer();
    }

    /// Whether nothing that is leased may begin.
    pub(super) fn is_over(&self) -> bool {
        self.until_ms.is_some_and(|until_ms| until_ms <= boot_ms())
    }

    /// As it was told last.
    pub(super) fn told(&self) -> (Option<u64>, u64) {
        (self.until_ms, self.kill_wait_ms)
    }

    /// When nothing of what is leased is left, by the clock of the machine.
    fn over_ms(&self) -> Option<u64> {
        self.until_ms.map(|until_ms| until_ms.saturating_add(self.kill_wait_ms))
    }

    /// If something is due: how long what is leased has yet, in milliseconds.
    fn take_due(&mut self) -> Option<u64> {
        let now_ms = boot_ms();
        let (until_ms, over_ms) = (self.until_ms?, self.over_ms()?);
        let next = match self.stage {
            Stage::Holds if over_ms <= now_ms => Stage::Dead,
            Stage::Holds if until_ms <= now_ms => Stage::Over,
            Stage::Over if over_ms <= now_ms => Stage::Dead,
            Stage::Holds | Stage::Over | Stage::Dead => return None,
        };
        self.stage = next;
        self.set_timer();
        Some(over_ms.saturating_sub(now_ms))
    }

    /// Sets the timer to what is due next. One that cannot be set is a defect of ours: every value that comes here is in bounds.
    fn set_timer(&self) {
        let at_ms = match self.stage {
            Stage::Holds => self.until_ms,
            Stage::Over => self.over_ms(),
            Stage::Dead => None,
        };
        // A time of 0 would switch it off.
        let at = at_ms.map_or(Timespec { tv_sec: 0, tv_nsec: 0 }, |at_ms| {
            let at_ms = at_ms.clamp(1, i64::MAX.unsigned_abs());
            let ns = i64::try_from(at_ms % 1000 * 1_000_000).expect("less than a second");
            Timespec { tv_sec: (at_ms / 1000).cast_signed(), tv_nsec: ns }
        });
        let set = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &set).expect("a timer of ours takes a time in bounds");
    }
}

impl Attempts {
    /// Ready to be read when [`Attempts::on_clock`] has something to do for the lease.
    pub(in super::super) fn lease_timer(&self) -> BorrowedFd<'_> {
        self.lease.timer.as_fd()
    }

    /// Ends what is leased when its time has come: with TERM, and with KILL when nothing of it may be left.
    pub(super) fn keep_lease(&mut self, now: Instant) {
        let Some(kill_wait_ms) = self.lease.take_due() else { return };
        let why = StopWhy::NodeFailure;
        let late: Vec<RunKey> = self.late.leased().collect();
        self.end_late(|key| late.contains(&key), why);
        let stop = |(&key, task): (&RunKey, &mut Task)| {
            task.leased.then(|| task.on_stop(why, kill_wait_ms, now)).flatten().map(|due| (key, due))
        };
        let due = self.tasks.iter_mut().filter_map(stop).collect();
        tracing::warn!(kill_wait_ms, "the node's lease is over: what may run elsewhere ends here");
        self.carry_out(due, Vec::new(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_in_two_stages_each_told_once() {
        let mut lease = Lease::none().expect("a timer");
        assert!(!lease.is_over() && lease.take_due().is_none() && lease.over_ms().is_none(), "nothing was told");
        lease.extend(Some(boot_ms() + 60_000), 1_000);
        assert!(!lease.is_over() && lease.take_due().is_none());
        lease.extend(Some(boot_ms().saturating_sub(10)), 60_000);
        assert!(lease.is_over());
        assert!(lease.take_due().is_some_and(|left_ms| left_ms > 50_000) && lease.take_due().is_none());
        lease.extend(Some(0), 0);
        assert_eq!(
            (lease.take_due(), lease.take_due()),
            (Some(0), None),
            "a machine that slept past both kills at once"
        );
        lease.extend(None, 0);
        assert!(!lease.is_over() && lease.take_due().is_none(), "for ever");
    }

    #[test]
    fn its_timer_wakes_whoever_waits() {
        use rustix::event::{PollFd, PollFlags, poll};
        let mut lease = Lease::none().expect("a timer");
        lease.extend(Some(boot_ms() + 30), 0);
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        let woken = poll(&mut [PollFd::new(&lease.timer, PollFlags::IN)], Some(&limit));
        assert_eq!((woken, lease.take_due()), (Ok(1), Some(0)));
        let woken = poll(&mut [PollFd::new(&lease.timer, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        assert_eq!(woken, Ok(0), "and then lets it sleep");
    }
}
