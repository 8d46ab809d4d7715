//! A watch over calls into the store that do not return.
//!
//! sled waits without a limit for its own writers, also for one that a broken disk has ended. Such a call is nudged: another flush
//! makes sled look at its errors, and tell whoever waits. When that does not help, the program is given up, since a new start finds all
//! that was acknowledged, and one that waits for ever serves nobody.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a call may take. Looks are counted and not seconds, so that a process that was stopped meanwhile is not given up.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) look_every: Duration,
    /// Looks at one call before it is nudged, and again after as many.
    pub(super) nudge_after: u32,
    /// Looks at one call before the program is given up.
    pub(super) give_up_after: u32,
}

/// Watches from when it is made until it is dropped.
pub(super) struct Watch {
    under_way: Arc<Mutex<UnderWay>>,
    /// Its end tells the watching thread to end.
    _watched: Sender<()>,
}

#[derive(Default)]
struct UnderWay {
    next: u64,
    calls: BTreeSet<u64>,
}

impl Watch {
    /// `nudge` and `give_up` are called by a thread of the watch with the number of looks; neither may wait.
    pub(super) fn new(
        patience: Patience,
        nudge: impl Fn(u32) + Send + 'static,
        give_up: impl Fn(u32) + Send + 'static,
    ) -> Watch {
        let under_way = Arc::new(Mutex::new(UnderWay::default()));
        let (watched, ended) = channel();
        let calls = under_way.clone();
        std::thread::spawn(move || look(&calls, &ended, patience, nudge, give_up));
        Watch { under_way, _watched: watched }
    }

    /// Makes a call under the watch's eyes.
    pub(super) fn over<T>(&self, call: impl FnOnce() -> T) -> T {
        let number = {
            let mut under_way = lock(&self.under_way);
            under_way.next += 1;
            let number = under_way.next;
            under_way.calls.insert(number);
            number
        };
        let answer = call();
        lock(&self.under_way).calls.remove(&number);
        answer
    }
}

fn look(
    under_way: &Mutex<UnderWay>,
    ended: &Receiver<()>,
    patience: Patience,
    nudge: impl Fn(u32),
    give_up: impl Fn(u32),
) {
    let mut oldest = None;
    let mut looks = 0;
    while ended.recv_timeout(patience.look_every) == Err(RecvTimeoutError::Timeout) {
        let now = lock(under_way).calls.first().copied();
        looks = if now.is_some() && now == oldest { looks + 1 } else { 0 };
        oldest = now;
        if looks >= patience.give_up_after {
            give_up(looks);
        } else if looks > 0 && looks % patience.nudge_after == 0 {
            nudge(looks);
        }
    }
}

fn lock(under_way: &Mutex<UnderWay>) -> MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { look_every: Duration::from_millis(1), nudge_after: 3, give_up_after: 10 };

    #[derive(Debug, PartialEq)]
    enum Said {
        Nudge(u32),
        GiveUp(u32),
    }

    fn watch(patience: Patience) -> (Watch, Receiver<Said>) {
        let (nudged, said) = channel();
        let given_up = nudged.clone();
        let watch = Watch::new(
            patience,
            move |looks| nudged.send(Said::Nudge(looks)).expect("somebody listens"),
            move |looks| given_up.send(Said::GiveUp(looks)).expect("somebody listens"),
        );
        (watch, said)
    }

    #[test]
    fn a_call_that_does_not_return_is_nudged_and_then_given_up() {
        let (watch, said) = watch(PATIENCE);
        let said = watch.over(|| said.iter().take(4).collect::<Vec<_>>());
        assert_eq!(said, [Said::Nudge(3), Said::Nudge(6), Said::Nudge(9), Said::GiveUp(10)]);
    }

    #[test]
    fn a_nudge_that_helps_is_the_end_of_it() {
        let (watch, said) = watch(PATIENCE);
        let first = watch.over(|| said.recv().expect("a nudge"));
        assert_eq!(first, Said::Nudge(3));
        drop(watch);
        // The thread ends with the watch, and with it what it could say.
        assert!(said.iter().all(|more| more == Said::Nudge(3)));
    }

    #[test]
    fn many_short_calls_are_no_long_one() {
        // As many looks as a moment has in which this thread is held up by others.
        let (watch, said) = watch(Patience { give_up_after: 300, ..PATIENCE });
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(1) {
            watch.over(|| watch.over(|| ()));
        }
        drop(watch);
        assert_eq!(said.iter().find(|said| matches!(said, Said::GiveUp(_))), None);
    }
}
