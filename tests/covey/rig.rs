//! A cluster in a folder of its own, made of real processes that are gone when the test is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Whatever a test waits for comes sooner, or the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) const COVEY: &str = env!("CARGO_BIN_EXE_covey");

/// A controller and its nodes.
pub(crate) struct Rig {
    folder: TempDir,
    controller: Option<Child>,
    nodes: Vec<(String, Child)>,
}

impl Rig {
    /// A controller with `nodes` nodes `linux0`.. of 2 CPUs, all idle.
    pub(crate) fn start(nodes: usize) -> Rig {
        let names: Vec<String> = (0..nodes).map(|i| format!("linux{i}")).collect();
        let plain: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        Rig::start_with(&plain, "")
    }

    /// A controller with these settings and nodes of 2 CPUs, each with its own options, all idle.
    pub(crate) fn start_with(nodes: &[(&str, &[&str])], settings: &str) -> Rig {
        let mut rig = Rig { folder: tempfile::tempdir().expect("a folder"), controller: None, nodes: Vec::new() };
        fs::create_dir(rig.work()).expect("a folder for the jobs");
        fs::create_dir(rig.dir()).expect("a folder for the cluster");
        fs::write(rig.dir().join("covey.toml"), settings).expect("written");
        rig.start_controller();
        for (name, options) in nodes {
            rig.start_node_with(name, options);
        }
        wait_for("all nodes are idle", || {
            // A node in two partitions is listed twice.
            let listed = rig.run("sinfo", &["-h", "-N", "-o", "%N %t"]);
            listed.lines().filter(|line| line.ends_with(" idle")).collect::<BTreeSet<_>>().len() == nodes.len()
        });
        rig
    }

    /// The cluster's folder.
    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("D")
    }

    /// Where jobs are submitted.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Starts the controller and waits until it answers.
    pub(crate) fn start_controller(&mut self) {
        self.start_controller_with(&[]);
    }

    /// Starts the controller with these options and waits until it answers.
    pub(crate) fn start_controller_with(&mut self, options: &[&str]) {
        let dir = self.dir();
        let child = daemon(Command::new(COVEY).arg("controller").arg("--dir").arg(&dir).args(options));
        self.controller = Some(child);
        wait_for("the controller answers", || self.try_run("scontrol", &["ping"]).status.success());
    }

    /// Kills the controller with -9, and waits until it is gone.
    pub(crate) fn kill_controller(&mut self) {
        kill(self.controller.take().expect("a controller runs"));
    }

    pub(crate) fn start_node(&mut self, name: &str) {
        self.start_node_with(name, &[]);
    }

    fn start_node_with(&mut self, name: &str, options: &[&str]) {
        self.start_node_at(name, &self.endpoint(), options);
    }

    /// Starts a node that reaches the controller at this address.
    pub(crate) fn start_node_at(&mut self, name: &str, endpoint: &str, options: &[&str]) {
        let mut command = Command::new(COVEY);
        command.args(["noded", "--name", name, "--cpus", "2", "--memory", "2G"]);
        command.arg("--controller").arg(endpoint).arg("--dir").arg(self.dir()).args(options);
        self.nodes.push((name.to_owned(), daemon(&mut command)));
    }

    /// Kills a noded with -9; its launcher lives on.
    pub(crate) fn kill_node(&mut self, name: &str) {
        kill(self.take_node(name));
    }

    /// Ends a noded by a signal and waits until it is gone.
    pub(crate) fn end_node(&mut self, name: &str, signal: &str) -> ExitStatus {
        let mut child = self.take_node(name);
        send(child.id(), signal);
        child.wait().expect("a child can be waited for")
    }

    fn take_node(&mut self, name: &str) -> Child {
        let at = self.nodes.iter().position(|(known, _)| known == name).expect("the node runs");
        self.nodes.remove(at).1
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.dir().join("controller.sock").display())
    }

    /// A command of this cluster, in the folder where jobs are submitted.
    pub(crate) fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(COVEY);
        command.arg(name).args(args).current_dir(self.work());
        command.env("COVEY_CONTROLLER", self.endpoint()).env("COVEY_DIR", self.dir()).stdin(Stdio::null());
        command
    }

    /// Runs a command, however it ends.
    pub(crate) fn try_run(&self, name: &str, args: &[&str]) -> Output {
        self.command(name, args).output().expect("the binary can be started")
    }

    /// Runs a command that must succeed; answers what it printed.
    pub(crate) fn run(&self, name: &str, args: &[&str]) -> String {
        let output = self.try_run(name, args);
        assert!(output.status.success(), "{name} {args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Submits and answers the job's number.
    pub(crate) fn submit(&self, args: &[&str]) -> String {
        let args: Vec<&str> = ["--parsable"].iter().chain(args).copied().collect();
        self.run("sbatch", &args).trim().to_owned()
    }

    /// The states of all tasks of a job, one for each record.
    pub(crate) fn states(&self, job: &str) -> Vec<String> {
        let listed = self.run("squeue", &["-h", "-t", "all", "-j", job, "-o", "%T"]);
        listed.lines().map(|line| line.trim().to_owned()).collect()
    }

    /// Waits until no task of the job waits or runs; answers the states.
    pub(crate) fn wait_done(&self, job: &str) -> Vec<String> {
        let active = |state: &String| matches!(state.as_str(), "PENDING" | "RUNNING" | "SUSPENDED" | "COMPLETING");
        wait_for("the job is done", || !self.states(job).iter().any(active));
        self.states(job)
    }

    /// A file in the folder where jobs are submitted; nothing while it is not there.
    pub(crate) fn try_read(&self, name: &str) -> String {
        fs::read_to_string(self.work().join(name)).unwrap_or_default()
    }

    /// A file in the folder where jobs are submitted.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.work().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for (_, child) in self.nodes.drain(..) {
            kill(child);
        }
        for entry in fs::read_dir(self.dir().join("nodes")).into_iter().flatten().flatten() {
            stop_launcher(&entry.path());
        }
        if let Some(controller) = self.controller.take() {
            kill(controller);
        }
    }
}

/// Ends a launcher and its tasks. Its parent is gone, so its end shows in its lock alone.
fn stop_launcher(folder: &Path) {
    let pid = fs::read_to_string(folder.join("launcher.pid")).ok().and_then(|pid| pid.trim().parse().ok());
    if let Some(pid) = pid.filter(|pid| is_launcher(*pid)) {
        send(pid, "TERM");
        let deadline = Instant::now() + PATIENCE;
        while is_launcher(pid) && Instant::now() < deadline {
            thread::yield_now();
        }
    }
}

fn is_launcher(pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"launcher")
}

fn daemon(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the binary can be started")
}

fn kill(mut child: Child) {
    // One that has ended by itself cannot be killed, and is waited for all the same.
    child.kill().ok();
    child.wait().expect("a child can be waited for");
}

pub(crate) fn send(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().expect("kill is there");
    assert!(sent.success(), "process {pid} takes signal {signal}");
}

/// Waits until `holds`, looking every few milliseconds.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}
