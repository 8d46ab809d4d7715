//! `covey init`: one process tree of controller and node, each restarted for itself, and stopped in good order.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::rig::{COVEY, send, wait_for};

struct House {
    folder: TempDir,
    init: Child,
}

impl House {
    fn start(retire_s: &str) -> House {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("D").to_string_lossy().into_owned();
        let socket = format!("unix://{dir}/controller.sock");
        fs::write(folder.path().join("store"), "# keys\nCANARY=quiet\n").expect("written");
        let mut command = Command::new(COVEY);
        command.args(["init", "--grace", "50", "--env-file"]).arg(folder.path().join("store"));
        command.args([
            "--",
            "controller",
            "--dir",
            &dir,
            "--",
            "noded",
            "--name",
            "one",
            "--cpus",
            "2",
            "--memory",
            "1G",
        ]);
        command.args(["--controller", &socket, "--dir", &dir, "--retire", retire_s]);
        let log = fs::File::create(folder.path().join("init.log")).expect("a log");
        let init = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let house = House { folder, init };
        wait_for("the node is idle", || house.try_run("sinfo", &["-h", "-o", "%t"]).trim() == "idle");
        house
    }

    fn dir(&self) -> std::path::PathBuf {
        self.folder.path().join("D")
    }

    fn try_run(&self, name: &str, args: &[&str]) -> String {
        let mut command = Command::new(COVEY);
        command.arg(name).args(args).current_dir(self.folder.path()).env("COVEY_DIR", self.dir());
        let output = command.stdin(Stdio::null()).output().expect("it starts");
        String::from_utf8(output.stdout).expect("text")
    }

    fn pid(&self, file: &str) -> u32 {
        let text = fs::read_to_string(self.dir().join(file)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("init.log")).expect("there")
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // The daemons end with their parent in a container alone.
        let launcher = self.pid("nodes/one/launcher.pid");
        if self.init.try_wait().ok().flatten().is_none() {
            send(self.init.id(), "TERM");
            self.init.wait().expect("a child can be waited for");
        }
        if launcher > 0 && Path::new(&format!("/proc/{launcher}")).exists() {
            Command::new("kill").args(["-9", &launcher.to_string()]).status().expect("kill is there");
        }
    }
}

#[test]
fn each_daemon_is_restarted_for_itself_and_tasks_outlive_it() {
    let house = House::start("0");
    let script = "echo began; while [ ! -e go ]; do sleep 0.05; done; echo ended";
    let job = house.try_run("sbatch", &["--parsable", "-o", "out", "--wrap", script]).trim().to_owned();
    let out = || fs::read_to_string(house.folder.path().join("out")).unwrap_or_default();
    wait_for("it runs", || out() == "began\n");
    for (file, other) in [("one.pid", "controller.pid"), ("controller.pid", "one.pid")] {
        let (killed, left) = (house.pid(file), house.pid(other));
        send(killed, "KILL");
        wait_for("there is a new one", || {
            let now = house.pid(file);
            now != killed && now != 0 && Path::new(&format!("/proc/{now}")).exists()
        });
        assert_eq!(house.pid(other), left, "the other one was left alone");
    }
    fs::write(house.folder.path().join("go"), "").expect("written");
    wait_for("the job is done", || {
        house.try_run("squeue", &["-h", "-t", "all", "-j", &job, "-o", "%T"]).trim() == "COMPLETED"
    });
    assert_eq!(out(), "began\nended\n", "and ran once");
    let log = house.log();
    assert!(log.contains("noded was ended by SIGKILL; again in ") && !log.contains("quiet"), "{log}");
}

#[test]
fn a_stop_ends_the_node_first_so_that_its_tasks_are_requeued() {
    let mut house = House::start("0");
    let job = house.try_run("sbatch", &["--parsable", "-o", "out", "--wrap", "echo began; sleep 1000"]);
    wait_for("it runs", || fs::read_to_string(house.folder.path().join("out")).is_ok_and(|text| text == "began\n"));
    send(house.init.id(), "TERM");
    assert!(house.init.wait().expect("it ends").success());
    let log = house.log();
    let place = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text}: {log}"));
    assert!(place("noded left with exit code 0") < place("controller left with exit code 0"), "{log}");
    assert!(place("all services have stopped") > 0);
    // A controller alone shows what has become of it.
    let dir = house.dir();
    let mut controller = Command::new(COVEY);
    controller.args(["controller", "--dir"]).arg(&dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut controller = controller.spawn().expect("it starts");
    wait_for("it waits again", || {
        let listed = house.try_run("squeue", &["-h", "-t", "all", "-j", job.trim(), "-o", "%T"]);
        listed.trim() == "PENDING"
    });
    assert_eq!(house.try_run("sinfo", &["-h", "-N", "-o", "%N"]).trim(), "", "the node has said goodbye");
    controller.kill().expect("it runs");
    controller.wait().expect("it ends");
}

#[test]
fn a_file_without_variables_stops_it_before_it_starts_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("store");
    fs::write(&file, "canary\n").expect("written");
    let output =
        Command::new(COVEY).args(["init", "--env-file"]).arg(&file).args(["--", "noded"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("line 1 of ") && !said.contains("canary"), "{said}");
}
