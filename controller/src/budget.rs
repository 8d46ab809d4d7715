//! What all may have of something together, and what one of them may: connections, streams, bytes on their way in.
//!
//! It only counts: what is too much is refused by whoever asks, and never waited for here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A bound for all and one for each.
pub(crate) struct Budget<K> {
    of_one: usize,
    of_all: usize,
    used: Mutex<Used<K>>,
}

struct Used<K> {
    /// Only those who have something.
    by: BTreeMap<K, usize>,
    all: usize,
}

/// What somebody has of a budget, until this is gone.
pub(crate) struct Claim<K: Ord + Clone> {
    budget: Arc<Budget<K>>,
    whose: K,
    amount: usize,
}

/// It would be more than there may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    /// What the one who asks has.
    pub(crate) own: usize,
    /// What all have.
    pub(crate) all: usize,
}

impl<K: Ord + Clone> Budget<K> {
    pub(crate) fn new(of_one: usize, of_all: usize) -> Arc<Budget<K>> {
        Arc::new(Budget { of_one, of_all, used: Mutex::new(Used { by: BTreeMap::new(), all: 0 }) })
    }

    /// So much of it, for somebody.
    pub(crate) fn claim(self: &Arc<Self>, whose: K, amount: usize) -> Result<Claim<K>, Exhausted> {
        let mut claim = Claim { budget: self.clone(), whose, amount: 0 };
        claim.resize(amount)?;
        Ok(claim)
    }
}

impl<K: Ord + Clone> Claim<K> {
    /// Makes it larger, where there is room, or smaller.
    pub(crate) fn resize(&mut self, amount: usize) -> Result<(), Exhausted> {
        let mut used = self.budget.used.lock().unwrap_or_else(PoisonError::into_inner);
        let own = used.by.get(&self.whose).copied().unwrap_or_default();
        let (new_own, new_all) = (own - self.amount + amount, used.all - self.amount + amount);
        if amount > self.amount && (new_own > self.budget.of_one || new_all > self.budget.of_all) {
            return Err(Exhausted { own, all: used.all });
        }
        used.all = new_all;
        if new_own == 0 {
            used.by.remove(&self.whose);
        } else {
            used.by.insert(self.whose.clone(), new_own);
        }
        self.amount = amount;
        Ok(())
    }

    /// Makes it larger by so much, where there is room.
    pub(crate) fn grow(&mut self, by: usize) -> Result<(), Exhausted> {
        self.resize(self.amount.saturating_add(by))
    }
}

impl<K: Ord + Clone> Drop for Claim<K> {
    fn drop(&mut self) {
        self.resize(0).expect("less is always allowed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_leaves_the_rest_to_others_and_gets_back_what_was_given_back() {
        let budget = Budget::new(4, 6);
        let mut first = budget.claim("a", 3).expect("free");
        let second = budget.claim("a", 1).expect("free");
        assert_eq!(budget.claim("a", 1).err(), Some(Exhausted { own: 4, all: 4 }));
        let third = budget.claim("b", 2).expect("another's");
        assert_eq!(budget.claim("c", 1).err(), Some(Exhausted { own: 0, all: 6 }), "all is taken");
        assert!(first.grow(1).is_err() && first.resize(1).is_ok() && first.grow(2).is_ok());
        drop((first, second, third));
        let used = budget.used.lock().expect("free");
        assert!(used.by.is_empty() && used.all == 0);
    }
}
