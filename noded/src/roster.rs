//! What this node has been ordered to run, and how far each attempt is: noded's own decisions, as a pure value.
//!
//! Orders, the launcher's notices and the pipeline's results go in; [`Act`]s come out, for `node.rs` to carry out. No clock, no
//! runtime and no file is known here; `now_ms` is any clock that never goes back.
//!
//! What suspends, resumes or limits an attempt is for its process: one whose blob is on its way in hears of it when it is
//! launched, and operations and transfers go on as they were, because they are short. A signal is for a process that runs.

mod ends;
mod lease;
mod retire;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::link::{Brief, Order, ReadOutput, StartTask, Welcome, Work};
use sched::ids::{AttemptKey, JobId, StepKey};
use sched::reason::{Exit, StopWhy};
use sched::reconcile::{AttemptEnd, Claim, How, StepClaim};
use sched::signals::{Sent, Signals};
use sched::spec::duration::TimeLimit;
use sched::task::Usage;

pub use ends::Ends;
pub use steps::StepAct;
use steps::Steps;

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Let the launcher start the attempt's process.
    Launch(Job),
    /// Run a built-in operation from blob to blob.
    Convert(Job),
    /// Fetch the attempt's blob into its work folder.
    Stage(Job),
    /// Put what its process has made under its name.
    Publish(Job),
    /// Let the launcher stop the attempt's process.
    Stop(AttemptKey, StopWhy),
    /// Let the launcher make the attempt's processes stand still.
    Suspend(AttemptKey),
    /// Let the launcher make them go on.
    Resume(AttemptKey),
    /// Let the launcher hold the attempt to another time limit.
    Limit(AttemptKey, TimeLimit),
    /// Let the launcher send a signal.
    Signal(AttemptKey, Sent),
    /// Give up an operation or a transfer that is under way.
    Abandon(AttemptKey),
    /// Tell the controller of an end.
    Report(AttemptKey, AttemptEnd),
    /// Drop the attempt's records and its work folder.
    Drop(AttemptKey),
    /// Drop what is kept for a job.
    DropJob(JobId),
    /// Read a file for somebody.
    Read(ReadOutput),
    /// Something for a step.
    Step(StepAct),
}

/// An attempt with all that is known of its job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The job.
    pub brief: Arc<Brief>,
    /// The task.
    pub task: Arc<StartTask>,
}

impl Job {
    /// The attempt's key.
    #[must_use]
    pub fn key(&self) -> AttemptKey {
        AttemptKey { job: self.brief.job, index: self.task.index, attempt: self.task.attempt }
    }
}

/// How an attempt of the launcher's stands, in the words of this crate's wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It runs, and has heard its signals up to a number.
    Running {
        /// The number.
        heard: u32,
    },
    /// Its process has left.
    Left {
        /// How.
        how: How,
        /// What it used.
        usage: Usage,
        /// What a person should read.
        note: Option<String>,
        /// How long ago, in milliseconds.
        age_ms: u64,
    },
}

/// The attempts of this node.
#[derive(Debug, Default)]
pub struct Roster {
    attempts: BTreeMap<AttemptKey, Entry>,
    briefs: BTreeMap<JobId, Arc<Brief>>,
    steps: Steps,
    epoch_seen: u64,
    /// The node's lease is over, and no welcome has come since.
    out_of_lease: bool,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// Why it was first told to stop, if it was.
    stopped: Option<StopWhy>,
    /// Whether it was last ordered to stand still, or to go on.
    suspended: Option<bool>,
    /// The time limit that it was last given.
    limit: Option<TimeLimit>,
    /// What it was sent.
    signals: Signals,
    /// It may run elsewhere once the lease of this node is over.
    leased: bool,
}

#[derive(Debug)]
enum State {
    /// Its blob is on the way in, or its login.
    Staging(Job),
    /// The launcher has it. Known only by its key after a restart of noded, and then no map's output can be published.
    Launched(Option<Job>),
    /// An operation runs.
    Converting,
    /// Its process has ended well while this node had no lease: its output is published if the controller still wants it.
    Waiting { job: Job, usage: Usage },
    /// Its output is on the way out.
    Publishing { usage: Usage },
    /// Over, and kept until the controller has counted it.
    Ended { end: AttemptEnd, at_ms: u64 },
}

impl Seen {
    /// Up to which number it has heard its signals, as far as that is said.
    fn heard(&self) -> u32 {
        match self {
            Seen::Running { heard } => *heard,
            Seen::Left { .. } => 0,
        }
    }
}

impl Roster {
    /// The highest epoch whose orders were obeyed.
    #[must_use]
    pub fn epoch_seen(&self) -> u64 {
        self.epoch_seen
    }

    /// How many attempts have not ended.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.attempts.values().filter(|entry| !matches!(entry.state, State::Ended { .. })).count()
    }

    /// Takes in what the launcher knows after a (re)connection; `fresh` says that its records are new. `staged` answers with the
    /// job of a mapped command that was running when noded last stopped.
    pub fn on_launcher_hello(
        &mut self,
        seen: Vec<(AttemptKey, Seen)>,
        fresh: bool,
        now_ms: u64,
        staged: impl Fn(AttemptKey) -> Option<Job>,
    ) -> Vec<Act> {
        let mut acts = self.ask_again(&seen, fresh, now_ms);
        for (key, seen) in seen {
            let new = || Entry { signals: Signals::heard(seen.heard()), ..Entry::of_launched(staged(key)) };
            let entry = self.attempts.entry(key).or_insert_with(new);
            match (seen, entry.stopped) {
                (seen @ Seen::Left { .. }, _) => acts.extend(self.on_process(key, seen, now_ms)),
                // A stop that the broken connection may have swallowed is asked again.
                (Seen::Running { .. }, Some(why)) => acts.push(Act::Stop(key, why)),
                (Seen::Running { heard }, None) => acts.extend(entry.adjustments(key, heard)),
            }
        }
        acts
    }

    /// What was asked of the launcher and is not known there: asked again, which its records make harmless; with new records
    /// nobody can tell whether it ran, and it is lost. What was to stop meanwhile has never begun, and does not.
    fn ask_again(&mut self, seen: &[(AttemptKey, Seen)], fresh: bool, now_ms: u64) -> Vec<Act> {
        let known = |key: &AttemptKey| seen.iter().any(|(other, _)| other == key);
        let unknown = self.attempts.iter().filter(|(key, _)| !known(key));
        let asked: Vec<(AttemptKey, Option<Job>, bool)> = unknown
            .filter_map(|(key, entry)| match &entry.state {
                State::Launched(job) => Some((*key, job.clone(), entry.stopped.is_some())),
                State::Staging(_)
                | State::Converting
                | State::Waiting { .. }
                | State::Publishing { .. }
                | State::Ended { .. } => None,
            })
            .collect();
        asked
            .into_iter()
            .flat_map(|(key, job, stopped)| match job.filter(|_| !fresh) {
                Some(_) if stopped => self.end(key, AttemptEnd::terminated(), now_ms),
                Some(job) => std::iter::once(Act::Launch(job)).chain(self.attempts[&key].adjustments(key, 0)).collect(),
                None => self.end(key, AttemptEnd::lost(), now_ms),
            })
            .collect()
    }

    /// As [`Roster::on_launcher_hello`], of steps.
    pub fn on_steps_hello(&mut self, seen: Vec<(StepKey, Seen)>, fresh: bool, now_ms: u64) -> Vec<Act> {
        self.steps.on_hello(seen, fresh, now_ms).into_iter().map(Act::Step).collect()
    }

    /// The launcher's word on a stepd.
    pub fn on_step(&mut self, key: StepKey, seen: Seen, now_ms: u64) -> Vec<Act> {
        step(self.steps.on_process(key, seen, now_ms))
    }

    /// The launcher could not even be asked for a step.
    pub fn on_unlaunched_step(&mut self, key: StepKey, end: AttemptEnd, now_ms: u64) -> Vec<Act> {
        step(self.steps.end(key, end, now_ms))
    }

    /// The steps that have a record here.
    pub fn steps(&self) -> impl Iterator<Item = StepKey> + '_ {
        self.steps.keys()
    }

    /// What is told of steps at a registration.
    #[must_use]
    pub fn step_claims(&self, now_ms: u64) -> Vec<StepClaim> {
        self.steps.claims(now_ms)
    }

    /// Remembers an operation that was under way when noded last died.
    pub fn on_lost_operation(&mut self, key: AttemptKey, now_ms: u64) {
        let ended = State::Ended { end: AttemptEnd::lost(), at_ms: now_ms };
        self.attempts.entry(key).or_insert_with(|| Entry::new(ended, false));
    }

    /// What is told to the controller at a registration.
    #[must_use]
    pub fn claims(&self, now_ms: u64) -> Vec<Claim> {
        let claim = |(key, entry): (&AttemptKey, &Entry)| match &entry.state {
            State::Ended { end, at_ms } => {
                let age_ms = end.age_ms + now_ms.saturating_sub(*at_ms);
                Claim { key: *key, end: Some(AttemptEnd { age_ms, ..end.clone() }), heard: entry.signals.last() }
            }
            State::Staging(_)
            | State::Launched(_)
            | State::Converting
            | State::Waiting { .. }
            | State::Publishing { .. } => Claim { key: *key, end: None, heard: entry.signals.last() },
        };
        self.attempts.iter().map(claim).collect()
    }

    /// The controller's answer to a registration; `None` when it comes from a controller older than one already obeyed.
    pub fn on_welcome(&mut self, welcome: &Welcome) -> Option<Vec<Act>> {
        if welcome.epoch < self.epoch_seen {
            return None;
        }
        self.epoch_seen = welcome.epoch;
        self.out_of_lease = false;
        // A new session tells of its jobs anew; what is kept for jobs without attempts here is not needed any more.
        let told: Vec<JobId> = std::mem::take(&mut self.briefs).into_keys().collect();
        let mut acts: Vec<Act> = told.into_iter().filter(|job| !self.has_attempts(*job)).map(Act::DropJob).collect();
        for key in &welcome.forget {
            acts.extend(self.forget(*key));
        }
        acts.extend(welcome.adopt.iter().filter_map(|key| self.publish_after_all(*key)).collect::<Vec<_>>());
        // Their ends are waited for: until then the controller gives this node nothing else.
        let stops = welcome.kill.iter().map(|key| Order::Stop { key: *key, why: StopWhy::Cancelled(0) });
        acts.extend(stops.flat_map(|order| self.on_order(order)).collect::<Vec<_>>());
        Some(acts)
    }

    /// One order.
    pub fn on_order(&mut self, order: Order) -> Vec<Act> {
        match order {
            Order::Job(brief) => {
                self.briefs.insert(brief.job, Arc::from(brief));
                Vec::new()
            }
            Order::Start { job, tasks } => {
                let Some(brief) = self.briefs.get(&job).cloned() else { return Vec::new() };
                tasks.into_iter().filter_map(|task| self.start(&brief, task)).collect()
            }
            // Whoever is told to stop what it has never heard of has lost it: the controller must not wait for its end.
            Order::Stop { key, .. } if !self.attempts.contains_key(&key) => {
                vec![Act::Report(key, AttemptEnd::lost())]
            }
            Order::Stop { key, why } => self.stop(key, why).into_iter().collect(),
            Order::Suspend(key) => self.adjust(key, Act::Suspend(key), |entry| entry.suspended = Some(true)),
            Order::Resume(key) => self.adjust(key, Act::Resume(key), |entry| entry.suspended = Some(false)),
            // What only has steps here is warned by it.
            Order::Limit { key, limit }
                if self.steps.keys().any(|step| step.attempt == key) && !self.attempts.contains_key(&key) =>
            {
                vec![Act::Limit(key, limit)]
            }
            Order::Limit { key, limit } => self.adjust(key, Act::Limit(key, limit), |entry| entry.limit = Some(limit)),
            Order::Signal { key, sent } => self.signal(key, sent),
            Order::Forget(key) => self.forget(key),
            Order::JobGone(job) => {
                self.briefs.remove(&job);
                vec![Act::DropJob(job)]
            }
            Order::StartStep(start) => step(self.steps.start(*start)),
            Order::StopStep { key, why } => step(self.steps.stop(key, why)),
            Order::SignalStep { key, sent } => step(self.steps.signal(key, sent)),
            Order::ForgetStep(key) => step(self.steps.forget(key)),
            Order::ReadOutput(read) => vec![Act::Read(read)],
        }
    }

    /// Starts an attempt, unless it was ever heard of before: a repeated order changes nothing.
    fn start(&mut self, brief: &Arc<Brief>, task: StartTask) -> Option<Act> {
        let job = Job { brief: brief.clone(), task: Arc::new(task) };
        let key = job.key();
        if self.attempts.contains_key(&key) {
            return None;
        }
        // A blob, or what a login sets, has to be there before.
        let is_staged = brief.map.is_some() || brief.login_environment;
        let (state, act) = match (&brief.work, is_staged) {
            (Work::Op(_), _) => (State::Converting, Act::Convert(job)),
            (Work::Script { .. } | Work::Command(_), true) => (State::Staging(job.clone()), Act::Stage(job)),
            (Work::Script { .. } | Work::Command(_), false) | (Work::Allocation, _) => {
                (State::Launched(Some(job.clone())), Act::Launch(job))
            }
        };
        self.attempts.insert(key, Entry::new(state, brief.requeue));
        Some(act)
    }

    fn stop(&mut self, key: AttemptKey, why: StopWhy) -> Option<Act> {
        let entry = self.attempts.get_mut(&key)?;
        entry.stopped.get_or_insert(why);
        match entry.state {
            State::Launched(_) => Some(Act::Stop(key, why)),
            State::Staging(_) | State::Converting | State::Publishing { .. } => Some(Act::Abandon(key)),
            State::Waiting { .. } => {
                let again = why == StopWhy::Requeue;
                let end = if again { AttemptEnd::lost() } else { AttemptEnd::terminated() };
                // Nobody counts how long ago it was told to stop.
                entry.state = State::Ended { end: end.clone(), at_ms: u64::MAX };
                Some(Act::Report(key, end))
            }
            State::Ended { .. } => None,
        }
    }

    /// Remembers how an attempt is to go on, and lets its process know if it has one. What is being ended is left alone.
    fn adjust(&mut self, key: AttemptKey, act: Act, remember: impl FnOnce(&mut Entry)) -> Vec<Act> {
        let Some(entry) = self.attempts.get_mut(&key).filter(|entry| entry.stopped.is_none()) else {
            return Vec::new();
        };
        remember(entry);
        match entry.state {
            State::Launched(_) => vec![act],
            State::Staging(_)
            | State::Converting
            | State::Waiting { .. }
            | State::Publishing { .. }
            | State::Ended { .. } => Vec::new(),
        }
    }

    /// Lets a signal reach an attempt once. One that has no process yet gets it when it has.
    fn signal(&mut self, key: AttemptKey, sent: Sent) -> Vec<Act> {
        let mut is_new = false;
        let acts = self.adjust(key, Act::Signal(key, sent), |entry| is_new = entry.signals.note(sent));
        if is_new { acts } else { Vec::new() }
    }

    /// Drops an attempt whose end is counted, and what is kept for a job that this session has not told of when it was the last.
    /// One that has not ended is kept.
    fn forget(&mut self, key: AttemptKey) -> Vec<Act> {
        match self.attempts.get(&key).map(|entry| &entry.state) {
            Some(State::Ended { .. }) => {
                self.attempts.remove(&key);
                let last = !self.briefs.contains_key(&key.job) && !self.has_attempts(key.job);
                std::iter::once(Act::Drop(key)).chain(last.then_some(Act::DropJob(key.job))).collect()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// Whether any attempt of the job has a record here.
    #[must_use]
    pub fn has_attempts(&self, job: JobId) -> bool {
        let least = AttemptKey { job, index: 0, attempt: 0 };
        self.attempts.range(least..).next().is_some_and(|(key, _)| key.job == job)
    }

    /// The attempt's blob is in its work folder, or could not be fetched.
    pub fn on_staged(&mut self, key: AttemptKey, end: Option<AttemptEnd>, now_ms: u64) -> Vec<Act> {
        let Some(entry) = self.attempts.get_mut(&key) else { return Vec::new() };
        let State::Staging(job) = &entry.state else { return Vec::new() };
        match end {
            Some(end) => self.end(key, end, now_ms),
            None if entry.stopped.is_some() => self.end(key, AttemptEnd::terminated(), now_ms),
            None => {
                let job = job.clone();
                entry.state = State::Launched(Some(job.clone()));
                std::iter::once(Act::Launch(job)).chain(entry.adjustments(key, 0)).collect()
            }
        }
    }

    /// The launcher's word on a process.
    pub fn on_process(&mut self, key: AttemptKey, seen: Seen, now_ms: u64) -> Vec<Act> {
        let Seen::Left { how, usage, note, age_ms } = seen else { return Vec::new() };
        let Some(entry) = self.attempts.get_mut(&key) else { return vec![Act::Drop(key)] };
        let State::Launched(job) = &entry.state else { return Vec::new() };
        let mapped = job.clone().filter(|job| job.brief.map.is_some());
        let mut note = note;
        if let (Some(job), How::Exited(exit)) = (mapped, how) {
            // Somebody else may publish it by now.
            if exit == Exit::default() && self.out_of_lease && entry.leased {
                entry.state = State::Waiting { job, usage };
                return Vec::new();
            }
            if exit == Exit::default() {
                entry.state = State::Publishing { usage };
                return vec![Act::Publish(job)];
            }
            // The task's index says little to whoever mapped a folder: the blob's name does.
            note = job.task.blob.as_ref().map(|blob| format!("{blob}: the command left with exit code {exit}"));
        }
        self.end(key, AttemptEnd { how, age_ms, usage, note }, now_ms)
    }

    /// The launcher could not even be asked.
    pub fn on_unlaunched(&mut self, key: AttemptKey, end: AttemptEnd, now_ms: u64) -> Vec<Act> {
        self.end(key, end, now_ms)
    }

    /// The pipeline has finished an operation, or has published an output. Bytes moved are added to what the process used.
    pub fn on_moved(&mut self, key: AttemptKey, mut end: AttemptEnd, now_ms: u64) -> Vec<Act> {
        let Some(entry) = self.attempts.get(&key) else { return Vec::new() };
        match &entry.state {
            State::Publishing { usage } => {
                let moved = end.usage;
                end.usage = Usage { bytes_in: moved.bytes_in, bytes_out: moved.bytes_out, ..*usage };
            }
            State::Converting => {}
            State::Staging(_) | State::Launched(_) | State::Waiting { .. } | State::Ended { .. } => return Vec::new(),
        }
        self.end(key, end, now_ms)
    }

    fn end(&mut self, key: AttemptKey, end: AttemptEnd, now_ms: u64) -> Vec<Act> {
        let Some(entry) = self.attempts.get_mut(&key) else { return Vec::new() };
        // What was given up so that it starts again has come to no end of its own.
        let again = entry.stopped == Some(StopWhy::Requeue) && end.how == AttemptEnd::terminated().how;
        let end = if again { AttemptEnd { how: How::Lost, ..end } } else { end };
        entry.state = State::Ended { end: end.clone(), at_ms: now_ms };
        vec![Act::Report(key, end)]
    }
}

impl Entry {
    fn new(state: State, leased: bool) -> Entry {
        Entry { state, stopped: None, suspended: None, limit: None, signals: Signals::default(), leased }
    }

    fn of_launched(job: Option<Job>) -> Entry {
        let leased = job.as_ref().is_some_and(|job| job.brief.requeue);
        Entry::new(State::Launched(job), leased)
    }

    /// What a process has to be told that may not have heard it, and the signals after the last that it has `heard`.
    fn adjustments(&self, key: AttemptKey, heard: u32) -> impl Iterator<Item = Act> + '_ {
        let limit = self.limit.map(|limit| Act::Limit(key, limit));
        let pace = self.suspended.map(|suspended| if suspended { Act::Suspend(key) } else { Act::Resume(key) });
        limit.into_iter().chain(pace).chain(self.signals.after(heard).map(move |sent| Act::Signal(key, sent)))
    }
}

fn step(act: Option<StepAct>) -> Vec<Act> {
    act.map(Act::Step).into_iter().collect()
}

#[cfg(test)]
mod tests;
