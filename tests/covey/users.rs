//! A cluster that root has started serves every user of the machine, each with their own rights.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::rig::{Rig, is_root, wait_for};

/// Another user than root, and their group.
pub(crate) const NOBODY: u32 = 65_534;

/// A cluster that others may use, with the binary where they can run it; `None` where this is not root.
pub(crate) fn open_house(settings: &str) -> Option<Rig> {
    if !is_root() {
        return None;
    }
    let rig = Rig::start_with(&[("linux0", &[])], settings);
    rig.let_others_in();
    Some(rig)
}

/// Runs a command as this user, who need not have a name.
pub(crate) fn run_as(rig: &Rig, uid: u32, name: &str, args: &[&str]) -> Output {
    let mut command = Command::new(rig.dir().join("covey"));
    command.arg(name).args(args).current_dir(rig.work()).uid(uid).gid(NOBODY);
    command.env("COVEY_CONTROLLER", rig.endpoint()).env("HOME", "/nonexistent");
    command.output().expect("it can be started")
}

fn as_nobody(rig: &Rig, name: &str, args: &[&str]) -> Output {
    run_as(rig, NOBODY, name, args)
}

/// Submits as this user and answers the job's number.
pub(crate) fn submit_as(rig: &Rig, uid: u32, args: &[&str]) -> String {
    let args: Vec<&str> = ["--parsable"].iter().chain(args).copied().collect();
    let output = run_as(rig, uid, "sbatch", &args);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn submit_as_nobody(rig: &Rig, args: &[&str]) -> String {
    submit_as(rig, NOBODY, args)
}

#[test]
fn a_job_runs_with_the_rights_of_its_user_and_no_others() {
    let Some(rig) = open_house("") else { return };
    let script = "echo $(id -u) $(id -g) $(id -G) $(umask); touch mine; cat $0 >copy; [ $$ = $SLURM_TASK_PID ]";
    let job = submit_as_nobody(&rig, &["-o", "out", "--wrap", script]);
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    assert!(rig.read("out").starts_with("65534 65534 65534 "), "{}", rig.read("out"));
    for file in ["out", "mine", "copy"] {
        let found = fs::metadata(rig.work().join(file)).expect("it was made");
        assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY), "{file}");
    }
    let shown = rig.run("scontrol", &["show", "job", &job]);
    assert!(shown.contains("UserId=nobody(65534)"), "{shown}");

    let secret = rig.work().join("secret");
    fs::write(&secret, "root's").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("chmod");
    symlink(&secret, rig.work().join("link")).expect("a link");
    let job = submit_as_nobody(&rig, &["-o", "link", "--wrap", "echo overwritten"]);
    assert_eq!(rig.wait_done(&job), ["FAILED"]);
    let job = submit_as_nobody(&rig, &["-o", "seen", "--wrap", "cat secret"]);
    assert_eq!(rig.wait_done(&job), ["FAILED"]);
    assert_eq!((rig.read("secret"), rig.read("seen").contains("Permission denied")), ("root's".into(), true));
}

#[test]
fn users_touch_their_own_jobs_and_root_touches_any() {
    let Some(rig) = open_house("") else { return };
    let (roots, nobodys) = (rig.submit(&["-H", "--wrap", "true"]), submit_as_nobody(&rig, &["-H", "--wrap", "true"]));
    for (name, args) in [
        ("scancel", &[roots.as_str()][..]),
        ("scontrol", &["release", &roots]),
        ("scontrol", &["requeue", &roots]),
        ("scontrol", &["update", &format!("jobid={roots}"), "nice=5"]),
        ("scontrol", &["update", "nodename=linux0", "state=drain", "reason=x"]),
        ("sbatch", &["--nice=-5", "--wrap", "true"]),
        ("sbatch", &["--uid=root", "--wrap", "true"]),
    ] {
        let refused = as_nobody(&rig, name, args);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        let told = said.contains("Access/permission denied") || said.contains("only permitted by root");
        assert!(!refused.status.success() && told, "{name} {args:?}: {said}");
    }
    // A filter passes over what is not theirs.
    assert!(as_nobody(&rig, "scancel", &["-u", "root", "-t", "pending"]).status.success());
    assert_eq!(rig.states(&roots), ["PENDING"]);
    assert!(as_nobody(&rig, "scontrol", &["release", &nobodys]).status.success());
    wait_for("it has run", || rig.states(&nobodys) == ["COMPLETED"]);
    let another = submit_as_nobody(&rig, &["-H", "--wrap", "true"]);
    rig.run("scancel", &[&another]);
    assert_eq!(rig.states(&another), ["CANCELLED"]);
    let for_nobody = rig.submit(&["--uid=nobody", "-o", "by_root", "--wrap", "id -u"]);
    assert_eq!(rig.wait_done(&for_nobody), ["COMPLETED"]);
    assert_eq!(rig.read("by_root"), "65534\n");
}
