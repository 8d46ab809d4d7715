//! The commands that programs run on Slurm, word for word, and their answers read the way these programs read them.
//!
//! Each program has one function: it submits as the program does, and asks of the same [`Queue`], where one job of each kind
//! is. Where a program takes an answer apart, so does the test; the function's comment names the place in its source.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Stdio;

use crate::rig::{Rig, wait_for};

/// What a job is submitted with that sleeps until it is cancelled.
const SLEEP: [&str; 4] = ["-o", "none", "--wrap", "exec sleep 600"];

/// A job that does nothing, and those that are [`Queue`]'s.
const DONE: &str = "1";
const FAILED: &str = "2";
const RUNNING: &str = "3";
const HELD: &str = "4";
const CANCELLED: &str = "5";
/// Of this array task 0 runs and two tasks wait.
const ARRAY: &str = "6";
/// No job has this number.
const UNKNOWN: &str = "4711";

/// A cluster with one job of each kind.
struct Queue {
    rig: Rig,
}

/// How a command ended.
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Queue {
    fn new() -> Queue {
        let rig = Rig::start(2);
        let submit = |args: &[&str]| rig.submit(args);
        assert_eq!(submit(&["-o", "none", "--wrap", "true"]), DONE);
        assert_eq!(submit(&["-o", "none", "--wrap", "exit 3"]), FAILED);
        for id in [DONE, FAILED] {
            rig.wait_done(id);
        }
        assert_eq!(submit(&[&["-J", "runs", "-t", "1-02:00:00"], &SLEEP[..]].concat()), RUNNING);
        assert_eq!(submit(&[&["-H"], &SLEEP[..]].concat()), HELD);
        assert_eq!(submit(&[&["-H"], &SLEEP[..]].concat()), CANCELLED);
        rig.run("scancel", &[CANCELLED]);
        assert_eq!(submit(&[&["--array=0-2%1"], &SLEEP[..]].concat()), ARRAY);
        for (id, running) in [(RUNNING, 1), (ARRAY, 1)] {
            wait_for("it runs", || rig.states(id).iter().filter(|state| *state == "RUNNING").count() == running);
        }
        Queue { rig }
    }

    /// Runs a line as a program that splits it like a shell, without a shell's other habits.
    fn run(&self, argv: &[&str]) -> Answer {
        self.feed(argv, &[], "")
    }

    /// Runs a line with these variables and this input.
    fn feed(&self, argv: &[&str], variables: &[(&str, &str)], input: &str) -> Answer {
        let mut command = self.rig.command(argv[0], &argv[1..]);
        command.envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be started");
        // One that reads nothing may have ended before.
        child.stdin.take().expect("piped").write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().expect("a child can be waited for");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Answer { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Writes a script for the program to submit.
    fn script(&self, name: &str, text: &str) {
        fs::write(self.rig.work().join(name), text).expect("written");
    }

    fn user(&self) -> String {
        self.rig.run("squeue", &["-h", "-j", RUNNING, "-o", "%u"]).trim().to_owned()
    }
}

impl Answer {
    /// What was printed by a command that must succeed and complain of nothing.
    fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    /// The number in `Submitted batch job N`, at the beginning of a line, as all of their expressions have it.
    fn submitted(self) -> String {
        let said = self.ok();
        let numbers: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("Submitted batch job ")).collect();
        assert!(numbers.len() == 1 && numbers[0].bytes().all(|byte| byte.is_ascii_digit()), "{said}");
        numbers[0].to_owned()
    }
}

/// Lines of two words, as a map.
fn pairs(text: &str) -> BTreeMap<&str, &str> {
    text.lines().map(|line| line.split_once(' ').unwrap_or_else(|| panic!("two words: {line:?}"))).collect()
}

/// Nextflow: `SlurmExecutor.groovy`, `getDirectives`, `queueStatusCommand` and `parseQueueStatus`.
#[test]
fn nextflow() {
    let queue = Queue::new();
    queue.script(
        ".command.run",
        "#!/bin/bash\n#SBATCH -J nf-align_(1)\n#SBATCH -o /dev/null\n#SBATCH --no-requeue\n#SBATCH --signal B:USR2@30\n\
         #SBATCH -c 2\n#SBATCH -t 01:00:00\n#SBATCH --mem 1024M\n#SBATCH -p debug\n\
         nxf_trap() { exit 143; }\ntrap nxf_trap TERM\ntrue\n",
    );
    let id = queue.run(&["sbatch", ".command.run"]).submitted();
    let user = queue.user();
    let listed = queue.run(&["squeue", "--noheader", "-o", "%i %t", "-t", "all", "-p", "debug", "-u", &user]).ok();
    let states = pairs(&listed);
    let expected = [
        (DONE, "CD"),
        (FAILED, "F"),
        (RUNNING, "R"),
        (HELD, "PD"),
        (CANCELLED, "CA"),
        ("6_0", "R"),
        ("6_[1-2%1]", "PD"),
    ];
    for (job, state) in expected {
        assert_eq!(states.get(job), Some(&state), "{job}: {listed}");
    }
    assert!(states.contains_key(id.as_str()), "{listed}");
    assert_eq!(queue.rig.wait_done(&id), ["COMPLETED"]);
    assert_eq!(queue.run(&["scancel", &id, RUNNING]).ok(), "");
    queue.script(".command.run", "#!/bin/bash\n#SBATCH --array 0-1\n#SBATCH -J nf-align\n#SBATCH -o /dev/null\ntrue\n");
    let array = queue.run(&["sbatch", ".command.run"]).submitted();
    wait_for("both tasks are known by themselves", || {
        let listed = queue.run(&["squeue", "--noheader", "-o", "%i %t", "-t", "all", "-u", &user]).ok();
        let states = pairs(&listed);
        [0, 1].iter().all(|index| states.get(format!("{array}_{index}").as_str()) == Some(&"CD"))
    });
}

/// Cylc: `job_runner_handlers/slurm.py`; its template runs the commands by a shell, with the quotes.
#[test]
fn cylc() {
    let queue = Queue::new();
    queue.script(
        "job",
        "#!/bin/bash -l\n#SBATCH --job-name=model.1.suite\n#SBATCH --output=/dev/null\n#SBATCH --error=job.err\n\
         #SBATCH --time=60:00\n#SBATCH --nodes=1\nexec sleep 600\n",
    );
    let id = queue.run(&["sbatch", "job"]).submitted();
    let ids = [RUNNING, &id, HELD, DONE, UNKNOWN].join(",");
    let listed = queue.run(&["squeue", "-h", "-j", &ids]).ok();
    // A job is alive when a line begins with its number.
    let alive: Vec<&str> = listed.lines().map(|line| line.split_whitespace().next().expect("a number")).collect();
    for job in [RUNNING, &id, HELD] {
        assert!(alive.contains(&job), "{listed}");
    }
    assert!(!alive.contains(&DONE), "{listed}");
    let gone = queue.run(&["squeue", "-h", "-j", UNKNOWN]);
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(1), ""));
    assert_eq!(gone.stderr.lines().next(), Some("slurm_load_jobs error: Invalid job id specified"));
    assert_eq!(queue.run(&["scancel", &id]).ok(), "");
    assert_eq!(queue.run(&["scancel", DONE]).ok(), "", "cancelling what has ended is no failure");
}

/// AiiDA: `schedulers/plugins/slurm.py`, `_get_joblist_command` and `_parse_joblist_output`.
#[test]
fn aiida() {
    let queue = Queue::new();
    queue.script(
        "_aiidasubmit.sh",
        "#!/bin/bash\n#SBATCH --no-requeue\n#SBATCH --job-name=\"aiida-7\"\n#SBATCH --get-user-env\n\
         #SBATCH --output=_scheduler-stdout.txt\n#SBATCH --error=_scheduler-stderr.txt\n#SBATCH --nodes=1\n\
         #SBATCH --ntasks-per-node=1\n#SBATCH --time=00:30:00\n#SBATCH --mem=100\n\n'true'\n",
    );
    let id = queue.run(&["sbatch", "_aiidasubmit.sh"]).submitted();
    const FORMAT: &str = "%i^^^%t^^^%r^^^%B^^^%u^^^%D^^^%C^^^%R^^^%P^^^%l^^^%M^^^%S^^^%j^^^%V";
    // One job is asked for twice, so that a job that has gone is no failure.
    let ask = |jobs: &str| {
        let words = ["squeue", "--noheader", "-o", FORMAT, &format!("--jobs={jobs}")];
        queue.feed(&words, &[("SLURM_TIME_FORMAT", "standard")], "").ok()
    };
    assert_eq!(ask(&format!("{UNKNOWN},{UNKNOWN}")), "");
    let listed = ask(&[RUNNING, HELD, ARRAY].join(","));
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split("^^^").collect()).collect();
    assert!(rows.iter().all(|row| row.len() == 14), "{listed}");
    let row = |id: &str| rows.iter().find(|row| row[0] == id).unwrap_or_else(|| panic!("{id}: {listed}"));
    let running = row(RUNNING);
    assert_eq!(running[1..4], ["R", "None", "linux0"], "{listed}");
    assert_eq!(running[5..10], ["1", "1", "linux0", "debug", "1-02:00:00"], "{listed}");
    assert!(running[10].starts_with("0:0") && running[11].len() == 19 && running[13].len() == 19, "{listed}");
    let held = row(HELD);
    assert_eq!((held[1], held[2], held[3], held[11]), ("PD", "JobHeldUser", "n/a", "N/A"), "{listed}");
    assert_eq!(row("6_[1-2%1]")[2], "JobArrayTaskLimit", "{listed}");
    queue.rig.wait_done(&id);
    let fields = queue.run(&["sacct", "--helpformat"]).ok().split_whitespace().collect::<Vec<_>>().join(",");
    let detailed = queue.run(&["sacct", &format!("--format={fields},"), "--parsable", &format!("--jobs={id}")]).ok();
    let lines: Vec<&str> = detailed.lines().collect();
    assert!(lines.len() >= 2 && lines.iter().all(|line| line.ends_with('|')), "{detailed}");
    assert!(lines.iter().all(|line| line.matches('|').count() == fields.split(',').count()), "{detailed}");
    assert_eq!(queue.run(&["scancel", RUNNING]).ok(), "");
}

/// Open OnDemand: ood_core's `adapters/slurm.rb`, `squeue_args`, `submit_string` and `call`.
#[test]
fn open_ondemand() {
    const FORMAT: &str = "\u{1e}%a\u{1f}%A\u{1f}%B\u{1f}%C\u{1f}%D\u{1f}%i\u{1f}%j\u{1f}%l\u{1f}%M\u{1f}%N\u{1f}%P\u{1f}%S\u{1f}%t\u{1f}%u\u{1f}%V\u{1f}%Z";
    let queue = Queue::new();
    let work = queue.rig.work().display().to_string();
    let words = [
        "sbatch",
        "-D",
        &work,
        "-J",
        "ondemand/sys/desktop",
        "-o",
        "output.log",
        "-p",
        "debug",
        "-t",
        "01:00:00",
        "--parsable",
    ];
    let said =
        queue.feed(&words, &[("SBATCH_EXPORT", "NONE"), ("SECRET", "x")], "#!/bin/sh\necho \"[$SECRET] $HOME\"\n");
    let id = said.ok().trim().split(';').next().expect("a number").to_owned();
    queue.rig.wait_done(&id);
    let output = queue.rig.read("output.log");
    assert!(output.starts_with("[] /"), "the submitter's variables stay behind, and a home is there: {output:?}");
    let listed = queue.run(&["squeue", "--all", "--states=all", "--noconvert", "-o", FORMAT]).ok();
    // What precedes the first separator is dropped, then the header.
    let records: Vec<Vec<&str>> =
        listed.split('\u{1e}').skip(2).map(|record| record.trim().split('\u{1f}').collect()).collect();
    assert!(records.iter().all(|record| record.len() == 16), "{listed:?}");
    let state = |id: &str| records.iter().find(|record| record[1] == id || record[5] == id).map(|record| record[12]);
    for (job, expected) in
        [(DONE, "CD"), (FAILED, "F"), (RUNNING, "R"), (HELD, "PD"), (CANCELLED, "CA"), ("6_0", "R"), (&id, "CD")]
    {
        assert_eq!(state(job), Some(expected), "{job}: {listed:?}");
    }
    assert_eq!(state(UNKNOWN), None);
    let one = queue.run(&["squeue", "--all", "--states=all", "--noconvert", "-o", FORMAT, "-j", UNKNOWN]);
    assert!(
        one.code == Some(1) && one.stderr.starts_with("slurm_load_jobs error: Invalid job id specified"),
        "{}",
        one.stderr
    );
    assert_eq!(queue.run(&["scontrol", "release", HELD]).ok(), "");
    assert_eq!(queue.run(&["scontrol", "hold", HELD]).ok(), "");
    assert_eq!(queue.run(&["scancel", HELD]).ok(), "");
}

/// Open OnDemand's session cards: `-O` with a separator instead of widths, and a comma at the end.
#[test]
fn open_ondemand_by_names() {
    const NAMES: [&str; 12] = [
        "Account",
        "JobID",
        "exec_host",
        "NumCPUs",
        "NumNodes",
        "EndTime",
        "JobArrayID",
        "Name",
        "StateCompact",
        "UserName",
        "WorkDir",
        "tres-alloc",
    ];
    let queue = Queue::new();
    let format: String =
        NAMES.iter().map(|name| format!("{name}:\u{1f},")).collect::<String>().replace("exec_host", "BatchHost");
    let listed = queue.run(&["squeue", "--all", "--states=all", "--noconvert", "-O", &format, "-j", RUNNING]).ok();
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split('\u{1f}').collect()).collect();
    assert_eq!(rows.len(), 2, "{listed:?}");
    assert!(rows.iter().all(|row| row.len() == NAMES.len() + 1), "{listed:?}");
    assert_eq!(rows[1][1..5], [RUNNING, "linux0", "1", "1"], "{listed:?}");
    assert_eq!(rows[1][6..9], [RUNNING, "runs", "R"], "{listed:?}");
}

/// batchspawner: `SlurmSpawner` in `batchspawner.py`; its queries give a number of milliseconds and then one empty line.
#[test]
fn batchspawner() {
    let queue = Queue::new();
    let script = "#!/bin/bash\n#SBATCH --output=/dev/null\n#SBATCH --job-name=spawner-jupyterhub\n#SBATCH --chdir=/tmp\n\
                  #SBATCH --export=PATH,LANG,JUPYTERHUB_API_TOKEN\n#SBATCH --get-user-env=L\n#SBATCH --time=1:00:00\n\n\
                  set -euo pipefail\ntrap 'echo SIGTERM received' TERM\nexec sleep 600\n";
    let said = queue.feed(&["sbatch", "--parsable"], &[("JUPYTERHUB_API_TOKEN", "t")], script).ok();
    let id: u32 = said.split(';').next().expect("a number").trim().parse().expect("a number");
    let id = id.to_string();
    let ask = |id: &str| queue.run(&["squeue", "-h", "-j", id, "-o", "%T %B"]);
    assert!(ask(HELD).ok().starts_with("PENDING"));
    let running = ask(RUNNING).ok();
    assert!(running.starts_with("RUNNING") && running.trim_end().ends_with(" linux0"), "{running}");
    let gone = ask(UNKNOWN);
    assert!(gone.code == Some(1) && !gone.stderr.contains("Unable to contact"), "gone is not unknown: {}", gone.stderr);
    assert_eq!(queue.run(&["scancel", &id]).ok(), "");
    let mut rig = queue.rig;
    rig.kill_controller();
    let away = rig.try_run("squeue", &["-h", "-j", RUNNING, "-o", "%T %B"]);
    let said = String::from_utf8_lossy(&away.stderr);
    assert!(said.starts_with("slurm_load_jobs error: Unable to contact slurm controller"), "{said}");
}

/// Cromwell: `cromwell.example.backends/slurm.conf`.
#[test]
fn cromwell() {
    let queue = Queue::new();
    let work = queue.rig.work().display().to_string();
    queue.script("script", "echo in $PWD; exit 0\n");
    let wrap = format!("/usr/bin/env bash {work}/script");
    let words =
        ["sbatch", "-J", "cromwell_1_hello", "-D", &work, "-o", "stdout", "-e", "stderr", "-t", "600", "-p", "debug"];
    let id = queue.run(&[&words, &["-n", "1", "--mem-per-cpu=200", "--wrap", &wrap][..]].concat()).submitted();
    queue.rig.wait_done(&id);
    assert_eq!(queue.rig.read("stdout"), format!("in {work}\n"));
    for (job, alive) in [(RUNNING, true), (HELD, true), (ARRAY, true), (&id, true), (UNKNOWN, false)] {
        assert_eq!(queue.run(&["squeue", "-j", job]).code == Some(0), alive, "{job}");
    }
    assert_eq!(queue.run(&["scancel", RUNNING]).ok(), "");
}

/// Galaxy: `runners/util/cli/job/slurm.py`; the last line of sacct that is no step tells the state.
#[test]
fn galaxy() {
    let queue = Queue::new();
    let listed = queue.run(&["squeue", "-a", "-o", "%A %t"]).ok();
    let states = pairs(listed.split_once('\n').expect("a header").1);
    assert_eq!((states.get(RUNNING), states.get(HELD), states.get(DONE)), (Some(&"R"), Some(&"PD"), None), "{listed}");
    let one = queue.run(&["squeue", "-a", "-o", "%A %t", "-j", RUNNING]).ok();
    assert_eq!(one.lines().nth(1), Some("3 R"));
    for (job, expected) in
        [(DONE, "COMPLETED"), (FAILED, "FAILED"), (CANCELLED, "CANCELLED"), (RUNNING, "RUNNING"), (HELD, "PENDING")]
    {
        let told = queue.run(&["sacct", "-o", "JobIDRaw,State", "-P", "-n", "-j", job]).ok();
        let last = told.lines().rfind(|line| !line.contains(".batch") && !line.contains(".extern")).expect("a line");
        let (id, state) = last.split_once('|').expect("two fields");
        assert_eq!((id, state.split(' ').next()), (job, Some(expected)), "{told}");
    }
    assert_eq!(queue.run(&["sacct", "-o", "JobIDRaw,State", "-P", "-n", "-j", UNKNOWN]).ok(), "");
}

/// psij: `executors/batch/slurm.py`; three columns by names, cut at blanks.
#[test]
fn psij() {
    let queue = Queue::new();
    let ids = [DONE, FAILED, RUNNING, HELD, CANCELLED].join(",");
    let listed = queue.run(&["squeue", "-O", "JobArrayID,StateCompact,Reason", "-t", "all", "-j", &ids]).ok();
    let rows: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.len() == 5 && rows.iter().all(|row| row.len() == 3), "{listed}");
    let row = |id: &str| rows.iter().find(|row| row[0] == id).expect("a row")[1..].to_vec();
    assert_eq!((row(DONE), row(RUNNING)), (vec!["CD", "None"], vec!["R", "None"]), "{listed}");
    assert_eq!((row(FAILED), row(HELD)), (vec!["F", "NonZeroExitCode"], vec!["PD", "JobHeldUser"]), "{listed}");
    assert_eq!(row(CANCELLED)[0], "CA", "{listed}");
    assert_eq!(queue.run(&["scancel", "-Q", RUNNING]).ok(), "");
}

/// parsl: `providers/slurm/slurm.py`; newer ones ask sacct where `sacct -X` succeeds.
#[test]
fn parsl() {
    let queue = Queue::new();
    let listed =
        queue.run(&["squeue", "--noheader", "--format=%i %t", "--job", &[RUNNING, HELD, UNKNOWN].join(",")]).ok();
    assert_eq!(pairs(&listed), BTreeMap::from([(RUNNING, "R"), (HELD, "PD")]), "{listed}");
    queue.run(&["sacct", "-X"]).ok();
    let jobs = [DONE, FAILED, RUNNING].join(",");
    let told = queue.run(&["sacct", "-X", "--noheader", "--format=jobid,state", "--job", &jobs]).ok();
    let states: Vec<Vec<&str>> = told.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(states, [[DONE, "COMPLETED"], [FAILED, "FAILED"], [RUNNING, "RUNNING"]], "{told}");
    assert_eq!(queue.run(&["scancel", RUNNING, HELD]).ok(), "");
}

/// ReFrame: `core/schedulers/slurm.py`, `poll`, `allnodes` and `_get_default_partition`.
#[test]
fn reframe() {
    let queue = Queue::new();
    let jobs = [DONE, FAILED, RUNNING, ARRAY].join(",");
    let words = ["sacct", "-S", "2026-01-01", "-P", "-j", &jobs, "-o", "jobid,state,exitcode,end,nodelist"];
    let told = queue.feed(&words, &[("SLURM_TIME_FORMAT", "%s")], "").ok();
    let row = |id: &str| {
        let line =
            told.lines().find(|line| line.split('|').next() == Some(id)).unwrap_or_else(|| panic!("{id}: {told}"));
        line.split('|').map(str::to_owned).collect::<Vec<_>>()
    };
    let failed = row(FAILED);
    assert_eq!((failed[1].as_str(), failed[2].as_str(), failed[4].as_str()), ("FAILED", "3:0", "linux0"), "{told}");
    assert!(failed[3].parse::<u64>().is_ok_and(|seconds| seconds > 1_700_000_000), "{told}");
    assert_eq!(row(RUNNING)[1..4], ["RUNNING", "0:0", "Unknown"], "{told}");
    assert_eq!(row("6_[1-2%1]")[1..], ["PENDING", "0:0", "Unknown", "None assigned"], "{told}");
    let nodes = queue.run(&["scontrol", "-a", "show", "-o", "nodes"]).ok();
    assert!(nodes.lines().count() == 2 && nodes.starts_with("NodeName=linux0 "), "{nodes}");
    for key in ["Partitions=", "ActiveFeatures=", "AvailableFeatures=", "State="] {
        assert!(nodes.split(' ').any(|word| word.starts_with(key) && word.len() > key.len()), "{key}: {nodes}");
    }
    let partitions = queue.run(&["scontrol", "-a", "show", "-o", "partitions"]).ok();
    assert!(partitions.starts_with("PartitionName=debug ") && partitions.contains(" Default=YES "), "{partitions}");
    let blocked = queue.run(&["squeue", "-h", "-j", HELD, "-o", "%r"]).ok();
    assert_eq!(blocked, "JobHeldUser\n");
}

/// qtoolkit: `io/slurm.py`; every word of one line is `Key=value`, and `scancel -v` names what it ended.
#[test]
fn qtoolkit() {
    let queue = Queue::new();
    queue.script(
        "submit.script",
        "#!/bin/bash\n\n#SBATCH --partition=debug\n#SBATCH --job-name=name\n#SBATCH --nodes=1\n#SBATCH --ntasks=1\n\
         #SBATCH --cpus-per-task=1\n#SBATCH --mem-per-cpu=100\n#SBATCH --time=0-1:0:0\n#SBATCH\t--exclude=linux0\n\
         #SBATCH --output=/dev/null\nexec sleep 600\n",
    );
    let id = queue.run(&["sbatch", "submit.script"]).submitted();
    let shown = queue.feed(&["scontrol", "show", "job", "-o", &id], &[("SLURM_TIME_FORMAT", "standard")], "").ok();
    let keys: BTreeMap<&str, &str> = shown
        .split_whitespace()
        .map(|word| word.split_once('=').unwrap_or_else(|| panic!("{word}: {shown}")))
        .collect();
    for (key, value) in [
        ("JobId", id.as_str()),
        ("JobName", "name"),
        ("NumNodes", "1"),
        ("NumCPUs", "1"),
        ("CPUs/Task", "1"),
        ("TimeLimit", "01:00:00"),
        ("Partition", "debug"),
        ("MinMemoryCPU", "100M"),
    ] {
        assert_eq!(keys.get(key), Some(&value), "{key}: {shown}");
    }
    assert!(keys.values().all(|value| !value.is_empty()), "{shown}");
    let format = "%i<><> %t<><> %r<><> %j<><> %u<><> %P<><> %l<><> %D<><> %C<><> %M<><> %m";
    let listed = queue.run(&["squeue", "--noheader", "-o", format, &format!("--jobs={RUNNING},{RUNNING}")]).ok();
    let row: Vec<&str> = listed.trim_end().split("<><>").map(str::trim).collect();
    assert_eq!(row.len(), 11, "{listed}");
    assert_eq!(row[..4], [RUNNING, "R", "None", "runs"], "{listed}");
    let ended = queue.run(&["scancel", "-v", &id]);
    assert_eq!(
        (ended.code, ended.stderr.lines().next()),
        (Some(0), Some(format!("scancel: Terminating job {id}").as_str()))
    );
    queue.rig.wait_done(&id);
    let again = queue.run(&["scancel", "-v", DONE]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(
        again.stderr.contains("Kill job error on job id 1: Job/step already completing or completed"),
        "{}",
        again.stderr
    );
}
