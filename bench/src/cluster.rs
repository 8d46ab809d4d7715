//! A cluster in a folder of its own: the shipped binary as controller, as real nodes, and as the commands that are timed.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::crowd::{Crowd, Nodes};
use crate::process::{output, wait_for};
use crate::scope::Scope;

/// What differs from the defaults: how much one user may submit, and how many may be connected.
const SETTINGS: &str = "MaxSubmitRate = 0\nMaxJobsPerUser = 4000000\nMaxConnections = 16384\n";

/// Whether real nodes hold each task to its limits by a control group of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    Made,
    NotMade,
}

/// A controller and its nodes; all gone when this is dropped, but for the folder.
#[derive(Debug)]
pub(crate) struct Cluster<'a> {
    scope: &'a Scope,
    folder: PathBuf,
    port: u16,
    controller: Child,
    nodes: Vec<Child>,
    crowds: Vec<Crowd>,
}

impl<'a> Cluster<'a> {
    /// A controller that answers, without nodes.
    pub(crate) fn start(scope: &'a Scope) -> Result<Cluster<'a>> {
        let folder = scope.new_folder();
        fs::create_dir_all(folder.join("work")).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(folder.join("covey.toml"), SETTINGS).context("cannot write the settings")?;
        let listener = TcpListener::bind("127.0.0.1:0").context("there is no free port")?;
        let port = listener.local_addr().context("the port has no number")?.port();
        drop(listener);
        let controller = controller(scope, &folder, port)?;
        let cluster = Cluster { scope, folder, port, controller, nodes: Vec::new(), crowds: Vec::new() };
        cluster.answers()?;
        Ok(cluster)
    }

    /// Starts real nodes and waits until they are idle.
    pub(crate) fn add_nodes(&mut self, count: u32, cpus: u32, groups: Groups) -> Result<()> {
        let endpoint = format!("unix://{}", self.socket().display());
        for number in 0..count {
            let mut command = daemon(self.scope, &self.folder)?;
            command.args(["noded", "--memory", "64G", "--controller", &endpoint, "--dir"]).arg(&self.folder);
            command.args(["--name", &format!("n{number}"), "--cpus", &cpus.to_string()]);
            if groups == Groups::NotMade {
                command.env(noded::launcher::ENFORCEMENT_VARIABLE, "sampling");
            }
            self.nodes.push(command.spawn().context("cannot start noded")?);
        }
        wait_for("all nodes are idle", || {
            let listed = output(self.command("sinfo").args(["-h", "-N", "-o", "%t"]))?;
            Ok(listed.lines().filter(|state| *state == "idle").count() == count as usize)
        })
    }

    /// Starts simulated nodes; how long it took until all were welcome.
    pub(crate) fn add_crowd(&mut self, nodes: Nodes) -> Result<Duration> {
        let crowd = Crowd::start(&format!("http://127.0.0.1:{}", self.port), nodes)?;
        let joined_in = crowd.joined_in;
        self.crowds.push(crowd);
        Ok(joined_in)
    }

    /// Kills the controller and starts it again; how long until it answers.
    pub(crate) fn restart_killed(&mut self) -> Result<Duration> {
        self.controller.kill().context("cannot kill the controller")?;
        self.controller.wait().context("cannot wait for the controller")?;
        let begun = Instant::now();
        self.controller = controller(self.scope, &self.folder, self.port)?;
        self.answers()?;
        Ok(begun.elapsed())
    }

    /// Waits until a call is answered.
    fn answers(&self) -> Result<()> {
        let connects = || Ok(std::os::unix::net::UnixStream::connect(self.socket()).is_ok());
        wait_for("the controller listens", connects)?;
        self.client()?.ping()
    }

    /// A channel of its own.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::connect(&self.socket())
    }

    /// A command of this cluster, run in its own folder.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.scope.covey);
        command.arg(name).current_dir(self.work()).env("COVEY_DIR", &self.folder);
        command
    }

    /// Submits by `sbatch`; the job's number.
    pub(crate) fn sbatch<W: AsRef<str>>(&self, words: &[W]) -> Result<u32> {
        let words = words.iter().map(AsRef::as_ref);
        let said = output(self.command("sbatch").arg("--parsable").args(words))?;
        said.parse().with_context(|| format!("sbatch has printed {said:?}"))
    }

    /// Where jobs are submitted.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// The controller's process.
    pub(crate) fn controller_pid(&self) -> u32 {
        self.controller.id()
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("controller.sock")
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        self.crowds.clear();
        self.nodes.iter_mut().for_each(end);
        for entry in fs::read_dir(self.folder.join("nodes")).into_iter().flatten().flatten() {
            stop_launcher(&entry.path());
        }
        end(&mut self.controller);
    }
}

fn controller(scope: &Scope, folder: &Path, port: u16) -> Result<Child> {
    let mut command = daemon(scope, folder)?;
    command.arg("controller").arg("--dir").arg(folder).args(["--listen-plain", &format!("127.0.0.1:{port}")]);
    command.spawn().context("cannot start the controller")
}

/// The binary, to be started with nothing to read, and a file for whatever it says.
fn daemon(scope: &Scope, folder: &Path) -> Result<Command> {
    let said = File::options().create(true).append(true).open(folder.join("said")).context("cannot make a file")?;
    let mut command = Command::new(&scope.covey);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    Ok(command)
}

/// Kills a daemon that has nothing to save.
fn end(child: &mut Child) {
    // One that has ended by itself cannot be killed, and is waited for all the same.
    child.kill().ok();
    child.wait().ok();
}

/// Ends the launcher of a node's folder, which has outlived its noded.
fn stop_launcher(folder: &Path) {
    let text = fs::read_to_string(folder.join("launcher.pid")).unwrap_or_default();
    let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return };
    let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    if words.split(|byte| *byte == 0).any(|word| word == b"launcher") {
        // One that is gone already has heard it.
        kill_process(pid, Signal::TERM).ok();
    }
}
