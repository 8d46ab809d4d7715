//! One service: its words, its process, and when it is started again.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;
use nix::unistd::Pid;

/// The first pause before a service that has ended is started again; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Who has lived for so long begins again with the first pause.
const STEADY: Duration = Duration::from_secs(60);

/// A daemon that is to run.
#[derive(Debug)]
pub(crate) struct Service {
    program: PathBuf,
    words: Vec<OsString>,
    environment: Vec<(String, String)>,
    /// Ends in a row without a steady life between them.
    ends: u32,
    pub(crate) state: State,
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has this process.
    Running { pid: Pid, since: Instant },
    /// It is started then.
    Due { at: Instant },
    /// It is not started again.
    Over,
}

impl Service {
    /// One that is started at the first opportunity.
    pub(crate) fn new(program: PathBuf, words: Vec<OsString>, environment: Vec<(String, String)>) -> Service {
        Service { program, words, environment, ends: 0, state: State::Due { at: Instant::now() } }
    }

    /// What it is called in messages.
    pub(crate) fn name(&self) -> String {
        self.words[0].to_string_lossy().into_owned()
    }

    /// Its process, if it has one.
    pub(crate) fn pid(&self) -> Option<Pid> {
        match self.state {
            State::Running { pid, .. } => Some(pid),
            State::Due { .. } | State::Over => None,
        }
    }

    /// Starts it if its time has come. What cannot be started is tried again like what has ended.
    pub(crate) fn start_if_due(&mut self, now: Instant) {
        if !matches!(self.state, State::Due { at } if at <= now) {
            return;
        }
        let mut command = Command::new(&self.program);
        command.args(&self.words).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let everything = SigSet::all();
        #[expect(
            unsafe_code,
            reason = "a child begins with the signals that its parent holds back, and has to let them in"
        )]
        // SAFETY: between fork and exec only calls that are safe in a signal's handler are allowed, and sigprocmask is one.
        unsafe {
            command.pre_exec(move || Ok(everything.thread_unblock()?));
        }
        // The child is waited for with all others: the handle is not needed.
        match command.spawn() {
            Ok(child) => {
                let pid = Pid::from_raw(child.id().cast_signed());
                self.state = State::Running { pid, since: now };
                eprintln!("covey init: {} started, process {pid}", self.name());
            }
            Err(error) => {
                let pause = self.end(now, Duration::ZERO);
                eprintln!("covey init: {} cannot be started: {error}; again in {pause:?}", self.name());
            }
        }
    }

    /// Its process has ended: it is started again after a pause, which is returned.
    pub(crate) fn on_end(&mut self, now: Instant) -> Duration {
        match self.state {
            State::Running { since, .. } => self.end(now, now.saturating_duration_since(since)),
            State::Due { .. } | State::Over => Duration::ZERO,
        }
    }

    fn end(&mut self, now: Instant, lived: Duration) -> Duration {
        self.ends = if lived >= STEADY { 0 } else { self.ends };
        let pause = PAUSE_MIN.saturating_mul(1 << self.ends.min(16)).min(PAUSE_MAX);
        self.ends += 1;
        self.state = State::Due { at: now + pause };
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_a_steady_life() {
        let mut service = Service::new("/nowhere/covey".into(), vec!["noded".into()], Vec::new());
        let now = Instant::now();
        let pid = Pid::from_raw(7);
        let mut ends = |lived: Duration| {
            service.state = State::Running { pid, since: now };
            service.on_end(now + lived)
        };
        let pauses: Vec<u128> = (0..8).map(|_| ends(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(ends(STEADY), PAUSE_MIN);
        assert_eq!(service.pid(), None);
    }

    #[test]
    fn what_cannot_be_started_is_due_again() {
        let mut service = Service::new("/nowhere/covey".into(), vec!["noded".into()], Vec::new());
        let now = Instant::now();
        service.start_if_due(now);
        assert_eq!(service.state, State::Due { at: now + PAUSE_MIN });
        service.start_if_due(now);
        assert_eq!(service.state, State::Due { at: now + PAUSE_MIN }, "not before its time");
    }
}
