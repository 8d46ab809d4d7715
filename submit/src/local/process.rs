//! Starting a process that stays when its parent goes, and ending processes within a bound.
//!
//! Waiting is for the kernel's word on a pidfd, not for time. Which process is which is [`super::daemon`]'s business.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal, setsid};
use rustix::time::Timespec;
use thiserror::Error;

use super::daemon::{Daemon, Living};

/// What a daemon printed is begun anew when it is started and the file is longer than this.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// For a killed process to be gone. One that still is not waits for a disk that does not answer.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// Why a process could not be started or ended.
#[derive(Debug, Error)]
pub(crate) enum ProcessError {
    #[error("cannot find the program of this process, to start it again as a daemon")]
    Program(#[source] io::Error),
    #[error("{} was removed or replaced while it ran: start it again from where it is now", .0.display())]
    ProgramGone(PathBuf),
    #[error("cannot write {}", path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("cannot start {}", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("cannot stop {daemon}, process {pid}")]
    Signal { daemon: Daemon, pid: i32, source: io::Error },
    #[error("{daemon}, process {pid}, survives SIGKILL; it probably waits for a disk")]
    Unkillable { daemon: Daemon, pid: i32 },
}

/// The program of this process, to be started again under another word.
///
/// # Errors
/// When it is not there any more.
pub(crate) fn own_program() -> Result<PathBuf, ProcessError> {
    let program = std::env::current_exe().map_err(ProcessError::Program)?;
    if program.exists() { Ok(program) } else { Err(ProcessError::ProgramGone(program)) }
}

/// Whether a process is to have the keys of blob stores that this one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKeys {
    /// It is.
    Inherited,
    /// It gets along without.
    Withheld,
}

/// Starts a program in a session of its own, at `/`, with nothing to read; what it prints is appended to `output`.
///
/// # Errors
/// When `output` cannot be written or the program cannot be started.
pub(crate) fn spawn(program: &Path, args: &[OsString], output: &Path, keys: StoreKeys) -> Result<Child, ProcessError> {
    let written = |source| ProcessError::Output { path: output.to_owned(), source };
    let file = open_output(output).map_err(written)?;
    let mut command = Command::new(program);
    command.args(args).current_dir("/").stdin(Stdio::null());
    command.stdout(file.try_clone().map_err(written)?).stderr(file);
    if keys == StoreKeys::Withheld {
        let settings = std::env::vars_os().map(|(name, _)| name);
        settings.filter(|name| name.to_str().is_some_and(blobs::is_setting)).for_each(|name| {
            command.env_remove(name);
        });
    }
    detach(&mut command);
    command.spawn().map_err(|source| ProcessError::Spawn { program: program.to_owned(), source })
}

fn open_output(path: &Path) -> io::Result<File> {
    let file = File::options().append(true).create(true).open(path)?;
    if file.metadata()?.len() > OUTPUT_BYTES_MAX {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Takes the process out of the terminal's session, so that neither Ctrl-C nor a closed terminal reaches it.
fn detach(command: &mut Command) {
    #[expect(unsafe_code, reason = "the standard library cannot make a session")]
    // SAFETY: between fork and exec only the system call setsid is made; nothing is allocated or locked.
    unsafe {
        command.pre_exec(|| Ok(setsid().map(drop)?));
    }
}

/// A daemon that is gone now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) daemon: Daemon,
    /// It did not go when it was asked to.
    pub(crate) killed: bool,
}

/// Asks all of them to go, waits, and kills what is left after `patience`; they are gone when this returns.
///
/// # Errors
/// The first one that may not be stopped, or does not die. The others have been asked by then.
pub(crate) fn stop(living: Vec<Living>, patience: Duration) -> Result<Vec<Stopped>, ProcessError> {
    for process in &living {
        process.signal(Signal::TERM)?;
    }
    let deadline = Instant::now() + patience;
    living.into_iter().map(|process| process.end(deadline)).collect()
}

/// Kills all of them without a word; they are gone when this returns.
///
/// # Errors
/// The first one that may not be killed, or does not die.
pub(crate) fn kill(living: Vec<Living>) -> Result<(), ProcessError> {
    for process in &living {
        process.signal(Signal::KILL)?;
    }
    let deadline = Instant::now() + KILL_WAIT;
    living.into_iter().try_for_each(|process| process.end(deadline).map(drop))
}

impl Living {
    /// A process that is gone already needs no signal.
    fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => {
                let (daemon, pid) = (self.daemon.clone(), self.pid.as_raw_pid());
                Err(ProcessError::Signal { daemon, pid, source: errno.into() })
            }
        }
    }

    fn end(self, deadline: Instant) -> Result<Stopped, ProcessError> {
        let killed = !wait_gone(&self.pidfd, deadline);
        if killed {
            self.signal(Signal::KILL)?;
            if !wait_gone(&self.pidfd, Instant::now() + KILL_WAIT) {
                return Err(ProcessError::Unkillable { daemon: self.daemon, pid: self.pid.as_raw_pid() });
            }
        }
        Ok(Stopped { daemon: self.daemon, killed })
    }
}

/// Waits until the process is gone, reaped or not; whether it is.
fn wait_gone(pidfd: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)], Some(&timeout)) {
            Err(Errno::INTR) => {}
            ready => return ready == Ok(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::layout::Layout;
    use super::*;

    /// Long enough for a loaded machine; nothing waits for it to pass.
    const LIMIT: Duration = Duration::from_secs(20);

    /// Starts the script as this folder's controller: the shell's own command line reads so.
    fn stand_in(layout: &Layout, script: &str) -> Child {
        fs::write(layout.dir().join("controller"), script).expect("written");
        let pipe = layout.dir().join("pipe");
        if !pipe.exists() {
            let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
            assert!(made.success());
        }
        let args = ["controller".into(), "--dir".into(), layout.dir().into()];
        let mut command = Command::new("/bin/sh");
        command.arg0("covey").args::<_, &OsString>(&args).current_dir(layout.dir()).stdin(Stdio::null());
        let child = command.spawn().expect("a shell");
        fs::write(layout.pid_file("controller"), format!("{}\n", child.id())).expect("written");
        child
    }

    /// Finds the stand-in once the shell has come to its last line, which reads a pipe that nobody writes to.
    fn found(layout: &Layout) -> Living {
        let deadline = Instant::now() + LIMIT;
        while !layout.dir().join("ready").exists() {
            assert!(Instant::now() < deadline, "the stand-in does not get ready");
            std::thread::yield_now();
        }
        Daemon::Controller.find(layout).expect("it lives")
    }

    fn folder() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::find(Some(folder.path())).expect("a path");
        (folder, layout)
    }

    #[test]
    fn a_process_is_found_asked_to_go_and_gone() {
        let (_folder, layout) = folder();
        let mut child = stand_in(&layout, ": > ready\nread word <> pipe\n");
        let stopped = stop(vec![found(&layout)], LIMIT).expect("it may be stopped");
        assert_eq!(stopped, [Stopped { daemon: Daemon::Controller, killed: false }]);
        assert!(Daemon::Controller.find(&layout).is_none(), "a zombie does not live");
        child.wait().expect("ours");
        assert!(Daemon::Controller.find(&layout).is_none(), "a stale pid file");
    }

    #[test]
    fn one_that_does_not_listen_is_killed() {
        let (_folder, layout) = folder();
        let mut child = stand_in(&layout, "trap '' TERM\n: > ready\nread word <> pipe\n");
        let stopped = stop(vec![found(&layout)], Duration::from_millis(50)).expect("it may be stopped");
        assert_eq!(stopped, [Stopped { daemon: Daemon::Controller, killed: true }]);
        child.wait().expect("ours");
    }

    #[test]
    fn a_number_used_again_by_something_else_is_spared() {
        let (_folder, layout) = folder();
        let (_other, elsewhere) = folder();
        let mut child = stand_in(&elsewhere, ": > ready\nread word <> pipe\n");
        let living = found(&elsewhere);
        fs::copy(elsewhere.pid_file("controller"), layout.pid_file("controller")).expect("copied");
        assert!(Daemon::Controller.find(&layout).is_none(), "it belongs to another folder");
        stop(vec![living], LIMIT).expect("ours");
        child.wait().expect("ours");
    }

    #[test]
    fn a_spawned_process_has_its_own_session_and_leaves_its_words() {
        let (_folder, layout) = folder();
        let output = layout.dir().join("out.err");
        fs::write(&output, "before\n").expect("written");
        let args = ["-c".into(), "pwd; cut -d' ' -f1,6 /proc/$$/stat; cat; echo why >&2".into()];
        let mut child = spawn(Path::new("/bin/sh"), &args, &output, StoreKeys::Withheld).expect("a shell");
        let pid = child.id();
        assert!(child.wait().expect("ours").success());
        assert_eq!(fs::read_to_string(&output).expect("written"), format!("before\n/\n{pid} {pid}\nwhy\n"));
        assert!(matches!(
            spawn(Path::new("/nowhere/covey"), &[], &output, StoreKeys::Inherited),
            Err(ProcessError::Spawn { .. })
        ));
    }
}
