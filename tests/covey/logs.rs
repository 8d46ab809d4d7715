//! `covey logs`: what tasks have written, from their nodes, while they run and afterwards.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::rig::{Rig, is_root, wait_for};

#[test]
fn output_is_followed_while_a_job_waits_and_runs_and_read_again_when_it_is_over() {
    let rig = Rig::start(1);
    let script = "echo one; echo wrong >&2; while [ ! -e go ]; do sleep 0.05; done; echo two";
    let job = rig.submit(&["--hold", "-o", "out-%j", "-e", "err-%j", "--wrap", script]);
    let early = rig.try_run("logs", &[&job]);
    assert!(String::from_utf8_lossy(&early.stderr).contains("it has not started yet: -f waits for it"), "{early:?}");
    let mut follower = rig.command("logs", &["-f", &job]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut said = follower.stdout.take().expect("piped");
    rig.run("scontrol", &["release", &job]);
    let mut first = [0; 4];
    said.read_exact(&mut first).expect("it is told while the job runs");
    assert_eq!(&first, b"one\n");
    assert_eq!(rig.run("logs", &[&job]), "one\n", "what is there so far");
    assert_eq!(rig.run("logs", &["--stderr", &job]), "wrong\n");
    fs::write(rig.work().join("go"), "").expect("written");
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("to its end");
    assert_eq!(rest, "two\n");
    assert!(follower.wait().expect("it ends").success());
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    assert_eq!(rig.run("logs", &[&job]), "one\ntwo\n");
    assert_eq!(rig.run("logs", &["-f", &job]), "one\ntwo\n", "nothing more will come");
}

#[test]
fn a_task_is_named_by_its_index_and_a_large_output_comes_whole() {
    let rig = Rig::start(2);
    let job = rig.submit(&["--array=0-3", "--wrap", "seq 1 200000; echo task $SLURM_ARRAY_TASK_ID"]);
    rig.wait_done(&job);
    for index in 0..4 {
        let told = rig.run("logs", &[&format!("{job}_{index}")]);
        assert!(told.ends_with(&format!("200000\ntask {index}\n")), "of its own task");
        assert_eq!(told.lines().count(), 200_001);
    }
    let all = rig.try_run("logs", &[&job]);
    assert!(String::from_utf8_lossy(&all.stderr).contains("several tasks, each with its own output"), "{all:?}");
    let none = rig.try_run("logs", &["99"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no job 99"), "{none:?}");
    let kept = rig.submit(&["-o", "none", "--wrap", "echo gone"]);
    rig.wait_done(&kept);
    let kept = rig.try_run("logs", &[&kept]);
    assert!(String::from_utf8_lossy(&kept.stderr).contains("its output was not kept"), "{kept:?}");
}

#[test]
fn a_job_that_is_history_is_read_and_a_node_that_is_away_is_named() {
    let mut rig = Rig::start_with(&[("a", &[][..]), ("b", &[][..])], "MinJobAge = 1");
    let job = rig.submit(&["-w", "a", "--wrap", "echo of old"]);
    rig.wait_done(&job);
    wait_for("it is history", || !rig.run("squeue", &["-h", "-t", "all", "-o", "%i"]).contains(&job));
    assert_eq!(rig.run("logs", &[&job]), "of old\n");
    rig.end_node("a", "INT");
    let away = rig.try_run("logs", &[&job]);
    assert!(
        String::from_utf8_lossy(&away.stderr).contains("node a, where it was written, is not connected"),
        "{away:?}"
    );
    assert_eq!(rig.run("logs", &["--node", "b", &job]), "of old\n", "both see the same disk");
}

#[test]
fn nobody_reads_what_is_anothers() {
    if !is_root() {
        return;
    }
    let rig = Rig::start(1);
    rig.let_others_in();
    let as_nobody = |name: &str, args: &[&str]| {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new(rig.dir().join("covey"));
        command.arg(name).args(args).current_dir(rig.work()).uid(65_534).gid(65_534);
        command.env("COVEY_CONTROLLER", rig.endpoint()).env("HOME", "/nonexistent").output().expect("it starts")
    };
    let job = rig.submit(&["-o", "out", "--wrap", "echo mine"]);
    rig.wait_done(&job);
    let refused = as_nobody("logs", &[&job]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Access/permission denied"), "{refused:?}");

    // A path that leads to what is root's is opened with the rights of the job's user.
    let secret = rig.work().join("secret");
    fs::write(&secret, "root's").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("chmod");
    let theirs = as_nobody("sbatch", &["--parsable", "-o", "theirs", "--wrap", "echo theirs"]);
    let theirs = String::from_utf8(theirs.stdout).expect("text").trim().to_owned();
    rig.wait_done(&theirs);
    assert_eq!(String::from_utf8_lossy(&as_nobody("logs", &[&theirs]).stdout), "theirs\n");
    assert_eq!(rig.run("logs", &[&theirs]), "theirs\n", "administrators may read it, too");
    fs::remove_file(rig.work().join("theirs")).expect("removed");
    std::os::unix::fs::symlink(&secret, rig.work().join("theirs")).expect("a link");
    let refused = as_nobody("logs", &[&theirs]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.stdout.is_empty() && said.contains("Permission denied"), "{refused:?}");
}
