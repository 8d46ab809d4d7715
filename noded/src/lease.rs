//! This node's lease, as noded keeps it: until when what may run elsewhere goes on here without a word from the controller.
//!
//! A pure value; `now_ms` is a clock that nobody sets and that goes on while the machine sleeps. The launcher holds the same lease
//! ([`crate::launcher`]), so that it ends processes in time though noded is dead or stopped; noded itself ends what it does in its
//! own process, and obeys nobody until it has registered anew. Why this is safe: `docs/reliability.md`.

use sched::lease::Lease;

/// A node's side of its lease.
#[derive(Clone, Debug, Default)]
pub struct Tenure {
    /// As the last welcome told it.
    lease: Option<Lease>,
    /// When it is over; `None` where nothing has to end.
    until_ms: Option<u64>,
    /// How long a process then has from TERM to KILL.
    kill_wait_ms: u64,
    /// When the next heartbeat is due, while the link is up.
    beat_ms: Option<u64>,
    /// When the registration was sent that is not answered yet.
    registered_ms: u64,
    /// It is over, and what follows from that is done.
    told: bool,
}

impl Tenure {
    /// The launcher still holds one that an earlier life of noded was given.
    pub fn on_found(&mut self, until_ms: Option<u64>, kill_wait_ms: u64) {
        (self.until_ms, self.kill_wait_ms) = (until_ms, kill_wait_ms);
    }

    /// A registration is on its way.
    pub fn on_registered(&mut self, now_ms: u64) {
        (self.registered_ms, self.beat_ms) = (now_ms, None);
    }

    /// It was answered, with these terms.
    pub fn on_welcome(&mut self, lease: Option<Lease>) {
        self.lease = lease;
        self.beat_ms = lease.map(|lease| self.registered_ms + lease.heartbeat_ms);
        self.told = false;
        self.until_ms = lease.map(|lease| self.registered_ms + lease.lasts_ms);
        self.kill_wait_ms = lease.map_or(0, |lease| lease.kill_wait_ms);
    }

    /// The heartbeat of that moment was answered.
    pub fn on_granted(&mut self, at_ms: u64) {
        if let Some(lease) = self.lease {
            self.until_ms = self.until_ms.max(Some(at_ms + lease.lasts_ms));
        }
    }

    /// The link is gone.
    pub fn on_lost(&mut self) {
        self.beat_ms = None;
    }

    /// Whether a heartbeat is due; the next one is a while later.
    pub fn take_beat(&mut self, now_ms: u64) -> bool {
        let (Some(beat_ms), Some(lease)) = (self.beat_ms, self.lease) else { return false };
        let due = beat_ms <= now_ms;
        if due {
            self.beat_ms = Some(now_ms + lease.heartbeat_ms);
        }
        due
    }

    /// Whether it is over, and nobody has been told so.
    pub fn take_end(&mut self, now_ms: u64) -> bool {
        let ended = !self.told && self.until_ms.is_some_and(|until_ms| until_ms <= now_ms);
        self.told |= ended;
        ended
    }

    /// When either is due.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.beat_ms.into_iter().chain(self.until_ms.filter(|_| !self.told)).min()
    }

    /// Until when it holds, and how long a process has from TERM to KILL; for the launcher.
    #[must_use]
    pub fn held(&self) -> (Option<u64>, u64) {
        (self.until_ms, self.kill_wait_ms)
    }

    /// How long something that it covers may be alive yet.
    #[must_use]
    pub fn left_ms(&self, now_ms: u64) -> u64 {
        let (until_ms, kill_wait_ms) = self.held();
        until_ms.map_or(0, |until_ms| (until_ms + kill_wait_ms).saturating_sub(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Lease = Lease { heartbeat_ms: 10, lasts_ms: 100, kill_wait_ms: 20 };

    #[test]
    fn it_counts_from_what_was_sent_and_not_from_the_answer() {
        let mut tenure = Tenure::default();
        tenure.on_registered(1_000);
        assert_eq!((tenure.next_due(), tenure.left_ms(1_000)), (None, 0), "nothing was promised so far");
        tenure.on_welcome(Some(LEASE));
        assert_eq!((tenure.held(), tenure.left_ms(1_050)), ((Some(1_100), 20), 70));
        assert!(!tenure.take_beat(1_009) && tenure.take_beat(1_010) && !tenure.take_beat(1_011));
        tenure.on_granted(1_010);
        // An answer that comes late, after that of a later heartbeat, takes nothing back.
        tenure.on_granted(1_005);
        assert_eq!(tenure.held().0, Some(1_110));
        assert!(!tenure.take_end(1_109) && tenure.take_end(1_110) && !tenure.take_end(1_111), "told once");
        assert_eq!(tenure.next_due(), Some(1_020), "it goes on asking");
    }

    #[test]
    fn a_welcome_is_counted_from_its_registration_and_may_come_too_late() {
        let mut tenure = Tenure::default();
        tenure.on_registered(0);
        tenure.on_welcome(Some(LEASE));
        tenure.on_lost();
        assert!(tenure.take_end(100) && tenure.next_due().is_none());
        tenure.on_registered(500);
        tenure.on_welcome(Some(LEASE));
        assert!(tenure.take_end(700), "over before it was heard of");
        tenure.on_registered(800);
        tenure.on_welcome(None);
        assert_eq!((tenure.held(), tenure.take_end(u64::MAX)), ((None, 0), false), "nothing has to end any more");
    }

    #[test]
    fn what_an_earlier_life_was_given_is_told_of() {
        let mut tenure = Tenure::default();
        tenure.on_found(Some(50), 10);
        assert_eq!((tenure.left_ms(20), tenure.left_ms(60)), (40, 0));
        assert!(tenure.take_end(50));
    }
}
