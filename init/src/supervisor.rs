//! The loop of `covey init`: waits for signals and for the next start, reaps, and stops the services one after the other.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use thiserror::Error;

use crate::service::{Service, State};

/// How long what was killed may take to be gone.
const KILLED_WAIT: Duration = Duration::from_secs(2);

/// Why it cannot go on.
#[derive(Debug, Error)]
pub enum InitError {
    /// Signals cannot be held back and read.
    #[error("the system gives no signals to read")]
    Signals(#[source] io::Error),
    /// What daemons leave behind cannot be taken up.
    #[error("the system does not let this process reap")]
    Reaper(#[source] io::Error),
    /// It cannot wait.
    #[error("the system does not let this process wait")]
    Wait(#[source] io::Error),
}

/// The services, and how far they are.
#[derive(Debug)]
pub(crate) struct Supervisor {
    services: Vec<Service>,
    grace: Duration,
    signals: SignalFd,
    /// Until when all must have stopped, once it was told so.
    stop_by: Option<Instant>,
}

impl Supervisor {
    /// Holds the signals back that are read here. Before any other thread exists.
    ///
    /// # Errors
    /// When the system does not give what a first process needs.
    pub(crate) fn new(services: Vec<Service>, grace: Duration) -> Result<Supervisor, InitError> {
        let wanted: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD].into_iter().collect();
        wanted.thread_block().map_err(|errno| InitError::Signals(errno.into()))?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let signals = SignalFd::with_flags(&wanted, flags).map_err(|errno| InitError::Signals(errno.into()))?;
        // As the first process of a container it is that already; elsewhere it takes up what its daemons leave all the same.
        set_child_subreaper(true).map_err(|errno| InitError::Reaper(errno.into()))?;
        Ok(Supervisor { services, grace, signals, stop_by: None })
    }

    /// Runs until it was told to stop and has stopped all services.
    ///
    /// # Errors
    /// When the system does not let it wait.
    pub(crate) fn run(mut self) -> Result<(), InitError> {
        loop {
            let now = Instant::now();
            if self.stop_by.is_none() {
                self.services.iter_mut().for_each(|service| service.start_if_due(now));
            }
            self.wait(self.wake_at())?;
            self.hear()?;
            self.reap()?;
            if let Some(by) = self.stop_by {
                if self.services.iter().all(|service| service.state == State::Over) {
                    eprintln!("covey init: all services have stopped");
                    return Ok(());
                }
                if Instant::now() >= by {
                    return self.kill_the_rest();
                }
            }
        }
    }

    /// When something is to be done without a signal.
    fn wake_at(&self) -> Option<Instant> {
        let due = self.services.iter().filter_map(|service| match service.state {
            State::Due { at } => Some(at),
            State::Running { .. } | State::Over => None,
        });
        self.stop_by.map_or_else(|| due.min(), Some)
    }

    fn wait(&self, until: Option<Instant>) -> Result<(), InitError> {
        let timeout = until.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut [PollFd::new(&self.signals.as_fd(), PollFlags::IN)], timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(InitError::Wait(errno.into())),
        }
    }

    /// Takes note of signals. That of a child says nothing that reaping does not.
    fn hear(&mut self) -> Result<(), InitError> {
        while let Some(heard) = self.signals.read_signal().map_err(|errno| InitError::Signals(errno.into()))? {
            let told = [Signal::SIGTERM, Signal::SIGINT].iter().any(|signal| heard.ssi_signo == *signal as u32);
            if told && self.stop_by.is_none() {
                eprintln!("covey init: stopping, within {} s", self.grace.as_secs());
                self.stop_by = Some(Instant::now() + self.grace);
                for service in &mut self.services {
                    if matches!(service.state, State::Due { .. }) {
                        service.state = State::Over;
                    }
                }
                self.stop_last();
            }
        }
        Ok(())
    }

    /// Reaps all that has ended: services, and what they have left behind.
    fn reap(&mut self) -> Result<(), InitError> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(InitError::Wait(errno.into())),
            };
            let ended =
                self.services.iter_mut().find(|service| status.pid().is_some() && service.pid() == status.pid());
            let Some(service) = ended else { continue };
            let how = match status {
                WaitStatus::Exited(_, code) => format!("left with exit code {code}"),
                WaitStatus::Signaled(_, signal, _) => format!("was ended by {signal}"),
                _ => continue,
            };
            let name = service.name();
            if self.stop_by.is_some() {
                service.state = State::Over;
                eprintln!("covey init: {name} {how}");
                self.stop_last();
            } else {
                let pause = service.on_end(Instant::now());
                eprintln!("covey init: {name} {how}; again in {pause:?}");
            }
        }
    }

    /// Tells the last service that still runs to stop: those before it are what it needs to stop well.
    fn stop_last(&self) {
        if let Some(pid) = self.services.iter().rev().find_map(Service::pid) {
            signal(pid, Signal::SIGTERM);
        }
    }

    /// The time is over. As the first process of a container it takes all others along by leaving.
    fn kill_the_rest(mut self) -> Result<(), InitError> {
        let rest: Vec<&Service> = self.services.iter().filter(|service| service.pid().is_some()).collect();
        let names: Vec<String> = rest.iter().map(|service| service.name()).collect();
        eprintln!("covey init: the time is over; killed: {}", names.join(", "));
        rest.into_iter().filter_map(Service::pid).for_each(|pid| signal(pid, Signal::SIGKILL));
        let by = Instant::now() + KILLED_WAIT;
        while Instant::now() < by && self.services.iter().any(|service| service.pid().is_some()) {
            self.wait(Some(by))?;
            self.hear()?;
            self.reap()?;
        }
        Ok(())
    }
}

/// A process that is gone meanwhile needs no signal.
fn signal(pid: Pid, signal: Signal) {
    kill(pid, signal).ok();
}
