//! What one call has started, so that exactly this can be stopped again when the rest fails.
//!
//! Daemons that lived before are not in it. Dropping it leaves everything running.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::cluster::ClusterError;
use super::daemon::{Daemon, Living};
use super::layout::Layout;
use super::process::{ProcessError, Stopped, StoreKeys, spawn, stop};

/// Lines of its output that are shown of a daemon that died, and where the search for them begins.
const LAST_LINES_MAX: usize = 10;
const LAST_BYTES_MAX: u64 = 8 << 10;

/// For a node to start its launcher before it is stopped. One that takes longer is stopped all the same.
const SETTLE_MAX: Duration = Duration::from_secs(1);
const SETTLE_PAUSE: Duration = Duration::from_millis(5);

/// Daemons that are children of this process, and the launchers that they may have started.
#[derive(Debug, Default)]
pub(crate) struct Started {
    children: Vec<StartedDaemon>,
    launchers: Vec<Daemon>,
}

#[derive(Debug)]
struct StartedDaemon {
    daemon: Daemon,
    child: Child,
    output: PathBuf,
    /// Where its output begins; before are the words of an earlier life.
    output_from: u64,
}

impl Started {
    /// Starts a daemon. With a node a launcher comes, unless one lives already.
    ///
    /// # Errors
    /// When its output cannot be written, or the program cannot be started.
    pub(crate) fn start(
        &mut self,
        daemon: Daemon,
        program: &Path,
        args: &[OsString],
        layout: &Layout,
    ) -> Result<(), ProcessError> {
        let output = match &daemon {
            Daemon::Controller => layout.output("controller"),
            Daemon::Noded(node) | Daemon::Launcher(node) => layout.output(node),
        };
        let output_from = fs::metadata(&output).map_or(0, |found| found.len());
        if let Daemon::Noded(node) = &daemon {
            let launcher = Daemon::Launcher(node.clone());
            self.launchers.extend(launcher.find(layout).is_none().then_some(launcher));
        }
        // A node is let at blobs by the controller, unless it is to go by itself.
        let keys = match &daemon {
            Daemon::Noded(_) if std::env::var_os("COVEY_STORE_AUTH").is_none_or(|who| who != "node") => {
                StoreKeys::Withheld
            }
            _ => StoreKeys::Inherited,
        };
        let child = spawn(program, args, &output, keys)?;
        self.children.push(StartedDaemon { daemon, child, output, output_from });
        Ok(())
    }

    /// How many daemons were started.
    pub(crate) fn len(&self) -> usize {
        self.children.len()
    }

    /// Fails when one of the daemons has ended.
    ///
    /// # Errors
    /// The first one, with the last that it said.
    pub(crate) fn check(&mut self) -> Result<(), ClusterError> {
        for started in &mut self.children {
            if let Ok(Some(status)) = started.child.try_wait() {
                let said = last_lines(&started.output, started.output_from);
                let daemon = started.daemon.clone();
                return Err(ClusterError::Died { daemon, status, output: started.output.clone(), said });
            }
        }
        Ok(())
    }

    /// Stops all of them, and the launchers that they started.
    ///
    /// # Errors
    /// The first one that may not be stopped, or does not die; the others are stopped all the same.
    pub(crate) fn stop(&mut self, layout: &Layout, patience: Duration) -> Result<(), ProcessError> {
        self.settle(layout);
        let (controller, nodes) = self.children.iter().partition::<Vec<_>, _>(|s| s.daemon == Daemon::Controller);
        let living = |children: Vec<&StartedDaemon>| children.into_iter().filter_map(StartedDaemon::living).collect();
        let launchers = || self.launchers.iter().filter_map(|launcher| launcher.find(layout)).collect();
        let outcome = stop_in_order(living(nodes), launchers, living(controller), patience);
        for mut started in self.children.drain(..) {
            // It has ended; what is left is an entry in the kernel's table.
            let _ = started.child.try_wait();
        }
        outcome.map(drop)
    }

    /// Lets nodes come so far that their launchers can be found: one that is stopped while it starts a launcher would leave
    /// a launcher of which nobody knows.
    fn settle(&mut self, layout: &Layout) {
        let deadline = Instant::now() + SETTLE_MAX;
        while Instant::now() < deadline && self.children.iter_mut().any(|started| started.is_settling(layout)) {
            thread::sleep(SETTLE_PAUSE);
        }
    }
}

impl StartedDaemon {
    /// A node that lives and has no launcher yet.
    fn is_settling(&mut self, layout: &Layout) -> bool {
        match &self.daemon {
            Daemon::Noded(node) => {
                Daemon::Launcher(node.clone()).find(layout).is_none() && matches!(self.child.try_wait(), Ok(None))
            }
            Daemon::Launcher(_) | Daemon::Controller => false,
        }
    }

    /// The child by its own number: it may not have come to write its pid file.
    fn living(&self) -> Option<Living> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).ok()?)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some(Living { daemon: self.daemon.clone(), pid, pidfd })
    }
}

/// Stops nodes, then launchers, then the controller, so that nothing is started by somebody who is yet to be stopped.
///
/// Launchers are looked for when they are due, and once more at the end: a node may have gone while it was starting one.
///
/// # Errors
/// The first failure; all stages are gone through before it is told.
pub(crate) fn stop_in_order(
    nodes: Vec<Living>,
    launchers: impl Fn() -> Vec<Living>,
    controller: Vec<Living>,
    patience: Duration,
) -> Result<Vec<Stopped>, ProcessError> {
    let stages =
        [stop(nodes, patience), stop(launchers(), patience), stop(controller, patience), stop(launchers(), patience)];
    Ok(stages.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
}

/// The last lines that were written to a file since it had `from` bytes.
fn last_lines(path: &Path, from: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        // A file that was begun anew is shorter than it was.
        let from = if from <= bytes { from } else { 0 };
        file.seek(SeekFrom::Start(from.max(bytes.saturating_sub(LAST_BYTES_MAX))))?;
        let mut said = Vec::new();
        file.take(LAST_BYTES_MAX).read_to_end(&mut said).map(|_| said)
    };
    let said: Vec<u8> = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&said);
    let lines = text.lines().collect::<Vec<_>>();
    lines[lines.len().saturating_sub(LAST_LINES_MAX)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::find(Some(folder.path())).expect("a path");
        fs::create_dir(folder.path().join("log")).expect("made");
        (folder, layout)
    }

    #[test]
    fn one_that_dies_early_is_told_with_its_last_words() {
        let (_folder, layout) = folder();
        fs::write(layout.output("linux3"), "of an earlier life\n").expect("written");
        let mut started = Started::default();
        let args = ["-c".into(), "echo no such port >&2; exit 3".into()];
        started.start(Daemon::Noded("linux3".into()), Path::new("/bin/sh"), &args, &layout).expect("a shell");
        let deadline = Instant::now() + Duration::from_secs(20);
        let error = loop {
            if let Err(error) = started.check() {
                break error;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        };
        let text = error.to_string();
        assert!(text.starts_with("node linux3 ended at once (exit status: 3)"), "{text}");
        assert!(text.ends_with(":\nno such port"), "{text}");
    }

    #[test]
    fn what_was_started_is_stopped_also_without_a_pid_file() {
        let (_folder, layout) = folder();
        let mut started = Started::default();
        for daemon in [Daemon::Controller, Daemon::Noded("linux0".into())] {
            started.start(daemon, Path::new("/bin/sleep"), &["60".into()], &layout).expect("sleep is there");
        }
        let living: Vec<Living> = started.children.iter().filter_map(StartedDaemon::living).collect();
        assert_eq!(living.len(), 2);
        started.stop(&layout, Duration::from_secs(20)).expect("ours");
        assert_eq!(started.len(), 0);
        assert!(living.iter().all(|process| !Path::new(&format!("/proc/{}", process.pid)).exists()));
    }

    #[test]
    fn only_the_last_lines_of_this_life_are_shown() {
        let (folder, _layout) = folder();
        let path = folder.path().join("x.err");
        fs::write(&path, "old\nnew\n").expect("written");
        assert_eq!(last_lines(&path, 4), "new");
        assert_eq!(last_lines(&path, 400), "old\nnew");
        fs::write(&path, "line\n".repeat(5000)).expect("written");
        assert_eq!(last_lines(&path, 0), ["line"; LAST_LINES_MAX].join("\n"));
        assert_eq!(last_lines(Path::new("/nowhere"), 0), "");
    }
}
