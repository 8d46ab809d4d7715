//! How noded gets a launcher: finds the living one, or starts one that outlives it; and how to end one.
//!
//! Synchronous, because it belongs before noded's runtime.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use rustix::time::Timespec;

use super::LauncherError;
use super::place::Place;
use super::run::SHUTDOWN_WAIT;

/// For a launcher to say hello: time enough to kill what an earlier life left, or for a leaving one to be gone.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// For a launcher that was told to go.
const STOP_WAIT: Duration = SHUTDOWN_WAIT.saturating_add(Duration::from_secs(2));

const RETRY_WAIT: Duration = Duration::from_millis(5);

/// Connects to the launcher of the folder `dir`, starting `exe launcher --dir DIR` if none lives there.
///
/// The new launcher reads nothing, writes to `launcher.log` and makes a session of its own, so that it stays when the
/// caller goes. It is the caller's child all the same: one that dies first is a zombie until the caller goes, too.
///
/// # Errors
/// When it cannot be started, dies at once, or says nothing for 20 seconds.
pub fn ensure(dir: &Path, exe: &Path) -> Result<UnixStream, LauncherError> {
    let place = Place::create(dir)?;
    let deadline = Instant::now() + ANSWER_WAIT;
    let mut started: Option<Child> = None;
    loop {
        if let Ok(stream) = place.connect()
            && says_hello(&stream, deadline)
        {
            return Ok(stream);
        }
        if Instant::now() >= deadline {
            return Err(LauncherError::NoAnswer { dir: place.dir().to_owned(), waited: ANSWER_WAIT });
        }
        started = match started {
            // A living one is on its way in or out as long as somebody holds the lock.
            None if place.try_lock()?.is_some() => Some(start(&place, exe)?),
            None => None,
            Some(mut child) => match child.try_wait().ok().flatten() {
                None => Some(child),
                Some(_) if place.try_lock()?.is_none() => None,
                Some(status) => {
                    return Err(LauncherError::Died { log: place.log_path(), status });
                }
            },
        };
        thread::sleep(RETRY_WAIT);
    }
}

/// Tells the launcher of the folder `dir` to end its tasks and go, and waits until it is gone. None there is fine.
///
/// # Errors
/// When it cannot be found or told, or stays.
pub fn stop(dir: &Path) -> Result<(), LauncherError> {
    let place = Place::create(dir)?;
    if place.try_lock()?.is_some() {
        return Ok(());
    }
    let number = place.pid()?;
    let failed = |source: rustix::io::Errno| LauncherError::Stop { pid: number, source: source.into() };
    let pid = Pid::from_raw(number).ok_or(failed(rustix::io::Errno::SRCH))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?;
    pidfd_send_signal(&pidfd, Signal::TERM).map_err(failed)?;
    if !wait_for(&pidfd, Instant::now() + STOP_WAIT) {
        return Err(failed(rustix::io::Errno::TIMEDOUT));
    }
    // If it was our own child; if not, the refusal changes nothing.
    let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    Ok(())
}

fn start(place: &Place, exe: &Path) -> Result<Child, LauncherError> {
    let log = place.open_log()?;
    let failed = |source| LauncherError::Start { exe: exe.to_owned(), source };
    let mut command = Command::new(exe);
    command.arg("launcher").arg("--dir").arg(place.dir()).current_dir("/");
    command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
    // The parent of tasks is no place for keys.
    let settings = std::env::vars_os().map(|(name, _)| name);
    settings.filter(|name| name.to_str().is_some_and(blobs::is_setting)).for_each(|name| {
        command.env_remove(name);
    });
    command.spawn().map_err(failed)
}

/// Whether the other side lives and speaks; a dying one can still be connected to. Leaves the hello to be read.
fn says_hello(stream: &UnixStream, deadline: Instant) -> bool {
    let mut first = [0; 1];
    wait_for(stream, deadline) && recv(stream, &mut first, RecvFlags::PEEK).is_ok_and(|(_, bytes)| bytes == 1)
}

/// Waits until there is something to read, be it an end; whether there is.
fn wait_for(source: &impl std::os::fd::AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready == Ok(1),
        }
    }
}
