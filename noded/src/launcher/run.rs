//! The launcher's process: a poll loop over signals, one client and the clock. No thread, no runtime.
//!
//! What happens to attempts is decided and done in [`Attempts`]; this file only waits and hands over.
//! Start with [`run`].

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Mode;
use rustix::process::{chdir, setsid, umask};
use rustix::time::Timespec;

use super::LauncherError;
use super::attempts::Attempts;
use super::client::{Client, ClientError};
use super::place::Place;
use super::spawn::close_inherited_on_exec;

/// Requests carried out in one turn of the loop, so that a large batch of launches holds up no limit and no end.
const REQUESTS_PER_TURN_MAX: usize = 32;

/// From TERM to KILL when the launcher itself has to go, whatever the tasks were promised: a machine that shuts down
/// does not wait longer.
const SHUTDOWN_KILL_WAIT_MS: u64 = 5_000;

/// For all tasks to be gone then; what is not is recorded as lost.
pub(super) const SHUTDOWN_WAIT: Duration = Duration::from_secs(10);

/// Runs the launcher of the folder `dir` until SIGTERM; `main` of `covey launcher --dir DIR`.
///
/// Takes over the process: its session, umask, working directory and signals. Limits are enforced as
/// [`ENFORCEMENT_VARIABLE`](super::ENFORCEMENT_VARIABLE) says.
///
/// # Errors
/// When another launcher has the folder, when something of an earlier life cannot be killed, or when the system refuses
/// what the launcher cannot do without.
pub fn run(dir: &Path) -> Result<(), LauncherError> {
    let place = Place::create(dir)?;
    let _lock = place.lock()?;
    let signals = prepare_process()?;
    let attempts = Attempts::open(place.dir())?;
    let listener = place.listen()?;
    tracing::info!(dir = %place.dir().display(), limits_by = %attempts.abilities(), "launcher is ready");
    let launcher = Launcher { attempts, signals, client: None, reap_again: true, leave_at: None };
    launcher.run(&place, listener)
}

struct Launcher {
    attempts: Attempts,
    signals: SignalFd,
    client: Option<Client>,
    /// More children may have ended than one turn took note of.
    reap_again: bool,
    /// Told to go: when at the latest.
    leave_at: Option<Instant>,
}

/// What woke the loop.
struct Woken {
    by_connection: bool,
    by_client: bool,
}

impl Launcher {
    fn run(mut self, place: &Place, listener: UnixListener) -> Result<(), LauncherError> {
        let mut listener = Some(listener);
        loop {
            let woken = self.wait(listener.as_ref())?;
            let now = Instant::now();
            if self.read_signals()? && self.leave_at.is_none() {
                self.leave_at = Some(now + SHUTDOWN_WAIT);
                self.attempts.stop_all(SHUTDOWN_KILL_WAIT_MS, now);
                // From here on nobody may take this launcher for one that starts tasks.
                drop(listener.take());
                place.remove_socket();
            }
            if let (true, Some(listener)) = (woken.by_connection, &listener) {
                self.accept(listener);
            }
            self.serve_client(woken.by_client, now);
            if self.reap_again {
                self.reap_again = self.attempts.reap(now);
            }
            self.attempts.on_clock(now);
            if self.leave_at.is_some_and(|at| at <= now) {
                self.attempts.give_up();
            }
            self.send_notices();
            if self.leave_at.is_some() && self.attempts.is_idle() {
                tracing::info!("launcher was told to go");
                self.attempts.close();
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(&self, listener: Option<&UnixListener>) -> Result<Woken, LauncherError> {
        let (busy, writing) =
            self.client.as_ref().map_or((false, false), |client| (client.has_requests(), client.has_notices()));
        let wake = self.attempts.next_wake().into_iter().chain(self.leave_at).min();
        let left = wake.map(|at| at.saturating_duration_since(Instant::now()));
        let left = if busy || self.reap_again { Some(Duration::ZERO) } else { left };
        let timeout =
            left.map(|left| Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() });
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, !busy);
        flags.set(PollFlags::OUT, writing);
        let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
        polled.extend(listener.map(|listener| PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)));
        polled.extend(self.client.as_ref().map(|client| PollFd::from_borrowed_fd(client.stream.as_fd(), flags)));
        polled.push(PollFd::from_borrowed_fd(self.attempts.lease_timer(), PollFlags::IN));
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                return Err(LauncherError::System { call: "poll", source: errno.into() });
            }
        }
        let mut woken = polled.iter().map(|polled| !polled.revents().is_empty()).skip(1);
        let by_connection = listener.is_some() && woken.next() == Some(true);
        let by_client = self.client.is_some() && woken.next() == Some(true);
        Ok(Woken { by_connection, by_client })
    }

    /// Takes the signals that came; whether one of them tells the launcher to go.
    fn read_signals(&mut self) -> Result<bool, LauncherError> {
        let mut told_to_go = false;
        loop {
            let signal = self.signals.read_signal();
            match signal.map_err(|errno| LauncherError::System { call: "signalfd", source: errno.into() })? {
                None => return Ok(told_to_go),
                Some(signal) => match i32::try_from(signal.ssi_signo).map(Signal::try_from) {
                    Ok(Ok(Signal::SIGCHLD)) => self.reap_again = true,
                    Ok(Ok(Signal::SIGTERM)) => told_to_go = true,
                    // INT and HUP are for whoever sits at the terminal that the launcher was started from.
                    _ => {}
                },
            }
        }
    }

    /// Lets a new client take the place of the old one.
    fn accept(&mut self, listener: &UnixListener) {
        let hello = self.attempts.hello();
        let accepted = listener.accept().and_then(|(stream, _)| Client::new(stream));
        let greeted = accepted.map_err(ClientError::from).and_then(|mut client| {
            client.say(&[hello])?;
            Ok(client)
        });
        match greeted {
            Ok(client) => self.client = Some(client),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a client could not be greeted"),
        }
    }

    fn serve_client(&mut self, is_woken: bool, now: Instant) {
        let Some(client) = &mut self.client else {
            return;
        };
        if is_woken {
            let read = if client.has_requests() { Ok(()) } else { client.read() };
            let served = read.and_then(|()| client.flush());
            if let Err(error) = served {
                return self.drop_client(&error);
            }
        }
        if self.leave_at.is_none() {
            self.attempts.obey(client.take_requests(REQUESTS_PER_TURN_MAX), now);
        } else {
            client.take_requests(usize::MAX).for_each(drop);
        }
    }

    /// Tells the client, if there is one; if not, the next one's hello will.
    fn send_notices(&mut self) {
        let notices = self.attempts.take_notices();
        let Some(client) = &mut self.client else {
            return;
        };
        if let Err(error) = client.say(&notices) {
            self.drop_client(&error);
        }
    }

    fn drop_client(&mut self, error: &ClientError) {
        match error {
            ClientError::HungUp => tracing::info!("noded is away; tasks go on"),
            error => tracing::warn!(error = error as &dyn std::error::Error, "dropped the connection to noded"),
        }
        self.client = None;
    }
}

/// Makes this process fit to have tasks as children; the signals that it takes by reading them.
fn prepare_process() -> Result<SignalFd, LauncherError> {
    let failed = |call| move |source: io::Error| LauncherError::System { call, source };
    // A second thread would get signals that this one blocks, and children that this one does not see in its list.
    let threads = fs::read_dir("/proc/self/task").map_err(failed("readdir"))?.count();
    if threads != 1 {
        return Err(LauncherError::NotAlone { threads });
    }
    // Refused to the leader of a process group, as whoever starts it from a shell makes it: that is a session enough.
    let _ = setsid();
    chdir(c"/").map_err(|errno| failed("chdir")(errno.into()))?;
    // Every file that the launcher makes says its mode itself.
    umask(Mode::empty());
    close_inherited_on_exec().map_err(failed("close_range"))?;
    set_child_subreaper(true).map_err(|errno| failed("prctl")(errno.into()))?;
    let taken = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    taken.thread_block().map_err(|errno| failed("sigprocmask")(errno.into()))?;
    SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|errno| failed("signalfd")(errno.into()))
}
