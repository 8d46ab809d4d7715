//! Canary secrets: a whole system runs with secrets that nothing else holds, and afterwards they are nowhere but where they belong.
//!
//! Keys of a store are in the environment of nodes and of whoever lists its blobs; a join token and tokens of users are in files; keys of TLS are made
//! by the daemons themselves. Looked through are all files of the cluster's folder, a backup, all command lines, and what jobs and steps say of their environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::rig::{COVEY, Rig, wait_for};
use crate::services::{Keys, Service};
use crate::tls::{House, files, holds};

/// The secrets of stores: an id, a key to it, and a key of another store.
const STORE_SECRETS: [&str; 3] = ["canary-key-id-4711", "canary-aws-secret-0815", "Y2FuYXJ5LWF6dXJlLXNlY3JldC00Nzg5"];

/// A store, and what a process needs to use it, with the key of another store beside it.
fn store() -> (Service, Keys) {
    let [key_id, secret, other] = STORE_SECRETS;
    let service = Service::s3_of(&["bucket"], key_id, secret);
    let mut keys = service.keys().clone();
    keys.push(("AZURE_STORAGE_ACCOUNT_KEY", other.into()));
    (service, keys)
}

/// A file that nobody else may read.
fn private(path: PathBuf, text: &str) -> PathBuf {
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    path
}

/// Bytes that must not be found, and what they are.
type Canary = (String, Vec<u8>);

/// The private part of a key in PEM: its text, and its bytes as they are in DER.
fn key_canaries(path: &Path) -> Vec<Canary> {
    let text = fs::read_to_string(path).expect("a key");
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let line = text.lines().nth(1).expect("a line of it").as_bytes().to_vec();
    assert!(body.len() > 40, "{}", path.display());
    vec![(format!("{}", path.display()), line)]
}

/// Everything in which a canary is found, but for the places where it belongs.
fn found(canaries: &[Canary], places: impl Iterator<Item = PathBuf>, home: &[PathBuf]) -> Vec<String> {
    let mut found = Vec::new();
    for path in places.filter(|path| !home.contains(path)) {
        let bytes = fs::read(&path).unwrap_or_default();
        let hits = canaries.iter().filter(|(_, canary)| holds(&bytes, canary));
        found.extend(hits.map(|(what, _)| format!("{} in {}", what, path.display())));
    }
    found
}

fn command_lines() -> impl Iterator<Item = PathBuf> {
    fs::read_dir("/proc").expect("mounted").flatten().map(|entry| entry.path().join("cmdline"))
}

/// A command over TLS with a token and the keys of the store, as a user has them who lists blobs.
fn call(house: &House, token: &Path, keys: &Keys, name: &str, args: &[&str]) -> String {
    let mut command = house.rig.command(name, args);
    command.env("COVEY_CONTROLLER", house.endpoint()).env("COVEY_CA_FILE", house.rig.dir().join("tls/ca.pem"));
    command.env("COVEY_TOKEN_FILE", token).envs(keys.iter().cloned());
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{name} {args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A node with the keys of the store in its environment, that logs all there is.
fn start_node(rig: &mut Rig, endpoint: &str, join: &Path, keys: &Keys) {
    let mut command = Command::new(COVEY);
    command.args([
        "noded",
        "--name",
        "linux0",
        "--cpus",
        "2",
        "--memory",
        "2G",
        "--controller",
        endpoint,
        "--store-auth=node",
        "--token-file",
    ]);
    command.arg(join).arg("--dir").arg(rig.dir()).envs(keys.iter().cloned()).env("COVEY_LOG", "trace");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    rig.adopt("linux0", command.spawn().expect("the binary can be started"));
}

#[test]
fn secrets_are_nowhere_but_where_they_belong() {
    let (service, store_keys) = store();
    let blob = |name: &str| service.folder().join("bucket").join(name);
    fs::create_dir(blob("in")).expect("a folder");
    for name in ["in/a", "in/b"] {
        fs::write(blob(name), name).expect("written");
    }
    let mut house = House::open(&[]);
    let outside = tempfile::tempdir().expect("a folder");
    let join = private(outside.path().join("join"), &house.rig.run("node", &["token", "create"]));
    let made = house.rig.run("user", &["token", "create", "--user", &me(), "--admin"]);
    let token = private(outside.path().join("user"), &made);
    let endpoint = house.endpoint();
    start_node(&mut house.rig, &endpoint, &join, &store_keys);
    wait_for("it is idle", || house.count("idle") == 1);

    // A map over the store, whose tasks tell their environment; a job and its steps, who tell theirs; and what is refused.
    let script = "(env; cat {in}) > {out}";
    let map = ["--from", "s3://bucket/in/", "--to", "s3://bucket/out/", "--wait", "--", "sh", "-c", script];
    call(&house, &token, &store_keys, "map", &map);
    for name in ["a", "b"] {
        let told = fs::read_to_string(blob(&format!("out/{name}"))).expect("the map ran");
        assert!(told.contains("COVEY_BLOB") && told.contains(&format!("in/{name}")), "{told}");
    }
    // Root's job may have steps only where nodes are trusted.
    fs::write(house.rig.dir().join("covey.toml"), "TrustNodes = true\n").expect("written");
    house.rig.run("scontrol", &["reconfigure"]);
    let script = "env > env.txt; srun env > step.txt";
    // Nothing of a store is exported here: whoever exports keys on purpose has them in the job.
    let mut sbatch = house.rig.command("sbatch", &["--parsable", "-o", "out.txt", "--wrap", script]);
    let submitted = sbatch.env("PATH", house.rig.path()).output();
    let job = String::from_utf8(submitted.expect("it starts").stdout).expect("text").trim().to_owned();
    assert_eq!(house.rig.wait_done(&job), ["COMPLETED"]);
    assert!(house.rig.read("env.txt").contains("SLURM_JOB_ID") && house.rig.read("step.txt").contains("SLURM_STEP_ID"));
    let bad =
        ["--from", "s3://bucket/in/", "--to", "s3://bucket/out/", "--wait", "--", "sh", "-c", "exit 3; : {in} {out}"];
    let failed = house.rig.command("map", &bad).envs(store_keys.iter().cloned()).output().expect("it starts");
    assert!(!failed.status.success());
    let history = house.rig.run("sacct", &["-nP", "-o", "ALL"]) + &house.rig.run("scontrol", &["show", "job"]);

    let words = |text: &str, separator| text.trim().rsplit(separator).next().expect("a secret").as_bytes().to_vec();
    let join_secret = fs::read_to_string(&join).expect("there");
    let mut canaries: Vec<Canary> = STORE_SECRETS.map(|secret| (secret.to_owned(), secret.into())).into();
    canaries.push(("the join token's secret".into(), words(&join_secret, '-')));
    canaries.push(("the user token's signature".into(), words(&made, '.')));
    let tls = house.rig.dir().join("tls");
    let keys = [tls.join("ca.key"), tls.join("user.key"), house.rig.dir().join("nodes/linux0/tls/node.key")];
    canaries.extend(keys.iter().flat_map(|key| key_canaries(key)));
    // The store is told its secret as an argument: it is no part of Covey.
    let home: Vec<PathBuf> = keys.into_iter().chain([format!("/proc/{}/cmdline", service.pid()).into()]).collect();

    for (what, canary) in &canaries {
        assert!(!holds(history.as_bytes(), canary), "{what} is told");
        for name in ["out/a", "out/b"] {
            assert!(!holds(&fs::read(blob(name)).expect("it was made"), canary), "{what} is in a task's environment");
        }
    }
    let (dir, work) = (house.rig.dir(), house.rig.work());
    house.rig.run("backup", &["--compress=none", &work.join("backup").to_string_lossy()]);
    let places = || files(&dir).into_iter().chain(files(&work)).chain(command_lines());
    assert_eq!(found(&canaries, places(), &home), Vec::<String>::new());
    let logs = files(&house.rig.dir().join("log"));
    assert!(logs.len() >= 2, "there are logs that were looked through: {logs:?}");
    // The journal once more, when it has written its last checkpoint.
    house.rig.stop_controller();
    assert_eq!(found(&canaries, places(), &home), Vec::<String>::new());
}

#[test]
fn a_canary_that_sings_is_heard() {
    let folder = tempfile::tempdir().expect("a folder");
    let canaries: [Canary; 1] = [("a secret".into(), b"canary".to_vec())];
    fs::create_dir(folder.path().join("deep")).expect("made");
    fs::write(folder.path().join("deep/log"), "x canary x").expect("written");
    fs::write(folder.path().join("home"), "canary").expect("written");
    let home = [folder.path().join("home")];
    let heard = found(&canaries, files(folder.path()).into_iter(), &home);
    assert_eq!(heard, [format!("a secret in {}", folder.path().join("deep/log").display())]);
}

/// The user who runs the tests.
fn me() -> String {
    let output = Command::new("id").arg("-un").output().expect("id is there");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
