//! Nodes that go for good when they are told to: what they run ends there or starts again elsewhere, and none of it twice.

use crate::rig::{Rig, send, wait_for};

/// The node's process, by its pid file.
fn pid(rig: &Rig, node: &str) -> u32 {
    let text = std::fs::read_to_string(rig.dir().join(format!("{node}.pid"))).expect("it runs");
    text.trim().parse().expect("a number")
}

fn nodes(rig: &Rig) -> Vec<String> {
    let mut listed: Vec<String> =
        rig.run("sinfo", &["-h", "-N", "-o", "%N %t"]).lines().map(|line| line.trim().to_owned()).collect();
    listed.sort();
    listed
}

#[test]
fn what_runs_on_a_node_that_retires_may_end_there_and_nothing_new_comes() {
    let mut rig = Rig::start_with(&[("a", &["--retire", "60"][..])], "");
    let job = rig.submit(&[
        "-o",
        "out",
        "--wrap",
        "touch began; while [ ! -e go ]; do sleep 0.05; done; echo $SLURMD_NODENAME",
    ]);
    wait_for("it runs", || rig.work().join("began").exists());
    send(pid(&rig, "a"), "TERM");
    wait_for("it is draining", || nodes(&rig) == ["a drng"]);
    assert!(rig.run("sinfo", &["-R", "-h", "-o", "%E"]).contains("Leaving the cluster"));
    let next = rig.submit(&["-o", "next", "--wrap", "true"]);
    let why = rig.run("why", &[&next]);
    assert!(why.contains("a is leaving the cluster, and waits for what it runs."), "{why}");
    assert_eq!(rig.states(&next), ["PENDING"]);
    std::fs::write(rig.work().join("go"), "").expect("written");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    assert_eq!(rig.read("out"), "a\n");
    wait_for("its name is free", || nodes(&rig).is_empty());
    assert!(rig.end_node("a", "0").success(), "it has ended well");
    // One of that name that comes again is used without a hand.
    rig.start_node("a");
    assert_eq!(rig.wait_done(&next), ["COMPLETED"]);
}

#[test]
fn what_does_not_end_in_time_starts_again_elsewhere_and_counts_once() {
    let mut rig = Rig::start_with(&[("a", &["--retire", "0"][..])], "");
    let script = "echo $SLURMD_NODENAME $SLURM_RESTART_COUNT >>runs; [ $SLURMD_NODENAME = b ] || sleep 1000";
    let job = rig.submit(&["--array=0-1", "-o", "none", "--wrap", script]);
    wait_for("both run", || rig.try_read("runs").lines().count() == 2);
    send(pid(&rig, "a"), "TERM");
    wait_for("it has left", || nodes(&rig).is_empty());
    assert_eq!(rig.states(&job), ["PENDING", "PENDING"]);
    rig.start_node("b");
    assert_eq!(rig.wait_done(&job), ["COMPLETED", "COMPLETED"]);
    let mut runs: Vec<String> = rig.read("runs").lines().map(str::to_owned).collect();
    runs.sort();
    assert_eq!(runs, ["a", "a", "b 1", "b 1"]);
    assert!(rig.end_node("a", "0").success(), "it has ended well");
}

#[test]
fn a_node_that_runs_nothing_leaves_at_once() {
    let mut rig = Rig::start_with(&[("a", &["--retire", "3600"][..])], "");
    assert!(rig.end_node("a", "TERM").success());
    assert!(nodes(&rig).is_empty());
}
