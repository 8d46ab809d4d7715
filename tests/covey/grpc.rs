//! Clients that speak gRPC: the one in `examples/clients/python` as it is, and Python's own health and reflection clients.
//!
//! Python and its packages are those of `clients.rs`; the stubs are made of `proto/` for each test run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::clients::{CLIENTS, environment, told};
use crate::rig::{Rig, is_root, wait_for};
use crate::tls::House;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/clients/python");

/// The Python code of the `.proto` files, made by the client's own script.
fn stubs() -> &'static Path {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let mut command = Command::new("sh");
        command.arg(format!("{CLIENT}/stubs.sh")).arg(folder.path()).stdin(Stdio::null());
        let path = format!("{}:{}", environment().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let output = command.env("PATH", path).output().expect("sh is there");
        assert!(output.status.success(), "{}", told(&output));
        folder
    });
    made.path()
}

/// A Python program on the way to this controller, with what the client needs to find it.
pub(crate) fn python(rig: &Rig, endpoint: &str, script: &str, args: &[&str]) -> Command {
    let mut command = Command::new(environment().join("bin/python"));
    command.arg(script).args(args).current_dir(rig.work()).stdin(Stdio::null());
    command.env("COVEY_CONTROLLER", endpoint).env("COVEY_STUBS", stubs()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PYTHONPATH", CLIENT).env("HOME", rig.work());
    command
}

/// The client's program.
struct Client<'a> {
    rig: &'a Rig,
    endpoint: String,
    papers: Vec<(&'static str, PathBuf)>,
}

impl Client<'_> {
    fn call(&self, script: &str, args: &[&str]) -> Output {
        let mut command = python(self.rig, &self.endpoint, script, args);
        command.envs(self.papers.iter().cloned());
        command.output().expect("python can be started")
    }

    fn run(&self, args: &[&str]) -> Output {
        self.call(&format!("{CLIENT}/covey_client.py"), args)
    }

    /// What it prints when it must succeed.
    fn said(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", told(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// What it complains of.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", told(&output));
        String::from_utf8(output.stderr).expect("text")
    }

    /// Runs one scenario of `grpc_checks.py`.
    fn check(&self, scenario: &str) {
        let output = self.call(&format!("{CLIENTS}/grpc_checks.py"), &[scenario]);
        assert!(output.status.success(), "{scenario}: {}", told(&output));
    }
}

/// Submits an array and watches it to its end, and cancels what would run for ever.
fn submits_watches_and_cancels(client: &Client<'_>) {
    let write = |name: &str, text: &str| fs::write(client.rig.work().join(name), text).expect("written");
    write("three.sh", "#!/bin/sh\nexit $((SLURM_ARRAY_TASK_ID / 2))\n");
    write("long.sh", "#!/bin/sh\nsleep 600\n");
    let said = client.said(&["submit", "three.sh", "--array", "0-2", "--watch"]);
    let job = said.lines().next().and_then(|line| line.strip_prefix("submitted ")).expect("a number").to_owned();
    for end in ["_0 COMPLETED", "_1 COMPLETED", "_2 FAILED"] {
        assert!(said.contains(&format!("{job}{end} ")), "{end} in {said}");
    }
    let long = client.said(&["submit", "long.sh", "--name", "long"]).trim().replace("submitted ", "");
    assert_eq!(client.said(&["cancel", &long]), "");
    let ended = client.said(&["watch", &long]);
    assert!(ended.lines().last().is_some_and(|line| line.starts_with(&format!("{long} CANCELLED"))), "{ended}");
    assert_eq!(client.refused(&["cancel", "4000", &long]), format!("4000: UNKNOWN_JOB\n{long}: ALREADY_DONE\n"));
    assert!(client.refused(&["watch", "4000"]).starts_with("UNKNOWN_JOB: Invalid job id specified"));
    assert!(client.refused(&["submit", "three.sh", "--array", "3-1"]).starts_with("FIELD_INVALID: "));
}

#[test]
fn the_python_client_works_over_the_unix_socket() {
    let rig = Rig::start(1);
    let client = Client { rig: &rig, endpoint: rig.endpoint(), papers: Vec::new() };
    submits_watches_and_cancels(&client);
    for scenario in ["health", "reflection", "errors", "watch"] {
        client.check(scenario);
    }
}

/// A token of a user who is no administrator where there is such a one: root's tests take nobody.
fn token(house: &House) -> PathBuf {
    let as_root = is_root();
    let options: &[&str] = if as_root { &["--user", "nobody"] } else { &[] };
    if as_root {
        house.rig.let_others_in();
    }
    let made = house.rig.run("user", &[&["token", "create"], options].concat());
    let path = house.rig.work().join("user.token");
    fs::write(&path, made).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    path
}

#[test]
fn the_python_client_works_from_elsewhere_with_a_token() {
    let mut house = House::open(&[]);
    let join = house.token(&[]);
    house.start_node("linux0", &join);
    wait_for("it is idle", || house.count("idle") == 1);
    let authority = ("COVEY_CA_FILE", house.rig.dir().join("tls/ca.pem"));
    let papers = vec![authority.clone(), ("COVEY_TOKEN_FILE", token(&house))];
    let client = Client { rig: &house.rig, endpoint: house.endpoint(), papers };
    submits_watches_and_cancels(&client);
    for scenario in ["health", "reflection", "errors", "watch", "not_mine"] {
        client.check(scenario);
    }
    house.rig.run("user", &["token", "revoke", "1"]);
    let said = client.refused(&["watch", "--mine"]);
    assert!(said.starts_with("BAD_CREDENTIALS: user token 1 was revoked"), "{said}");
    // Whoever has no token may ask whether the controller is well, and nothing else.
    client.check("health");
    client.check("nameless");
}

#[test]
fn a_watch_begins_again_after_a_restart() {
    let mut rig = Rig::start(1);
    let go = rig.work().join("go");
    let job = rig.submit(&["-o", "none", "--wrap", &format!("while [ ! -e {} ]; do sleep 0.02; done", go.display())]);
    let watch = |rig: &Rig, to: &str| {
        let script = format!("{CLIENT}/covey_client.py");
        let file = fs::File::create(rig.work().join(to)).expect("a file");
        python(rig, &rig.endpoint(), &script, &["watch", &job])
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .expect("python")
    };
    let mut first = watch(&rig, "first");
    wait_for("it is seen running", || rig.try_read("first").contains("RUNNING"));
    rig.kill_controller();
    assert_eq!(first.wait().expect("a child").code(), Some(1), "the stream broke");
    rig.start_controller();
    let mut second = watch(&rig, "second");
    wait_for("the new stream begins with what there is", || rig.try_read("second").contains("RUNNING"));
    fs::write(&go, "").expect("written");
    assert!(second.wait().expect("a child").success());
    assert!(rig.read("second").contains(&format!("{job} COMPLETED")));
}
