//! What will be free of one node: a row of steps in time, from now on.
//!
//! A line only ever shrinks after it is made: reservations and holds are taken out of it. Which node a task gets, and when, is
//! decided in [`crate::backfill`].

use crate::ids::Timestamp;
use crate::resources::Amount;

/// The end of what has none.
pub(crate) const NEVER: Timestamp = Timestamp(i64::MAX);

/// Steps of free amounts, each from its moment until the next one's; the last holds for ever.
pub(crate) struct Line {
    steps: Vec<(Timestamp, Amount)>,
}

impl Line {
    /// The line of a node of which `held` is in use now, and given back as `ends` say, earliest first.
    pub(crate) fn new(now: Timestamp, offer: Amount, mut held: Amount, ends: &[(Timestamp, Amount)]) -> Line {
        // A node that came back smaller than what runs on it has nothing free until enough of that has ended.
        let mut steps = vec![(now, offer.saturating_sub(&held))];
        for (at, amount) in ends {
            held = held.saturating_sub(amount);
            let free = offer.saturating_sub(&held);
            match steps.last_mut() {
                Some(last) if last.0 == *at => last.1 = free,
                _ => steps.push((*at, free)),
            }
        }
        Line { steps }
    }

    /// What is free all the time from `from` until just before `until`.
    pub(crate) fn least(&self, from: Timestamp, until: Timestamp) -> Amount {
        let first = self.steps.partition_point(|(at, _)| *at <= from).saturating_sub(1);
        let mut least = self.steps[first].1;
        for (_, free) in self.steps[first + 1..].iter().take_while(|(at, _)| *at < until) {
            least = least.least(free);
        }
        least
    }

    /// Takes an amount out of all that lies from `from` until just before `until`, where it is free.
    pub(crate) fn take(&mut self, from: Timestamp, until: Timestamp, amount: &Amount) {
        let (first, end) = (self.split(from), self.split(until));
        for (_, free) in &mut self.steps[first..end] {
            *free -= amount;
        }
    }

    /// Takes all that lies from `from` on.
    pub(crate) fn close(&mut self, from: Timestamp) {
        let first = self.split(from);
        self.steps.truncate(first + 1);
        self.steps[first].1 = Amount::default();
    }

    /// The place of the step that begins at this moment; it is made where there is none.
    fn split(&mut self, at: Timestamp) -> usize {
        let after = self.steps.partition_point(|(step, _)| *step <= at);
        let before = after.saturating_sub(1);
        if self.steps[before].0 == at {
            return before;
        }
        self.steps.insert(after, (at, self.steps[before].1));
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::Cpus;

    fn cpus(count: u32) -> Amount {
        Amount { cpus: Cpus::whole(count), memory_mib: u64::from(count) * 10, ..Amount::default() }
    }

    fn line() -> Line {
        Line::new(Timestamp(10), cpus(8), cpus(7), &[(Timestamp(20), cpus(2)), (Timestamp(30), cpus(5))])
    }

    #[test]
    fn what_ends_becomes_free() {
        let line = line();
        assert_eq!(line.least(Timestamp(10), NEVER), cpus(1));
        assert_eq!(line.least(Timestamp(20), NEVER), cpus(3));
        assert_eq!(line.least(Timestamp(29), Timestamp(31)), cpus(3));
        assert_eq!(line.least(Timestamp(31), NEVER), cpus(8));
    }

    #[test]
    fn what_is_reserved_is_missing_for_its_time_only() {
        let mut line = line();
        line.take(Timestamp(20), Timestamp(40), &cpus(3));
        assert_eq!(line.least(Timestamp(10), Timestamp(20)), cpus(1));
        assert_eq!(line.least(Timestamp(10), Timestamp(21)), cpus(0));
        assert_eq!(line.least(Timestamp(30), NEVER), cpus(5));
        assert_eq!(line.least(Timestamp(40), NEVER), cpus(8));
        line.close(Timestamp(35));
        assert_eq!((line.least(Timestamp(30), Timestamp(35)), line.least(Timestamp(40), NEVER)), (cpus(5), cpus(0)));
    }

    #[test]
    fn a_node_that_shrank_has_nothing_free_until_enough_has_ended() {
        let line = Line::new(Timestamp(0), cpus(2), cpus(6), &[(Timestamp(5), cpus(3)), (Timestamp(6), cpus(2))]);
        assert_eq!(line.least(Timestamp(5), Timestamp(6)), cpus(0));
        assert_eq!(line.least(Timestamp(6), NEVER), cpus(1));
    }
}
