//! What is still to happen, in the order of virtual time; at the same moment, in the order in which it was put in.

use std::collections::BTreeMap;

/// Things by their time.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    entries: BTreeMap<(u64, u64), T>,
    entered: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Agenda<T> {
        Agenda { entries: BTreeMap::new(), entered: 0 }
    }
}

impl<T> Agenda<T> {
    pub(crate) fn put(&mut self, at_ms: u64, thing: T) {
        self.entered += 1;
        self.entries.insert((at_ms, self.entered), thing);
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.entries.keys().next().map(|(at_ms, _)| *at_ms)
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, T)> {
        self.entries.pop_first().map(|((at_ms, _), thing)| (at_ms, thing))
    }
}
