//! What earlier versions have written opens: journals in `tests/recorded`, one for each format that a version has left behind.
//!
//! A new format gets a new recording beside the old ones: `cargo test --test covey recorded::record -- --ignored` writes one of today's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::{Rig, wait_for};

fn recording(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name)
}

fn tar(args: &[&str]) {
    let output = Command::new("tar").args(args).output().expect("tar is there");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_first_journal_opens_and_its_jobs_go_on() {
    opens("journal-1");
}

/// What jobs have in common was written once from here on, and rows of done tasks were packed.
#[test]
fn the_second_journal_opens_and_its_jobs_go_on() {
    opens("journal-2");
}

fn opens(name: &str) {
    // Its history is of another day.
    let mut rig = Rig::prepared("HistoryDays = 36500\n[Licenses]\nmatlab = 4\n");
    let archive = recording(&format!("{name}.tar.gz"));
    tar(&["-xzf", archive.to_str().expect("text"), "-C", rig.dir().to_str().expect("text")]);
    assert!(rig.try_run("fsck", &[rig.dir().to_str().expect("text")]).status.success());
    rig.start_controller();
    let recorded = |kind| fs::read_to_string(recording(&format!("{name}.{kind}"))).expect("recorded");
    let jobs = rig.run("squeue", &["-h", "-S", "i", "-o", "%i|%j|%T|%r|%P|%l|%m|%k|%E"]);
    assert_eq!(jobs, recorded("squeue"));
    let past =
        rig.run("sacct", &["-n", "-P", "-S", "2020-01-01", "-o", "JobID,JobName,State,ExitCode,AllocCPUS,NodeList"]);
    assert_eq!(past, recorded("sacct"));
    let held =
        jobs.lines().find(|line| line.contains("|held|")).expect("it waits").split('|').next().expect("a number");
    assert!(rig.run("scontrol", &["write", "batch_script", held, "-"]).contains("echo recorded"));
    rig.start_node("linux0");
    rig.run("scontrol", &["release", held]);
    assert_eq!(rig.wait_done(held), ["COMPLETED"]);
}

#[test]
#[ignore = "writes a recording of today's format, to be kept when the format changes"]
fn record() {
    let mut rig = Rig::start_with(&[("linux0", &[])], "MinJobAge = 2\n[Licenses]\nmatlab = 4\n");
    let past = rig.submit(&[
        "-o",
        "none",
        "-J",
        "past",
        "--array=0-6%3",
        "--wrap",
        "srun true; exit $((SLURM_ARRAY_TASK_ID % 2))",
    ]);
    let alone = rig.submit(&["-o", "none", "-J", "alone", "-c", "2", "--mem", "100M", "--wrap", "exit 3"]);
    for job in [&past, &alone] {
        wait_for("it is history", || is_history(&rig, job));
    }
    let held =
        rig.submit(&["--hold", "-J", "held", "-o", "none", "--comment", "kept", "-t", "5", "--wrap", "echo recorded"]);
    rig.submit(&["--hold", "-J", "array", "--array=0-999:3%7", "--mem", "2M", "-L", "matlab:2", "--wrap", "true"]);
    // Enough done tasks to be packed, of a job that stays in memory.
    let partly = rig.submit(&["--hold", "-J", "partly", "-o", "none", "--array=0-40", "--wrap", "true"]);
    rig.run("scontrol", &["release", &format!("{partly}_[0-39]")]);
    let done = ["-h", "-r", "-t", "COMPLETED", "-j", &partly];
    wait_for("they are done", || rig.run("squeue", &done).lines().count() == 40);
    rig.submit(&["-J", "after", "-d", &format!("afterok:{held}"), "--nice=5", "--wrap", "true"]);
    let running = rig.submit(&["-o", "none", "-J", "runs", "--wrap", "sleep 600"]);
    wait_for("it runs", || rig.states(&running) == ["RUNNING"]);
    rig.run("scontrol", &["create", "partitionname=made", "nodes=linux0", "maxtime=60"]);
    rig.run("scancel", &[&running]);
    wait_for("it is history", || is_history(&rig, &running));
    let jobs = rig.run("squeue", &["-h", "-S", "i", "-o", "%i|%j|%T|%r|%P|%l|%m|%k|%E"]);
    let past =
        rig.run("sacct", &["-n", "-P", "-S", "2020-01-01", "-o", "JobID,JobName,State,ExitCode,AllocCPUS,NodeList"]);
    rig.kill_controller();
    fs::create_dir_all(recording("")).expect("a folder");
    let archive = recording("new.tar.gz");
    let (archive, dir) = (archive.to_str().expect("text"), rig.dir());
    tar(&["-czf", archive, "--sparse", "--owner=0", "--group=0", "-C", dir.to_str().expect("text"), "journal/store"]);
    fs::write(recording("new.squeue"), jobs).expect("written");
    fs::write(recording("new.sacct"), past).expect("written");
}

fn is_history(rig: &Rig, job: &str) -> bool {
    rig.run("squeue", &["-h", "-t", "all", "-o", "%F"]).lines().all(|listed| listed != job)
}
