//! The thread that writes the audit log: it folds refusals, gives lines their moments and users their names, and tells who follows.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use nix::unistd::{Uid, User};
use sched::ids::Timestamp;
use tokio::sync::broadcast;
use tracing::warn;

use super::files::Files;
use super::fold::Fold;
use super::{Letter, Line, Outcome, Who};
use crate::clock;

/// Names of users that are remembered between lines, for [`NAMES_MS`].
const NAMES_MAX: usize = 1_024;
/// How long a name is taken for granted.
const NAMES_MS: u64 = 60_000;

/// The writer and what it holds.
pub(super) struct Writer {
    files: Files,
    fold: Fold,
    lost: Arc<AtomicU64>,
    news: broadcast::Sender<Arc<Line>>,
    names: BTreeMap<u32, String>,
    names_since: Timestamp,
    last_us: i64,
    /// The last line could not be written.
    broken: bool,
}

impl Writer {
    pub(super) fn new(files: Files, lost: Arc<AtomicU64>, news: broadcast::Sender<Arc<Line>>) -> Writer {
        let (fold, names) = (Fold::default(), BTreeMap::new());
        Writer { files, fold, lost, news, names, names_since: clock::now(), last_us: 0, broken: false }
    }

    /// Writes until it is told to stop, or nobody is left who could.
    pub(super) fn run(mut self, mailbox: &Receiver<Letter>) {
        loop {
            let wait = self.fold.due().map(|due| Duration::from_millis(due.ms_since(clock::now())));
            let letter = match wait {
                None => mailbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => mailbox.recv_timeout(wait),
            };
            match letter {
                Ok(Letter::Line(line)) => self.take(*line),
                Ok(Letter::Settle(told)) => {
                    let counts = self.fold.counts();
                    counts.into_iter().for_each(|line| self.write(line));
                    // Also before the first line of this life, those of earlier ones are up to now.
                    self.last_us = self.last_us.max(clock::now().0.saturating_mul(1000));
                    // Who asked may have gone away.
                    told.send(self.last_us).ok();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Letter::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.fold.due().is_some_and(|due| due <= clock::now()) {
                self.settle();
            }
        }
        self.settle();
    }

    fn take(&mut self, line: Line) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let who = Who { by: "nothing".into(), ..Who::default() };
            let why = "lines that came faster than they could be written are lost".into();
            let (verb, what) = ("several".into(), String::new());
            self.write(Line { at_us: 0, outcome: Outcome::Failed, verb, who, what, why, times: lost });
        }
        if let Some(line) = self.fold.take(line, clock::now()) {
            self.write(line);
        }
    }

    fn settle(&mut self) {
        let counts = self.fold.settle();
        counts.into_iter().for_each(|line| self.write(line));
    }

    fn write(&mut self, mut line: Line) {
        let now = clock::now();
        self.last_us = (self.last_us + 1).max(now.0.saturating_mul(1000));
        line.at_us = self.last_us;
        if let (Some(uid), true) = (line.who.uid, line.who.name.is_empty()) {
            line.who.name = self.name(uid, now);
        }
        let written = self.files.write(&line);
        self.tell_of(written);
        // Nobody may follow.
        self.news.send(Arc::new(line)).ok();
    }

    /// A disk that is full is told of once, until it takes lines again.
    fn tell_of(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => self.broken = false,
            Err(error) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                if !self.broken {
                    warn!(%error, "the audit log cannot be written; what it misses is counted");
                }
                self.broken = true;
            }
        }
    }

    /// What this machine calls a user; nothing where it knows none of that number.
    fn name(&mut self, uid: u32, now: Timestamp) -> String {
        if self.names.len() >= NAMES_MAX || now.ms_since(self.names_since) >= NAMES_MS {
            self.names.clear();
            self.names_since = now;
        }
        let known = || User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        self.names.entry(uid).or_insert_with(|| known().unwrap_or_default()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Audit, Wanted};
    use super::*;

    fn refused() -> Line {
        let who = Who { uid: Some(0), by: "socket".into(), from: "pid 1".into(), ..Who::default() };
        let (verb, what) = ("cancel".into(), "5".into());
        Line { at_us: 0, outcome: Outcome::Refused, verb, who, what, why: "no".into(), times: 1 }
    }

    #[tokio::test]
    async fn whoever_asks_sees_what_was_added_and_a_stop_loses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (audit, writer) = Audit::open(folder.path().into()).expect("it opens");
        let mut news = audit.follow();
        for _ in 0..3 {
            audit.add(refused());
        }
        let until = audit.settled().await.expect("it writes");
        let read = || Wanted::default().read(folder.path(), i64::MAX, 9).expect("read");
        let lines = read();
        assert_eq!(lines.iter().map(|line| line.times).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((lines[0].who.name.as_str(), lines[1].at_us), ("root", until));
        assert!(lines[0].at_us < lines[1].at_us);
        for line in &lines {
            assert_eq!(*news.recv().await.expect("told"), *line);
        }
        audit.add(refused());
        audit.stop();
        writer.join().expect("it ends");
        assert_eq!(read().iter().map(|line| line.times).sum::<u64>(), 4);
        assert_eq!(audit.settled().await, None, "there is nobody left to ask");
    }
}
