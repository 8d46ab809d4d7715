//! kill -9, again and again, of everything that can be killed: nothing that was acknowledged is lost, and nothing runs twice.
//!
//! `COVEY_TEST_NIGHTLY` raises the number of rounds.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::rig::{COVEY, Rig, kill, rounds, send, wait_for};

/// All jobs stay in the books, however many there are.
const LIMITLESS: &str = "MinJobAge = 86400\nMaxJobCount = 1000000\nMaxJobsPerUser = 0\nMaxSubmitSizePerUser = 0\n";

/// Loops that submit.
const LOOPS: usize = 4;

/// One who submits while the rig is used to kill the controller.
struct Submitter {
    endpoint: String,
    work: PathBuf,
    script: String,
}

impl Submitter {
    /// Submits a job; its number, once that is acknowledged.
    fn submit(&self) -> Option<u32> {
        let mut command = Command::new(COVEY);
        command.args(["sbatch", "--parsable", "-o", "none", "--wrap", &self.script]).current_dir(&self.work);
        command.env("COVEY_CONTROLLER", &self.endpoint).env("COVEY_CONNECT_TIMEOUT", "60").stdin(Stdio::null());
        let output = command.output().expect("the binary can be started");
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
        output.status.success().then(|| {
            let text = String::from_utf8(output.stdout).expect("text");
            text.trim().parse().expect("a job's number")
        })
    }
}

#[test]
fn a_controller_killed_under_submit_load_loses_no_job_and_gives_no_number_twice() {
    let kills = rounds(100, 1_000);
    let mut rig = Rig::start_with(&[("a", &[]), ("b", &[])], LIMITLESS);
    let ran = rig.work().join("ran");
    let script = format!("echo $SLURM_JOB_ID >> {}", ran.display());
    let submitter = Submitter { endpoint: rig.endpoint(), work: rig.work(), script };
    let (acknowledged, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let count = || acknowledged.lock().expect("nobody panics").len();
    let mut ready = Vec::new();
    thread::scope(|scope| {
        for _ in 0..LOOPS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let job = submitter.submit().expect("a command that tries again is answered in the end");
                    acknowledged.lock().expect("nobody panics").push(job);
                }
            });
        }
        for round in 0..kills {
            let enough = count() + round % 7;
            wait_for("jobs are acknowledged", || count() >= enough);
            rig.kill_controller();
            let begun = Instant::now();
            rig.start_controller();
            ready.push(begun.elapsed());
        }
        over.store(true, Ordering::Relaxed);
    });
    let acknowledged = acknowledged.into_inner().expect("nobody panicked");
    let numbers: BTreeSet<u32> = acknowledged.iter().copied().collect();
    assert_eq!(numbers.len(), acknowledged.len(), "a number was given twice");
    let listed = || rig.run("squeue", &["-h", "-t", "all", "-o", "%i %T"]);
    wait_for("every job is done", || listed().lines().all(|line| line.ends_with(" COMPLETED")));
    let done: BTreeSet<u32> =
        listed().lines().map(|line| line.split(' ').next().expect("a number").parse().expect("a number")).collect();
    assert!(numbers.is_subset(&done), "lost: {:?}", numbers.difference(&done).collect::<Vec<_>>());
    let text = fs::read_to_string(&ran).expect("jobs have run");
    let runs: Vec<u32> = text.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(runs.iter().copied().collect::<BTreeSet<_>>(), done, "all that is done has run");
    assert_eq!(runs.len(), done.len(), "and has run once");
    ready.sort_unstable();
    let (median, worst) = (ready[ready.len() / 2], ready[ready.len() - 1]);
    println!("{kills} kills, {} jobs; ready again after {median:.0?}, at worst {worst:.0?}", acknowledged.len());
}

#[test]
fn a_noded_killed_again_and_again_kills_no_task_and_forgets_no_exit_code() {
    let mut rig = Rig::start(1);
    let long =
        rig.submit(&["-o", "none", "--wrap", "echo $$ > long; while [ ! -e over ]; do sleep 0.02; done; exit 9"]);
    wait_for("the long one runs", || rig.try_read("long").ends_with('\n'));
    let pid = rig.read("long");
    for round in 0..rounds(50, 500) {
        let (go, gone, code) = (format!("go{round}"), format!("gone{round}"), 1 + round % 250);
        let script = format!("while [ ! -e {go} ]; do sleep 0.01; done; echo > {gone}; exit {code}");
        let job = rig.submit(&["-o", "none", "--wrap", &script]);
        wait_for("it runs", || rig.states(&job) == ["RUNNING"]);
        rig.kill_node("linux0");
        // Its end comes before, while and after noded is away.
        match round % 3 {
            0 => {
                fs::write(rig.work().join(&go), "").expect("written");
                wait_for("it has ended", || rig.work().join(&gone).exists());
                rig.start_node("linux0");
            }
            1 => {
                fs::write(rig.work().join(&go), "").expect("written");
                rig.start_node("linux0");
            }
            _ => {
                rig.start_node("linux0");
                fs::write(rig.work().join(&go), "").expect("written");
            }
        }
        assert_eq!(rig.wait_done(&job), ["FAILED"], "round {round}");
        let shown = rig.run("scontrol", &["show", "job", &job]);
        assert!(shown.contains(&format!("ExitCode={code}:0")) && shown.contains("Restarts=0"), "{shown}");
    }
    assert_eq!((rig.states(&long), rig.read("long")), (vec!["RUNNING".to_owned()], pid), "it was left alone");
    fs::write(rig.work().join("over"), "").expect("written");
    assert_eq!(rig.wait_done(&long), ["FAILED"]);
    assert!(rig.run("scontrol", &["show", "job", &long]).contains("ExitCode=9:0"));
}

#[test]
fn a_machine_that_is_lost_with_all_that_ran_there_costs_one_run_of_each_task() {
    let mut rig = Rig::start_with(&[("a", &[])], "SlurmdTimeout = 2\nKillWait = 1\n");
    for round in 0..rounds(10, 100) {
        let log = rig.work().join(format!("log{round}"));
        let script = format!("echo $$ $SLURM_JOB_ID ${{SLURM_RESTART_COUNT:-0}} >> {}; exec sleep 1000", log.display());
        let again = rig.submit(&["-o", "none", "--requeue", "--wrap", &script]);
        let once = rig.submit(&["-o", "none", "--no-requeue", "--wrap", &script]);
        let lines = || -> Vec<Vec<String>> {
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.lines().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
        };
        wait_for("both run", || lines().len() == 2);
        wait_for("and are known to", || rig.states(&again) == ["RUNNING"] && rig.states(&once) == ["RUNNING"]);
        let launcher = rig.launcher_pid("a");
        let noded = rig.take_node("a");
        send(launcher, "KILL");
        kill(noded);
        lines().iter().for_each(|line| send(line[0].parse().expect("a process"), "KILL"));
        // Its disk is there when it comes back, or is not: then it is let in when its lease is over.
        if round % 2 == 1 {
            // What was killed may still be about to write its last.
            wait_for("the spool is gone", || fs::remove_dir_all(rig.node_dir("a")).is_ok());
        }
        rig.start_node("a");
        wait_for("it runs again", || lines().len() == 3);
        assert_eq!(rig.wait_done(&once), ["NODE_FAIL"], "round {round}");
        let third = &lines()[2];
        assert_eq!((&third[1], third[2].as_str()), (&again, "1"), "what may be requeued, and once");
        rig.run("scancel", &[&again]);
        rig.wait_done(&again);
        assert_eq!(lines().len(), 3);
        wait_for("the node is idle", || rig.node_state("a") == "idle");
    }
}
