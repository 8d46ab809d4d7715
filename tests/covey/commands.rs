//! Submitting, listing and cancelling, as a Slurm user does.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::rig::{COVEY, Rig, wait_for};

#[test]
fn a_script_with_directives_runs_as_under_slurm() {
    let rig = Rig::start(2);
    let script = "#!/bin/sh\n#SBATCH -J shape  # a comment\n#SBATCH --array=3,5-6%2 -c2\n#SBATCH -o %x-%A_%a.%N.txt\n\
                  echo $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT $SLURM_CPUS_PER_TASK $SLURM_JOB_NAME $1\n\
                  echo oops >&2\nexit $SLURM_ARRAY_TASK_ID\n";
    fs::write(rig.work().join("shape.sh"), script).expect("written");
    let said = rig.try_run("sbatch", &["--wait", "shape.sh", "first"]);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "Submitted batch job 1\n");
    assert_eq!(said.status.code(), Some(6), "the highest exit code of the tasks");
    for index in [3, 5, 6] {
        let written: Vec<String> = ["linux0", "linux1"]
            .iter()
            .filter_map(|node| fs::read_to_string(rig.work().join(format!("shape-1_{index}.{node}.txt"))).ok())
            .collect();
        assert_eq!(written, [format!("{index} of 3 2 shape first\noops\n")]);
    }
}

#[test]
fn output_goes_to_slurms_default_names() {
    let rig = Rig::start(1);
    rig.run("sbatch", &["--wait", "--wrap", "echo plain"]);
    rig.run("sbatch", &["--wait", "--array=7", "--wrap", "echo task"]);
    assert_eq!((rig.read("slurm-1.out"), rig.read("slurm-2_7.out")), ("plain\n".into(), "task\n".into()));
}

#[test]
fn the_default_tables_are_slurms_to_the_letter() {
    let rig = Rig::start(3);
    let job = rig.submit(&["--array=0-9%2", "--wrap", "sleep 600"]);
    wait_for("two run", || rig.states(&job).iter().filter(|state| *state == "RUNNING").count() == 2);
    let user = String::from_utf8(Command::new("id").arg("-un").output().expect("id").stdout).expect("a name");
    let user = user.trim();
    let listed = rig.run("squeue", &[]);
    let mut lines = listed.lines();
    assert_eq!(
        lines.next(),
        Some("             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)")
    );
    let pending = format!("         1_[2-9%2]     debug     wrap {user:>8} PD       0:00      1 (JobArrayTaskLimit)");
    assert_eq!(lines.next(), Some(pending.as_str()));
    let running: Vec<&str> = lines.collect();
    assert_eq!(running.len(), 2, "{listed}");
    assert!(running[0].starts_with("               1_"), "{listed}");
    let nodes = rig.run("sinfo", &[]);
    assert_eq!(
        nodes,
        "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST\n\
         debug*       up   infinite      1  alloc linux0\n\
         debug*       up   infinite      2   idle linux[1-2]\n"
    );
    rig.run("scancel", &[&job]);
    assert_eq!(rig.wait_done(&job), vec!["CANCELLED"; 3], "two tasks, and the remainder in one record");
}

#[test]
fn cancelling_ends_the_whole_tree() {
    let rig = Rig::start(1);
    let pids = rig.work().join("pids");
    let script = format!("setsid sleep 611 & echo $! > {}; wait", pids.display());
    let job = rig.submit(&["--wrap", &script]);
    wait_for("it runs", || fs::read_to_string(&pids).is_ok_and(|text| text.ends_with('\n')));
    let pid = rig.read("pids");
    let alive = || {
        let words = fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        words.starts_with(b"sleep")
    };
    wait_for("the child runs", alive);
    rig.run("scancel", &[&job]);
    wait_for("the child is gone", || !alive());
    assert_eq!(rig.wait_done(&job), ["CANCELLED"]);
    assert!(rig.read(&format!("slurm-{job}.out")).contains("CANCELLED AT"));
}

#[test]
fn links_make_the_commands_plain_words() {
    let rig = Rig::start(1);
    let bin = rig.work().join("bin");
    rig.run("links", &[bin.to_str().expect("text")]);
    let listed = Command::new(bin.join("squeue")).env("COVEY_CONTROLLER", rig.endpoint()).output().expect("it starts");
    assert!(listed.status.success() && listed.stdout.starts_with(b"             JOBID"), "{listed:?}");
    fs::remove_file(bin.join("sinfo")).expect("removed");
    fs::write(bin.join("sinfo"), "mine").expect("written");
    let refused = rig.try_run("links", &[bin.to_str().expect("text")]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("sinfo"), "{refused:?}");
    assert_eq!(rig.read("bin/sinfo"), "mine");
}

#[test]
fn up_down_and_up_again_keep_queue_ids_and_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("D");
    let covey = |words: &[&str]| {
        let mut command = Command::new(COVEY);
        command.args(words).current_dir(folder.path()).env("COVEY_DIR", &dir).env_remove("COVEY_CONTROLLER");
        command.output().expect("it starts")
    };
    let text = |output: std::process::Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    text(covey(&["up", "--nodes", "2", "--cpus", "1"]));
    let complete = covey(&["up"]);
    assert!(
        !complete.status.success() && String::from_utf8_lossy(&complete.stderr).contains("complete"),
        "{complete:?}"
    );
    text(covey(&["sbatch", "--wait", "--wrap", "true"]));
    text(covey(&["sbatch", "--hold", "--wrap", "true"]));
    // A node that died alone is started again, and the rest is adopted.
    let pid = fs::read_to_string(dir.join("linux1.pid")).expect("a pid file");
    crate::rig::send(pid.trim().parse().expect("a pid"), "KILL");
    wait_for("the node is seen to be silent", || text(covey(&["sinfo", "-h", "-N", "-o", "%t"])).contains('*'));
    text(covey(&["up"]));
    text(covey(&["scontrol", "update", "nodename=linux0", "state=down", "reason=test"]));
    text(covey(&["down"]));
    assert!(!dir.join("controller.pid").exists());
    let nothing = covey(&["down"]);
    assert!(!nothing.status.success(), "{nothing:?}");
    text(covey(&["up"]));
    // A node that is out of service does not keep the others from coming up, and stays out.
    assert!(text(covey(&["sinfo", "-h", "-N", "-o", "%N %t"])).contains("linux0 down\n"));
    text(covey(&["scontrol", "update", "nodename=linux0", "state=resume"]));
    let listed = text(covey(&["squeue", "-h", "-t", "all", "-S", "i", "-o", "%i %T %R"]));
    let lines: Vec<&str> = listed.lines().map(str::trim).collect();
    assert!(lines[0].starts_with("1 COMPLETED linux"), "{listed}");
    assert_eq!(lines[1], "2 PENDING (JobHeldUser)");
    assert_eq!(text(covey(&["sbatch", "--parsable", "--wrap", "true"])), "3\n");
    let env = text(covey(&["env"]));
    let talked = Command::new("sh").arg("-c").arg(format!("{env}\n{COVEY} squeue -h -o %i")).output().expect("sh");
    assert!(String::from_utf8_lossy(&talked.stdout).contains('2'), "{talked:?}");
    fs::create_dir(folder.path().join("bin")).expect("a folder");
    symlink(COVEY, folder.path().join("bin/sinfo")).expect("a link");
    text(covey(&["down"]));
    let away = covey(&["squeue"]);
    let said = String::from_utf8_lossy(&away.stderr).into_owned();
    assert_eq!(away.status.code(), Some(1));
    assert!(
        said.contains("Unable to contact slurm controller (connect failure)") && said.contains("covey up"),
        "{said}"
    );
}

#[test]
fn a_job_waits_for_another_and_says_so() {
    let rig = Rig::start(1);
    let go = rig.work().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done; exit 3", go.display());
    let first = rig.submit(&["-o", "none", "--wrap", &script]);
    let good = rig.submit(&["-o", "none", "-d", &format!("afterok:{first}"), "--wrap", "true"]);
    let bad = rig.submit(&["-o", "none", "--dependency", &format!("afternotok:{first}"), "--wrap", "true"]);
    let gone = rig.submit(&["-o", "none", "--depend=afterok:1", "--kill-on-invalid-dep=yes", "--wrap", "true"]);
    let later = rig.submit(&["-o", "none", "--begin=now+1hour", "--wrap", "true"]);
    let reasons = rig.run("squeue", &["-h", "-t", "PD", "-S", "i", "-o", "%i %r"]);
    let expected = format!("{good} Dependency\n{bad} Dependency\n{gone} Dependency\n{later} BeginTime\n");
    assert_eq!(reasons, expected);
    let shown = rig.run("scontrol", &["show", "job", &good]);
    assert!(shown.contains(&format!("Dependency=afterok:{first}(unfulfilled)")), "{shown}");
    fs::write(&go, "").expect("written");
    assert_eq!(rig.wait_done(&bad), ["COMPLETED"]);
    assert_eq!(rig.wait_done(&gone), ["CANCELLED"]);
    let reasons = rig.run("squeue", &["-h", "-t", "PD", "-S", "i", "-o", "%i %r"]);
    assert_eq!(reasons, format!("{good} DependencyNeverSatisfied\n{later} BeginTime\n"));
    for (words, text) in [
        (["-d", "afterok:999"], "Job dependency problem"),
        (["-d", "later:1"], "later"),
        (["-b", "soon"], "Invalid --begin specification"),
    ] {
        let refused = rig.try_run("sbatch", &[words[0], words[1], "--wrap", "true"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(text), "{words:?}: {said}");
    }
}
