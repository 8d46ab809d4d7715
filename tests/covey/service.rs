//! What an administrator does while jobs run: nodes out of service and back, and partitions made, used and deleted.

use std::fs;

use crate::rig::{Rig, wait_for};

/// What a command that must fail says, with its exit code.
fn refused(rig: &Rig, name: &str, args: &[&str]) -> String {
    let output = rig.try_run(name, args);
    assert_eq!(output.status.code(), Some(1), "{name} {args:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

fn node_states(rig: &Rig) -> String {
    rig.run("sinfo", &["-h", "-N", "-o", "%N %t"])
}

#[test]
fn a_node_is_drained_under_load_taken_down_and_resumed() {
    let mut rig = Rig::start(2);
    let go = rig.work().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done", go.display());
    let job = rig.submit(&["-o", "none", "--array=0-7", "--wrap", &script]);
    wait_for("four run", || rig.states(&job).iter().filter(|state| *state == "RUNNING").count() == 4);
    let text = refused(&rig, "scontrol", &["update", "nodename=linux0", "state=drain"]);
    assert_eq!(text, "You must specify a reason when DOWNING or DRAINING a node. Request denied\n");
    rig.run("scontrol", &["update", "NodeName=linux0", "State=DRAIN", "Reason=disk bad"]);
    assert_eq!(node_states(&rig), "linux0 drng\nlinux1 alloc\n");
    let shown = rig.run("scontrol", &["show", "node", "linux0"]);
    assert!(shown.contains("State=ALLOCATED+DRAIN ") && shown.contains("\n   Reason=disk bad ["), "{shown}");
    fs::write(&go, "").expect("written");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"; 8]);
    let places = rig.run("squeue", &["-h", "-t", "all", "-j", &job, "-o", "%K %N"]);
    let there = |node: &str| places.lines().filter(|line| line.ends_with(node)).count();
    assert_eq!((there("linux0"), there("linux1")), (2, 6), "nothing new starts on a draining node: {places}");

    rig.kill_controller();
    rig.start_controller();
    wait_for("both nodes are back, one of them drained", || node_states(&rig) == "linux0 drain\nlinux1 idle\n");
    rig.run("scontrol", &["update", "nodename=linux1", "state=down", "reason=fan loud"]);
    let waits = rig.submit(&["-o", "none", "--wrap", "sleep 600"]);
    let reason = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions";
    wait_for("it says why it waits", || rig.run("squeue", &["-h", "-j", &waits, "-o", "%r"]).trim() == reason);
    let listed = rig.run("sinfo", &["-h", "-R", "-o", "%E %N"]);
    assert!(listed.contains("disk bad linux0\n") && listed.contains("fan loud linux1\n"), "{listed}");

    rig.run("scontrol", &["update", "nodename=linux[0-1]", "state=resume"]);
    wait_for("it runs", || rig.states(&waits) == ["RUNNING"]);
    let text = refused(&rig, "scontrol", &["update", "nodename=linux0,nosuch", "state=resume"]);
    assert!(
        text.ends_with(
            "slurm_update error: Invalid node state specified\nslurm_update error: Invalid node name specified\n"
        ),
        "{text}"
    );
    rig.run("scontrol", &["update", "nodename=ALL", "state=down", "reason=power"]);
    wait_for("it waits again", || rig.states(&waits) == ["PENDING"]);
    rig.run("scontrol", &["update", "nodename=ALL", "state=resume"]);
    wait_for("it runs again", || rig.states(&waits) == ["RUNNING"]);
    assert!(rig.run("scontrol", &["show", "job", &waits]).contains(" Restarts=1 "));
}

#[test]
fn a_partition_is_made_used_and_deleted() {
    let mut rig = Rig::start(2);
    rig.run("scontrol", &["create", "partition=fast", "nodes=linux1", "MaxTime=10", "PriorityTier=5"]);
    rig.run("scontrol", &["update", "PartitionName=debug", "State=DRAIN", "MaxTime=60"]);
    rig.kill_controller();
    rig.start_controller();
    wait_for("the nodes are back", || node_states(&rig).matches(" idle\n").count() == 3);
    let tables = rig.run("sinfo", &["-h", "-o", "%P %a %l %N"]);
    assert_eq!(
        tables, "debug* drain infinite linux[0-1]\nfast up 10:00 linux1\n",
        "the file gives back all but the state"
    );
    let job = rig.submit(&["-p", "fast", "-o", "none", "--wrap", "true"]);
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    assert_eq!(rig.run("squeue", &["-h", "-t", "all", "-j", &job, "-o", "%N %l"]), "linux1 10:00\n");

    rig.run("scontrol", &["update", "partition=fast", "state=down"]);
    let waits = rig.submit(&["-p", "fast", "-o", "none", "--wrap", "true"]);
    wait_for("it says why it waits", || rig.run("squeue", &["-h", "-j", &waits, "-o", "%r"]) == "PartitionDown\n");
    let text = refused(&rig, "scontrol", &["delete", "partition=fast"]);
    assert!(text.ends_with("delete_partition fast: Partition is in use\n"), "{text}");
    let text = refused(&rig, "scontrol", &["update", "partition=fast", "AllowGroups=staff"]);
    assert!(text.contains("not supported: AllowGroups=staff") && text.contains("Covey has no AllowGroups"), "{text}");
    rig.run("scancel", &[&waits]);
    rig.run("scontrol", &["delete", "partition=fast"]);
    let text = refused(&rig, "scontrol", &["update", "partition=fast", "state=up"]);
    assert!(text.ends_with("slurm_update error: Invalid partition name specified\n"), "{text}");
    assert_eq!(rig.run("sinfo", &["-h", "-o", "%R"]), "debug\n");
}
