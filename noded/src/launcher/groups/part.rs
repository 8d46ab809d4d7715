//! One folder of a group: the files by which the kernel is asked and told.
//!
//! Knows which file does what in either version of control groups; [`settings`](super::settings) has those of the limits.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::place::{Hierarchy, Version};
use super::settings::settings;
use crate::launcher::frame::{Controller, Limits};
use crate::launcher::tree::ProcessIdent;

/// Looks at a group in which each look finds processes that the one before did not; what goes on then falls to the
/// next sweep of the caller.
const KILL_ROUNDS_MAX: usize = 8;

/// A folder in one hierarchy.
pub(super) struct Part {
    dir: PathBuf,
    version: Version,
    controllers: Vec<Controller>,
}

impl Part {
    /// Makes the folder and writes its limits.
    pub(super) fn make(hierarchy: &Hierarchy, number: u64, limits: &Limits) -> io::Result<Self> {
        let dir = hierarchy.root.join(number.to_string());
        fs::create_dir(&dir)?;
        let part = Self { dir, version: hierarchy.version, controllers: hierarchy.controllers.clone() };
        for controller in &part.controllers {
            for setting in settings(part.version, *controller, limits) {
                match part.write(setting.file, &setting.value) {
                    // A kernel without swap has no file to limit it.
                    Err(error) if setting.may_be_absent && error.kind() == io::ErrorKind::NotFound => {}
                    written => written.inspect_err(|_| drop(fs::remove_dir(&part.dir)))?,
                }
            }
        }
        Ok(part)
    }

    /// A folder that is there, of which nothing is known yet.
    pub(super) fn found(dir: PathBuf) -> Self {
        let version = if dir.join("tasks").exists() { Version::One } else { Version::Two };
        Self { dir, version, controllers: vec![Controller::Freezer] }
    }

    /// A folder of a step in this one, without limits of its own.
    pub(super) fn inner(&self, step: u32) -> io::Result<Self> {
        let dir = self.dir.join(format!("step{step}"));
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        Ok(Self { dir, version: self.version, controllers: vec![Controller::Freezer] })
    }

    /// Whether processes can be stopped in it.
    pub(super) fn can_freeze(&self) -> bool {
        self.controllers.contains(&Controller::Freezer)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file to which a process writes `0` to enter.
    ///
    /// In version 1 that is `tasks`, which moves but the one thread that a new process has: moving a process by
    /// `cgroup.procs` waits for every processor of the machine, up to ten milliseconds.
    pub(super) fn entrance(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.entrance_path())
    }

    pub(super) fn entrance_path(&self) -> PathBuf {
        self.dir.join(match self.version {
            Version::One => "tasks",
            Version::Two => "cgroup.procs",
        })
    }

    pub(super) fn members(&self) -> Vec<ProcessIdent> {
        let listed = self.read("cgroup.procs").unwrap_or_default();
        listed.lines().filter_map(|pid| ProcessIdent::of(pid.parse().ok()?)).collect()
    }

    pub(super) fn limits_memory(&self) -> bool {
        self.controllers.contains(&Controller::Memory)
    }

    /// `None` in a hierarchy that does not count them.
    pub(super) fn oom_kills(&self) -> Option<u64> {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = self.limits_memory().then(|| self.read(file).ok())??;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
    }

    /// What is charged to the group; `None` in a hierarchy that does not count it.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        let file = match self.version {
            Version::One => "memory.usage_in_bytes",
            Version::Two => "memory.current",
        };
        self.limits_memory().then(|| self.read(file).ok())??.trim().parse().ok()
    }

    /// Whether it can; the kernel goes on freezing after it has answered.
    pub(super) fn freeze(&self, frozen: bool) -> bool {
        let (file, value) = match (self.version, frozen) {
            (Version::One, true) => ("freezer.state", "FROZEN"),
            (Version::One, false) => ("freezer.state", "THAWED"),
            (Version::Two, true) => ("cgroup.freeze", "1"),
            (Version::Two, false) => ("cgroup.freeze", "0"),
        };
        self.can_freeze() && self.write(file, value).is_ok()
    }

    /// Lets the kernel kill all that is in it; whether it can (version 2 since Linux 5.14).
    pub(super) fn kill_at_once(&self) -> bool {
        self.version == Version::Two && self.write("cgroup.kill", "1").is_ok()
    }

    /// Kills what is found in it, one by one.
    pub(super) fn kill_members(&self) {
        let mut killed = BTreeSet::new();
        for _ in 0..KILL_ROUNDS_MAX {
            let count = killed.len();
            for process in self.members() {
                if killed.insert(process) {
                    process.signal(Signal::KILL);
                }
            }
            if killed.len() == count {
                return;
            }
        }
    }

    fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.dir.join(file))
    }

    /// Writes to a file that is there: `fs::write` would try to make it.
    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.dir.join(file))?.write_all(value.as_bytes())
    }
}
