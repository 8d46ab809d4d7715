//! Programs from PyPI that drive Slurm, unmodified, against a running cluster: submitit and Snakemake. Clients that speak gRPC are in `grpc.rs`.
//!
//! What they are and what they need is pinned in `tests/clients/`. The virtual environment is made once, below the target
//! directory, and again when the pins or Python change. The programs find Slurm's commands as links to the binary under test.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::rig::Rig;

/// The scripts and pins beside this test.
pub(crate) const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

#[test]
fn submitit_runs_a_job() {
    submitit("job");
}

#[test]
fn submitit_runs_an_array() {
    submitit("array");
}

#[test]
fn submitit_runs_two_tasks() {
    submitit("two_tasks");
}

#[test]
fn submitit_tells_an_exception() {
    submitit("exception");
}

#[test]
fn submitit_cancels() {
    submitit("cancel");
}

#[test]
fn submitit_requeues_what_was_preempted() {
    submitit("preempted");
}

#[test]
fn submitit_requeues_what_ran_out_of_time() {
    submitit("out_of_time");
}

#[test]
fn snakemake_asks_sacct() {
    let site = Site::start();
    let said = site.snakemake("sum.txt", "sacct", &[]);
    assert_eq!(site.rig.read("sum.txt"), "29\n", "{said}");
    site.squares(&["1", "2", "3"], &said);
    let comments = site.rig.run("sacct", &["-XnP", "-o", "Comment", "-j", "1,2,3,4"]);
    assert!(comments.contains("rule_square_wildcards_3\n"), "{comments}\n{said}");
}

#[test]
fn snakemake_asks_squeue() {
    let site = Site::start();
    let said = site.snakemake("sum.txt", "squeue", &[]);
    assert!(!said.contains("Falling back to 'sacct'"), "{said}");
    assert_eq!(site.rig.read("sum.txt"), "29\n", "{said}");
}

#[test]
fn snakemake_submits_an_array() {
    let site = Site::start();
    let said = site.snakemake("sum.txt", "squeue", &["--slurm-array-jobs", "square"]);
    assert!(said.contains("SLURM job ID 1. The individual task IDs are 1-3."), "{said}");
    assert_eq!(site.rig.read("sum.txt"), "29\n", "{said}");
    let ids = site.rig.run("sacct", &["-XnP", "-o", "JobID,State", "-j", "1"]);
    assert_eq!(ids, "1_1|COMPLETED\n1_2|COMPLETED\n1_3|COMPLETED\n", "{said}");
}

#[test]
fn snakemake_sees_a_failure() {
    let site = Site::start();
    let output = site.run_snakemake("broken.txt", "sacct", &[]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("SLURM-job '1' failed, SLURM status is: 'FAILED'. Reason: "), "{said}");
}

/// Runs one scenario of `submitit_jobs.py` on a cluster of its own.
fn submitit(scenario: &str) {
    let site = Site::start();
    let script = format!("{CLIENTS}/submitit_jobs.py");
    let output = site.command("python").arg(script).arg(scenario).output().expect("python can be started");
    assert!(output.status.success(), "{}", told(&output));
}

/// A cluster with four nodes of two CPUs, and Slurm's commands first in the search path of what is run there.
struct Site {
    rig: Rig,
    environment: &'static Path,
}

impl Site {
    fn start() -> Site {
        let environment = environment();
        let rig = Rig::start(4);
        rig.run("links", &[rig.work().join("bin").to_str().expect("text")]);
        Site { rig, environment }
    }

    /// A program of the virtual environment.
    fn command(&self, program: &str) -> Command {
        let mut path = vec![self.rig.work().join("bin"), self.environment.join("bin")];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let mut command = Command::new(self.environment.join("bin").join(program));
        command.current_dir(self.rig.work()).stdin(Stdio::null());
        command.env("PATH", std::env::join_paths(path).expect("no colons in it"));
        command.env("COVEY_CONTROLLER", self.rig.endpoint()).env("COVEY_DIR", self.rig.dir());
        // What a user's home would change, and a search for git, which is not needed.
        command.env("HOME", self.rig.work()).env("GIT_PYTHON_REFRESH", "quiet");
        command
    }

    fn run_snakemake(&self, target: &str, asks: &str, options: &[&str]) -> Output {
        let mut command = self.command("snakemake");
        command.arg(target).arg("--snakefile").arg(format!("{CLIENTS}/snakemake/Snakefile"));
        command.args(["--executor", "slurm", "--jobs", "4", "--default-resources", "mem_mb=700", "runtime=5"]);
        command.args(["--slurm-init-seconds-before-status-checks", "1", "--slurm-status-command", asks]);
        // A task of an array also waits for the file of the first task.
        command.args(["--latency-wait", "60"]);
        command.args(options).output().expect("snakemake can be started")
    }

    /// Runs a workflow that must succeed; answers all that was said.
    fn snakemake(&self, target: &str, asks: &str, options: &[&str]) -> String {
        let output = self.run_snakemake(target, asks, options);
        let said = told(&output);
        assert!(output.status.success(), "{said}");
        said
    }

    /// Checks that the squares were computed by these jobs, each with its two CPUs.
    fn squares(&self, jobs: &[&str], said: &str) {
        let files = ["2", "3", "4"].map(|number| self.rig.read(&format!("squares/{number}.txt")));
        let words: Vec<Vec<&str>> = files.iter().map(|file| file.split_whitespace().collect()).collect();
        let mut ids: Vec<&str> = words.iter().map(|words| words[1]).collect();
        ids.sort_unstable();
        assert_eq!(ids, jobs, "{said}");
        assert!(words.iter().all(|words| words[2] == "2"), "{words:?}\n{said}");
    }
}

pub(crate) fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The virtual environment with all clients, made where it is not there.
pub(crate) fn environment() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
        fs::create_dir_all(&place).expect("a folder below the target directory");
        let lock = File::create(place.join("lock")).expect("a file to lock");
        lock.lock().expect("other test runs end");
        let (python, mark) = (place.join("venv"), place.join("made-of"));
        let wanted = wanted();
        if fs::read_to_string(&mark).unwrap_or_default() != wanted {
            make(&python, &place.join("pip.log"));
            File::create(&mark).and_then(|mut file| file.write_all(wanted.as_bytes())).expect("written");
        }
        python
    })
}

/// What the environment is made of: the pins, and the Python that it links to.
fn wanted() -> String {
    let pins = ["requirements.txt", "constraints.txt", "../../examples/clients/python/requirements.txt"]
        .map(|name| fs::read_to_string(Path::new(CLIENTS).join(name)).expect("the pins are there"));
    let python = Command::new("python3").args(["-c", "import sys; print(sys.executable, sys.version)"]).output();
    let python = python.expect("python3 is there: .ci/run installs it");
    format!("{}{}", pins.concat(), told(&python))
}

fn make(environment: &Path, log: &Path) {
    let run = |command: &mut Command| {
        let output = command.stdin(Stdio::null()).output().expect("python3 is there: .ci/run installs it");
        fs::write(log, told(&output)).expect("written");
        assert!(output.status.success(), "{command:?}: {}", told(&output));
    };
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment));
    let pip = environment.join("bin/pip");
    run(Command::new(pip)
        .args(["install", "--no-input", "-r", "requirements.txt", "-c", "constraints.txt"])
        .current_dir(CLIENTS));
}
