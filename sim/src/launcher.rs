//! The modelled launcher: parents the processes of a node's attempts and keeps a record of each on its disk, which outlives
//! noded, the launcher itself and the machine.

use std::collections::BTreeMap;
use std::fmt;

use noded::roster::{Job, Seen};
use proto::link::NodeShare;
use sched::ids::AttemptKey;
use sched::reason::{Exit, StopWhy};
use sched::reconcile::How;
use sched::signals::Sent;
use sched::task::Usage;

use crate::sabotage::Sabotage;
use crate::task::Conduct;

const TERM: u8 = 15;
const KILL: u8 = 9;

/// How long a process takes to leave after TERM.
const LEAVE_MS: u64 = 120;

/// What noded asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Launch(Job),
    Stop {
        key: AttemptKey,
        why: StopWhy,
        kill_wait_ms: u64,
    },
    Suspend(AttemptKey),
    Resume(AttemptKey),
    Limit {
        key: AttemptKey,
        limit_s: Option<u64>,
    },
    Signal {
        key: AttemptKey,
        sent: Sent,
    },
    Forget(Vec<AttemptKey>),
    /// What is leased goes on until then.
    Lease {
        until_ms: Option<u64>,
        kill_wait_ms: u64,
    },
}

/// What the launcher says.
#[derive(Debug)]
pub(crate) enum Word {
    /// Everything that it knows. Another spool means that its records are new.
    Hello {
        connection: u64,
        spool: u128,
        attempts: Vec<(AttemptKey, Seen)>,
    },
    Of(AttemptKey, Seen),
}

/// What happened to processes and operations, as somebody sees it who stands beside the machine.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    /// A process was started, or an operation was.
    Began {
        key: AttemptKey,
        shares: Vec<NodeShare>,
        process: bool,
    },
    /// A process stands still, or goes on.
    Stands {
        key: AttemptKey,
        still: bool,
    },
    /// A signal reached a process.
    Signalled {
        key: AttemptKey,
        number: u32,
    },
    /// A process is told to end because its lease is over.
    Leaves {
        key: AttemptKey,
    },
    Over {
        key: AttemptKey,
        how: How,
    },
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Began { key, .. } => write!(f, "{key} begins"),
            Fact::Stands { key, still } => write!(f, "{key} {}", if *still { "stands still" } else { "goes on" }),
            Fact::Signalled { key, number } => write!(f, "{key} hears its signal {number}"),
            Fact::Leaves { key } => write!(f, "{key} has no lease any more"),
            Fact::Over { key, how } => write!(f, "{key} is over: {how:?}"),
        }
    }
}

/// A node's launcher and its records.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// The id of its records.
    pub(crate) spool: u128,
    /// The connection on which it listens.
    client: Option<u64>,
    records: BTreeMap<AttemptKey, Record>,
    facts: Vec<Fact>,
    sabotage: Option<Sabotage>,
    alive: bool,
    /// Until when what is leased goes on, and how long it has from TERM to KILL.
    lease: (Option<u64>, u64),
}

#[derive(Debug)]
enum Record {
    Runs(Process),
    Ended { how: How, at_ms: u64 },
}

#[derive(Debug)]
struct Process {
    stubborn: bool,
    clock: Clock,
    /// When it leaves by itself, in its own time; `None` is never.
    own: Option<(u64, How)>,
    /// How long it may run, in its own time.
    limit_ms: Option<u64>,
    /// When it leaves because somebody ends it.
    ending: Option<(u64, How)>,
    stopped: bool,
    /// The highest number of a signal that it was sent.
    heard: u32,
    /// It may run elsewhere once the node's lease is over.
    leased: bool,
}

/// A process's own time, which stands still while it is suspended.
#[derive(Clone, Copy, Debug)]
enum Clock {
    Runs { since_ms: u64 },
    Stands { ran_ms: u64 },
}

impl Launcher {
    pub(crate) fn new(spool: u128, sabotage: Option<Sabotage>) -> Launcher {
        let (client, records, facts) = Default::default();
        Launcher { spool, client, records, facts, sabotage, alive: true, lease: (None, 0) }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive
    }

    pub(crate) fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// The launcher is killed, and its processes with it.
    pub(crate) fn die(&mut self, now_ms: u64) {
        (self.alive, self.client, self.lease) = (false, None, (None, 0));
        for (key, record) in &mut self.records {
            if matches!(record, Record::Runs(_)) {
                *record = Record::Ended { how: How::Lost, at_ms: now_ms };
                self.facts.push(Fact::Over { key: *key, how: How::Lost });
            }
        }
    }

    /// A launcher that died begins again from its records.
    pub(crate) fn start(&mut self) {
        self.alive = true;
    }

    /// The records of a dead launcher are lost.
    pub(crate) fn wipe(&mut self, spool: u128) {
        assert!(!self.alive, "only what is off can lose its disk");
        self.records.clear();
        self.spool = spool;
    }

    /// Hangs up on whoever was connected; what it had asked and nobody has read is lost.
    pub(crate) fn hang_up(&mut self) {
        self.client = None;
    }

    /// Takes the connection of a noded, and says hello.
    pub(crate) fn greet(&mut self, connection: u64, now_ms: u64) -> Word {
        self.client = Some(connection);
        let attempts = self.records.iter().map(|(key, record)| (*key, record.seen(now_ms)));
        Word::Hello { connection, spool: self.spool, attempts: attempts.collect() }
    }

    /// Does what is asked on a connection, if it still listens there.
    pub(crate) fn obey(&mut self, connection: u64, requests: Vec<Request>, now_ms: u64) -> Vec<Word> {
        if self.client != Some(connection) {
            return Vec::new();
        }
        requests.into_iter().filter_map(|request| self.obey_one(request, now_ms)).collect()
    }

    fn obey_one(&mut self, request: Request, now_ms: u64) -> Option<Word> {
        match request {
            Request::Launch(job) => return self.launch(&job, now_ms),
            Request::Stop { key, why, kill_wait_ms } => {
                self.with(key, |process| process.stop(why, kill_wait_ms, now_ms));
            }
            Request::Suspend(key) => self.pace(key, true, now_ms),
            Request::Resume(key) => self.pace(key, false, now_ms),
            Request::Limit { key, limit_s } => self.with(key, |process| process.limit(limit_s, now_ms)),
            Request::Signal { key, sent } => self.signal(key, sent, now_ms),
            Request::Lease { .. } if self.sabotage == Some(Sabotage::OutlivesLease) => {}
            Request::Lease { until_ms, kill_wait_ms } => self.lease = (until_ms, kill_wait_ms),
            Request::Forget(keys) => {
                for key in keys {
                    if matches!(self.records.get(&key), Some(Record::Ended { .. })) {
                        self.records.remove(&key);
                    }
                }
            }
        }
        None
    }

    /// Lets a process stand still, or go on.
    fn pace(&mut self, key: AttemptKey, still: bool, now_ms: u64) {
        let Some(Record::Runs(process)) = self.records.get_mut(&key) else { return };
        if if still { process.suspend(now_ms) } else { process.resume(now_ms) } {
            self.facts.push(Fact::Stands { key, still });
        }
    }

    /// Lets a signal reach a process, unless it has heard that.
    fn signal(&mut self, key: AttemptKey, sent: Sent, now_ms: u64) {
        let Some(Record::Runs(process)) = self.records.get_mut(&key) else { return };
        let deaf = self.sabotage == Some(Sabotage::ForgetsNumbers);
        if sent.number > process.heard || deaf {
            process.heard = if deaf { 0 } else { sent.number };
            process.signal(sent.signal, now_ms);
            self.facts.push(Fact::Signalled { key, number: sent.number });
        }
    }

    /// Does something to a process that runs.
    fn with(&mut self, key: AttemptKey, deed: impl FnOnce(&mut Process)) {
        if let Some(Record::Runs(process)) = self.records.get_mut(&key) {
            deed(process);
        }
    }

    /// Starts an attempt, unless there is a record of it.
    fn launch(&mut self, job: &Job, now_ms: u64) -> Option<Word> {
        let key = job.key();
        if let Some(record) = self.records.get(&key)
            && self.sabotage != Some(Sabotage::LaunchesAgain)
        {
            return Some(Word::Of(key, record.seen(now_ms)));
        }
        let leased = job.brief.requeue;
        if leased && self.is_lease_over(now_ms) {
            let lost = Record::Ended { how: How::Lost, at_ms: now_ms };
            let word = Word::Of(key, lost.seen(now_ms));
            self.records.insert(key, lost);
            return Some(word);
        }
        let conduct: Conduct = job.brief.name.parse().expect("every job is named for its conduct");
        self.records.insert(key, Record::Runs(Process::new(conduct, job.brief.time_limit.seconds(), leased, now_ms)));
        self.facts.push(Fact::Began { key, shares: job.task.shares.clone(), process: true });
        Some(Word::Of(key, Seen::Running { heard: 0 }))
    }

    /// When the next process leaves.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let running = self.records.values().filter_map(|record| match record {
            Record::Runs(process) => process.leaves(),
            Record::Ended { .. } => None,
        });
        running.map(|(at_ms, _)| at_ms).chain(self.lease_due()).min()
    }

    /// As it was told last.
    pub(crate) fn lease(&self) -> (Option<u64>, u64) {
        self.lease
    }

    /// When nothing of what is leased is left.
    fn lease_over_ms(&self) -> Option<u64> {
        self.lease.0.map(|until_ms| until_ms + self.lease.1)
    }

    fn is_lease_over(&self, now_ms: u64) -> bool {
        self.lease.0.is_some_and(|until_ms| until_ms <= now_ms)
    }

    /// When something that is leased has to be told to end.
    fn lease_due(&self) -> Option<u64> {
        let waits = |record: &Record| matches!(record, Record::Runs(process) if process.leased && !process.stopped);
        self.lease.0.filter(|_| self.records.values().any(waits))
    }

    /// Tells what is leased to end, once the lease is over.
    fn keep_lease(&mut self, now_ms: u64) {
        let (true, Some(over_ms)) = (self.is_lease_over(now_ms), self.lease_over_ms()) else { return };
        for (key, record) in &mut self.records {
            if let Record::Runs(process) = record
                && process.leased
            {
                if !process.stopped {
                    self.facts.push(Fact::Leaves { key: *key });
                }
                process.stop(StopWhy::NodeDown, over_ms.saturating_sub(now_ms), now_ms);
            }
        }
    }

    /// Takes note of the processes that have left.
    pub(crate) fn on_clock(&mut self, now_ms: u64) -> Vec<Word> {
        self.keep_lease(now_ms);
        let mut words = Vec::new();
        for (key, record) in &mut self.records {
            let Record::Runs(process) = &*record else { continue };
            if let Some((at_ms, how)) = process.leaves()
                && at_ms <= now_ms
            {
                *record = Record::Ended { how, at_ms };
                self.facts.push(Fact::Over { key: *key, how });
                words.push(Word::Of(*key, record.seen(now_ms)));
            }
        }
        words
    }

    /// Kills everything at once, for a node that leaves.
    pub(crate) fn kill_all(&mut self, now_ms: u64) {
        for (key, record) in &mut self.records {
            if matches!(record, Record::Runs(_)) {
                let how = How::Exited(Exit { code: 0, signal: KILL });
                *record = Record::Ended { how, at_ms: now_ms };
                self.facts.push(Fact::Over { key: *key, how });
            }
        }
    }
}

impl Record {
    fn seen(&self, now_ms: u64) -> Seen {
        match self {
            Record::Runs(process) => Seen::Running { heard: process.heard },
            Record::Ended { how, at_ms } => {
                Seen::Left { how: *how, usage: Usage::default(), note: None, age_ms: now_ms - at_ms }
            }
        }
    }
}

impl Process {
    fn new(conduct: Conduct, limit_s: Option<u64>, leased: bool, now_ms: u64) -> Process {
        Process {
            stubborn: conduct.stubborn,
            clock: Clock::Runs { since_ms: now_ms },
            own: conduct.runs_ms.map(|ms| (ms, How::Exited(Exit { code: conduct.code, signal: 0 }))),
            limit_ms: limit_s.map(|s| s * 1000),
            ending: None,
            stopped: false,
            heard: 0,
            leased,
        }
    }

    /// When it leaves, and how, if nobody interferes.
    fn leaves(&self) -> Option<(u64, How)> {
        let Clock::Runs { since_ms } = self.clock else { return None };
        let own = self.own.map(|(ran_ms, how)| (since_ms + ran_ms, how));
        let exit = Exit { code: 0, signal: TERM };
        let limit = self.limit_ms.map(|ran_ms| (since_ms + ran_ms, How::TimedOut(exit)));
        own.into_iter().chain(limit).chain(self.ending).min_by_key(|(at_ms, _)| *at_ms)
    }

    /// TERM, and KILL where that does not help. A second wish can only bring the KILL forward.
    fn stop(&mut self, why: StopWhy, kill_wait_ms: u64, now_ms: u64) {
        if self.stopped {
            if let Some((at_ms, _)) = &mut self.ending {
                *at_ms = (*at_ms).min(now_ms + kill_wait_ms);
            }
            return;
        }
        self.resume(now_ms);
        self.stopped = true;
        let (wait_ms, signal) = if self.stubborn { (kill_wait_ms, KILL) } else { (LEAVE_MS.min(kill_wait_ms), TERM) };
        let exit = Exit { code: 0, signal };
        let how = match why {
            StopWhy::Cancelled(_) | StopWhy::Released(_) | StopWhy::JobOver => How::Exited(exit),
            StopWhy::TimeLimit | StopWhy::Deadline => How::TimedOut(exit),
            StopWhy::Requeue | StopWhy::NodeDown => How::Lost,
        };
        self.end(now_ms + wait_ms, how);
    }

    /// A signal ends what does not stand against it.
    fn signal(&mut self, signal: i32, now_ms: u64) {
        let signal = u8::try_from(signal).expect("a signal that travelled is in bounds");
        if !self.stubborn || signal == KILL {
            self.end(now_ms + LEAVE_MS, How::Exited(Exit { code: 0, signal }));
        }
    }

    fn end(&mut self, at_ms: u64, how: How) {
        if self.ending.is_none_or(|(sooner_ms, _)| at_ms < sooner_ms) {
            self.ending = Some((at_ms, how));
        }
    }

    /// Answers whether it ran before.
    fn suspend(&mut self, now_ms: u64) -> bool {
        let (Clock::Runs { since_ms }, false) = (self.clock, self.stopped) else { return false };
        self.clock = Clock::Stands { ran_ms: now_ms - since_ms };
        true
    }

    /// Answers whether it stood still before.
    fn resume(&mut self, now_ms: u64) -> bool {
        let Clock::Stands { ran_ms } = self.clock else { return false };
        self.clock = Clock::Runs { since_ms: now_ms - ran_ms };
        true
    }

    /// A limit that has passed ends it at once.
    fn limit(&mut self, limit_s: Option<u64>, now_ms: u64) {
        let ran_ms = match self.clock {
            Clock::Runs { since_ms } => now_ms - since_ms,
            Clock::Stands { ran_ms } => ran_ms,
        };
        if !self.stopped {
            self.limit_ms = limit_s.map(|s| (s * 1000).max(ran_ms));
        }
    }
}
