//! A launcher in a folder of its own, and the test in the place of noded.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use noded::launcher::frame::{
    Abilities, AttemptStatus, Controller, Ending, FileSpec, Launch, Limits, Notice, Request, RunKey, StopWhy,
};
use noded::launcher::{self, ENFORCEMENT_VARIABLE, wire};
use rustix::process::{Pid, Signal, kill_process};
use sched::ids::JobId;
use tempfile::TempDir;

/// Whatever a test waits for comes sooner, or the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What `ensure` starts as `covey`: the example beside this test, which `cargo test` builds with it.
pub(crate) static EXE: LazyLock<PathBuf> = LazyLock::new(|| {
    let own = std::env::current_exe().expect("a test binary has a path");
    let profile = own.ancestors().nth(2).expect("it lies in a profile's deps");
    let exe = profile.join("examples/launcher");
    assert!(exe.exists(), "build it with: cargo build -p noded --example launcher");
    exe
});

/// A launcher in a folder of its own, and the place of noded beside it.
pub(crate) struct House {
    pub(crate) root: TempDir,
    pub(crate) dir: PathBuf,
    pub(crate) stream: UnixStream,
    pub(crate) abilities: Abilities,
    /// As the last hello said.
    pub(crate) lease_until_ms: Option<u64>,
    exe: PathBuf,
    inbox: Vec<u8>,
    notices: VecDeque<Notice>,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::in_folder("launcher")
    }

    pub(crate) fn in_folder(name: &str) -> Self {
        Self::build(tempfile::tempdir().expect("a folder"), name, EXE.clone())
    }

    /// One whose launcher makes no control groups, whatever it may.
    pub(crate) fn without_groups() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let exe = root.path().join("sampling");
        let script = format!("#!/bin/sh\n{ENFORCEMENT_VARIABLE}=sampling exec '{}' \"$@\"\n", EXE.display());
        fs::write(&exe, script).expect("write");
        fs::set_permissions(&exe, fs::Permissions::from_mode(0o755)).expect("chmod");
        Self::build(root, "launcher", exe)
    }

    fn build(root: TempDir, name: &str, exe: PathBuf) -> Self {
        let dir = root.path().join(name);
        let stream = launcher::ensure(&dir, &exe).expect("a launcher");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (abilities, inbox, notices) = Default::default();
        let mut house = Self { root, dir, stream, abilities, lease_until_ms: None, exe, inbox, notices };
        assert_eq!(house.hello(), BTreeMap::new());
        house
    }

    /// Whether this machine lets the launcher have that controller; says so if not, as its test then shows nothing.
    pub(crate) fn can(&self, controller: Controller) -> bool {
        let can = self.abilities.controllers.contains(&controller);
        if !can {
            println!("not tested: no control groups for {controller} here");
        }
        can
    }

    /// Where the launcher makes its groups, one folder for each hierarchy.
    pub(crate) fn group_roots(&self) -> Vec<PathBuf> {
        let listed = fs::read_to_string(self.dir.join("groups")).unwrap_or_default();
        listed.lines().map(PathBuf::from).collect()
    }

    /// As a noded that was killed and started again; what the launcher then knows.
    pub(crate) fn reconnect(&mut self) -> BTreeMap<RunKey, AttemptStatus> {
        self.stream = launcher::ensure(&self.dir, &self.exe).expect("a launcher");
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        self.inbox.clear();
        self.notices.clear();
        self.hello()
    }

    pub(crate) fn hello(&mut self) -> BTreeMap<RunKey, AttemptStatus> {
        match self.next() {
            Notice::Hello { attempts, abilities, lease_until_ms, .. } => {
                (self.abilities, self.lease_until_ms) = (abilities, lease_until_ms);
                attempts.into_iter().collect()
            }
            other => panic!("the first notice is a hello, not {other:?}"),
        }
    }

    pub(crate) fn send(&mut self, requests: &[Request]) {
        let mut frames = Vec::new();
        wire::encode(requests, &mut frames).expect("short requests");
        self.stream.write_all(&frames).expect("the launcher lives");
    }

    pub(crate) fn next(&mut self) -> Notice {
        while self.notices.is_empty() {
            if let Some((batch, used)) = wire::decode(&self.inbox).expect("frames of this build") {
                self.inbox.drain(..used);
                self.notices.extend::<Vec<_>>(batch);
                continue;
            }
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes).expect("a notice in time");
            assert!(read > 0, "the launcher hung up: {}", self.log());
            self.inbox.extend_from_slice(&bytes[..read]);
        }
        self.notices.pop_front().expect("not empty")
    }

    pub(crate) fn started(&mut self) -> i32 {
        match self.next() {
            Notice::Started { pid, .. } => pid,
            other => panic!("expected a start, got {other:?}"),
        }
    }

    /// The end of the task, whatever else is said before.
    pub(crate) fn ended(&mut self) -> Ending {
        loop {
            if let Notice::Ended { ending, .. } = self.next() {
                return ending;
            }
        }
    }

    pub(crate) fn run(&mut self, launch: Launch) -> Ending {
        self.send(&[Request::Launch(Box::new(launch))]);
        self.ended()
    }

    /// A shell script as attempt 1 of job `job`, with its output in `out` of the root.
    pub(crate) fn script(&self, job: u32, script: &str) -> Launch {
        Launch {
            key: key(job),
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            cwd: self.root.path().into(),
            stdin: None,
            stdout: FileSpec { path: "out".into(), append: false },
            stderr: None,
            umask: 0o027,
            time_limit_s: None,
            kill_wait_ms: 20_000,
            job_label: job.to_string(),
            node_name: "n1".to_owned(),
            limits: Limits::default(),
            warning: None,
            user: None,
            soft_limits: Vec::new(),
            job_time: None,
            leased: false,
        }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.root.path().join(name)).unwrap_or_default()
    }

    /// The process number that a script writes to `name`, once it is there.
    pub(crate) fn pid_in(&self, name: &str) -> i32 {
        wait_until(name, || self.file(name).ends_with('\n'));
        self.file(name).trim().parse().expect("a number")
    }

    pub(crate) fn launcher_pid(&self) -> i32 {
        let text = fs::read_to_string(self.dir.join("launcher.pid")).expect("a launcher was here");
        text.trim().parse().expect("a number")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("launcher.log")).unwrap_or_default()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let stopped = launcher::stop(&self.dir);
        if !std::thread::panicking() {
            stopped.expect("a launcher leaves when it is told to");
        }
    }
}

pub(crate) fn key(job: u32) -> RunKey {
    RunKey { job: JobId(job), index: 0, attempt: 1, step: None }
}

pub(crate) fn stop(job: u32, why: StopWhy, kill_wait_ms: u64) -> Request {
    Request::Stop { key: key(job), why, kill_wait_ms }
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process runs; one that only waits to be reaped does not.
pub(crate) fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).expect("a process"), signal).expect("it is ours");
}
