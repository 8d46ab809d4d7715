//! Whether each signal reaches its attempt at most once, and whether none is lost for good: seen from the journal, and from beside
//! the machines.

use std::collections::{BTreeMap, BTreeSet};

use sched::event::Event;
use sched::ids::AttemptKey;
use sched::reason::Scope;
use sched::signals::SIGNALS_MAX;

use crate::violation::Violation;

/// What attempts were sent, and what has reached them, by number.
#[derive(Debug, Default)]
pub(crate) struct Post {
    sent: BTreeMap<AttemptKey, BTreeSet<u32>>,
    reached: BTreeMap<AttemptKey, BTreeSet<u32>>,
}

impl Post {
    /// What became durable.
    pub(crate) fn on_event(&mut self, event: &Event) {
        if let Event::Signalled { key, number, scope: Scope::Batch | Scope::Full, .. } = event {
            self.sent.entry(*key).or_default().insert(*number);
        }
    }

    /// A signal reached a process.
    pub(crate) fn on_reached(&mut self, key: AttemptKey, number: u32) -> Result<(), Violation> {
        let is_sent = self.sent.get(&key).is_some_and(|sent| sent.contains(&number));
        let is_new = self.reached.entry(key).or_default().insert(number);
        if is_sent && is_new { Ok(()) } else { Err(Violation::SignalledTwice { key, number }) }
    }

    /// A process that runs, and is not being ended, has had all that is remembered of what it was sent.
    pub(crate) fn check(&self, key: AttemptKey) -> Result<(), Violation> {
        let newest = self.sent.get(&key).into_iter().flatten().rev().take(SIGNALS_MAX);
        let reached = |number: &&u32| self.reached.get(&key).is_some_and(|reached| reached.contains(number));
        match newest.copied().find(|number| !reached(&number)) {
            Some(number) => Err(Violation::SignalLost { key, number }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use sched::ids::{JobId, NodeId};

    use super::*;

    #[test]
    fn a_signal_reaches_its_attempt_once_and_is_not_lost() {
        let key = AttemptKey { job: JobId(1), index: 0, attempt: 1 };
        let mut post = Post::default();
        let sent = |number, scope| Event::Signalled { key, node: NodeId(1), signal: 10, scope, number };
        post.on_event(&sent(1, Scope::Batch));
        post.on_event(&sent(2, Scope::Steps));
        assert_eq!(post.check(key), Err(Violation::SignalLost { key, number: 1 }));
        assert_eq!((post.on_reached(key, 1), post.check(key)), (Ok(()), Ok(())));
        assert_eq!(post.on_reached(key, 1), Err(Violation::SignalledTwice { key, number: 1 }));
        assert_eq!(post.on_reached(key, 5), Err(Violation::SignalledTwice { key, number: 5 }), "nobody has sent it");
    }
}
