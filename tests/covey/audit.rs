//! The audit log with real processes: what is in it, what is not, that it is bounded, outlives restarts and is followed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use crate::rig::{Rig, send, wait_for};

#[test]
fn every_change_leaves_a_line_and_reading_leaves_none() {
    let mut rig = Rig::start(1);
    let job = rig.submit(&["-H", "--wrap", "echo $CANARY", "--comment", "canary-comment"]);
    for command in [
        &["squeue"][..],
        &["sinfo"],
        &["sacct"],
        &["why", &job],
        &["sprio"],
        &["sdiag"],
        &["scontrol", "show", "config"],
        &["scontrol", "show", "job", &job],
        &["sbatch", "--test-only", "--wrap", "true"],
    ] {
        rig.run(command[0], &command[1..]);
    }
    rig.run("scontrol", &["update", &format!("jobid={job}"), "comment=canary-comment"]);
    rig.run("scontrol", &["release", &job]);
    rig.run("scontrol", &["update", "nodename=linux0", "state=drain", "reason=x"]);
    rig.run("scontrol", &["update", "nodename=linux0", "state=resume"]);
    rig.run("scontrol", &["create", "partition=new", "nodes=linux0"]);
    rig.run("scontrol", &["update", "partition=new", "state=down"]);
    rig.run("scontrol", &["reconfigure"]);
    rig.run("sdiag", &["--reset"]);
    rig.run("scontrol", &["delete", "partition=new"]);
    rig.run("srun", &["true"]);
    rig.try_run("scancel", &["98", "99"]);
    rig.try_run("sbatch", &["-p", "nowhere", "--wrap", "true"]);
    let lines = rig.audit(&[]);
    let found: Vec<String> = lines
        .iter()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(
                words[2] == "root" || words[2] == fs::metadata("/proc/self").expect("there").uid().to_string(),
                "{line}"
            );
            assert_eq!((words[3], words[4]), ("socket", "pid"), "{line}");
            format!("{} {}", words[1], words[6..].join(" "))
        })
        .collect();
    assert_eq!(
        found,
        [
            "allowed be-node linux0",
            "allowed submit 1",
            "allowed update 1",
            "allowed hold release: 1",
            "allowed update-nodes drain: linux0",
            "allowed update-nodes resume: linux0",
            "allowed change-partition new",
            "allowed partition-state new",
            "allowed reconfigure",
            "allowed reset-statistics",
            "allowed change-partition new",
            "allowed submit 2",
            "allowed start-step 2.0",
            "failed cancel 98 99: Invalid job id specified",
            "failed submit: invalid partition specified: nowhere",
        ]
        .map(str::to_owned)
    );
    for file in fs::read_dir(rig.dir().join("audit")).expect("there").flatten() {
        assert_eq!(file.metadata().expect("there").mode() & 0o777, 0o600);
        let text = fs::read_to_string(file.path()).expect("text");
        assert!(!text.to_lowercase().contains("canary"), "{text}");
    }
    rig.kill_controller();
    rig.start_controller();
    let after = rig.audit(&[]);
    assert_eq!(after[..lines.len()], lines, "a crash of the controller loses nothing");
    let json = rig.run("audit", &["--json", "-n", "1"]);
    let keys = ["\"at_us\":", "\"outcome\":\"allowed\"", "\"verb\":\"be-node\"", "\"uid\":", "\"times\":1"];
    assert!(keys.iter().all(|key| json.contains(key)) && json.lines().count() == 1, "{json}");
}

#[test]
fn a_flood_of_refusals_is_counted_and_pushes_nothing_out() {
    let rig = Rig::start(0);
    let job = rig.submit(&["-H", "--wrap", "true"]);
    for _ in 0..20 {
        rig.try_run("scancel", &["99"]);
        rig.try_run("scontrol", &["requeue", "99"]);
    }
    let lines = rig.audit(&["--verb", "requeue"]);
    assert!((1..=4).contains(&lines.len()), "{lines:#?}");
    assert!(lines[1..].iter().all(|line| line.contains(" times): Invalid job id specified")), "{lines:#?}");
    let times =
        |line: &String| line.split_once('(').and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).unwrap_or(1);
    assert_eq!(lines.iter().map(times).sum::<u32>(), 20);
    assert!(rig.audit(&["--verb", "submit"])[0].ends_with(&format!(" {job}")));
}

#[test]
fn who_follows_sees_lines_as_they_come_and_filters_hold() {
    let rig = Rig::start(0);
    rig.submit(&["-H", "--wrap", "true"]);
    let mut command = rig.command("audit", &["-f", "--verb", "cancel"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut seen = BufReader::new(follower.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(seen.next().expect("a heading").starts_with("TIME "));
    rig.run("scancel", &["1"]);
    let line = seen.next().expect("it is told");
    assert!(line.contains(" cancel ") && line.ends_with(" 1"), "{line}");
    send(follower.id(), "TERM");
    follower.wait().expect("it ends");
    wait_for("nothing is left to tell", || seen.next().is_none());
    assert!(rig.audit(&["--since", "1h", "--user", "no-such-user"]).is_empty());
    assert_eq!(rig.audit(&["--since", "1h"]).len(), 2);
    assert_eq!(rig.run("audit", &["-n", "1"]).lines().count(), 2, "a heading, and the newest");
    let bad = rig.try_run("audit", &["--since", "soon"]);
    assert!(String::from_utf8_lossy(&bad.stderr).contains("Invalid time specification"), "{bad:?}");
}
