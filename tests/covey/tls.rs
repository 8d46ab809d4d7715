//! Nodes over TLS with real processes: who is let in and how, and everybody who is not.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use proto::dial::dial_trusting;
use proto::node_certificate::NodeCertificate;
use proto::tls::read_certificate;
use proto::trust::Trust;
use proto::v1;
use proto::v1::controller_client::ControllerClient;
use proto::v1::membership_client::MembershipClient;
use proto::v1::node_link_client::NodeLinkClient;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::rig::{COVEY, PATIENCE, Rig, wait_for};

/// A controller that listens with TLS on loopback.
pub(crate) struct House {
    pub(crate) rig: Rig,
    pub(crate) address: String,
}

impl House {
    pub(crate) fn open(options: &[&str]) -> House {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut house = House { rig: Rig::start(0), address: format!("127.0.0.1:{port}") };
        house.restart(options);
        house
    }

    pub(crate) fn restart(&mut self, options: &[&str]) {
        self.rig.kill_controller();
        let options: Vec<&str> = ["--listen", &self.address].iter().chain(options).copied().collect();
        self.rig.start_controller_with(&options);
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Makes a token and answers the file that it is in.
    pub(crate) fn token(&self, options: &[&str]) -> String {
        let words: Vec<&str> = ["token", "create"].iter().chain(options).copied().collect();
        self.token_file(&self.rig.run("node", &words))
    }

    pub(crate) fn token_file(&self, text: &str) -> String {
        let path = self.rig.work().join("join.txt");
        fs::write(&path, text).expect("written");
        path.to_string_lossy().into_owned()
    }

    pub(crate) fn start_node(&mut self, name: &str, token_file: &str) {
        let endpoint = self.endpoint();
        self.rig.start_node_at(name, &endpoint, &["--token-file", token_file]);
    }

    /// Runs a noded that is not let in, to its end.
    pub(crate) fn refused_node(&self, name: &str, options: &[&str]) -> String {
        let mut command = Command::new(COVEY);
        command.args(["noded", "--name", name, "--controller", &self.endpoint(), "--dir"]).arg(self.rig.dir());
        let Output { status, stderr, .. } = command.args(options).output().expect("it starts");
        let said = String::from_utf8_lossy(&stderr).into_owned();
        assert!(!status.success(), "{name} ends: {said}");
        assert!(!self.rig.dir().join("nodes").join(name).join("launcher.pid").exists(), "and leaves nothing behind");
        said
    }

    /// The nodes in this state, as sinfo's `%t` has it.
    pub(crate) fn count(&self, state: &str) -> usize {
        let listed = self.rig.run("sinfo", &["-h", "-N", "-o", "%t"]);
        listed.lines().filter(|line| line.trim() == state).count()
    }

    pub(crate) fn papers(&self, name: &str) -> PathBuf {
        self.rig.dir().join("nodes").join(name).join("tls")
    }

    pub(crate) fn certificate(&self, name: &str) -> NodeCertificate {
        let der = read_certificate(&self.papers(name).join("node.pem")).expect("it has joined");
        NodeCertificate::read(&der).expect("a node's")
    }

    fn authority(&self) -> Vec<u8> {
        fs::read(self.rig.dir().join("tls/ca.pem")).expect("there is a CA")
    }

    /// A caller with the papers of a node.
    pub(crate) async fn channel_as(&self, name: &str) -> Channel {
        let papers = self.papers(name);
        let key = PrivateKeyDer::from_pem_file(papers.join("node.key")).expect("a key");
        let [authority, own] = ["ca.pem", "node.pem"].map(|file| read_certificate(&papers.join(file)).expect("there"));
        self.channel(&Trust::with_identity(&authority, own, key).expect("they fit")).await
    }

    pub(crate) async fn anonymous_channel(&self) -> Channel {
        self.channel(&Trust::in_file(&self.rig.dir().join("tls/ca.pem")).expect("a CA")).await
    }

    async fn channel(&self, trust: &Trust) -> Channel {
        let endpoints = self.endpoint().parse().expect("an address");
        dial_trusting(&endpoints, Some(trust), PATIENCE).await.expect("it answers")
    }
}

pub(crate) fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_secs()).expect("for a while yet")
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

pub(crate) async fn join_as(channel: Channel, name: &str) -> Status {
    let register = v1::Register { name: name.into(), spool: vec![7; 16], cpus_milli: 1000, ..Default::default() };
    let said = v1::FromNode { kind: Some(v1::from_node::Kind::Register(register)) };
    let joined = NodeLinkClient::new(channel).join(tokio_stream::iter([said])).await;
    joined.map(|_| ()).expect_err("it may not")
}

pub(crate) fn detail(status: &Status) -> String {
    proto::error::detail(status).unwrap_or_default()
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

pub(crate) fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn nine_nodes_join_with_one_token_run_a_job_and_leave_no_secret_behind() {
    let mut house = House::open(&[]);
    let token_file = house.token(&["--uses", "9"]);
    for i in 0..9 {
        house.start_node(&format!("linux{i}"), &token_file);
    }
    wait_for("nine nodes are idle", || house.count("idle") == 9);
    let job = house.rig.submit(&["--array=0-17", "-o", "out-%a.txt", "--wrap", "echo $SLURMD_NODENAME"]);
    assert_eq!(house.rig.wait_done(&job), ["COMPLETED"; 18]);
    assert!(house.rig.read("out-17.txt").starts_with("linux"));

    let said = house.refused_node("linux9", &["--token-file", &token_file]);
    assert!(said.contains("join token 1 is used up") && said.contains("--uses"), "{said}");
    let listed = house.rig.run("node", &["token", "list"]);
    assert!(listed.contains(" USED ") && listed.contains(" 9/9 "), "{listed}");

    let keys = (0..9).map(|i| house.papers(&format!("linux{i}")).join("node.key"));
    for key in keys.chain([house.rig.dir().join("tls/ca.key")]) {
        assert_eq!(fs::metadata(&key).expect("there").mode() & 0o777, 0o600, "{}", key.display());
    }
    let token = fs::read_to_string(&token_file).expect("written");
    let secret = token.trim().rsplit('-').next().expect("a secret").to_owned();
    let raw: Vec<u8> =
        (0..secret.len()).step_by(2).map(|i| u8::from_str_radix(&secret[i..i + 2], 16).expect("hex")).collect();
    let commands = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path().join("cmdline"));
    let kept = files(&house.rig.dir());
    assert!(
        kept.iter().any(|path| path.ends_with("controller.log"))
            && kept.iter().any(|path| path.ends_with("linux8.log"))
    );
    for path in kept.into_iter().chain(commands) {
        let bytes = fs::read(&path).unwrap_or_default();
        assert!(!holds(&bytes, secret.as_bytes()) && !holds(&bytes, &raw), "{} holds the secret", path.display());
    }
}

#[test]
fn a_restarted_controller_keeps_its_ca_and_nodes_need_no_token_again() {
    let mut house = House::open(&[]);
    let token_file = house.token(&[]);
    house.start_node("linux0", &token_file);
    wait_for("it is idle", || house.count("idle") == 1);
    let authority = house.authority();
    house.rig.run("node", &["token", "revoke", "1"]);
    fs::remove_file(&token_file).expect("there");
    house.restart(&[]);
    wait_for("it is back", || house.count("idle") == 1);
    assert_eq!(house.authority(), authority);

    house.rig.end_node("linux0", "TERM");
    wait_for("it is silent", || house.count("idle*") == 1);
    let endpoint = house.endpoint();
    house.rig.start_node_at("linux0", &endpoint, &[]);
    wait_for("it is back without a token", || house.count("idle") == 1);
}

#[test]
fn a_token_that_is_not_good_is_named_with_the_fix() {
    let house = House::open(&[]);
    let good = house.rig.run("node", &["token", "create"]);
    let (head, secret) = good.trim().rsplit_once('-').expect("two parts");

    let other_cluster = house.token_file(&format!("COVEY-1-{}-{secret}", "0".repeat(64)));
    let said = house.refused_node("a", &["--token-file", &other_cluster]);
    assert!(said.contains("is not the controller of this cluster"), "{said}");
    let unknown = house.token_file(&format!("{head}-{}", "0".repeat(32)));
    let said = house.refused_node("a", &["--token-file", &unknown]);
    assert!(said.contains("this join token is not known here"), "{said}");
    let slip = house.token_file(&good.replace("COVEY-1", "COVEY1"));
    let said = house.refused_node("a", &["--token-file", &slip]);
    assert!(said.contains("this is no join token") && !said.contains(secret), "{said}");
    let said = house.refused_node("a", &[]);
    assert!(said.contains("node a has no certificate") && said.contains("covey node token create"), "{said}");

    house.rig.run("node", &["token", "revoke", "1"]);
    let revoked = house.token_file(&good);
    let said = house.refused_node("a", &["--token-file", &revoked]);
    assert!(said.contains("join token 1 was revoked"), "{said}");
    let short = house.token(&["--ttl", "1s"]);
    wait_for("its time has passed", || house.rig.run("node", &["token", "list"]).contains(" EXPIRED "));
    let said = house.refused_node("a", &["--token-file", &short]);
    assert!(said.contains("join token 2 has expired"), "{said}");
    assert_eq!(house.count("idle"), 0, "nobody came in");

    let plain = Rig::start(0);
    let said = plain.try_run("node", &["token", "create"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("start it with --listen"), "{said:?}");
}

#[test]
fn a_node_speaks_for_itself_and_gives_no_commands() {
    let mut house = House::open(&[]);
    let token_file = house.token(&[]);
    for name in ["x", "y"] {
        house.start_node(name, &token_file);
    }
    wait_for("both are idle", || house.count("idle") == 2);
    block_on(async {
        let y = house.channel_as("y").await;
        let refusal = join_as(y.clone(), "x").await;
        assert_eq!(
            (refusal.code(), detail(&refusal).contains("node y may only speak for itself")),
            (Code::PermissionDenied, true)
        );
        let refusal = ControllerClient::new(y.clone()).cancel(v1::CancelRequest::default()).await.expect_err("no user");
        assert_eq!((refusal.code(), detail(&refusal).contains("node y")), (Code::PermissionDenied, true));
        let request = v1::RenewRequest { signing_request: vec![1; 100] };
        let refusal = MembershipClient::new(y).renew_certificate(request).await.expect_err("no request");
        assert_eq!(refusal.code(), Code::InvalidArgument);

        let nobody = house.anonymous_channel().await;
        assert_eq!(join_as(nobody.clone(), "z").await.code(), Code::PermissionDenied);
        let listed = ControllerClient::new(nobody.clone()).list_nodes(v1::ListNodesRequest::default()).await;
        assert_eq!(listed.expect_err("no user").code(), Code::PermissionDenied);
        let renewed = MembershipClient::new(nobody.clone()).renew_certificate(v1::RenewRequest::default()).await;
        assert_eq!(renewed.expect_err("nothing to renew").code(), Code::Unauthenticated);
        let health = HealthClient::new(nobody).check(HealthCheckRequest::default()).await;
        assert!(health.is_ok(), "whoever watches the controller needs no name: {health:?}");
    });
    // With the papers of another a noded does not even try.
    house.rig.end_node("y", "TERM");
    fs::create_dir_all(house.rig.dir().join("nodes/z")).expect("made");
    fs::rename(house.papers("y"), house.papers("z")).expect("moved");
    let said = house.refused_node("z", &[]);
    assert!(said.contains("it is for node y"), "{said}");
}

#[test]
fn certificates_are_renewed_in_time_on_both_sides() {
    let lives = ["--node-certificate-life", "9", "--server-certificate-life", "3"];
    let mut house = House::open(&lives);
    let token_file = house.token(&["--uses", "1"]);
    house.start_node("linux0", &token_file);
    wait_for("it is idle", || house.count("idle") == 1);
    let first = house.certificate("linux0");
    wait_for("it has its second certificate", || house.certificate("linux0").until_s > first.until_s);
    let second = house.certificate("linux0");
    assert_eq!((second.key, second.name), (first.key, first.name), "the key stays");
    assert!(now_s() < first.until_s + 1, "and it came before the first had run out");
    wait_for("the first has run out", || now_s() > first.until_s);
    assert_eq!(house.count("idle"), 1, "the link has stayed");

    // It comes again with a newer one, to a controller that has renewed its own.
    block_on(async { house.anonymous_channel().await });
    house.rig.end_node("linux0", "TERM");
    let endpoint = house.endpoint();
    house.rig.start_node_at("linux0", &endpoint, &[]);
    wait_for("it is back", || house.count("idle") == 1);

    // Who has slept through it all needs a token again.
    house.rig.end_node("linux0", "TERM");
    wait_for("the last has run out", || now_s() > house.certificate("linux0").until_s);
    let mut command = Command::new(COVEY);
    command.args(["noded", "--name", "linux0", "--controller", &endpoint, "--dir"]).arg(house.rig.dir());
    let said = String::from_utf8_lossy(&command.output().expect("it starts").stderr).into_owned();
    assert!(said.contains("has a certificate that has run out") && said.contains("--token-file"), "{said}");
    let token_file = house.token(&["--uses", "1"]);
    house.start_node("linux0", &token_file);
    wait_for("it has joined again", || house.count("idle") == 1);
}

#[test]
fn a_revoked_node_is_gone_at_once_and_stays_out() {
    let mut house = House::open(&[]);
    let token_file = house.token(&[]);
    house.start_node("linux0", &token_file);
    wait_for("it is idle", || house.count("idle") == 1);
    let said = house.rig.run("node", &["revoke", "linux0"]);
    assert!(said.contains("node linux0 is revoked") && said.contains("covey node token revoke 1"), "{said}");
    assert_eq!((house.count("idle"), house.count("idle*")), (0, 1), "its link is cut when the command is done");
    let refusal = block_on(async { join_as(house.channel_as("linux0").await, "linux0").await });
    assert_eq!((refusal.code(), detail(&refusal).contains("was revoked")), (Code::PermissionDenied, true));
    let log = house.rig.dir().join("log/linux0.log");
    wait_for("it is told", || fs::read_to_string(&log).is_ok_and(|log| log.contains("does not count any more")));
    house.restart(&[]);
    assert_eq!(house.count("idle"), 0, "and a restart forgets nothing");

    house.rig.end_node("linux0", "TERM");
    fs::remove_file(house.papers("linux0").join("node.pem")).expect("there");
    let endpoint = house.endpoint();
    house.rig.start_node_at("linux0", &endpoint, &["--token-file", &token_file]);
    let refused = || fs::read_to_string(house.rig.dir().join("log/controller.log")).unwrap_or_default();
    wait_for("its key is refused, good token or not", || refused().contains("was revoked with this key"));
    house.rig.end_node("linux0", "KILL");
    fs::remove_dir_all(house.papers("linux0")).expect("there");
    house.start_node("linux0", &token_file);
    wait_for("with a new key it is let in", || house.count("idle") == 1);
    let said = house.rig.try_run("node", &["revoke", "linux7"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("no node linux7 has joined"), "{said:?}");
}

/// A ClientHello of TLS 1.2, as an old client would send it.
pub(crate) fn old_hello() -> Vec<u8> {
    let extensions = [0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23];
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 16]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).expect("short");
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

#[test]
fn the_port_takes_tls_1_3_and_nothing_else() {
    let mut house = House::open(&[]);
    let mut command = house.rig.command("squeue", &["--help"]);
    assert!(command.env("COVEY_CONTROLLER", house.endpoint()).output().expect("it starts").status.success());
    let ask = |endpoint: &str, authority: &str| {
        let mut command = house.rig.command("squeue", &[]);
        command.env("COVEY_CONTROLLER", endpoint).env("COVEY_CA_FILE", authority).env("COVEY_CONNECT_TIMEOUT", "0");
        String::from_utf8_lossy(&command.output().expect("it starts").stderr).into_owned()
    };
    let authority = house.rig.dir().join("tls/ca.pem");
    let authority = authority.to_string_lossy();
    let said = ask(&format!("http://{}", house.address), &authority);
    assert!(said.contains("Unable to contact slurm controller"), "plaintext: {said}");
    let said = ask(&house.endpoint(), &authority);
    assert!(said.contains("Access/permission denied") && said.contains("covey user token create"), "no name: {said}");
    let said = ask(&house.endpoint(), "/nonexistent/ca.pem");
    assert!(said.contains("/nonexistent/ca.pem") && said.contains("COVEY_CA_FILE"), "no CA: {said}");
    let other = House::open(&[]);
    let said = ask(&other.endpoint(), &authority);
    assert!(said.contains("is not the controller of this cluster"), "another CA: {said}");

    let mut old = TcpStream::connect(&house.address).expect("it listens");
    old.write_all(&old_hello()).expect("sent");
    old.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut answer = [0; 7];
    old.read_exact(&mut answer).expect("an alert");
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 70], "a fatal alert, protocol_version");

    // Who connects and says nothing keeps nobody out.
    let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(&house.address).expect("it listens")).collect();
    let token_file = house.token(&[]);
    house.start_node("linux0", &token_file);
    wait_for("it is let in past them", || house.count("idle") == 1);
    drop(silent);
}

#[test]
fn a_certificate_is_for_the_names_that_are_advertised() {
    let mut house = House::open(&[]);
    let authority = house.rig.dir().join("tls/ca.pem");
    let port = house.address.rsplit(':').next().expect("a port").to_owned();
    let ask = |house: &House| {
        let mut command = house.rig.command("squeue", &[]);
        command.env("COVEY_CONTROLLER", format!("https://127.0.0.2:{port}")).env("COVEY_CA_FILE", &authority);
        String::from_utf8_lossy(&command.env("COVEY_CONNECT_TIMEOUT", "0").output().expect("it starts").stderr)
            .into_owned()
    };
    house.address = format!("0.0.0.0:{port}");
    house.restart(&[]);
    let said = ask(&house);
    assert!(said.contains("--advertise 127.0.0.2"), "{said}");
    house.restart(&["--advertise", "ctl.example,127.0.0.2"]);
    let said = ask(&house);
    assert!(said.contains("Access/permission denied"), "it is the controller: {said}");
}

/// A command from elsewhere, with this token.
pub(crate) fn call_with(house: &House, token: &Path, name: &str, args: &[&str]) -> Output {
    let mut command = house.rig.command(name, args);
    command.env("COVEY_CONTROLLER", house.endpoint()).env("COVEY_CA_FILE", house.rig.dir().join("tls/ca.pem"));
    command.env("COVEY_TOKEN_FILE", token).env("COVEY_CONNECT_TIMEOUT", "5").output().expect("it starts")
}

pub(crate) fn private_file(house: &House, text: &str) -> PathBuf {
    let path = house.rig.work().join("user.token");
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    path
}

#[test]
fn users_call_from_elsewhere_with_a_token_that_counts() {
    let mut house = House::open(&[]);
    let token_file = house.token(&[]);
    house.start_node("linux0", &token_file);
    wait_for("it is idle", || house.count("idle") == 1);
    let made = house.rig.run("user", &["token", "create", "--user", "root", "--admin"]);
    let token = private_file(&house, &made);
    let call = |name: &str, args: &[&str]| call_with(&house, &token, name, args);
    let done = call("sbatch", &["--wait", "-o", "out.txt", "--wrap", "echo from elsewhere"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(house.rig.read("out.txt"), "from elsewhere\n");
    let said = |name: &str, args: &[&str]| String::from_utf8_lossy(&call(name, args).stderr).into_owned();
    let refused = said("user", &["token", "create", "--user", "root", "--admin"]);
    assert!(refused.contains("over its unix socket"), "a token makes none: {refused}");

    let secret = made.trim().rsplit('.').next().expect("a signature").to_owned();
    house.rig.run("user", &["token", "revoke", "1"]);
    assert!(said("squeue", &[]).contains("user token 1 was revoked"), "at once");
    house.restart(&[]);
    let said = |name: &str| String::from_utf8_lossy(&call_with(&house, &token, name, &[]).stderr).into_owned();
    assert!(said("squeue").contains("user token 1 was revoked"), "and a restart forgets nothing");

    let other = House::open(&[]);
    private_file(&house, &other.rig.run("user", &["token", "create", "--user", "root", "--admin"]));
    assert!(said("squeue").contains("for another cluster"));
    private_file(&house, &house.rig.run("user", &["token", "create", "--user", "root", "--admin", "--ttl", "1s"]));
    wait_for("its time has passed", || said("squeue").contains("expired"));
    private_file(&house, "a.b.c");
    assert!(said("squeue").contains("no token of a user"));
    fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("ours");
    assert!(said("squeue").contains("chmod 600"));

    let refused = house.rig.try_run("user", &["token", "create", "--user", "root"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--admin"), "{refused:?}");
    // As scontrol prints it, for a user who is no administrator.
    private_file(&house, &house.rig.run("scontrol", &["token", "lifespan=60", "username=nobody"]));
    assert!(call_with(&house, &token, "squeue", &[]).status.success());
    let drained = call_with(&house, &token, "scontrol", &["update", "nodename=linux0", "state=drain", "reason=x"]);
    assert!(String::from_utf8_lossy(&drained.stderr).contains("denied"), "{drained:?}");
    for path in files(&house.rig.dir()) {
        let bytes = fs::read(&path).unwrap_or_default();
        assert!(!holds(&bytes, secret.as_bytes()), "{} holds the token", path.display());
    }
}

#[test]
fn steps_run_on_nodes_that_joined_over_tls_and_only_for_themselves() {
    let mut house = House::open(&[]);
    let token_file = house.token(&[]);
    for name in ["x", "y"] {
        house.start_node(name, &token_file);
    }
    wait_for("both are idle", || house.count("idle") == 2);
    let said = house.rig.run("srun", &["-N2", "-n2", "sh", "-c", "echo $SLURMD_NODENAME"]);
    let mut names: Vec<&str> = said.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["x", "y"]);
    let name = v1::StepName { job: 1, index: 0, attempt: 1, step: 0 };
    let hello = v1::StepdHello { name: Some(name), node: "x".into(), secret: vec![7; 16] };
    let said = v1::FromStepd { kind: Some(v1::from_stepd::Kind::Hello(hello)) };
    let refusal = block_on(async {
        let y = house.channel_as("y").await;
        let served = NodeLinkClient::new(y).serve_step(tokio_stream::iter([said])).await;
        served.map(|_| ()).expect_err("y is not x")
    });
    assert_eq!(
        (refusal.code(), detail(&refusal).contains("node y may only speak for itself")),
        (Code::PermissionDenied, true)
    );
}
