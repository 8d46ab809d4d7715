//! Steps and allocations with real processes: what tasks are told, what srun passes on, and what survives a kill -9.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::{Child, Output, Stdio};

use crate::rig::{COVEY, Rig, send, wait_for};

/// A job script that runs these lines; answers the job once it is over, with what it wrote.
fn run_job(rig: &Rig, options: &[&str], lines: &str) -> String {
    let job = submit(rig, options, lines);
    rig.wait_done(&job);
    rig.try_read(&format!("{job}.out"))
}

fn submit(rig: &Rig, options: &[&str], lines: &str) -> String {
    fs::write(rig.work().join("job.sh"), format!("#!/bin/bash\nsrun() {{ {COVEY} srun \"$@\"; }}\n{lines}\n"))
        .expect("written");
    rig.submit(&[options, &["-o", "%j.out", "job.sh"]].concat())
}

fn spawn(rig: &Rig, name: &str, args: &[&str]) -> Child {
    let mut command = rig.command(name, args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn each_task_runs_the_program_that_a_file_gives_it() {
    let rig = Rig::start(2);
    fs::write(rig.work().join("programs"), "0 echo first\n2-3 echo pair %t %o\n* sh -c 'echo rest $SLURM_PROCID'\n")
        .expect("written");
    let written = run_job(&rig, &["-N2", "-n4"], "srun -l --multi-prog programs");
    assert_eq!(sorted(&written), ["0: first", "1: rest 1", "2: pair 2 0", "3: pair 3 1"], "{written}");
    fs::write(rig.work().join("programs"), "0-2 true\n").expect("written");
    let refused = run_job(&rig, &["-N2", "-n4"], "srun --multi-prog programs; echo code $?");
    assert!(
        refused.starts_with("srun: error: Configuration file programs invalid, no record for task id 3\n")
            && refused.ends_with("code 1\n"),
        "{refused}"
    );
}

#[test]
fn tasks_on_two_nodes_are_told_who_they_are_and_the_worst_code_wins() {
    let rig = Rig::start(2);
    let script = "srun -l bash -c 'echo $SLURM_PROCID $SLURM_NODEID $SLURM_LOCALID $SLURMD_NODENAME $SLURM_STEP_ID $SLURM_NTASKS \
                  $([ $SLURM_TASK_PID = $$ ] && echo own)'\n\
                  srun bash -c 'exit $((SLURM_PROCID + 3))'; echo code $?\n\
                  env -i SLURM_JOB_ID=$SLURM_JOB_ID COVEY srun -n1 -N1 /bin/echo bare\n"
        .replace("COVEY", COVEY);
    let written = run_job(&rig, &["-N2", "-n4"], &script);
    let lines = sorted(&written);
    for line in
        ["0: 0 0 0 linux0 0 4 own", "1: 1 0 1 linux0 0 4 own", "2: 2 1 0 linux1 0 4 own", "3: 3 1 1 linux1 0 4 own"]
    {
        assert!(lines.contains(&line), "{written}");
    }
    for line in [
        "code 6",
        "bare",
        "srun: error: linux0: task 0: Exited with exit code 3",
        "srun: error: linux1: task 3: Exited with exit code 6",
    ] {
        assert!(lines.contains(&line), "{line}: {written}");
    }
}

#[test]
fn input_reaches_the_tasks_and_large_output_comes_whole() {
    let rig = Rig::start(1);
    let script = "printf 'one\\ntwo\\n' | srun -n2 -l cat\n\
                  srun -n1 bash -c 'head -c 50000000 /dev/zero | tr \"\\0\" x' | wc -c\n\
                  head -c 5000000 /dev/zero | srun -n1 wc -c\n\
                  srun -n1 no-such-program; echo code $?\n\
                  srun -n1 bash -c 'kill -9 $$'; echo code $?";
    let written = run_job(&rig, &["-n2"], script);
    let lines = sorted(&written);
    for line in [
        "0: one",
        "0: two",
        "1: one",
        "1: two",
        "50000000",
        "5000000",
        "slurmstepd: error: execve(): no-such-program: No such file or directory",
        "srun: error: linux0: task 0: Exited with exit code 2",
        "code 2",
        "srun: error: linux0: task 0: Killed",
        "code 137",
    ] {
        assert!(lines.contains(&line), "{line}: {written}");
    }
}

#[test]
fn files_of_tasks_are_opened_on_their_nodes() {
    let rig = Rig::start(2);
    let script = "srun --unbuffered --output X_%t_log.out --error X_%t_log.err bash -c 'echo out $SLURM_PROCID; echo err >&2'\n\
                  srun -o all-%j.%s.txt -l hostname\n";
    let written = run_job(&rig, &["-N2", "-n2"], script);
    assert_eq!(written, "", "everything goes into files");
    assert_eq!((rig.read("X_0_log.out"), rig.read("X_1_log.out")), ("out 0\n".into(), "out 1\n".into()));
    assert_eq!(rig.read("X_1_log.err"), "err\n");
    assert_eq!(rig.read("all-1.1.txt").lines().count(), 2);
}

#[test]
fn steps_of_one_job_run_beside_each_other() {
    let rig = Rig::start(1);
    let script = "meet() { srun -n1 --exact bash -c \"touch here$1; while [ ! -e here$2 ]; do sleep 0.02; done; echo met $1\"; }\n\
                  meet 1 2 & meet 2 1 & wait";
    let written = run_job(&rig, &["-n2"], script);
    assert_eq!(sorted(&written), ["met 1", "met 2"]);
}

#[test]
fn nothing_is_lost_when_noded_and_controller_are_killed_in_mid_step() {
    let mut rig = Rig::start(1);
    let script = "srun -n1 bash -c 'for i in {1..400}; do echo line $i; [ $i = 100 ] && touch begun; \
                  [ $i = 200 ] && while [ ! -e go ]; do sleep 0.02; done; done; exit 5'; echo code $?";
    let job = submit(&rig, &["-n1"], script);
    wait_for("it has begun", || rig.work().join("begun").exists());
    rig.kill_node("linux0");
    rig.kill_controller();
    fs::write(rig.work().join("go"), "").expect("written");
    rig.start_controller();
    rig.start_node("linux0");
    rig.wait_done(&job);
    let written = rig.read(&format!("{job}.out"));
    let lines: Vec<&str> = written.lines().filter(|line| line.starts_with("line ")).collect();
    let whole: Vec<String> = (1..=400).map(|i| format!("line {i}")).collect();
    assert_eq!(lines, whole, "each line once, in its order");
    assert!(written.contains("code 5"), "{written}");
}

#[test]
fn a_step_is_cancelled_and_its_job_goes_on() {
    let rig = Rig::start(1);
    let job = submit(&rig, &["-n1"], "srun -n1 bash -c 'touch begun; sleep 1000'; echo code $?; srun -n1 echo next");
    wait_for("it has begun", || rig.work().join("begun").exists());
    rig.run("scancel", &[&format!("{job}.0")]);
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    let written = rig.read(&format!("{job}.out"));
    assert!(written.contains(&format!("slurmstepd: error: *** STEP {job}.0 ON linux0 CANCELLED AT ")), "{written}");
    assert!(written.contains("srun: error: linux0: task 0: Terminated"), "{written}");
    assert!(written.contains("code 143") && written.contains("next"), "{written}");
}

#[test]
fn a_job_that_ends_takes_its_steps_with_it() {
    let rig = Rig::start(2);
    let script = "srun -N2 -n2 bash -c 'echo $$ > pid-$SLURM_PROCID; exec sleep 1000' & \
                  while [ ! -s pid-0 ] || [ ! -s pid-1 ]; do sleep 0.02; done; exit 3";
    let job = submit(&rig, &["-N2", "-n2"], script);
    assert_eq!(rig.wait_done(&job), ["FAILED"]);
    let lives = |file: &str| fs::exists(format!("/proc/{}", rig.read(file).trim())).expect("/proc is there");
    wait_for("its tasks are gone", || !lives("pid-0") && !lives("pid-1"));
}

#[test]
fn outside_of_a_job_srun_asks_for_nodes_and_gives_them_back() {
    let rig = Rig::start(1);
    let Output { status, stdout, stderr } = rig.try_run("srun", &["-n2", "bash", "-c", "echo $SLURM_PROCID; exit 4"]);
    assert_eq!((status.code(), sorted(&text(&stdout))), (Some(4), vec!["0", "1"]), "{}", text(&stderr));
    assert!(text(&stderr).contains("srun: error: linux0: tasks 0-1: Exited with exit code 4"), "{}", text(&stderr));
    assert_eq!(rig.wait_done("1"), ["FAILED"]);
    let first = rig.submit(&["-n2", "--wrap", "while [ ! -e go ]; do sleep 0.02; done"]);
    wait_for("the node is full", || rig.states(&first) == ["RUNNING"]);
    let waiting = spawn(&rig, "srun", &["-n1", "echo", "ran"]);
    wait_for("the next one waits", || rig.run("squeue", &["-h", "-t", "PD", "-o", "%i"]).trim() == "3");
    fs::write(rig.work().join("go"), "").expect("written");
    let done = waiting.wait_with_output().expect("it ends");
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "ran\n"));
    wait_for("its job is over", || rig.states("3") == ["COMPLETED"]);
    let none = rig.try_run("srun", &["--jobid=99", "true"]);
    let said = "srun: error: Unable to confirm allocation for job 99: Invalid job id specified\n\
                srun: Check SLURM_JOB_ID environment variable. Expired or invalid job 99\n";
    assert_eq!((none.status.code(), text(&none.stderr).as_str()), (Some(1), said));
}

#[test]
fn salloc_holds_nodes_while_its_command_runs() {
    let rig = Rig::start(2);
    let script =
        format!("echo $SLURM_JOB_ID $SLURM_JOB_NUM_NODES $SLURM_JOB_NODELIST; {COVEY} srun hostname | wc -l; exit 6");
    let done = rig.try_run("salloc", &["-N2", "-n2", "bash", "-c", &script]);
    assert_eq!(text(&done.stdout), "1 2 linux[0-1]\n2\n", "{}", text(&done.stderr));
    let said = "salloc: Granted job allocation 1\nsalloc: Relinquishing job allocation 1\n";
    assert_eq!((done.status.code(), text(&done.stderr).as_str()), (Some(6), said));
    let states: BTreeSet<String> = rig.wait_done("1").into_iter().collect();
    assert_eq!(states.len(), 1);
    assert_eq!(rig.run("sacct", &["-nP", "-j1", "-o", "JobID"]), "1\n1.0\n", "it has no batch script");
}

#[test]
fn ctrl_c_asks_first_and_then_ends_the_step() {
    let rig = Rig::start(1);
    let step = spawn(&rig, "srun", &["-n2", "bash", "-c", "touch begun$SLURM_PROCID; sleep 1000"]);
    wait_for("it has begun", || rig.work().join("begun0").exists() && rig.work().join("begun1").exists());
    send(step.id(), "INT");
    send(step.id(), "USR2");
    let done = step.wait_with_output().expect("it ends");
    let said = text(&done.stderr);
    assert!(
        said.contains("srun: interrupt (one more within 1 sec to abort)\nsrun: StepId=1.0 tasks 0-1: running\n"),
        "{said}"
    );
    assert!(said.contains("srun: error: linux0: tasks 0-1: User defined signal 2"), "{said}");
    assert_eq!(done.status.code(), Some(128 + 12));
    let step = spawn(&rig, "srun", &["-n1", "bash", "-c", "touch again; sleep 1000"]);
    wait_for("it has begun", || rig.work().join("again").exists());
    send(step.id(), "INT");
    send(step.id(), "QUIT");
    let done = step.wait_with_output().expect("it ends");
    assert!(text(&done.stderr).contains("srun: sending Ctrl-C to StepId=2.0\n"), "{}", text(&done.stderr));
    assert_ne!(done.status.code(), Some(0));
}

#[test]
fn a_bad_task_ends_the_others_where_that_was_asked_for() {
    let rig = Rig::start(2);
    let script = "srun -K -N2 -n2 bash -c '[ $SLURM_PROCID = 1 ] && exit 9; exec sleep 1000'; echo code $?\n\
                  srun -W1 -N2 -n2 bash -c '[ $SLURM_PROCID = 1 ] && exit 0; exec sleep 1000'; echo code $?";
    let written = run_job(&rig, &["-N2", "-n2"], script);
    assert!(written.contains("srun: error: linux1: task 1: Exited with exit code 9"), "{written}");
    assert_eq!(written.matches("srun: error: linux0: task 0: Terminated").count(), 2, "{written}");
    assert_eq!(written.matches("code 143").count(), 2, "{written}");
    assert!(written.contains("srun: First task exited 1s ago"), "{written}");
}

#[test]
fn tasks_read_what_is_typed_to_their_srun() {
    let rig = Rig::start(1);
    let mut command = rig.command("srun", &["-n2", "-i", "1", "-l", "cat"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut step = command.spawn().expect("the binary can be started");
    let mut input = step.stdin.take().expect("it was asked for");
    input.write_all(b"for task 1\n").expect("it reads");
    drop(input);
    let done = step.wait_with_output().expect("it ends");
    assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(0), "1: for task 1\n"));
}

#[test]
fn steps_on_all_nodes_are_warned_of_the_time_limit() {
    let mut rig = Rig::start(2);
    let script = "srun -N2 -n2 bash -c 'trap \"touch warned-$SLURM_PROCID; exit 0\" USR2; touch begun-$SLURM_PROCID; \
                  while :; do sleep 0.05; done'; echo code $?";
    let job = submit(&rig, &["-N2", "-n2", "-t1", "--signal=USR2@48"], script);
    wait_for("it has begun", || (0..2).all(|task| rig.work().join(format!("begun-{task}")).exists()));
    // The launchers keep the time, and they live on.
    rig.kill_node("linux1");
    wait_for("both are warned", || (0..2).all(|task| rig.work().join(format!("warned-{task}")).exists()));
    rig.start_node("linux1");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"]);
    // Their shells may say how the sleeps beside them ended.
    let written = rig.read(&format!("{job}.out"));
    assert!(written.ends_with("code 0\n"), "{written}");
}

#[test]
fn a_task_that_takes_too_much_memory_is_said_to() {
    let rig = Rig::start(1);
    let eats = "x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo ${#x}; sleep 1000";
    let done = rig.try_run("srun", &["-n1", "--mem=64", "bash", "-c", eats]);
    assert!(text(&done.stderr).contains("srun: error: linux0: task 0: Out Of Memory\n"), "{}", text(&done.stderr));
    rig.wait_done("1");
    let listed = rig.run("sacct", &["-nP", "-j", "1.0", "-o", "State"]);
    assert_eq!(listed.trim(), "OUT_OF_MEMORY");
}

#[test]
fn a_slow_reader_holds_up_a_step_that_also_reads_and_does_not_stop_it() {
    let rig = Rig::start(1);
    fs::write(rig.work().join("in"), vec![b'x'; 20_000_000]).expect("written");
    let mut command = rig.command("srun", &["-n1", "bash", "-c", "touch begun; exec cat"]);
    command.stdin(fs::File::open(rig.work().join("in")).expect("there")).stdout(Stdio::piped());
    let step = command.spawn().expect("the binary can be started");
    wait_for("it stands still", || stands_still(&rig, step.id()));
    let done = step.wait_with_output().expect("it ends");
    assert_eq!((done.status.code(), done.stdout.len()), (Some(0), 20_000_000));
    // One whose tasks do not read hears its signals all the same.
    let mut command = rig.command("srun", &["-n1", "bash", "-c", "touch begun; exec sleep 1000"]);
    let mut step = command.stdin(fs::File::open(rig.work().join("in")).expect("there")).spawn().expect("it starts");
    wait_for("it stands still", || stands_still(&rig, step.id()));
    send(step.id(), "TERM");
    assert_eq!(step.wait().expect("it ends").code(), Some(143));
}

/// Whether the step of this srun has begun, and srun has read as much of its input as before; forgets that it has begun.
fn stands_still(rig: &Rig, srun: u32) -> bool {
    let read = || {
        let io = fs::read_to_string(format!("/proc/{srun}/io")).expect("it lives");
        io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse::<u64>().ok()).expect("it is counted")
    };
    if !rig.work().join("begun").exists() || read() < 1_000_000 {
        return false;
    }
    let before = read();
    rig.run("squeue", &[]);
    let still = read() == before;
    if still {
        fs::remove_file(rig.work().join("begun")).expect("it was there");
    }
    still
}

#[test]
fn a_step_ends_with_the_reader_of_its_output() {
    let rig = Rig::start(1);
    let script = "srun -n1 yes | head -1; srun -n1 -o no/such/folder/file sleep 1000; echo code $?; srun -n1 --immediate echo next";
    let written = run_job(&rig, &["-n1"], script);
    assert!(written.starts_with("y\n"), "{written}");
    assert!(
        written.contains("srun: error: Could not open stdout file: No such file or directory\ncode 1\n"),
        "{written}"
    );
    assert!(written.ends_with("next\n"), "both have left their CPU: {written}");
}
