//! The daemons of a cluster, and whether they live.
//!
//! A pid file alone proves nothing: numbers are used again. A daemon lives when the process of its number was started as
//! that daemon, of this folder. It is held by a pidfd from before that is looked at, so that no signal goes astray.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::layout::Layout;

/// One process of a cluster. Their order is that in which they are stopped: whoever starts something goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Daemon {
    /// The `noded` of this node.
    Noded(String),
    /// The parent of this node's tasks.
    Launcher(String),
    /// The controller.
    Controller,
}

/// A daemon that was alive when it was looked for.
#[derive(Debug)]
pub(crate) struct Living {
    pub(crate) daemon: Daemon,
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

impl Daemon {
    /// All that may live in this folder, in the order in which they are stopped.
    pub(crate) fn all(layout: &Layout) -> Vec<Daemon> {
        let nodes = layout.nodes();
        let noded = nodes.iter().cloned().map(Daemon::Noded);
        let launchers = nodes.iter().cloned().map(Daemon::Launcher);
        noded.chain(launchers).chain([Daemon::Controller]).collect()
    }

    /// The process, if it lives.
    pub(crate) fn find(&self, layout: &Layout) -> Option<Living> {
        let text = fs::read_to_string(self.pid_file(layout)).ok()?;
        let number = text.trim().parse().ok().filter(|number| *number > 0)?;
        let pid = Pid::from_raw(number)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let process = PathBuf::from(format!("/proc/{pid}"));
        let command_line = fs::read(process.join("cmdline")).ok()?;
        // Another user's process does not say where it is; then its folder has to be absolute.
        let cwd = fs::read_link(process.join("cwd")).unwrap_or_else(|_| "/".into());
        self.is_meant_by(layout, &command_line, &cwd).then(|| Living { daemon: self.clone(), pid, pidfd })
    }

    /// The file with its process number.
    pub(crate) fn pid_file(&self, layout: &Layout) -> PathBuf {
        match self {
            Daemon::Controller => layout.pid_file("controller"),
            Daemon::Noded(node) => layout.pid_file(node),
            Daemon::Launcher(node) => layout.node_dir(node).join("launcher.pid"),
        }
    }

    /// Whether a process with this command line is this daemon. A process that has ended has none.
    fn is_meant_by(&self, layout: &Layout, command_line: &[u8], cwd: &Path) -> bool {
        let words = command_line.split(|byte| *byte == 0).map(OsStr::from_bytes).collect::<Vec<_>>();
        let (word, name, dir) = match self {
            Daemon::Controller => ("controller", None, layout.dir().to_owned()),
            Daemon::Noded(node) => ("noded", Some(node.as_str()), layout.dir().to_owned()),
            Daemon::Launcher(node) => ("launcher", None, layout.node_dir(node)),
        };
        let leads = |first: &&OsStr| Path::new(first).file_name() == Some(OsStr::new(word));
        let says_dir = || value_of(&words, "--dir").is_some_and(|said| same_folder(&cwd.join(said), &dir));
        let says_name = || name.is_none_or(|name| value_of(&words, "--name") == Some(OsStr::new(name)));
        words.iter().take(2).any(leads) && says_name() && says_dir()
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Daemon::Controller => f.write_str("the controller"),
            Daemon::Noded(node) => write!(f, "node {node}"),
            Daemon::Launcher(node) => write!(f, "the launcher of {node}"),
        }
    }
}

/// The value of an option, as `--option value` or `--option=value`.
fn value_of<'a>(words: &[&'a OsStr], option: &str) -> Option<&'a OsStr> {
    words.iter().enumerate().find_map(|(at, word)| match word.as_bytes().strip_prefix(option.as_bytes())? {
        [] => words.get(at + 1).copied(),
        [b'=', value @ ..] => Some(OsStr::from_bytes(value)),
        _ => None,
    })
}

fn same_folder(said: &Path, dir: &Path) -> bool {
    said == dir || matches!((fs::canonicalize(said), fs::canonicalize(dir)), (Ok(said), Ok(dir)) if said == dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_known_by_its_command_line() {
        let layout = Layout::find(Some(Path::new("/nowhere/d"))).expect("a path");
        let node = || Daemon::Noded("linux1".into());
        let launcher = || Daemon::Launcher("linux1".into());
        for (daemon, line, cwd, expected) in [
            (Daemon::Controller, "/bin/covey controller --dir /nowhere/d", "/", true),
            (Daemon::Controller, "covey controller --log-format json --dir=/nowhere/d", "/", true),
            (Daemon::Controller, "/usr/bin/controller --dir d", "/nowhere", true),
            (Daemon::Controller, "covey controller --dir d", "/elsewhere", false),
            (Daemon::Controller, "covey controller --dir /nowhere/d2", "/", false),
            (Daemon::Controller, "covey controller", "/nowhere/d", false),
            (Daemon::Controller, "tail -f controller --dir /nowhere/d", "/", false),
            (Daemon::Controller, "covey noded --name linux1 --dir /nowhere/d", "/", false),
            (Daemon::Controller, "", "/", false),
            (node(), "covey noded --name linux1 --dir /nowhere/d", "/", true),
            (node(), "covey noded --name linux11 --dir /nowhere/d", "/", false),
            (node(), "covey noded --name=linux1 --dir=/nowhere/d", "/", true),
            (node(), "covey noded --dir /nowhere/d linux1", "/", false),
            (launcher(), "covey launcher --dir /nowhere/d/nodes/linux1", "/", true),
            (launcher(), "covey launcher --dir /nowhere/d/nodes/linux2", "/", false),
        ] {
            let nul_ended = line.replace(' ', "\0") + "\0";
            let bytes = if line.is_empty() { b"" } else { nul_ended.as_bytes() };
            assert_eq!(daemon.is_meant_by(&layout, bytes, Path::new(cwd)), expected, "{daemon}: {line} in {cwd}");
        }
    }

    #[test]
    fn a_reused_or_senseless_number_is_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::find(Some(folder.path())).expect("a path");
        assert!(Daemon::Controller.find(&layout).is_none(), "no pid file");
        let own = std::process::id().to_string();
        for text in ["", "0", "-1", "x", "99999999999", own.as_str()] {
            fs::write(layout.pid_file("controller"), text).expect("written");
            assert!(Daemon::Controller.find(&layout).is_none(), "{text:?}");
        }
    }
}
