//! Disks that run full: the journal's, a node's spool, and where output goes. What runs goes on, what is asked is refused with the
//! reason, and when there is room again all goes on without a restart.

use std::fs;

use crate::disk::{Small, with_own_mounts};
use crate::rig::{Rig, Seeded, rounds, wait_for};

/// What a full disk leaves, in KiB: less than any commit takes.
const NOTHING_KIB: u64 = 0;

fn said(output: &std::process::Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn waits_for(rig: &Rig, file: &str, code: u8) -> String {
    format!("while [ ! -e {} ]; do sleep 0.02; done; exit {code}", rig.work().join(file).display())
}

/// A script of 64 KB like no other: the journal keeps each script once.
fn large_script(rig: &Rig, random: &mut Seeded) -> String {
    let lines = (0..820).map(|_| format!("# {:016x} {:060}\n", random.below(u64::MAX), random.below(u64::MAX)));
    fs::write(rig.work().join("large.sh"), "#!/bin/sh\n".to_owned() + &lines.collect::<String>()).expect("written");
    "large.sh".to_owned()
}

/// Leaves so many MiB to whoever submits from now on.
fn reserve(rig: &Rig, mib: u32) {
    fs::write(rig.dir().join("covey.toml"), format!("MinJobAge = 2\nMinFreeDisk = {mib}\n")).expect("written");
    rig.run("scontrol", &["reconfigure"]);
}

#[test]
fn a_full_disk_of_the_journal_refuses_submits_and_loses_no_end() {
    with_own_mounts(|| {
        let mut rig = Rig::prepared("");
        let disk = Small::new(&rig.dir().join("journal"), 160);
        rig.start_controller();
        rig.start_node("linux0");
        let (pid, mut random) = (rig.controller_pid(), Seeded(0x5eed_0012));
        for round in 0..rounds(3, 20) {
            reserve(&rig, 8);
            let go = format!("go{round}");
            let job = rig.submit(&["-o", "none", "--wrap", &waits_for(&rig, &go, 3)]);
            let waiting = rig.submit(&["-o", "none", "--hold", "--wrap", "true"]);
            wait_for("it runs", || rig.states(&job) == ["RUNNING"]);

            // Below the reserve nothing is taken, and nothing has failed.
            disk.fill(4 << 10);
            let refused = said(&rig.try_run("sbatch", &["--wrap", "true"]));
            assert!(refused.contains("MinFreeDisk") && refused.contains("what runs goes on"), "{refused}");

            // Without a reserve the journal's own writes find no room.
            reserve(&rig, 0);
            disk.fill(2 << 10);
            let mut kept = 0;
            let update = format!("jobid={waiting}");
            let mut tries = 0;
            wait_for("the disk takes nothing more", || {
                let submitted = rig.try_run("sbatch", &["--hold", &large_script(&rig, &mut random)]);
                kept += usize::from(submitted.status.success());
                if submitted.status.success() {
                    return false;
                }
                // A submit that is too large for what is left is not even tried. A change that changes nothing is not written.
                tries += 1;
                let comment = format!("comment={tries}{}", "x".repeat(4 << 10));
                let change = rig.try_run("scontrol", &["update", &update, &comment]);
                !change.status.success() && said(&change).contains("make room on its disk")
            });
            fs::write(rig.work().join(&go), "").expect("written");
            let pending = rig.run("squeue", &["-h", "-t", "pending", "-o", "%i"]);
            assert_eq!(pending.lines().count(), kept + 1, "what was acknowledged is there, and nothing else");

            disk.empty();
            wait_for("its end is told", || rig.states(&job) == ["FAILED"]);
            assert!(rig.run("scontrol", &["show", "job", &job]).contains("ExitCode=3:0"));
            wait_for("submits are taken again", || {
                rig.try_run("sbatch", &["--hold", "--wrap", "true"]).status.success()
            });
            let jobs = rig.run("squeue", &["-h", "-t", "pending", "-o", "%i"]);
            assert_eq!(jobs.lines().count(), kept + 2);
            let jobs: Vec<&str> = jobs.split_whitespace().collect();
            rig.run("scancel", &jobs);
        }
        assert_eq!(rig.controller_pid(), pid, "it is the same process");
        rig.kill_controller();
        rig.start_controller();
        let next = rig.submit(&["-o", "none", "--wrap", "true"]);
        assert_eq!(rig.wait_done(&next), ["COMPLETED"]);
    });
}

#[test]
fn a_full_spool_keeps_exit_codes_and_new_tasks_fail_with_the_reason() {
    with_own_mounts(|| {
        let mut rig = Rig::prepared("");
        let spool = rig.dir().join("nodes").join("linux0");
        fs::create_dir_all(&spool).expect("a folder");
        let disk = Small::new(&spool, 32);
        rig.start_controller();
        rig.start_node("linux0");
        for round in 0..rounds(3, 20) {
            let go = format!("go{round}");
            let job = rig.submit(&["-o", "none", "--wrap", &waits_for(&rig, &go, 3)]);
            wait_for("it runs", || rig.states(&job) == ["RUNNING"]);
            disk.fill(NOTHING_KIB);
            let unlucky = rig.submit(&["-o", "none", "--wrap", "true"]);
            fs::write(rig.work().join(&go), "").expect("written");
            assert_eq!(rig.wait_done(&job), ["FAILED"], "its exit code is kept");
            assert!(rig.run("scontrol", &["show", "job", &job]).contains("ExitCode=3:0"));
            disk.empty();
            assert_eq!(rig.wait_done(&unlucky), ["FAILED"]);
            let why = rig.run("scontrol", &["show", "job", &unlucky]);
            assert!(why.contains("cannot be started on this node: No space left"), "{why}");
            let next = rig.submit(&["-o", "none", "--wrap", "true"]);
            assert_eq!(rig.wait_done(&next), ["COMPLETED"], "the node takes tasks again");
        }
    });
}

#[test]
fn a_full_disk_of_output_fails_the_task_that_writes_and_nothing_else() {
    with_own_mounts(|| {
        let rig = Rig::start(1);
        let disk = Small::new(&rig.work().join("out"), 16);
        for _ in 0..rounds(3, 20) {
            let writes = ["-o", "out/all", "--wrap", "set -e; head -c 1000000 /dev/zero; echo >&2 done"];
            disk.fill(100);
            let job = rig.submit(&writes);
            assert_eq!(rig.wait_done(&job), ["FAILED"]);
            let other = rig.submit(&["-o", "none", "--wrap", "true"]);
            assert_eq!(rig.wait_done(&other), ["COMPLETED"]);
            disk.empty();
            let again = rig.submit(&writes);
            assert_eq!(rig.wait_done(&again), ["COMPLETED"]);
            fs::remove_file(rig.work().join("out/all")).expect("it was written");
        }
    });
}
