//! What was acknowledged survives: kill -9 of controller and noded, with work under way.

use std::collections::BTreeSet;
use std::fs;

use crate::rig::{Rig, wait_for};

#[test]
fn a_killed_controller_loses_nothing_and_runs_nothing_twice() {
    let mut rig = Rig::start(9);
    let ran = rig.work().join("ran");
    let script = format!("echo $SLURM_ARRAY_TASK_ID >> {}; true", ran.display());
    let job = rig.submit(&["--array=0-199%8", "-o", "none", "--wrap", &script]);
    let lines = || fs::read_to_string(&ran).unwrap_or_default().lines().count();
    for done in [40, 110] {
        wait_for("some tasks have run", || lines() >= done);
        rig.kill_controller();
        rig.start_controller();
    }
    let states = rig.wait_done(&job);
    assert_eq!(states, vec!["COMPLETED"; 200]);
    let text = fs::read_to_string(&ran).expect("tasks have written");
    let indices: BTreeSet<&str> = text.lines().collect();
    assert_eq!((indices.len(), text.lines().count()), (200, 200), "each task ran, and ran once");
    let next = rig.submit(&["--wrap", "true"]);
    assert_eq!(next, "201", "numbers go on where they were");
}

#[test]
fn tasks_outlive_a_killed_noded_and_their_exit_codes_are_kept() {
    let mut rig = Rig::start(1);
    let go = rig.work().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done; exit 7", go.display());
    let job = rig.submit(&["-o", "none", "--wrap", &script]);
    wait_for("it runs", || rig.states(&job) == ["RUNNING"]);
    rig.kill_node("linux0");
    wait_for("the node is seen to be silent", || rig.run("sinfo", &["-h", "-N", "-o", "%t"]).contains('*'));
    fs::write(&go, "").expect("written");
    rig.start_node("linux0");
    assert_eq!(rig.wait_done(&job), ["FAILED"]);
    assert!(rig.run("scontrol", &["show", "job", &job]).contains("ExitCode=7:0"));
}

#[test]
fn a_job_ends_while_controller_and_noded_are_away() {
    let mut rig = Rig::start(1);
    let (go, gone) = (rig.work().join("go"), rig.work().join("gone"));
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done; echo > {}; exit 3", go.display(), gone.display());
    let job = rig.submit(&["-o", "none", "--wrap", &script]);
    wait_for("it runs", || rig.states(&job) == ["RUNNING"]);
    rig.kill_controller();
    rig.kill_node("linux0");
    fs::write(&go, "").expect("written");
    wait_for("it has ended", || gone.exists());
    rig.start_controller();
    rig.start_node("linux0");
    assert_eq!(rig.wait_done(&job), ["FAILED"]);
    assert!(rig.run("scontrol", &["show", "job", &job]).contains("ExitCode=3:0"));
}

#[test]
fn a_node_that_is_interrupted_leaves_and_its_task_runs_elsewhere() {
    let mut rig = Rig::start(1);
    let (go, ran) = (rig.work().join("go"), rig.work().join("ran"));
    let script =
        format!("echo $SLURMD_NODENAME >> {}; while [ ! -e {} ]; do sleep 0.02; done", ran.display(), go.display());
    let job = rig.submit(&["-o", "none", "--wrap", &script]);
    wait_for("it runs", || ran.exists());
    rig.end_node("linux0", "INT");
    wait_for("the node is gone", || rig.run("sinfo", &["-h", "-N", "-o", "%N"]).trim().is_empty());
    rig.start_node("linux1");
    wait_for("it runs again", || fs::read_to_string(&ran).unwrap_or_default().contains("linux1"));
    fs::write(&go, "").expect("written");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
}
