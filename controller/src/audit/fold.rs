//! Refusals that repeat share a line: the first is written at once, the others are counted, and a minute later the count is written.
//!
//! So a flood of them, from however many connections, costs so many lines a minute and no more. Nothing here knows of files or clocks.

use std::collections::BTreeMap;
use std::mem;

use sched::ids::Timestamp;

use super::{Line, Outcome, Who};

/// How long refusals are counted before the count is written.
const WINDOW_MS: u64 = 60_000;
/// Refusals of one source in a window that are told apart; further ones are only counted.
const OF_SOURCE_MAX: usize = 16;
/// The same for all sources together, so that they take at most twice as many lines in a window.
const OF_ALL_MAX: usize = 256;

/// Who calls, without what differs from call to call: the port, or the process.
type Source = Who;
/// What makes two refusals the same.
type Kind = (Source, Outcome, String, String, String);

/// The refusals of the window.
#[derive(Default)]
pub(super) struct Fold {
    /// For each kind its first line, and how many have come since.
    kinds: BTreeMap<Kind, (Line, u64)>,
    /// Those that were not told apart, by source; those of sources beyond [`OF_ALL_MAX`] under nobody's name.
    further: BTreeMap<Source, u64>,
    until: Option<Timestamp>,
}

impl Fold {
    /// Gives back a line that is to be written now.
    pub(super) fn take(&mut self, line: Line, now: Timestamp) -> Option<Line> {
        if line.outcome == Outcome::Allowed {
            return Some(line);
        }
        self.until.get_or_insert(now.plus_ms(WINDOW_MS));
        let source = source(&line.who);
        let kind = (source, line.outcome, line.verb.to_string(), line.what.clone(), line.why.clone());
        if let Some((_, more)) = self.kinds.get_mut(&kind) {
            *more += line.times;
            return None;
        }
        let of_source = self.kinds.keys().filter(|known| known.0 == kind.0).count();
        if self.kinds.len() < OF_ALL_MAX && of_source < OF_SOURCE_MAX {
            self.kinds.insert(kind, (line.clone(), 0));
            return Some(line);
        }
        let known = self.further.len() < OF_ALL_MAX || self.further.contains_key(&kind.0);
        *self.further.entry(if known { kind.0 } else { Source::default() }).or_default() += line.times;
        None
    }

    /// When the counts are due; never while there is nothing to count.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.until
    }

    /// The counts of what has not been told yet. The window goes on.
    pub(super) fn counts(&mut self) -> Vec<Line> {
        let repeated = self.kinds.iter_mut().filter(|(_, (_, more))| *more > 0);
        let counted = |(kind, (line, more)): (&Kind, &mut (Line, u64))| Line {
            who: kind.0.clone(),
            times: mem::take(more),
            ..line.clone()
        };
        let beyond = |(who, times)| Line {
            at_us: 0,
            outcome: Outcome::Refused,
            verb: "several".into(),
            who,
            what: String::new(),
            why: format!("more kinds of refusals than the {OF_SOURCE_MAX} a minute that are told apart"),
            times,
        };
        repeated.map(counted).chain(mem::take(&mut self.further).into_iter().map(beyond)).collect()
    }

    /// The same, and a new window.
    pub(super) fn settle(&mut self) -> Vec<Line> {
        let counts = self.counts();
        *self = Fold::default();
        counts
    }
}

fn source(who: &Who) -> Source {
    let from = if who.from.starts_with("pid ") {
        String::new()
    } else {
        who.from.rsplit_once(':').map(|(host, _)| host.to_owned()).unwrap_or_default()
    };
    Who { from, ..who.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn refused(from: &str, why: &str) -> Line {
        Line {
            at_us: 0,
            outcome: Outcome::Refused,
            verb: "connect".into(),
            who: Who { from: from.into(), by: "nothing".into(), ..Who::default() },
            what: String::new(),
            why: why.into(),
            times: 1,
        }
    }

    #[test]
    fn the_same_refusal_is_written_once_and_counted_then() {
        let mut fold = Fold::default();
        let first = refused("10.0.0.1:1", "no TLS");
        assert_eq!(fold.take(first.clone(), NOW), Some(first));
        for port in 2..=1_000 {
            assert_eq!(fold.take(refused(&format!("10.0.0.1:{port}"), "no TLS"), NOW), None);
        }
        assert!(fold.take(refused("10.0.0.2:1", "no TLS"), NOW).is_some(), "another source is another matter");
        assert_eq!(fold.due(), Some(NOW.plus_ms(WINDOW_MS)));
        let counted = fold.settle();
        assert_eq!(counted.len(), 1, "what came once is told already");
        assert_eq!((counted[0].times, counted[0].who.from.as_str()), (999, "10.0.0.1"));
        assert_eq!((fold.due(), fold.settle()), (None, Vec::new()));
    }

    #[test]
    fn what_is_allowed_is_never_folded() {
        let mut fold = Fold::default();
        let line = Line { outcome: Outcome::Allowed, ..refused("pid 1", "") };
        assert!((0..10).all(|_| fold.take(line.clone(), NOW).is_some()));
        assert_eq!(fold.due(), None);
    }

    #[test]
    fn a_flood_of_different_refusals_takes_so_many_lines_and_all_are_counted() {
        let mut fold = Fold::default();
        let mut written = 0;
        for host in 0..1_000 {
            for kind in 0..100 {
                let line = refused(&format!("10.0.{}.{}:1", host / 250, host % 250), &format!("reason {kind}"));
                written += u64::from(fold.take(line, NOW).is_some());
            }
        }
        let counted = fold.settle();
        assert_eq!(written, OF_ALL_MAX as u64);
        assert!(counted.len() <= OF_ALL_MAX + 1, "{}", counted.len());
        assert_eq!(written + counted.iter().map(|line| line.times).sum::<u64>(), 100_000);
    }

    #[test]
    fn one_source_leaves_room_for_others() {
        let mut fold = Fold::default();
        let own = (0..1_000).filter_map(|kind| fold.take(refused("10.0.0.1:1", &kind.to_string()), NOW)).count();
        assert_eq!(own, OF_SOURCE_MAX);
        assert!(fold.take(refused("10.0.0.2:1", "another"), NOW).is_some());
    }

    #[test]
    fn who_looks_early_sees_the_counts_so_far_and_the_rest_later() {
        let mut fold = Fold::default();
        for _ in 0..4 {
            fold.take(refused("pid 1", "x"), NOW);
        }
        assert_eq!(fold.counts().iter().map(|line| line.times).collect::<Vec<_>>(), [3]);
        assert_eq!(fold.counts(), []);
        fold.take(refused("pid 2", "x"), NOW);
        assert_eq!(fold.settle().iter().map(|line| line.times).collect::<Vec<_>>(), [1]);
    }
}
