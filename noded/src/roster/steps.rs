//! The steps' parts on this node: what was ordered, and how far each is. As the roster does for attempts, by the same rules: a
//! repeated order changes nothing, and an end is kept until it is counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::link::StartStep;
use sched::ids::StepKey;
use sched::reason::StopWhy;
use sched::reconcile::{AttemptEnd, StepClaim};
use sched::signals::{Sent, Signals};

use super::{Ends, Seen};

/// What the shell is to do for a step.
#[derive(Clone, Debug, PartialEq)]
pub enum StepAct {
    /// Let the launcher start its stepd.
    Launch(Arc<StartStep>),
    /// Let the launcher stop it.
    Stop(StepKey, StopWhy),
    /// Let the launcher send its tasks a signal.
    Signal(StepKey, Sent),
    /// Tell the controller of its end.
    Report(StepKey, AttemptEnd),
    /// Drop its records and its folder.
    Drop(StepKey),
}

/// The steps of this node.
#[derive(Debug, Default)]
pub(super) struct Steps {
    entries: BTreeMap<StepKey, Entry>,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// Why it was first told to stop, if it was.
    stopped: Option<StopWhy>,
    /// What its tasks were sent.
    signals: Signals,
}

#[derive(Debug)]
enum State {
    /// The launcher has it; known only by its key after a restart of noded.
    Launched(Option<Arc<StartStep>>),
    /// Over, and kept until the controller has counted it.
    Ended { end: AttemptEnd, at_ms: u64 },
}

impl Steps {
    /// Starts a part, unless it was ever heard of before.
    pub(super) fn start(&mut self, start: StartStep) -> Option<StepAct> {
        let (key, start) = (start.key, Arc::new(start));
        if self.entries.contains_key(&key) {
            return None;
        }
        self.entries.insert(key, Entry::launched(Some(start.clone()), 0));
        Some(StepAct::Launch(start))
    }

    /// Stops a part; one that is not known is lost, so that nobody waits for its end.
    pub(super) fn stop(&mut self, key: StepKey, why: StopWhy) -> Option<StepAct> {
        let Some(entry) = self.entries.get_mut(&key) else { return Some(StepAct::Report(key, AttemptEnd::lost())) };
        entry.stopped.get_or_insert(why);
        matches!(entry.state, State::Launched(_)).then_some(StepAct::Stop(key, why))
    }

    /// Sends the tasks of a part a signal, once.
    pub(super) fn signal(&mut self, key: StepKey, sent: Sent) -> Option<StepAct> {
        let entry = self.entries.get_mut(&key).filter(|entry| entry.stopped.is_none())?;
        let is_launched = matches!(entry.state, State::Launched(_));
        (is_launched && entry.signals.note(sent)).then_some(StepAct::Signal(key, sent))
    }

    /// Drops a part whose end is counted.
    pub(super) fn forget(&mut self, key: StepKey) -> Option<StepAct> {
        let ended = matches!(self.entries.get(&key)?.state, State::Ended { .. });
        ended.then(|| {
            self.entries.remove(&key);
            StepAct::Drop(key)
        })
    }

    /// The launcher's word on a stepd.
    pub(super) fn on_process(&mut self, key: StepKey, seen: Seen, now_ms: u64) -> Option<StepAct> {
        let Seen::Left { how, usage, note, age_ms } = seen else { return None };
        match self.entries.get(&key).map(|entry| &entry.state) {
            None => Some(StepAct::Drop(key)),
            Some(State::Launched(_)) => self.end(key, AttemptEnd { how, age_ms, usage, note }, now_ms),
            Some(State::Ended { .. }) => None,
        }
    }

    /// Its end, as noded itself brings it about or hears of it.
    pub(super) fn end(&mut self, key: StepKey, end: AttemptEnd, now_ms: u64) -> Option<StepAct> {
        self.entries.get_mut(&key)?.state = State::Ended { end: end.clone(), at_ms: now_ms };
        Some(StepAct::Report(key, end))
    }

    /// Takes in what the launcher knows after a (re)connection. What was asked and is not known there is asked again, or lost
    /// with its records.
    pub(super) fn on_hello(&mut self, seen: Vec<(StepKey, Seen)>, fresh: bool, now_ms: u64) -> Vec<StepAct> {
        let known = |key: &StepKey| seen.iter().any(|(other, _)| other == key);
        let asked: Vec<(StepKey, Option<Arc<StartStep>>, bool)> = self
            .entries
            .iter()
            .filter(|(key, _)| !known(key))
            .filter_map(|(key, entry)| match &entry.state {
                State::Launched(start) => Some((*key, start.clone(), entry.stopped.is_some())),
                State::Ended { .. } => None,
            })
            .collect();
        let mut acts = Vec::new();
        for (key, start, stopped) in asked {
            match start.filter(|_| !fresh) {
                Some(_) if stopped => acts.extend(self.end(key, AttemptEnd::terminated(), now_ms)),
                Some(start) => {
                    acts.push(StepAct::Launch(start));
                    acts.extend(self.entries[&key].missed(key, 0));
                }
                None => acts.extend(self.end(key, AttemptEnd::lost(), now_ms)),
            }
        }
        for (key, seen) in seen {
            let entry = self.entries.entry(key).or_insert_with(|| Entry::launched(None, seen.heard()));
            match (seen, entry.stopped) {
                (seen @ Seen::Left { .. }, _) => acts.extend(self.on_process(key, seen, now_ms)),
                (Seen::Running { .. }, Some(why)) => acts.push(StepAct::Stop(key, why)),
                (Seen::Running { heard }, None) => acts.extend(entry.missed(key, heard)),
            }
        }
        acts
    }

    /// Their keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = StepKey> + '_ {
        self.entries.keys().copied()
    }

    /// What is told to the controller at a registration.
    pub(super) fn claims(&self, now_ms: u64) -> Vec<StepClaim> {
        let claim = |(key, entry): (&StepKey, &Entry)| match &entry.state {
            State::Launched(_) => StepClaim { key: *key, end: None, heard: entry.signals.last() },
            State::Ended { end, at_ms } => {
                let age_ms = end.age_ms + now_ms.saturating_sub(*at_ms);
                StepClaim { key: *key, end: Some(AttemptEnd { age_ms, ..end.clone() }), heard: entry.signals.last() }
            }
        };
        self.entries.iter().map(claim).collect()
    }
}

impl Entry {
    fn launched(start: Option<Arc<StartStep>>, heard: u32) -> Entry {
        Entry { state: State::Launched(start), stopped: None, signals: Signals::heard(heard) }
    }

    /// The signals after the last that its launcher has `heard`.
    fn missed(&self, key: StepKey, heard: u32) -> impl Iterator<Item = StepAct> + '_ {
        self.signals.after(heard).map(move |sent| StepAct::Signal(key, sent))
    }
}

#[cfg(test)]
mod tests {
    use proto::link::{Order, StepShare};
    use sched::ids::{AttemptKey, JobId};
    use sched::reason::{Exit, Scope};
    use sched::reconcile::How;
    use sched::resources::Cpus;
    use sched::spec::duration::TimeLimit;
    use sched::spec::step::StepDraft;
    use sched::task::Usage;

    use super::*;
    use crate::roster::tests::{brief, command, task};
    use crate::roster::{Act, Roster};

    const KEY: StepKey = StepKey { attempt: AttemptKey { job: JobId(5), index: 0, attempt: 1 }, step: 2 };

    fn start() -> StartStep {
        let spec = StepDraft { words: vec!["true".into()], work_dir: "/".into(), ..StepDraft::default() };
        let share = StepShare { node: "n1".into(), first_task: 0, tasks: 1, cpus: Cpus::whole(1) };
        let (spec, job) = (spec.check().expect("good"), brief(command(), false));
        StartStep { key: KEY, spec, shares: vec![share], secret: 7, job, task: task(0, 1), job_ran_ms: 0 }
    }

    fn left() -> Seen {
        let how = How::Exited(Exit { code: 3, signal: 0 });
        Seen::Left { how, usage: Usage::default(), note: None, age_ms: 0 }
    }

    #[test]
    fn a_part_is_started_once_and_its_end_kept_until_it_is_counted() {
        let mut steps = Steps::default();
        assert!(matches!(steps.start(start()), Some(StepAct::Launch(_))));
        assert_eq!((steps.start(start()), steps.forget(KEY)), (None, None), "neither repeated nor forgotten yet");
        let sent = |number| Sent { number, signal: 10, scope: Scope::Steps };
        assert_eq!(steps.signal(KEY, sent(1)), Some(StepAct::Signal(KEY, sent(1))));
        assert_eq!(steps.signal(KEY, sent(1)), None, "each once");
        assert!(matches!(steps.on_process(KEY, left(), 100), Some(StepAct::Report(..))));
        assert_eq!(
            (steps.start(start()), steps.signal(KEY, sent(2)), steps.on_process(KEY, left(), 200)),
            (None, None, None)
        );
        let claims = steps.claims(150);
        assert_eq!(claims[0].end.as_ref().map(|end| end.age_ms), Some(50));
        assert_eq!((steps.forget(KEY), steps.claims(150).len()), (Some(StepAct::Drop(KEY)), 0));
        assert_eq!(steps.on_process(KEY, left(), 300), Some(StepAct::Drop(KEY)), "nobody asks for it any more");
    }

    #[test]
    fn what_a_launcher_does_not_know_is_asked_again_or_lost() {
        let started = || {
            let mut steps = Steps::default();
            steps.start(start());
            steps
        };
        assert!(matches!(started().on_hello(Vec::new(), false, 1)[..], [StepAct::Launch(_)]));
        let lost = started().on_hello(Vec::new(), true, 1);
        assert!(matches!(&lost[..], [StepAct::Report(_, end)] if end.how == How::Lost));
        let mut stopped = started();
        stopped.stop(KEY, StopWhy::JobOver);
        let runs = vec![(KEY, Seen::Running { heard: 0 })];
        assert_eq!(stopped.on_hello(runs, false, 1), [StepAct::Stop(KEY, StopWhy::JobOver)]);
        assert!(matches!(&stopped.on_hello(Vec::new(), false, 1)[..], [StepAct::Report(..)]), "it never began");
    }

    #[test]
    fn a_restarted_noded_knows_its_steps_by_the_launcher() {
        let mut steps = Steps::default();
        assert!(steps.on_hello(vec![(KEY, Seen::Running { heard: 3 })], false, 1).is_empty());
        assert_eq!((steps.start(start()), steps.claims(2)[0].end.is_none()), (None, true));
        // What the launcher has heard it does not hear again; what it has missed is asked again of it, and of the controller.
        assert_eq!(steps.claims(2)[0].heard, 3);
        let sent = |number| Sent { number, signal: 12, scope: Scope::Steps };
        assert_eq!(
            (steps.signal(KEY, sent(3)), steps.signal(KEY, sent(4))),
            (None, Some(StepAct::Signal(KEY, sent(4))))
        );
        let again = steps.on_hello(vec![(KEY, Seen::Running { heard: 3 })], false, 1);
        assert_eq!((again, steps.claims(2)[0].heard), (vec![StepAct::Signal(KEY, sent(4))], 4));
        let other = StepKey { step: 3, ..KEY };
        let unknown = steps.stop(other, StopWhy::JobOver);
        assert!(matches!(unknown, Some(StepAct::Report(key, end)) if key == other && end.how == How::Lost));
    }

    #[test]
    fn a_node_with_steps_alone_hears_of_another_limit() {
        let mut roster = Roster::default();
        let (key, limit) = (KEY.attempt, TimeLimit::Unlimited);
        assert!(roster.on_order(Order::Limit { key, limit }).is_empty(), "nothing of it is here");
        roster.on_order(Order::StartStep(Box::new(start())));
        assert_eq!(roster.on_order(Order::Limit { key, limit }), [Act::Limit(key, limit)]);
    }
}
