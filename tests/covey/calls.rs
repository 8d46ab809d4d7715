//! Commands on nodes that have joined over TLS, in jobs and beside them, without any token: what they can do, for whom a node may
//! speak, and that a node which lies gains nothing.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use proto::behalf::BEHALF_KEY;
use proto::dial::{dial, dial_trusting};
use proto::trust::Trust;
use proto::v1;
use proto::v1::admission_client::AdmissionClient;
use proto::v1::controller_client::ControllerClient;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::rig::{COVEY, PATIENCE, is_root, wait_for};
use crate::tls::{House, block_on, detail};

/// Another user than root, and their group.
const NOBODY: u32 = 65_534;
/// What a user is told of whom nothing runs on a node.
const STRANGER: &str = "only while something of theirs runs there";

/// A cluster of nodes over TLS that other users may use.
struct Site {
    house: House,
    token_file: String,
}

impl Site {
    /// `None` where this is not root, who alone can be somebody else.
    fn open(nodes: &[&str]) -> Option<Site> {
        if !is_root() {
            return None;
        }
        let house = House::open(&[]);
        let rig = &house.rig;
        rig.let_others_in();
        let token_file = house.token(&[]);
        let mut site = Site { house, token_file };
        for name in nodes {
            site.house.start_node(name, &site.token_file);
        }
        wait_for("all are idle", || site.house.count("idle") == nodes.len());
        Some(site)
    }

    fn socket(&self, node: &str) -> PathBuf {
        self.house.rig.dir().join("nodes").join(node).join("calls.sock")
    }

    /// A command of a user that finds the controller there.
    fn command_at(&self, uid: u32, gid: u32, endpoint: &str, args: &[&str]) -> Command {
        let rig = &self.house.rig;
        let mut command = Command::new(rig.dir().join("covey"));
        command.args(args).current_dir(rig.work()).uid(uid).gid(gid).env_remove("COVEY_DIR");
        command.env("COVEY_CONTROLLER", endpoint).env("HOME", "/nonexistent").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command of nobody's beside all jobs of a node.
    fn on(&self, node: &str, args: &[&str]) -> Output {
        self.on_as(node, NOBODY, NOBODY, args)
    }

    fn on_as(&self, node: &str, uid: u32, gid: u32, args: &[&str]) -> Output {
        let endpoint = format!("unix://{}", self.socket(node).display());
        self.command_at(uid, gid, &endpoint, args).output().expect("it starts")
    }

    /// Submits a script of nobody's on the controller's machine, where `covey` is the binary.
    fn submit(&self, options: &[&str], lines: &str) -> String {
        let rig = &self.house.rig;
        let covey = rig.dir().join("covey");
        let script = format!("#!/bin/bash\ncovey() {{ {} \"$@\"; }}\n{lines}\n", covey.display());
        fs::write(rig.work().join("job.sh"), script).expect("written");
        let args = [&["sbatch", "--parsable"], options, &["-o", "%j.out", "job.sh"]].concat();
        let done = self.command_at(NOBODY, NOBODY, &rig.endpoint(), &args).output().expect("it starts");
        assert!(done.status.success(), "{done:?}");
        text(&done.stdout).trim().to_owned()
    }

    /// A job of nobody's that runs on this node until it is cancelled.
    fn occupy(&self, node: &str) -> String {
        let job = self.submit(&["-w", node], "exec sleep 1000");
        wait_for("it runs", || self.house.rig.states(&job) == ["RUNNING"]);
        job
    }

    fn trust_nodes(&self, trust: bool) {
        fs::write(self.house.rig.dir().join("covey.toml"), format!("TrustNodes = {trust}\n")).expect("written");
        self.house.rig.run("scontrol", &["reconfigure"]);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A call with a word on whose it is.
fn said<T>(message: T, behalf: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(BEHALF_KEY, behalf.parse().expect("text"));
    request
}

/// Cancels a job by hand, with what a caller says of himself; why not, if not.
async fn cancel(channel: &Channel, job: &str, behalf: &str) -> Result<(), (Code, String)> {
    let request = v1::CancelRequest { ids: vec![job.to_owned()], ..Default::default() };
    let told = |status: Status| (status.code(), format!("{} {}", status.message(), detail(&status)));
    let reply = ControllerClient::new(channel.clone()).cancel(said(request, behalf)).await.map_err(told)?.into_inner();
    let refusal = reply.refusals.into_iter().next().unwrap_or_default();
    if refusal.is_empty() { Ok(()) } else { Err((Code::Ok, refusal)) }
}

#[test]
fn commands_in_a_job_need_nothing_and_their_rights_end_with_it() {
    let Some(site) = Site::open(&["x", "y"]) else { return };
    let rig = &site.house.rig;
    let roots = rig.submit(&["-H", "--wrap", "true"]);
    let script = format!(
        "echo at $COVEY_CONTROLLER\n\
         covey squeue -h -j $SLURM_JOB_ID -o '%T %u'\n\
         other=$(covey sbatch --parsable -H --wrap true); covey scancel $other; covey squeue -h -t all -j $other -o 'other %T %u'\n\
         covey srun -l bash -c 'covey() {{ {covey} \"$@\"; }}; covey squeue -h -j $SLURM_JOB_ID -o \"$SLURMD_NODENAME %T\"'\n\
         printf 'one\\ntwo\\n' | covey srun -N1 -n1 cat\n\
         env -i SLURM_JOB_ID=$SLURM_JOB_ID {covey} srun -N1 -n1 /bin/echo bare\n\
         covey salloc -N1 true 2>/dev/null && echo allocated\n\
         covey scancel {roots}; echo code $?\n\
         covey scontrol update nodename=x state=drain reason=x; echo code $?\n\
         covey node token create; echo code $?\n",
        covey = rig.dir().join("covey").display(),
    );
    let job = site.submit(&["-N2", "-n2"], &script);
    assert_eq!(rig.wait_done(&job), ["COMPLETED"], "{}", rig.try_read(&format!("{job}.out")));
    let written = rig.read(&format!("{job}.out"));
    let lines: Vec<&str> = written.lines().collect();
    for line in [
        &*format!("at unix://{}", site.socket("x").display()),
        "RUNNING nobody",
        "other CANCELLED nobody",
        "0: x RUNNING",
        "1: y RUNNING",
        "one",
        "two",
        "bare",
        "allocated",
    ] {
        assert!(lines.contains(&line), "{line}: {written}");
    }
    assert_eq!(written.matches("code 1").count(), 3, "{written}");
    for part in ["only where TrustNodes = true", "no calls about tokens and members", "Access/permission denied"] {
        assert!(written.contains(part), "{part}: {written}");
    }
    assert_eq!(rig.states(&roots), ["PENDING"]);

    // On the same node, after it: who looks changes nothing, and may.
    let own = site.submit(&["-H"], "true");
    let seen = site.on("x", &["squeue", "-h", "-j", &own, "-o", "%u"]);
    assert_eq!(text(&seen.stdout), "nobody\n", "{}", text(&seen.stderr));
    for args in [
        &["scancel", &own][..],
        &["sbatch", "--wrap", "true"],
        &["scontrol", "write", "batch_script", &own, "-"],
        &["srun", "true"],
    ] {
        let refused = site.on("x", args);
        let said = text(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains(STRANGER) && said.contains("TrustNodes"),
            "{args:?}: {said}"
        );
    }
    assert_eq!(rig.states(&own), ["PENDING"]);
}

#[test]
fn a_user_on_a_node_is_nobody_else_and_has_the_group_of_their_jobs() {
    let Some(site) = Site::open(&["x"]) else { return };
    let rig = &site.house.rig;
    let roots = rig.submit(&["-w", "x", "--wrap", "exec sleep 1000"]);
    wait_for("it runs", || rig.states(&roots) == ["RUNNING"]);
    let refused = site.on("x", &["scancel", &roots]);
    assert!(text(&refused.stderr).contains(STRANGER), "root's job is not theirs: {refused:?}");
    let refused = site.on_as("x", 0, 0, &["scancel", &roots]);
    assert!(text(&refused.stderr).contains("may not speak for root"), "nor root's on a node: {refused:?}");
    let job = site.occupy("x");
    let refused = site.on("x", &["scancel", &roots]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("Access/permission denied"), "{refused:?}");
    assert_eq!(rig.states(&roots), ["RUNNING"]);

    // The group of a process on a node is not the node's to tell.
    let submitted =
        site.on_as("x", NOBODY, 0, &["sbatch", "--parsable", "-o", "ids", "--wrap", "echo $(id -u) $(id -g)"]);
    assert!(submitted.status.success(), "{submitted:?}");
    let second = text(&submitted.stdout).trim().to_owned();
    assert!(site.on("x", &["scancel", &job]).status.success(), "their own they may end");
    assert_eq!(rig.wait_done(&second), ["COMPLETED"]);
    assert_eq!(rig.read("ids"), format!("{NOBODY} {NOBODY}\n"), "a node gives nobody the group of root");
}

#[test]
fn a_node_that_lies_gains_nothing() {
    let Some(site) = Site::open(&["x", "y"]) else { return };
    let rig = &site.house.rig;
    let roots = rig.submit(&["-H", "--wrap", "true"]);
    let (first, second) = (site.submit(&["-H"], "true"), site.submit(&["-H"], "true"));
    let job = site.occupy("x");
    block_on(async {
        let nobody = format!("{NOBODY}:{NOBODY}");
        let (x, y) = (site.house.channel_as("x").await, site.house.channel_as("y").await);
        let (code, told) = cancel(&y, &first, &nobody).await.expect_err("nothing of theirs runs on y");
        assert_eq!(
            (code, told.contains(STRANGER) && told.contains("node y")),
            (Code::PermissionDenied, true),
            "{told}"
        );
        let (code, told) = cancel(&x, &first, "0:0").await.expect_err("root is nobody's to be");
        assert_eq!((code, told.contains("may not speak for root")), (Code::PermissionDenied, true), "{told}");
        let (code, told) = cancel(&x, &first, "1:1").await.expect_err("nothing of uid 1 runs there");
        assert_eq!((code, told.contains("uid 1 ")), (Code::PermissionDenied, true), "{told}");
        for slip in ["", "root", "65534", "65534:65534:0", "-1:-1"] {
            let (code, told) = cancel(&x, &first, slip).await.expect_err("no word at all");
            assert_eq!((code, told.contains("UID:GID")), (Code::InvalidArgument, true), "{slip}: {told}");
        }
        assert!(cancel(&x, &roots, &nobody).await.is_err(), "their rights are not root's");
        assert_eq!(cancel(&x, &first, &nobody).await, Ok(()), "on x they could do it themselves");

        // Of tokens and members it is never asked, whatever it says, and a user's service is none of its own.
        let create = said(v1::CreateUserTokenRequest::default(), &nobody);
        let refusal = AdmissionClient::new(x.clone()).create_user_token(create).await.expect_err("no node may");
        assert_eq!(
            (refusal.code(), detail(&refusal).contains("only speak for itself")),
            (Code::PermissionDenied, true)
        );
        rig.run("node", &["revoke", "x"]);
        let (code, told) = cancel(&x, &second, &nobody).await.expect_err("it is shut out");
        assert_eq!((code, told.contains("does not count any more")), (Code::PermissionDenied, true), "{told}");
    });
    assert_eq!([&roots, &first, &second].map(|job| rig.states(job).concat()), ["PENDING", "CANCELLED", "PENDING"]);
    rig.run("scancel", &[&job]);
}

#[test]
fn nobody_but_a_node_is_heard_on_whose_call_it_is() {
    let Some(site) = Site::open(&[]) else { return };
    let rig = &site.house.rig;
    let jobs: Vec<String> = (0..2).map(|_| rig.submit(&["-H", "--wrap", "true"])).collect();
    let token = rig.run("user", &["token", "create", "--user", "nobody"]);
    block_on(async {
        let local = dial(&rig.endpoint().parse().expect("an address"), PATIENCE).await.expect("it answers");
        assert_eq!(cancel(&local, &jobs[0], "65534:65534").await, Ok(()), "the kernel says root");

        let trust = Trust::in_file(&rig.dir().join("tls/ca.pem")).expect("a CA");
        let places = site.house.endpoint().parse().expect("an address");
        let remote = dial_trusting(&places, Some(&trust), PATIENCE).await.expect("it answers");
        let (code, told) = cancel(&remote, &jobs[1], "0:0").await.expect_err("no name");
        assert_eq!((code, told.contains("needs a token")), (Code::PermissionDenied, true), "{told}");
        let mut request = said(v1::CancelRequest { ids: vec![jobs[1].clone()], ..Default::default() }, "0:0");
        let shown = format!("Bearer {}", token.trim()).parse().expect("text");
        request.metadata_mut().insert("authorization", shown);
        let reply = ControllerClient::new(remote).cancel(request).await.expect("they may ask").into_inner();
        assert_eq!(reply.refusals, ["Access/permission denied"], "the token says nobody");
    });
    assert_eq!([&jobs[0], &jobs[1]].map(|job| rig.states(job).concat()), ["CANCELLED", "PENDING"]);
}

#[test]
fn where_nodes_are_trusted_root_on_a_node_is_root() {
    let Some(mut site) = Site::open(&[]) else { return };
    let socket = site.house.rig.work().join("run/covey/controller.sock");
    let (endpoint, named) = (site.house.endpoint(), socket.to_string_lossy().into_owned());
    let options = ["--token-file", site.token_file.as_str(), "--socket", named.as_str()];
    site.house.rig.start_node_at("x", &endpoint, &options);
    wait_for("it is idle", || site.house.count("idle") == 1);
    let call = |uid: u32, args: &[&str]| {
        let endpoint = format!("unix://{}", socket.display());
        let done = site.command_at(uid, uid, &endpoint, args).output().expect("it starts");
        (done.status.success(), text(&done.stdout) + &text(&done.stderr))
    };
    let (done, told) = call(0, &["sbatch", "--wrap", "true"]);
    assert!(!done && told.contains("may not speak for root") && told.contains("TrustNodes"), "{told}");
    site.trust_nodes(true);
    assert!(site.house.rig.run("scontrol", &["show", "config"]).contains("TrustNodes"), "it is shown");
    let (done, told) = call(0, &["sbatch", "--wait", "-o", "out", "--wrap", "id -u"]);
    assert!(done, "{told}");
    assert_eq!(site.house.rig.read("out"), "0\n");
    assert!(call(0, &["scontrol", "update", "nodename=x", "state=drain", "reason=x"]).0);
    assert_eq!(site.house.count("drain"), 1);
    assert!(call(0, &["scontrol", "update", "nodename=x", "state=resume"]).0);
    let (done, told) = call(NOBODY, &["sbatch", "--wait", "-o", "nobody", "--wrap", "id -u"]);
    assert!(done, "users need no job there either: {told}");
    assert_eq!(site.house.rig.read("nobody"), format!("{NOBODY}\n"));
    let (done, told) = call(NOBODY, &["scontrol", "update", "nodename=x", "state=drain", "reason=x"]);
    assert!(!done && told.contains("Access/permission denied"), "they are who they are: {told}");
    let (done, told) = call(0, &["node", "token", "create"]);
    assert!(!done && told.contains("no calls about tokens and members"), "{told}");

    site.trust_nodes(false);
    let (done, told) = call(0, &["scontrol", "update", "nodename=x", "state=drain", "reason=x"]);
    assert!(!done && told.contains("may not speak for root"), "from the next call on: {told}");
    assert!(site.house.rig.end_node("x", "INT").success());
    assert!(!socket.exists() && !site.socket("x").exists(), "a node that leaves takes its sockets away");
}

#[test]
fn a_step_outlives_its_noded_and_its_controller() {
    let Some(mut site) = Site::open(&["x"]) else { return };
    let lines = "covey srun -n1 bash -c 'echo one; touch begun; until [ -e go ]; do sleep 0.02; done; cat; echo three' <<<two\n\
                 covey squeue -h -j $SLURM_JOB_ID -o %T";
    let job = site.submit(&["-n1"], lines);
    let out = format!("{job}.out");
    let begun = site.house.rig.work().join("begun");
    wait_for("the step is there", || begun.exists() && site.house.rig.try_read(&out).contains("one"));
    site.house.rig.kill_node("x");
    assert!(site.socket("x").exists(), "what is left of it is replaced");
    let endpoint = site.house.endpoint();
    site.house.rig.start_node_at("x", &endpoint, &[]);
    wait_for("it is back", || site.house.count("mix") == 1);
    site.house.rig.kill_controller();
    let away = site.on("x", &["squeue"]);
    assert!(text(&away.stderr).contains("Unable to contact slurm controller"), "{away:?}");
    site.house.rig.start_controller_with(&["--listen", endpoint.trim_start_matches("https://")]);
    fs::write(site.house.rig.work().join("go"), "").expect("written");
    assert_eq!(site.house.rig.wait_done(&job), ["COMPLETED"], "{}", site.house.rig.try_read(&out));
    assert_eq!(site.house.rig.read(&out), "one\ntwo\nthree\nRUNNING\n");
}

#[test]
fn large_streams_come_whole_and_who_does_not_read_holds_up_nobody() {
    let Some(site) = Site::open(&["x"]) else { return };
    let lines = "for i in 1 2; do\n\
                   covey srun -n1 --exact bash -c 'head -c 30000000 /dev/zero' | \
                     { touch unread$i; until [ -e go ]; do sleep 0.02; done; wc -c; } &\n\
                 done; wait";
    let job = site.submit(&["-n2"], lines);
    let rig = &site.house.rig;
    wait_for("nobody reads", || [1, 2].iter().all(|i| rig.work().join(format!("unread{i}")).exists()));
    let listings: Vec<_> = (0..40)
        .map(|_| {
            let endpoint = format!("unix://{}", site.socket("x").display());
            let args = ["squeue", "-h", "-j", &job, "-o", "%T"];
            site.command_at(NOBODY, NOBODY, &endpoint, &args).spawn().expect("it starts")
        })
        .collect();
    for listing in listings {
        let listed = listing.wait_with_output().expect("a child can be waited for");
        assert_eq!(text(&listed.stdout), "RUNNING\n", "{listed:?}");
    }
    let long = format!("#!/bin/sh\n# {}\necho long\n", "x".repeat(3_000_000));
    fs::write(rig.work().join("long.sh"), long).expect("written");
    let submitted = site.on("x", &["sbatch", "--parsable", "-o", "long", "long.sh"]);
    assert!(submitted.status.success(), "{submitted:?}");
    fs::write(rig.work().join("go"), "").expect("written");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    assert_eq!(rig.read(&format!("{job}.out")), "30000000\n30000000\n");
    assert_eq!(rig.wait_done(text(&submitted.stdout).trim()), ["COMPLETED"]);
    assert_eq!(rig.read("long"), "long\n");
}

#[test]
fn a_socket_of_ones_own_is_for_nodes_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(COVEY);
    command.args(["noded", "--name", "x", "--controller", "unix:///nowhere.sock", "--socket", "/nowhere/s", "--dir"]);
    let said = text(&command.arg(folder.path()).output().expect("it starts").stderr);
    assert!(said.contains("--socket is for nodes that reach the controller by https://"), "{said}");
}
