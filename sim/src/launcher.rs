//! The modelled launcher: parents the processes of a node's attempts and keeps a record of each on its disk, which outlives
//! noded, the launcher itself and the machine.

use std::collections::BTreeMap;
use std::fmt;

use noded::roster::{Job, Seen};
use proto::link::NodeShare;
use sched::ids::AttemptKey;
use sched::job::Usage;
use sched::reason::{Exit, StopWhy};
use sched::reconcile::How;

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
    Stop { key: AttemptKey, why: StopWhy, kill_wait_ms: u64 },
    Forget(Vec<AttemptKey>),
}

/// What the launcher says.
#[derive(Debug)]
pub(crate) enum Word {
    /// Everything that it knows. Another spool means that its records are new.
    Hello {
        spool: u128,
        attempts: Vec<(AttemptKey, Seen)>,
    },
    Of(AttemptKey, Seen),
}

/// What happened to processes and operations, as somebody sees it who stands beside the machine.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Began { key: AttemptKey, shares: Vec<NodeShare> },
    Over { key: AttemptKey, how: How },
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Began { key, .. } => write!(f, "{key} begins"),
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
}

#[derive(Debug)]
enum Record {
    Runs(Process),
    Ended { how: How, at_ms: u64 },
}

#[derive(Debug)]
struct Process {
    stubborn: bool,
    /// When it leaves, and how, if nobody interferes; `None` is never.
    leaves: Option<(u64, How)>,
    stopped: bool,
}

impl Launcher {
    pub(crate) fn new(spool: u128, sabotage: Option<Sabotage>) -> Launcher {
        let (client, records, facts) = Default::default();
        Launcher { spool, client, records, facts, sabotage, alive: true }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive
    }

    pub(crate) fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// The launcher is killed, and its processes with it.
    pub(crate) fn die(&mut self, now_ms: u64) {
        (self.alive, self.client) = (false, None);
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
        Word::Hello { spool: self.spool, attempts: attempts.collect() }
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
            Request::Launch(job) => self.launch(&job, now_ms),
            Request::Stop { key, why, kill_wait_ms } => {
                if let Some(Record::Runs(process)) = self.records.get_mut(&key) {
                    process.stop(why, kill_wait_ms, now_ms);
                }
                None
            }
            Request::Forget(keys) => {
                for key in keys {
                    if matches!(self.records.get(&key), Some(Record::Ended { .. })) {
                        self.records.remove(&key);
                    }
                }
                None
            }
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
        let conduct: Conduct = job.brief.name.parse().expect("every job is named for its conduct");
        self.records.insert(key, Record::Runs(Process::new(conduct, job.brief.time_limit.seconds(), now_ms)));
        self.facts.push(Fact::Began { key, shares: job.task.shares.clone() });
        Some(Word::Of(key, Seen::Running))
    }

    /// When the next process leaves.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let running = self.records.values().filter_map(|record| match record {
            Record::Runs(process) => process.leaves,
            Record::Ended { .. } => None,
        });
        running.map(|(at_ms, _)| at_ms).min()
    }

    /// Takes note of the processes that have left.
    pub(crate) fn on_clock(&mut self, now_ms: u64) -> Vec<Word> {
        let mut words = Vec::new();
        for (key, record) in &mut self.records {
            let Record::Runs(Process { leaves: Some((at_ms, how)), .. }) = *record else { continue };
            if at_ms <= now_ms {
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
            Record::Runs(_) => Seen::Running,
            Record::Ended { how, at_ms } => {
                Seen::Left { how: *how, usage: Usage::default(), note: None, age_ms: now_ms - at_ms }
            }
        }
    }
}

impl Process {
    fn new(conduct: Conduct, limit_s: Option<u64>, now_ms: u64) -> Process {
        let own = conduct.runs_ms.map(|ms| (now_ms + ms, How::Exited(Exit { code: conduct.code, signal: 0 })));
        let limit = limit_s.map(|s| (now_ms + s * 1000, How::TimedOut(Exit { code: 0, signal: TERM })));
        let leaves = own.into_iter().chain(limit).min_by_key(|(at_ms, _)| *at_ms);
        Process { stubborn: conduct.stubborn, leaves, stopped: false }
    }

    /// TERM, and KILL where that does not help. A second wish changes nothing.
    fn stop(&mut self, why: StopWhy, kill_wait_ms: u64, now_ms: u64) {
        if self.stopped {
            return;
        }
        self.stopped = true;
        let (wait_ms, signal) = if self.stubborn { (kill_wait_ms, KILL) } else { (LEAVE_MS, TERM) };
        let exit = Exit { code: 0, signal };
        let at_ms = now_ms + wait_ms;
        if self.leaves.is_none_or(|(own_ms, _)| at_ms < own_ms) {
            let how = match why {
                StopWhy::Cancelled(_) => How::Exited(exit),
                StopWhy::TimeLimit => How::TimedOut(exit),
            };
            self.leaves = Some((at_ms, how));
        }
    }
}
