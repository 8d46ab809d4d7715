//! The signals that an attempt or a step was sent: numbered, so that each is delivered at most once, and remembered, so that a node
//! hears again of those that a broken link has swallowed.
//!
//! A node says with each claim up to which number it has heard ([`crate::reconcile`]); nothing else acknowledges a signal. The
//! same record, kept by the node, tells what its launcher may have missed. Start with [`Signals`].

use serde::{Deserialize, Serialize};

use crate::reason::Scope;

/// So many signals of one attempt or step are remembered. Whoever has missed more hears of the newest alone.
pub const SIGNALS_MAX: usize = 16;

/// A signal that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Counts the signals of one attempt or step from 1. One without a number, which is 0, may be delivered again.
    pub number: u32,
    /// The signal's number, 1 to [`SIGNAL_MAX`](crate::spec::signal::SIGNAL_MAX).
    pub signal: i32,
    /// Whom it reaches: of a step its tasks.
    pub scope: Scope,
}

/// The newest signals of an attempt or a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    last: u32,
    /// In the order of their numbers, at most [`SIGNALS_MAX`].
    kept: Vec<Sent>,
}

impl Signals {
    /// Those of something that has heard its signals up to this number, whatever they were.
    #[must_use]
    pub fn heard(last: u32) -> Signals {
        Signals { last, kept: Vec::new() }
    }

    /// The highest number so far; 0 before the first.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.last
    }

    /// The number of the next one.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.last.saturating_add(1)
    }

    /// Remembers a signal, and answers whether it is to be delivered: not one that was noted before.
    pub fn note(&mut self, sent: Sent) -> bool {
        if sent.number <= self.last {
            return sent.number == 0;
        }
        self.last = sent.number;
        if self.kept.len() == SIGNALS_MAX {
            self.kept.remove(0);
        }
        self.kept.push(sent);
        true
    }

    /// Those that whoever has heard up to `number` has missed, as far as they are remembered.
    pub fn after(&self, number: u32) -> impl Iterator<Item = Sent> + '_ {
        self.kept.iter().copied().filter(move |sent| sent.number > number)
    }

    /// Whether they are as few as they may be, and in order.
    #[must_use]
    pub(crate) fn is_sound(&self) -> bool {
        let ends_with_last = self.kept.last().is_none_or(|sent| sent.number == self.last);
        self.kept.len() <= SIGNALS_MAX && ends_with_last && self.kept.is_sorted_by(|a, b| a.number < b.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: u32) -> Sent {
        Sent { number, signal: 10, scope: Scope::Batch }
    }

    #[test]
    fn each_is_delivered_once_and_the_newest_are_told_again() {
        let mut signals = Signals::default();
        assert_eq!((signals.next(), signals.note(sent(1)), signals.note(sent(1))), (1, true, false));
        assert!(signals.note(sent(0)) && signals.note(sent(0)), "without a number it may come again");
        for number in 2..=20 {
            assert!(signals.note(sent(number)));
        }
        let missed = |heard| signals.after(heard).map(|sent| sent.number).collect::<Vec<_>>();
        assert_eq!(missed(18), [19, 20]);
        assert_eq!(missed(0), (5..=20).collect::<Vec<_>>(), "no more than are remembered");
        assert!(signals.is_sound() && missed(20).is_empty());
        let mut heard = Signals::heard(7);
        assert_eq!((heard.note(sent(7)), heard.note(sent(8)), heard.after(0).count()), (false, true, 1));
    }
}
