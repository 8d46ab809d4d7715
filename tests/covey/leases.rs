//! Processes that are stopped for longer than a lease, and clocks that are set: what may run elsewhere does, and never twice at once.
//!
//! `COVEY_TEST_NIGHTLY` raises the number of rounds.

use std::fs;
use std::path::PathBuf;

use crate::rig::{Rig, rounds, send, wait_for};

/// A lease of two seconds, and one more to kill.
pub(crate) const SHORT: &str = "SlurmdTimeout = 4\nKillWait = 1\n";

/// Three jobs that write who they are again and again until they are let go: one that leaves when it is told to, one that has to be
/// killed, and one that is not to be requeued.
pub(crate) struct Beating {
    go: PathBuf,
    files: [PathBuf; 3],
    pub(crate) jobs: [String; 3],
}

impl Beating {
    pub(crate) fn start(rig: &Rig, round: usize, options: &[&str]) -> Beating {
        let path = |name: &str| rig.work().join(format!("{name}{round}"));
        let (go, files) = (path("go"), ["mild", "stubborn", "single"].map(path));
        let submit = |i: usize| {
            let (trap, requeue) = [("", "--requeue"), ("trap '' TERM; ", "--requeue"), ("", "--no-requeue")][i];
            let beat = format!("echo ${{SLURM_RESTART_COUNT:-0}} $SLURMD_NODENAME $$ >> {}", files[i].display());
            let script = format!("{trap}while [ ! -e {} ]; do {beat}; sleep 0.02; done", go.display());
            let words: Vec<&str> = ["-o", "none", requeue].iter().chain(options).copied().collect();
            rig.submit(&[&words[..], &["--wrap", &script]].concat())
        };
        let jobs = [0, 1, 2].map(submit);
        let beating = Beating { go, files, jobs };
        wait_for("all three run", || (0..3).all(|i| !beating.beats(i).is_empty()));
        wait_for("and are known to", || beating.jobs.iter().all(|job| rig.states(job) == ["RUNNING"]));
        beating
    }

    /// What a job has written: the number of the run, the node, the process.
    pub(crate) fn beats(&self, i: usize) -> Vec<(u32, String, u32)> {
        let text = fs::read_to_string(&self.files[i]).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let words = whole.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        words
            .map(|line| (line[0].parse().expect("a run"), line[1].to_owned(), line[2].parse().expect("a pid")))
            .collect()
    }

    /// The highest run of a job so far.
    pub(crate) fn run(&self, i: usize) -> u32 {
        self.beats(i).last().expect("it has run").0
    }

    pub(crate) fn lives(&self, i: usize) -> bool {
        let (_, _, pid) = self.beats(i).pop().expect("it has run");
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    }

    /// Lets all of them end, and looks whether any run of one was alive after the next had begun.
    pub(crate) fn finish(self, rig: &Rig, single: &str) {
        fs::write(&self.go, "").expect("written");
        for (i, job) in self.jobs.iter().enumerate() {
            let expected = if i == 2 { single } else { "COMPLETED" };
            assert_eq!(rig.wait_done(job), [expected], "job {job}");
            let runs: Vec<u32> = self.beats(i).iter().map(|(run, ..)| *run).collect();
            assert!(runs.is_sorted(), "two runs of job {job} at once: {runs:?}");
        }
    }
}

#[test]
fn a_noded_stopped_past_its_lease_keeps_nothing_that_may_run_elsewhere() {
    let mut rig = Rig::start_with(&[("a", &["--cpus", "4"])], SHORT);
    for round in 0..rounds(5, 50) {
        let beating = Beating::start(&rig, round, &[]);
        rig.start_node_anew("b", &["--cpus", "4"]);
        send(rig.node_pid("a"), "STOP");
        wait_for("what may run elsewhere does", || beating.run(0) == 1 && beating.run(1) == 1);
        assert!(beating.beats(0).iter().all(|(run, node, _)| (node == "b") == (*run == 1)), "on the other node");
        // The one that is not requeued is left alone by the lease: only a node that is back can end it.
        assert_eq!(rig.wait_done(&beating.jobs[2]), ["NODE_FAIL"]);
        assert!(beating.lives(2));
        send(rig.node_pid("a"), "CONT");
        wait_for("the node is back, and has ended what nobody wants", || rig.node_state("a") == "idle");
        assert!(!beating.lives(2));
        beating.finish(&rig, "NODE_FAIL");
        rig.end_node("b", "INT");
        wait_for("the other node has left", || rig.node_state("b").is_empty());
    }
}

#[test]
fn a_controller_stopped_past_all_leases_finds_what_ended_for_it_and_starts_it_again() {
    let rig = Rig::start_with(&[("a", &["--cpus", "4"])], SHORT);
    for round in 0..rounds(5, 50) {
        let beating = Beating::start(&rig, round, &[]);
        send(rig.controller_pid(), "STOP");
        wait_for("what is leased ends", || !beating.lives(0) && !beating.lives(1));
        assert!(beating.lives(2), "and nothing else");
        send(rig.controller_pid(), "CONT");
        wait_for("it runs again", || beating.run(0) == 1 && beating.run(1) == 1);
        assert_eq!((beating.run(2), beating.lives(2)), (0, true));
        beating.finish(&rig, "COMPLETED");
        wait_for("the node is idle", || rig.node_state("a") == "idle");
    }
}

#[test]
fn a_noded_that_is_dead_for_longer_than_its_lease_leaves_nothing_that_may_run_elsewhere() {
    let mut rig = Rig::start_with(&[("a", &["--cpus", "4"])], SHORT);
    let beating = Beating::start(&rig, 0, &[]);
    rig.kill_node("a");
    wait_for("its launcher ends what is leased", || !beating.lives(0) && !beating.lives(1));
    assert!(beating.lives(2));
    rig.start_node_anew("b", &["--cpus", "4"]);
    wait_for("it runs elsewhere", || beating.run(0) == 1 && beating.run(1) == 1);
    beating.finish(&rig, "NODE_FAIL");
}

#[test]
fn clocks_that_are_set_by_an_hour_end_nothing_and_give_nobody_up() {
    let mut rig = Rig::prepared("");
    let (offset, aside) = (rig.work().join("offset"), rig.work().join("offset.new"));
    rig.environment = vec![("COVEY_TEST_WALL_OFFSET_FILE".to_owned(), offset.clone())];
    rig.start_controller();
    rig.start_node("a");
    wait_for("it is idle", || rig.node_state("a") == "idle");
    let long =
        rig.submit(&["-o", "none", "-t", "30", "--wrap", "echo $$ > long; while [ ! -e over ]; do sleep 0.02; done"]);
    wait_for("it runs", || rig.try_read("long").ends_with('\n') && rig.states(&long) == ["RUNNING"]);
    let pid = rig.read("long");
    for round in 0..rounds(10, 100) {
        let set = |hours: i64| {
            fs::write(&aside, (hours * 3_600_000).to_string()).expect("written");
            fs::rename(&aside, &offset).expect("in one folder");
        };
        rig.kill_node("a");
        wait_for("the node is silent", || rig.node_state("a").ends_with('*'));
        set(if round % 2 == 0 { 1 } else { -1 });
        // Time has to be looked at before anything can come of it.
        rig.run("scontrol", &["update", &format!("jobid={long}"), "comment=x"]);
        assert_eq!(rig.node_state("a"), "mix*", "an hour of the clock is no hour");
        rig.start_node("a");
        wait_for("the node is back", || rig.node_state("a") == "mix");
        let short = rig.submit(&["-o", "none", "--retries", "1", "--wrap", "exit ${SLURM_RESTART_COUNT:-0}"]);
        assert_eq!(rig.wait_done(&short), ["COMPLETED"]);
        assert_eq!((rig.states(&long), rig.read("long")), (vec!["RUNNING".to_owned()], pid.clone()), "round {round}");
    }
    fs::write(rig.work().join("over"), "").expect("written");
    assert_eq!(rig.wait_done(&long), ["COMPLETED"]);
}

#[test]
fn a_node_under_a_name_whose_former_self_may_live_is_let_in_when_that_is_over() {
    let mut rig = Rig::start_with(&[("a", &["--cpus", "4"])], SHORT);
    let beating = Beating::start(&rig, 0, &[]);
    // The machine is cut off with all that runs on it; another one is started under its name.
    send(rig.node_pid("a"), "STOP");
    rig.start_elsewhere("a");
    wait_for("the new one is in", || beating.run(0) == 1 && beating.run(1) == 1);
    assert_eq!(rig.wait_done(&beating.jobs[2]), ["NODE_FAIL"]);
    assert!(beating.lives(2), "the old one could not be told");
    beating.finish(&rig, "NODE_FAIL");
}
