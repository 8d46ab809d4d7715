//! Canary secrets: a whole system runs with secrets that nothing else holds, and afterwards they are nowhere but where they belong.
//!
//! Keys of a store are in the environment of nodes and of whoever lists its blobs; a join token and tokens of users are in files; keys of TLS are made
//! by the daemons themselves. Looked through are all files of the cluster's folder, all command lines, and what jobs and steps say of their environment.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::rig::{COVEY, Rig, wait_for};
use crate::tls::{House, files, holds};

/// A store that speaks enough of S3 for a map.
struct Bucket {
    address: String,
    blobs: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Bucket {
    fn open(blobs: &[(&str, &str)]) -> Bucket {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let blobs = blobs.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        let blobs = Arc::new(Mutex::new(blobs.collect::<BTreeMap<_, _>>()));
        let kept = blobs.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                thread::spawn(move || serve(stream, &kept));
            }
        });
        Bucket { address, blobs }
    }

    fn read(&self, name: &str) -> String {
        let blobs = self.blobs.lock().expect("nobody panics with it");
        String::from_utf8_lossy(blobs.get(name).map(Vec::as_slice).unwrap_or_default()).into_owned()
    }

    /// What a process needs to use it.
    fn variables(&self) -> [(&'static str, String); 6] {
        [
            ("AWS_ENDPOINT", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_REGION", "here".into()),
            ("AWS_ACCESS_KEY_ID", "canary-key-id-4711".into()),
            ("AWS_SECRET_ACCESS_KEY", "canary-aws-secret-0815".into()),
            ("AZURE_STORAGE_ACCOUNT_KEY", "Y2FuYXJ5LWF6dXJlLXNlY3JldC00Nzg5".into()),
        ]
    }
}

/// The secrets among them.
const STORE_SECRETS: [&str; 3] = ["canary-key-id-4711", "canary-aws-secret-0815", "Y2FuYXJ5LWF6dXJlLXNlY3JldC00Nzg5"];

/// Answers one request.
fn serve(stream: TcpStream, blobs: &Mutex<BTreeMap<String, Vec<u8>>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let (mut line, mut head) = (String::new(), Vec::new());
    while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
        head.push(std::mem::take(&mut line).trim_end().to_owned());
    }
    let Some((method, target)) = head.first().and_then(|line| line.split_once(' ')) else { return };
    let length = head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).expect("what was promised");
    let target = target.split(' ').next().unwrap_or_default();
    let name = target.split('?').next().unwrap_or_default().trim_start_matches("/bucket/").to_owned();
    let mut blobs = blobs.lock().expect("nobody panics with it");
    let answer = match method {
        "PUT" => {
            blobs.insert(name, body);
            reply("200 OK", "")
        }
        "DELETE" => {
            blobs.remove(&name);
            reply("204 No Content", "")
        }
        "GET" if target.contains("list-type=2") => {
            let entry = |(name, bytes): (&String, &Vec<u8>)| {
                format!(
                    "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"e\"</ETag><Size>{}</Size></Contents>",
                    bytes.len()
                )
            };
            let entries: String = blobs.iter().filter(|(name, _)| name.starts_with("in/")).map(entry).collect();
            reply("200 OK", &format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"))
        }
        "GET" | "HEAD" => match blobs.get(&name) {
            Some(bytes) => reply("200 OK", &String::from_utf8_lossy(bytes)),
            None => reply("404 Not Found", ""),
        },
        _ => reply("405 Method Not Allowed", ""),
    };
    let end = if method == "HEAD" { answer.find("\r\n\r\n").map_or(answer.len(), |at| at + 4) } else { answer.len() };
    // A client that has hung up has lost interest.
    let mut stream = stream;
    let _ = stream.write_all(&answer.as_bytes()[..end]);
}

fn reply(status: &str, body: &str) -> String {
    let date = "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nETag: \"e\"";
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{date}\r\nConnection: close\r\n\r\n{body}", body.len())
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
fn call(house: &House, token: &Path, bucket: &Bucket, name: &str, args: &[&str]) -> String {
    let mut command = house.rig.command(name, args);
    command.env("COVEY_CONTROLLER", house.endpoint()).env("COVEY_CA_FILE", house.rig.dir().join("tls/ca.pem"));
    command.env("COVEY_TOKEN_FILE", token).envs(bucket.variables());
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{name} {args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// A node with the keys of the store in its environment, that logs all there is.
fn start_node(rig: &mut Rig, endpoint: &str, join: &Path, bucket: &Bucket) {
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
        "--token-file",
    ]);
    command.arg(join).arg("--dir").arg(rig.dir()).envs(bucket.variables()).env("COVEY_LOG", "trace");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    rig.adopt("linux0", command.spawn().expect("the binary can be started"));
}

#[test]
fn secrets_are_nowhere_but_where_they_belong() {
    let bucket = Bucket::open(&[("in/a", "one"), ("in/b", "two")]);
    let mut house = House::open(&[]);
    let outside = tempfile::tempdir().expect("a folder");
    let join = private(outside.path().join("join"), &house.rig.run("node", &["token", "create"]));
    let made = house.rig.run("user", &["token", "create", "--user", &me(), "--admin"]);
    let token = private(outside.path().join("user"), &made);
    let endpoint = house.endpoint();
    start_node(&mut house.rig, &endpoint, &join, &bucket);
    wait_for("it is idle", || house.count("idle") == 1);

    // A map over the store, whose tasks tell their environment; a job and its steps, who tell theirs; and what is refused.
    let script = "(env; cat {in}) > {out}";
    let map = ["--from", "s3://bucket/in/", "--to", "s3://bucket/out/", "--wait", "--", "sh", "-c", script];
    call(&house, &token, &bucket, "map", &map);
    for name in ["a", "b"] {
        assert!(bucket.read(&format!("out/{name}")).contains("COVEY_BLOB"), "the map ran: {:?}", bucket.blobs);
    }
    let script = "env > env.txt; srun env > step.txt";
    // Nothing of a store is exported here: whoever exports keys on purpose has them in the job.
    let job = house.rig.submit(&["--wait", "-o", "out.txt", "--wrap", script]);
    assert_eq!(house.rig.wait_done(&job), ["COMPLETED"]);
    assert!(house.rig.read("env.txt").contains("SLURM_JOB_ID") && house.rig.read("step.txt").contains("SLURM_STEP_ID"));
    let bad =
        ["--from", "s3://bucket/in/", "--to", "s3://bucket/out/", "--wait", "--", "sh", "-c", "exit 3; : {in} {out}"];
    let failed = house.rig.command("map", &bad).envs(bucket.variables()).output().expect("it starts");
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

    for (what, canary) in &canaries {
        assert!(!holds(history.as_bytes(), canary), "{what} is told");
        for name in ["out/a", "out/b"] {
            assert!(!holds(bucket.read(name).as_bytes(), canary), "{what} is in a task's environment");
        }
    }
    let (dir, work) = (house.rig.dir(), house.rig.work());
    let places = || files(&dir).into_iter().chain(files(&work)).chain(command_lines());
    assert_eq!(found(&canaries, places(), &keys), Vec::<String>::new());
    let logs = files(&house.rig.dir().join("log"));
    assert!(logs.len() >= 2, "there are logs that were looked through: {logs:?}");
    // The journal once more, when it has written its last checkpoint.
    house.rig.stop_controller();
    assert_eq!(found(&canaries, places(), &keys), Vec::<String>::new());
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
