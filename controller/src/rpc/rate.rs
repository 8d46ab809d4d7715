//! How many submits a user may make in a second: `MaxSubmitRate`, a bucket of tokens for each. It is no state: a restart fills all
//! buckets, and the journal knows nothing of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proto::error::refused;
use proto::reason::ErrorReason;
use sched::ids::Timestamp;
use tonic::Status;

/// Buckets that are kept; a user beyond them has to wait until one of the others has been silent for a second.
const BUCKETS_MAX: usize = 10_000;
/// A submit, in thousandths.
const SUBMIT: u64 = 1_000;

/// The buckets of those who have submitted within the last second.
#[derive(Default)]
pub(crate) struct Rate(Mutex<BTreeMap<u32, Bucket>>);

/// What a user may still submit, in thousandths, as of a moment.
#[derive(Clone, Copy)]
struct Bucket {
    left: u64,
    at: Timestamp,
}

impl Bucket {
    /// As many thousandths come back in a millisecond as submits are allowed in a second.
    fn now(self, rate: u32, at: Timestamp) -> Bucket {
        let full = u64::from(rate) * SUBMIT;
        Bucket { left: full.min(self.left + at.ms_since(self.at) * u64::from(rate)), at }
    }
}

impl Rate {
    /// Counts a submit of this user; `rate` is for a second, and 0 for any number.
    ///
    /// # Errors
    /// Too many; the command comes again.
    pub(crate) fn take(&self, uid: u32, rate: u32, at: Timestamp) -> Result<(), Status> {
        if rate == 0 {
            return Ok(());
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&uid) {
            buckets.retain(|_, bucket| bucket.now(rate, at).left < u64::from(rate) * SUBMIT);
        }
        let fresh = Bucket { left: u64::from(rate) * SUBMIT, at };
        let bucket = buckets.get(&uid).map_or(fresh, |bucket| bucket.now(rate, at));
        let room = buckets.len() < BUCKETS_MAX || buckets.contains_key(&uid);
        match bucket.left.checked_sub(SUBMIT).filter(|_| room) {
            Some(left) => {
                buckets.insert(uid, Bucket { left, at });
                Ok(())
            }
            None => {
                let detail = format!("user {uid} may submit {rate} jobs in a second (MaxSubmitRate)");
                Err(refused(ErrorReason::TooFast, "Resource temporarily unavailable", Some(&detail)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_burst_is_stopped_and_goes_on_as_fast_as_allowed() {
        let rate = Rate::default();
        let taken = |uid, ms| (0..1_000).take_while(|_| rate.take(uid, 10, Timestamp(ms)).is_ok()).count();
        assert_eq!((taken(1, 5_000), taken(1, 5_099), taken(1, 5_100)), (10, 0, 1));
        assert_eq!((taken(2, 5_100), taken(1, 5_650), taken(1, 99_000)), (10, 5, 10));
        let refusal = rate.take(1, 10, Timestamp(99_000)).expect_err("nothing is left");
        assert_eq!(refusal.code(), Code::ResourceExhausted);
        assert!(proto::error::detail(&refusal).is_some_and(|detail| detail.contains("10 jobs in a second")));
        assert!((0..1_000).all(|_| rate.take(1, 0, Timestamp(99_000)).is_ok()), "no limit is no limit");
    }

    #[test]
    fn buckets_are_bounded_and_make_room() {
        let rate = Rate::default();
        let users = u32::try_from(BUCKETS_MAX).expect("a small number");
        assert!((0..users).all(|uid| rate.take(uid, 1, Timestamp(0)).is_ok()));
        assert!(rate.take(users, 1, Timestamp(999)).is_err(), "all have been busy within the second");
        assert!(rate.take(users, 1, Timestamp(1_000)).is_ok());
        assert_eq!(rate.0.lock().expect("free").len(), 1);
    }
}
