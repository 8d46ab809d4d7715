//! Rehearsals for users: tasks that fail on purpose, what is needed of a map run again, and `covey chaos` on a cluster of `covey up`.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::rig::{COVEY, Rig, wait_for};

#[test]
fn a_share_of_the_tasks_fails_on_purpose_and_always_the_same() {
    let rig = Rig::start(2);
    let failed = |job: &str| -> Vec<String> {
        rig.wait_done(job);
        let listed = rig.run("squeue", &["-h", "-t", "F", "-j", job, "-o", "%K"]);
        let mut indices: Vec<String> = listed.lines().map(|line| line.trim().to_owned()).collect();
        indices.sort_unstable();
        indices
    };
    let submit = |share: &str| rig.submit(&["--array=0-49", "-o", "none", "--inject-failure", share, "--wrap", "true"]);
    let (first, again, other) = (submit("0.2:7"), submit("0.2:7"), submit("0.2:8"));
    let indices = failed(&first);
    assert!((3..=20).contains(&indices.len()), "about ten of fifty: {indices:?}");
    assert_eq!(failed(&again), indices);
    assert_ne!(failed(&other), indices);
    let shown = rig.run("scontrol", &["show", "job", &first]);
    assert!(shown.contains("InjectFailure=0.2:7") && shown.contains("ExitCode=1:0"), "{shown}");
    assert!(shown.contains("Note=it ended well and failed on purpose (--inject-failure 0.2:7)"), "{shown}");
    // What is tried again may end well: with enough tries, all does.
    let words = ["--array=0-9", "-o", "none", "--inject-failure=0.5:3", "--retries=20", "--wrap", "true"];
    fs::write(rig.dir().join("covey.toml"), "RetryWait = 0\n").expect("written");
    rig.run("scontrol", &["reconfigure"]);
    assert_eq!(rig.wait_done(&rig.submit(&words)), ["COMPLETED"; 10]);
    let refused = rig.try_run("sbatch", &["--inject-failure", "20%", "--wrap", "true"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("such as 0.2"), "{said}");
}

#[test]
fn only_what_is_needed_of_a_map_runs_again() {
    let rig = Rig::start(1);
    let (from, to) = (rig.work().join("from"), rig.work().join("to"));
    fs::create_dir(&from).expect("a folder");
    for name in ["a", "b", "c", "d"] {
        fs::write(from.join(name), name).expect("written");
    }
    let ran = rig.work().join("ran");
    // The second one fails as long as there is no file that lets it pass.
    let script = format!(
        "cat {{in}} >> {0}; grep -q b {{in}} && [ ! -e {1} ] && exit 3; cp {{in}} {{out}}",
        ran.display(),
        rig.work().join("pass").display()
    );
    let urls = [&from, &to].map(|path| format!("file://{}/", path.display()));
    let said = rig.run("map", &["--from", &urls[0], "--to", &urls[1], "--", "sh", "-c", &script]);
    let job = said.trim().rsplit(' ').next().expect("a number").to_owned();
    rig.wait_done(&job);
    let runs = || {
        let mut runs: Vec<char> = fs::read_to_string(&ran).expect("it ran").chars().collect();
        runs.sort_unstable();
        runs.into_iter().collect::<String>()
    };
    assert_eq!(runs(), "abcd");
    let said = rig.run("rerun", &[&job, "--failed", "--dry-run"]);
    assert!(said.contains(&format!("{job}_1 run again: FAILED: b: the command left with exit code 3:0\n")), "{said}");
    assert!(said.contains(&format!("{job}_0 skipped: it is COMPLETED\n")), "{said}");
    assert!(said.ends_with("1 of 4 tasks would run again\n"), "{said}");
    assert_eq!(runs(), "abcd", "nothing ran");

    fs::write(rig.work().join("pass"), "").expect("written");
    assert!(rig.run("rerun", &[&job, "--failed", "-Q"]).ends_with("1 of 4 tasks run again\n"));
    assert_eq!(rig.wait_done(&job), ["COMPLETED"; 4]);
    assert_eq!(runs(), "abbcd");

    // One output is lost, and one input is written anew.
    fs::remove_file(to.join("a")).expect("it was there");
    let said = rig.run("rerun", &[&job, "--missing"]);
    assert!(said.contains(&format!("{job}_0 a run again: a is missing\n")), "{said}");
    assert!(said.contains(&format!("{job}_3 d skipped: d is there\n")), "{said}");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"; 4]);
    assert!(to.join("a").exists());
    let output = fs::metadata(to.join("c")).and_then(|found| found.modified()).expect("a time");
    wait_for("the clock of the files has gone on", || {
        fs::write(from.join("c"), "c").expect("written");
        fs::metadata(from.join("c")).and_then(|found| found.modified()).expect("a time") > output
    });
    wait_for("by more than its smallest step", || {
        fs::write(from.join("c"), "c").expect("written");
        let input = fs::metadata(from.join("c")).and_then(|found| found.modified()).expect("a time");
        input.duration_since(output).is_ok_and(|later| later.as_millis() > 0)
    });
    let said = rig.run("rerun", &[&job, "--changed"]);
    assert!(said.contains(&format!("{job}_2 c run again: c is newer than c\n")), "{said}");
    assert!(said.ends_with("1 of 4 tasks run again\n"), "{said}");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"; 4]);
    assert_eq!(runs(), "aabbccd");

    let plain = rig.submit(&["-o", "none", "--wrap", "exit 1"]);
    assert_eq!(rig.wait_done(&plain), ["FAILED"]);
    let refused = rig.try_run("rerun", &[&plain, "--missing"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is no map"), "{refused:?}");
    assert!(rig.run("rerun", &[&plain, "--failed"]).contains("run again: FAILED"));
    let unknown = rig.try_run("rerun", &["99", "--failed"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("Invalid job id specified"), "{unknown:?}");
}

#[test]
fn a_rehearsal_on_a_cluster_of_up_keeps_every_promise_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("D");
    let covey = |words: &[&str]| -> Output {
        let mut command = Command::new(COVEY);
        command.args(words).arg("--dir").arg(&dir).current_dir(folder.path()).stdin(Stdio::null());
        command.output().expect("the binary can be started")
    };
    let nothing = covey(&["chaos", "--kill-node", "1"]);
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("nothing is up"), "{nothing:?}");
    let up = covey(&["up", "--nodes", "3", "--cpus", "4"]);
    assert!(up.status.success(), "{up:?}");
    let words =
        ["--kill-node", "1", "--kill-controller", "3", "--error-rate", "0.2", "--seed", "7", "--for", "12s", "--json"];
    let done = covey(&[&["chaos"][..], &words[..]].concat());
    let down = covey(&["down"]);
    let text = String::from_utf8(done.stdout.clone()).expect("text");
    assert!(done.status.success(), "{done:?}");
    let report: serde_json::Value = serde_json::from_str(&text).expect("one object");
    assert_eq!((&report["good"], report["lost"].as_array().map(Vec::len)), (&true.into(), Some(0)), "{text}");
    assert_eq!(report["recovery_ms"]["controller"].as_array().map(Vec::len), Some(3), "{text}");
    assert_eq!(report["recovery_ms"]["node"].as_array().map(Vec::len), Some(1), "{text}");
    assert!(report["failed_on_purpose"].as_u64() > Some(0) && report["failed_otherwise"] == 0, "{text}");
    assert!(down.status.success(), "{down:?}");
    println!("{text}");
}
