//! What the verbs that change jobs say to unknown, ended and waiting jobs, to garbage, and when nobody answers: Slurm's texts.

use crate::rig::Rig;

/// Runs a command; answers its exit code and what it said to stderr. A refusal prints nothing that a program might take.
fn said(rig: &Rig, command: &str, words: &[&str]) -> (Option<i32>, String) {
    let output = rig.try_run(command, words);
    assert!(output.stdout.is_empty(), "{command} {words:?}: {output:?}");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

fn check(rig: &Rig, command: &str, cases: &[(&str, i32, &str)]) {
    for (line, code, text) in cases {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (exit, stderr) = said(rig, command, &words);
        assert!(exit == Some(*code) && stderr.starts_with(text), "{command} {line}: {exit:?} {stderr}");
    }
}

/// A job that is done, one that runs, one that is held, and an array of which one task is done: 1, 2, 3 and 4.
fn stage() -> Rig {
    let rig = Rig::start(1);
    let done = rig.submit(&["-o", "none", "--wrap", "true"]);
    rig.wait_done(&done);
    let runs = rig.submit(&["-o", "none", "--wrap", "sleep 600"]);
    rig.submit(&["-o", "none", "--hold", "--wrap", "true"]);
    let array = rig.submit(&["-o", "none", "--array=0-2", "--hold", "--wrap", "true"]);
    rig.run("scancel", &[&format!("{array}_2")]);
    crate::rig::wait_for("one runs", || rig.states(&runs) == ["RUNNING"]);
    rig
}

const UNKNOWN: &str = "Invalid job id specified for job ";
const DONE: &str = "Job/step already completing or completed for job ";
const FINISHED: &str = "Job has already finished for job ";
const WAITS: &str = "Job is pending execution for job ";

#[test]
fn every_verb_refuses_what_it_cannot_do() {
    let rig = stage();
    for verb in ["hold", "uhold", "release", "requeue", "requeuehold", "suspend", "resume"] {
        let again = matches!(verb, "hold" | "uhold" | "release");
        for (id, text) in
            [("99", UNKNOWN), ("4_9", UNKNOWN), ("abc", UNKNOWN), ("2,x_", UNKNOWN), ("1", DONE), ("4_2", DONE)]
        {
            if verb.starts_with("requeue") && text == DONE {
                continue;
            }
            let (code, stderr) = said(&rig, "scontrol", &[verb, id]);
            let id = id.rsplit(',').next().expect("there is one");
            let text = if again && text == DONE { FINISHED } else { text };
            let first = format!("{text}{id}\n");
            assert!(code == Some(1) && stderr.starts_with(&first), "{verb} {id}: {code:?} {stderr}");
            assert_eq!(stderr.contains("\nslurm_suspend error: "), again, "{verb} {id}: {stderr}");
        }
        check(&rig, "scontrol", &[(verb, 1, &format!("too few arguments for keyword:{verb}\n"))]);
    }
    check(
        &rig,
        "scontrol",
        &[
            ("requeue 3", 1, WAITS),
            ("requeue incomplete 1", 1, DONE),
            ("suspend 3", 1, WAITS),
            ("resume 4_1", 1, WAITS),
            ("resume 2", 1, "Job is not suspended for job 2\n"),
            ("-Q hold 99", 1, ""),
            ("bogus 1", 1, "invalid keyword: bogus\n"),
        ],
    );
    assert_eq!(said(&rig, "scontrol", &["-Q", "hold", "99"]).1, "");
    assert_eq!(rig.states("2"), ["RUNNING"], "one id that is none, and nothing was done to the others");
}

#[test]
fn updates_refuse_and_say_what_is_wanted() {
    let rig = stage();
    check(
        &rig,
        "scontrol",
        &[
            ("update", 1, "too few arguments for keyword:update\n"),
            ("update jobid=3", 1, "No changes specified\n"),
            ("update jobid= nice=5", 1, "scontrol: error: jobid= names no job\nRequest aborted\n"),
            (
                "update jobid=99 nice=5",
                1,
                "Invalid job id specified for job 99\nslurm_update error: Invalid job id specified\n",
            ),
            ("update nice=5 jobid=abc", 1, "Invalid job id specified for job abc\n"),
            ("update jobid=1 nice=5", 1, FINISHED),
            ("update jobid=2 numtasks=1", 1, "Job is no longer pending execution for job 2\n"),
            ("update jobid=3 endtime=now", 1, "Job is not running for job 3\n"),
            ("update jobid=3 partition=nowhere", 1, "Invalid partition name specified for job 3\n"),
            ("update jobid=3 numcpus=64", 1, "Requested node configuration is not available for job 3\n"),
            ("update jobid=3 dependency=afterok:99", 1, "Job dependency problem for job 3\n"),
            ("update jobid=3 dependency=foo:1", 1, "Invalid value for dependency: foo:1\nslurm_update error: "),
            (
                "update jobid=3 deadline=2020-01-01",
                1,
                "Requested time limit is invalid (missing or exceeds some limit) for job 3\n",
            ),
            (
                "update jobid=3 timelimit=soon",
                1,
                "Invalid value for timelimit: soon\nslurm_update error: Invalid timelimit",
            ),
            (
                "update jobid=4_1 arraytaskthrottle=3",
                1,
                "Requested operation not supported on this system for job 4_1\n",
            ),
            (
                "update jobid=3 colour=red",
                1,
                "Update of this parameter is not supported: colour=red\nRequest aborted\n",
            ),
            ("update jobid=3 n=5", 1, "Update of this parameter is not supported: n=5\nRequest aborted\n"),
        ],
    );
    let (_, stderr) = said(&rig, "scontrol", &["update", "jobid=3", "requeue=maybe"]);
    assert!(stderr.ends_with("covey: hint: 0 or 1 is wanted\n"), "{stderr}");
    let untouched = rig.run("squeue", &["-h", "-j", "2,3", "-S", "i", "-o", "%i %T %y %l"]);
    assert_eq!(untouched, "2 RUNNING 0 UNLIMITED\n3 PENDING 0 UNLIMITED\n");
    rig.run("scontrol", &["update", "comment=late", "jobid=3", "nice=7", "priority=5"]);
    assert_eq!(rig.wait_done("3"), ["COMPLETED"], "a priority releases what is held");
}

#[test]
fn scancel_and_sbatch_refuse_garbage_and_leave_in_peace_who_comes_late() {
    let rig = stage();
    check(
        &rig,
        "scancel",
        &[
            ("-s USR1 99", 1, "scancel: error: Kill job error on job id 99: Invalid job id specified\n"),
            ("-s USR1 1", 1, "scancel: error: Kill job error on job id 1: Invalid job id specified\n"),
            ("-s USR1 4_2", 1, "scancel: error: Kill job error on job id 4_2: Invalid job id specified\n"),
            ("-s USR1 3", 1, "scancel: error: Kill job error on job id 3: Job is pending execution\n"),
            ("-s FOO 2", 1, "Unknown job signal: FOO\n"),
            ("-b 2_", 1, "scancel: error: Invalid job id 2_\n"),
            ("-s", 1, "scancel: option requires an argument -- 's'\n"),
            ("-t SUSPENDED", 0, ""),
        ],
    );
    check(
        &rig,
        "sbatch",
        &[
            ("--deadline=soon --wrap true", 255, "sbatch: error: Invalid --deadline specification\n"),
            (
                "--nice=x --wrap true",
                255,
                "sbatch: error: Invalid --nice specification\nsbatch: error: 'x' is not a whole number\n",
            ),
            ("--retry-on=1 --wrap true", 255, "sbatch: error: --retries <N> must be given\n"),
            ("--retries=1 --retry-on=x --wrap true", 255, "sbatch: error: Invalid --retry-on specification\n"),
            (
                "--signal=B:FOO --wrap true",
                255,
                "sbatch: error: Invalid --signal specification\nsbatch: error: 'B:FOO' is no warning",
            ),
        ],
    );
    assert_eq!(rig.states("2"), ["RUNNING"]);
    let held = rig.submit(&["--priority=0", "--wrap", "true"]);
    assert_eq!(rig.run("squeue", &["-h", "-j", &held, "-o", "%T %r"]), "PENDING JobHeldUser\n");
}

#[test]
fn without_a_controller_every_verb_says_so() {
    let mut rig = Rig::start(0);
    rig.kill_controller();
    let nobody = "Unable to contact slurm controller (connect failure)\n";
    for (command, line, prefix) in [
        ("scontrol", "hold 1", "slurm_suspend error: "),
        ("scontrol", "requeue 1", "slurm_suspend error: "),
        ("scontrol", "update jobid=1 nice=1", "slurm_update error: "),
        ("scancel", "-s USR1 1", "scancel: error: "),
        ("sacct", "-j 1", "sacct: error: "),
    ] {
        let words: Vec<&str> = line.split(' ').chain(["--connect-timeout=0"]).collect();
        let (code, stderr) = said(&rig, command, &words);
        assert!(
            code == Some(1) && stderr.starts_with(&format!("{prefix}{nobody}")),
            "{command} {line}: {code:?} {stderr}"
        );
        assert!(stderr.contains("covey up"), "{stderr}");
    }
}
