//! A cluster in a folder of its own, made of real processes that are gone when the test is.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::services::Keys;

/// Whatever a test waits for comes sooner, or the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a fault is tried: in a test run, or all night (`tests/nightly`).
pub(crate) fn rounds(in_a_run: usize, at_night: usize) -> usize {
    if std::env::var_os("COVEY_TEST_NIGHTLY").is_some() { at_night } else { in_a_run }
}

/// Whether this is root, who alone can be somebody else.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The binary under test.
pub(crate) const COVEY: &str = env!("CARGO_BIN_EXE_covey");

/// A controller and its nodes.
pub(crate) struct Rig {
    folder: TempDir,
    controller: Option<Child>,
    nodes: Vec<(String, Child)>,
    /// Words before the daemons' own, as `ip netns exec`.
    pub(crate) under: Under,
    /// What daemons find in their environment.
    pub(crate) environment: Vec<(String, PathBuf)>,
}

/// What daemons are started by.
#[derive(Default)]
pub(crate) struct Under {
    pub(crate) controller: Vec<String>,
    pub(crate) nodes: Vec<String>,
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
        let mut rig = Rig::prepared(settings);
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

    /// A controller with these keys of blob stores, and nodes of 2 CPUs without them, all idle.
    pub(crate) fn start_keyed(nodes: usize, keys: &Keys) -> Rig {
        let mut rig = Rig::prepared("");
        rig.environment = keys.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        rig.start_controller();
        rig.environment.clear();
        for i in 0..nodes {
            rig.start_node_anew(&format!("linux{i}"), &[]);
        }
        rig
    }

    /// Starts a node that has keys of blob stores of its own.
    pub(crate) fn start_keyed_node(&mut self, name: &str, keys: &Keys, options: &[&str]) {
        self.environment = keys.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        self.start_node_anew(name, options);
        self.environment.clear();
    }

    /// The nodes' processes.
    pub(crate) fn node_pids(&self) -> Vec<u32> {
        self.nodes.iter().map(|(_, child)| child.id()).collect()
    }

    /// A folder with these settings, in which nothing runs yet.
    pub(crate) fn prepared(settings: &str) -> Rig {
        let (controller, nodes, under, environment) = Default::default();
        let folder = tempfile::tempdir().expect("a folder");
        let rig = Rig { folder, controller, nodes, under, environment };
        fs::create_dir(rig.work()).expect("a folder for the jobs");
        fs::create_dir(rig.dir()).expect("a folder for the cluster");
        fs::write(rig.dir().join("covey.toml"), settings).expect("written");
        rig
    }

    /// A command of ours that is started by these words.
    fn started_by(&self, under: &[String]) -> Command {
        let words: Vec<&str> = under.iter().map(String::as_str).chain([COVEY]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The process of a noded.
    pub(crate) fn node_pid(&self, name: &str) -> u32 {
        self.nodes.iter().find(|(known, _)| known == name).expect("the node runs").1.id()
    }

    /// The process of the controller.
    pub(crate) fn controller_pid(&self) -> u32 {
        self.controller.as_ref().expect("a controller runs").id()
    }

    /// The folder of a node.
    pub(crate) fn node_dir(&self, name: &str) -> PathBuf {
        self.dir().join("nodes").join(name)
    }

    /// The process of a node's launcher.
    pub(crate) fn launcher_pid(&self, name: &str) -> u32 {
        let text = fs::read_to_string(self.node_dir(name).join("launcher.pid")).expect("a launcher was here");
        text.trim().parse().expect("a number")
    }

    /// How a node is listed: `idle`, `idle*`, `down*` and so on.
    pub(crate) fn node_state(&self, name: &str) -> String {
        let listed = self.run("sinfo", &["-h", "-N", "-o", "%N %t"]);
        let states = listed.lines().filter_map(|line| line.trim().split_once(' '));
        states.filter(|(known, _)| *known == name).map(|(_, state)| state.to_owned()).next().unwrap_or_default()
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
        self.launch_controller(options);
        wait_for("the controller answers", || self.try_run("scontrol", &["ping"]).status.success());
    }

    /// Starts the controller and waits for nothing.
    pub(crate) fn launch_controller(&mut self, options: &[&str]) {
        let dir = self.dir();
        let mut command = self.started_by(&self.under.controller);
        self.controller = Some(daemon(command.arg("controller").arg("--dir").arg(dir).args(options)));
    }

    /// Ends the controller in good order, and waits until it is gone.
    pub(crate) fn stop_controller(&mut self) {
        let mut child = self.controller.take().expect("a controller runs");
        send(child.id(), "TERM");
        assert!(child.wait().expect("a child can be waited for").success(), "it ends well");
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
        let mut command = self.started_by(&self.under.nodes);
        command.args(["noded", "--name", name, "--memory", "2G"]);
        if !options.contains(&"--cpus") {
            command.args(["--cpus", "2"]);
        }
        command.arg("--controller").arg(endpoint).arg("--dir").arg(self.dir()).args(options);
        self.nodes.push((name.to_owned(), daemon(&mut command)));
    }

    /// Takes a noded in that was started otherwise, so that it ends with the others.
    pub(crate) fn adopt(&mut self, name: &str, node: Child) {
        self.nodes.push((name.to_owned(), node));
    }

    /// Starts a node and waits until it is idle.
    pub(crate) fn start_node_anew(&mut self, name: &str, options: &[&str]) {
        self.start_node_with(name, options);
        wait_for("the node is idle", || self.node_state(name) == "idle");
    }

    /// Starts a node under the name of one that runs, with a folder of its own as on another machine.
    pub(crate) fn start_elsewhere(&mut self, name: &str) {
        let there = self.folder.path().join("elsewhere");
        let mut command = self.started_by(&self.under.nodes);
        command.args(["noded", "--name", name, "--cpus", "4", "--memory", "2G", "--controller"]);
        command.arg(self.endpoint()).arg("--dir").arg(there);
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

    /// Forgets a node that is to end in another way; answers its process.
    pub(crate) fn take_node(&mut self, name: &str) -> Child {
        let at = self.nodes.iter().position(|(known, _)| known == name).expect("the node runs");
        self.nodes.remove(at).1
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.dir().join("controller.sock").display())
    }

    /// A command of this cluster, in the folder where jobs are submitted.
    pub(crate) fn command(&self, name: &str, args: &[&str]) -> Command {
        self.command_by(Path::new(COVEY), name, args)
    }

    /// The same by another binary.
    pub(crate) fn command_by(&self, covey: &Path, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(covey);
        command.arg(name).args(args).current_dir(self.work());
        command.env("COVEY_CONTROLLER", self.endpoint()).env("COVEY_DIR", self.dir()).stdin(Stdio::null());
        command
    }

    /// Lets other users in, who submit in the folder of the jobs, and gives them a binary in the cluster's folder, as they may not
    /// reach the one that was built. It is copied by another process: while this one had it open for writing, a child of another
    /// test could, too, and it could not be run.
    pub(crate) fn let_others_in(&self) {
        for (folder, mode) in [(self.folder.path().to_owned(), 0o755), (self.work(), 0o777)] {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("ours");
        }
        let copied = Command::new("cp").arg(COVEY).arg(self.dir().join("covey")).status();
        assert!(copied.expect("cp is there").success(), "the binary can be copied");
    }

    /// A `PATH` in which Covey's commands come first, as on a cluster of its own.
    pub(crate) fn path(&self) -> String {
        let bin = self.folder.path().join("bin");
        if !bin.exists() {
            self.run("links", &[bin.to_str().expect("text")]);
        }
        format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default())
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

    /// The lines of the audit log that these options mean, as the command prints them, without their heading.
    pub(crate) fn audit(&self, options: &[&str]) -> Vec<String> {
        let options: Vec<&str> = options.iter().chain(&["-n", "100000"]).copied().collect();
        self.run("audit", &options).lines().skip(1).map(str::to_owned).collect()
    }

    /// Whether the audit log has a refusal with all these words in its line.
    pub(crate) fn was_refused(&self, words: &[&str]) -> bool {
        self.audit(&["--refused"]).iter().any(|line| words.iter().all(|word| line.contains(word)))
    }

    /// Asserts that the audit log has such a refusal.
    pub(crate) fn assert_refused(&self, words: &[&str]) {
        assert!(self.was_refused(words), "{words:?} in {:#?}", self.audit(&["--refused"]));
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
        for dir in [self.dir(), self.folder.path().join("elsewhere")] {
            for entry in fs::read_dir(dir.join("nodes")).into_iter().flatten().flatten() {
                stop_launcher(&entry.path());
            }
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

pub(crate) fn daemon(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the binary can be started")
}

pub(crate) fn kill(mut child: Child) {
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

/// Lets some time pass that a test has drawn.
pub(crate) fn pass(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}

/// A small generator of numbers, so that a failing run can be repeated by its seed.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
