//! A job's whole life with real processes: held, requeued, suspended, changed, signalled, tried again, and ended by its deadline.

use std::fs;

use crate::rig::{Rig, wait_for};

/// A shell's wait for a file in the folder where jobs are submitted.
fn until(file: &str) -> String {
    format!("while [ ! -e {file} ]; do sleep 0.02; done")
}

fn open(rig: &Rig, file: &str) {
    fs::write(rig.work().join(file), "").expect("written");
}

fn has(rig: &Rig, file: &str, text: &str) -> bool {
    fs::read_to_string(rig.work().join(file)).is_ok_and(|written| written.contains(text))
}

fn script(rig: &Rig, name: &str, text: &str) {
    fs::write(rig.work().join(name), format!("#!/bin/sh\n{text}\n")).expect("written");
}

/// The value of a key in what `scontrol show job` says.
fn shown(rig: &Rig, job: &str, key: &str) -> String {
    let text = rig.run("scontrol", &["-o", "show", "job", job]);
    let found = text.split_whitespace().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{key} in {text}")).to_owned()
}

/// What sacct says of a job's allocations: state, exit code, restarts and reason.
fn told(rig: &Rig, job: &str) -> String {
    rig.run("sacct", &["-X", "-n", "-P", "-j", job, "-o", "State,ExitCode,Restarts,Reason"])
}

fn reason(rig: &Rig, job: &str) -> String {
    rig.run("squeue", &["-h", "-j", job, "-o", "%T %r"]).trim().to_owned()
}

fn wait_for_state(rig: &Rig, job: &str, state: &str) {
    wait_for(&format!("job {job} is {state}"), || rig.states(job) == [state]);
}

/// Runs a command that must be refused with exit code 1; answers what it said.
fn refused(rig: &Rig, command: &str, words: &[&str]) -> String {
    let output = rig.try_run(command, words);
    assert_eq!(output.status.code(), Some(1), "{command} {words:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn jobs_and_single_tasks_are_held_and_released() {
    let rig = Rig::start(1);
    let first = rig.submit(&["-c2", "-o", "none", "--wrap", &until("go")]);
    let job = rig.submit(&["-o", "none", "--wrap", "true"]);
    let array = rig.submit(&["-o", "none", "--array=0-2", "--wrap", "true"]);
    let task = format!("{array}_1");
    rig.run("scontrol", &["uhold", &job, &task]);
    open(&rig, "go");
    rig.wait_done(&first);
    wait_for("the other tasks are done", || told(&rig, &array).matches("COMPLETED").count() == 2);
    for held in [&job, &task] {
        assert_eq!(reason(&rig, held), "PENDING JobHeldUser");
        assert_eq!((shown(&rig, held, "Priority"), shown(&rig, held, "Reason")), ("0".into(), "JobHeldUser".into()));
    }
    assert_eq!(told(&rig, &task), "PENDING|0:0|0|JobHeldUser\n");
    rig.run("scontrol", &["release", &format!("{job},{task}")]);
    assert_eq!((rig.wait_done(&job), rig.wait_done(&array)), (vec!["COMPLETED".into()], vec!["COMPLETED".into(); 3]));
    assert_eq!(told(&rig, &job), "COMPLETED|0:0|0|None\n");
}

#[test]
fn a_requeued_job_starts_again_from_its_beginning() {
    let rig = Rig::start(1);
    let text = format!(
        "echo run ${{SLURM_RESTART_COUNT:-none}} of $SLURM_JOB_ID\n[ $SLURM_RESTART_COUNT ] && exit 4\n{}",
        until("go")
    );
    script(&rig, "again.sh", &text);
    let job = rig.submit(&["-o", "fresh.txt", "again.sh"]);
    let more = rig.submit(&["-o", "more.txt", "--open-mode=append", "again.sh"]);
    wait_for("both run", || has(&rig, "fresh.txt", "run none") && has(&rig, "more.txt", "run none"));

    rig.run("scontrol", &["requeuehold", &job]);
    wait_for("it waits again, held", || reason(&rig, &job) == "PENDING JobHeldUser");
    let written = rig.read("fresh.txt");
    assert!(written.starts_with(&format!("run none of {job}\n")), "{written}");
    assert!(written.ends_with(" DUE TO JOB REQUEUE ***\n"), "{written}");
    assert_eq!(told(&rig, &job), "PENDING|0:0|1|JobHeldUser\n");
    rig.run("scontrol", &["release", &job]);
    assert_eq!(rig.wait_done(&job), ["FAILED"]);
    assert_eq!(rig.read("fresh.txt"), format!("run 1 of {job}\n"));
    assert_eq!(told(&rig, &job), "FAILED|4:0|1|NonZeroExitCode\n");

    rig.run("scontrol", &["requeue", &more]);
    wait_for("it ran again", || rig.states(&more) == ["FAILED"]);
    let written = rig.read("more.txt");
    assert!(written.contains("DUE TO JOB REQUEUE") && written.ends_with(&format!("\nrun 1 of {more}\n")), "{written}");

    // What is done runs again, too, under its number.
    rig.run("scontrol", &["requeue", &job]);
    wait_for("it ran a third time", || told(&rig, &job) == "FAILED|4:0|2|NonZeroExitCode\n");
    assert_eq!((rig.read("fresh.txt"), shown(&rig, &job, "Restarts")), (format!("run 2 of {job}\n"), "2".into()));

    let once = rig.submit(&["-o", "none", "--no-requeue", "--wrap", &until("go")]);
    wait_for_state(&rig, &once, "RUNNING");
    let said = refused(&rig, "scontrol", &["requeue", &once]);
    assert!(said.contains("--no-requeue") && said.contains(&format!("disabled for job {once}")), "{said}");
}

#[test]
fn a_suspended_job_stands_still_and_lends_its_cpus() {
    let rig = Rig::start(1);
    let job = rig.submit(&["-c2", "--mem=50", "-o", "count", "--wrap", "while :; do echo; sleep 0.01; done"]);
    let count = || rig.read("count").len();
    wait_for("it counts", || fs::metadata(rig.work().join("count")).is_ok_and(|file| file.len() > 2));
    wait_for("it has run for a second", || shown(&rig, &job, "RunTime") != "00:00:00");
    rig.run("scontrol", &["suspend", &job]);
    assert_eq!(rig.states(&job), ["SUSPENDED"]);
    let ran = shown(&rig, &job, "RunTime");

    let looks = format!("cat count > before; sleep 1.5; cat count > after; {}", until("go"));
    let other = rig.submit(&["-c2", "--mem=50", "-o", "none", "--wrap", &looks]);
    wait_for("another has its CPUs", || rig.work().join("after").exists() && rig.states(&other) == ["RUNNING"]);
    wait_for("it has looked", || {
        rig.read("after") == rig.read("before") || rig.read("after").len() > rig.read("before").len()
    });
    assert_eq!(rig.read("after").len(), rig.read("before").len(), "not a process of it goes on");
    assert_eq!((shown(&rig, &job, "RunTime"), told(&rig, &job)), (ran, "SUSPENDED|0:0|0|None\n".into()));
    assert_ne!(shown(&rig, &job, "SuspendTime"), "None");
    let said = refused(&rig, "scontrol", &["resume", &job]);
    assert!(
        said.starts_with(&format!("Requested nodes are busy for job {job}\n")) && said.contains("linux0"),
        "{said}"
    );

    open(&rig, "go");
    assert_eq!(rig.wait_done(&other), ["COMPLETED"]);
    let stood = count();
    rig.run("scontrol", &["resume", &job]);
    wait_for("it goes on", || count() > stood);
    assert_eq!(rig.states(&job), ["RUNNING"]);
    rig.run("scontrol", &["suspend", &job]);
    rig.run("scancel", &[&job]);
    assert_eq!(rig.wait_done(&job), ["CANCELLED"]);
    let elapsed = rig.run("sacct", &["-XnP", "-j", &job, "-o", "ElapsedRaw,Suspended"]);
    let (ran, stood) = elapsed.trim().split_once('|').expect("two fields");
    assert!(ran.parse::<u32>().is_ok_and(|s| s >= 1) && stood != "00:00:00", "{elapsed}");
}

#[test]
fn a_lower_limit_reaches_the_node() {
    let rig = Rig::start(1);
    // The warning goes 59 s ahead of the limit: of an hour it is not due, and of a minute it is after one second.
    script(&rig, "warned.sh", &format!("trap 'echo warned; exit 3' USR1\necho ready\n{}", until("stop")));
    let job = rig.submit(&["-t60", "--signal=B:USR1@59", "-o", "out.txt", "warned.sh"]);
    wait_for("its trap is set", || has(&rig, "out.txt", "ready"));
    rig.run("scontrol", &["update", &format!("jobid={job}"), "TimeLimit+=10"]);
    assert_eq!(shown(&rig, &job, "TimeLimit"), "01:10:00");
    rig.run("scontrol", &["update", "job", &job, "timelimit=1", "name=shorter", "comment=in a hurry"]);
    let text = rig.run("scontrol", &["show", "job", &job]);
    for part in ["TimeLimit=00:01:00", "JobName=shorter", "Comment=in a hurry"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(rig.wait_done(&job), ["FAILED"]);
    assert_eq!(rig.read("out.txt"), "ready\nwarned\n");
    assert_eq!(told(&rig, &job), "FAILED|3:0|0|NonZeroExitCode\n");
    assert_eq!(rig.run("sacct", &["-XnP", "-j", &job, "-o", "JobName,Timelimit"]), "shorter|00:01:00\n");
}

#[test]
fn a_throttle_is_opened_while_tasks_run() {
    let rig = Rig::start(2);
    let array = rig.submit(&["--array=0-5%1", "-o", "none", "--wrap", &until("go")]);
    let running = || rig.states(&array).iter().filter(|state| *state == "RUNNING").count();
    wait_for("one runs", || running() == 1);
    let pending = || rig.run("squeue", &["-h", "-t", "PD", "-j", &array, "-o", "%i %r"]);
    assert_eq!(pending(), format!("{array}_[1-5%1] JobArrayTaskLimit\n"));
    rig.run("scontrol", &["update", &format!("jobid={array}"), "ArrayTaskThrottle=3"]);
    wait_for("three run", || running() == 3);
    assert_eq!(pending(), format!("{array}_[3-5%3] JobArrayTaskLimit\n"));
    rig.run("scontrol", &["update", &format!("jobid={array}"), "arraytaskthrottle", "0"]);
    wait_for("four run, as many as there are CPUs", || running() == 4);
    assert_eq!(pending(), format!("{array}_[4-5] Resources\n"));
    open(&rig, "go");
    assert_eq!(rig.wait_done(&array), vec!["COMPLETED"; 6]);
}

#[test]
fn signals_reach_the_shell_or_all_its_processes() {
    let rig = Rig::start(1);
    let child = format!("trap 'echo child >> got' USR1; touch up; {}", until("stop"));
    script(&rig, "trap.sh", &format!("trap 'echo shell >> got' USR1\nsh -c \"{child}\" &\n{}\nwait", until("stop")));
    let job = rig.submit(&["-o", "none", "trap.sh"]);
    wait_for("the child's trap is set", || rig.work().join("up").exists());
    // There are no steps, so the first one reaches nobody.
    rig.run("scancel", &["-s", "USR1", &job]);
    rig.run("scancel", &["-b", "--signal=SIGUSR1", &job]);
    wait_for("the shell has got it", || has(&rig, "got", "shell"));
    assert_eq!(rig.read("got"), "shell\n");
    rig.run("scancel", &["-f", "-s", "10", &job]);
    wait_for("both have got it", || rig.read("got").lines().count() == 3);
    assert_eq!((rig.read("got").matches("shell").count(), rig.read("got").matches("child").count()), (2, 1));
    assert_eq!(rig.states(&job), ["RUNNING"]);
    open(&rig, "stop");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
}

#[test]
fn a_deadline_ends_what_runs_and_what_waits() {
    let rig = Rig::start(1);
    let job = rig.submit(&["--deadline=now+2seconds", "-o", "out.txt", "--wrap", &until("never")]);
    let held = rig.submit(&["--deadline=now+1second", "--hold", "-o", "none", "--wrap", "true"]);
    wait_for_state(&rig, &job, "RUNNING");
    assert_ne!(shown(&rig, &job, "Deadline"), "N/A");
    assert_eq!((rig.wait_done(&held), rig.wait_done(&job)), (vec!["DEADLINE".into()], vec!["DEADLINE".into()]));
    let written = rig.read("out.txt");
    assert!(written.contains(" CANCELLED AT ") && written.contains(" DUE TO DEADLINE ***"), "{written}");
    assert_eq!(
        (told(&rig, &job), told(&rig, &held)),
        ("DEADLINE|0:0|0|DeadLine\n".into(), "DEADLINE|0:0|0|DeadLine\n".into())
    );
    let late = refused(&rig, "sbatch", &["--deadline=now+1minute", "-t10", "--wrap", "true"]);
    assert!(late.contains("Requested time limit is invalid") && late.contains("too late"), "{late}");
}

#[test]
fn what_fails_is_tried_again_as_often_as_its_user_said() {
    let rig = Rig::start(2);
    script(&rig, "third.sh", "echo attempt >> tries\n[ \"$SLURM_RESTART_COUNT\" = 2 ]");
    let lucky = rig.submit(&["--retries=2", "-o", "none", "third.sh"]);
    let never = rig.submit(&["--retries=1", "-o", "none", "--wrap", "exit 7"]);
    let other = rig.submit(&["--retries=2", "--retry-on=1,3-5", "-o", "none", "--wrap", "exit 7"]);
    assert_eq!(rig.wait_done(&other), ["FAILED"]);
    assert_eq!(told(&rig, &other), "FAILED|7:0|0|NonZeroExitCode\n");
    assert_eq!((rig.wait_done(&never), rig.wait_done(&lucky)), (vec!["FAILED".into()], vec!["COMPLETED".into()]));
    assert_eq!(told(&rig, &never), "FAILED|7:0|1|NonZeroExitCode\n");
    assert_eq!(told(&rig, &lucky), "COMPLETED|0:0|2|None\n");
    assert_eq!((shown(&rig, &lucky, "Restarts"), rig.read("tries").lines().count()), ("2".into(), 3));
}

#[test]
fn a_dependency_is_changed_and_a_circle_is_refused() {
    let rig = Rig::start(1);
    let first = rig.submit(&["--hold", "-o", "none", "--wrap", "true"]);
    let second = rig.submit(&["-d", &format!("afterok:{first}"), "-o", "none", "--wrap", "true"]);
    let update = |job: &str, change: &str| rig.try_run("scontrol", &["update", &format!("jobid={job}"), change]);
    let circle = update(&first, &format!("dependency=afterany:{second}"));
    let said = String::from_utf8(circle.stderr).expect("text");
    let text = "Circular job dependency";
    assert_eq!(
        (circle.status.code(), said),
        (Some(1), format!("{text} for job {first}\nslurm_update error: {text}\n"))
    );
    let listed = rig.run("squeue", &["-h", "-j", &second, "-o", "%r %E"]);
    assert_eq!(listed, format!("Dependency afterok:{first}(unfulfilled)\n"));
    assert!(update(&second, "dependency=").status.success());
    assert_eq!(rig.wait_done(&second), ["COMPLETED"]);
    assert!(update(&first, "dependency=afterok:999").status.code() == Some(1));
}

#[test]
fn a_job_of_several_partitions_starts_where_there_is_room() {
    let rig = Rig::start(2);
    rig.run("scontrol", &["create", "partition=fast", "nodes=linux1", "prioritytier=5"]);
    let work = until("go");
    let jobs: Vec<String> =
        (0..4).map(|_| rig.submit(&["-c2", "-p", "debug,fast", "-o", "none", "--wrap", &work])).collect();
    wait_for("two run", || jobs[..2].iter().all(|job| rig.states(job) == ["RUNNING"]));
    let places: Vec<String> = jobs.iter().map(|job| rig.run("squeue", &["-h", "-j", job, "-o", "%P %R"])).collect();
    assert_eq!(places[..2], ["fast linux1\n", "debug linux0\n"]);
    assert_eq!(places[2], "fast,debug (Resources)\n");
    rig.run("scontrol", &["update", &format!("jobid={}", jobs[3]), "partition=fast"]);
    open(&rig, "go");
    for job in &jobs {
        assert_eq!(rig.wait_done(job), ["COMPLETED"]);
    }
    let last = rig.run("sacct", &["-XnP", "-j", &jobs[3], "-o", "Partition,NodeList"]);
    assert_eq!(last, "fast|linux1\n");
}

#[test]
fn a_program_is_run_without_a_shell_and_its_array_has_outputs_of_its_own() {
    let rig = Rig::start(1);
    let job = rig.submit(&["--array=0-1", "-o", "said.%a", "--exec", "echo", "-n", "$HOME", "a  b"]);
    assert_eq!(rig.wait_done(&job), ["COMPLETED"; 2]);
    assert_eq!([rig.read("said.0"), rig.read("said.1")], ["$HOME a  b"; 2], "nobody has looked at the words");
    let missing = rig.submit(&["-o", "none", "--exec", "./missing"]);
    assert_eq!(rig.wait_done(&missing), ["FAILED"]);
    script(&rig, "asks.sh", "#COVEY --exec");
    let said = refused(&rig, "sbatch", &["asks.sh"]);
    assert_eq!(said, "sbatch: error: --exec is for the command line, which names the program\n");
}
