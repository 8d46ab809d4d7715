//! scontrol's other verbs, live: scripts, holds by name, the top of the queue, SPECIAL_EXIT, waiting, and commands on stdin.

use std::io::Write;
use std::process::Stdio;

use crate::rig::{COVEY, Rig, wait_for};

fn said(rig: &Rig, words: &[&str]) -> (Option<i32>, String, String) {
    let output = rig.try_run("scontrol", words);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn scripts_are_written_as_they_came() {
    let rig = Rig::start(1);
    std::fs::write(rig.work().join("job.sh"), "#!/bin/sh\n# é\ntrue\n").expect("written");
    let job = rig.submit(&["-o", "none", "--hold", "job.sh"]);
    assert_eq!(rig.run("scontrol", &["write", "batch_script", &job, "-"]), "#!/bin/sh\n# é\ntrue\n");
    let written = rig.run("scontrol", &["write", "batch", &job]);
    assert_eq!(written, format!("batch script for job {job} written to slurm-{job}.sh\n"));
    assert_eq!(rig.read(&format!("slurm-{job}.sh")), "#!/bin/sh\n# é\ntrue\n");
    let (code, _, error) = said(&rig, &["write", "batch_script", "99", "-"]);
    assert_eq!((code, error.as_str()), (Some(1), "job script retrieval failed: Invalid job id specified\n"));
    for (words, text) in [
        (vec!["write", "batch_script", "x"], "job script retrieval failed: Invalid job id specified\n"),
        (vec!["write"], "too few arguments for keyword:write\n"),
        (vec!["write", "x"], "invalid write argument:x\n"),
    ] {
        assert_eq!(said(&rig, &words).2, text, "{words:?}");
    }
}

#[test]
fn holds_by_name_and_the_top_of_the_queue() {
    let rig = Rig::start(0);
    let jobs: Vec<String> = (0..3).map(|_| rig.submit(&["-o", "none", "-J", "same", "--wrap", "true"])).collect();
    let other = rig.submit(&["-o", "none", "-J", "other", "--wrap", "true"]);
    rig.run("scontrol", &["hold", "jobname=same"]);
    let reason = |job: &str| rig.run("squeue", &["-h", "-j", job, "-o", "%r"]).trim().to_owned();
    assert!(jobs.iter().all(|job| reason(job).starts_with("JobHeld")) && !reason(&other).starts_with("JobHeld"));
    assert_eq!(said(&rig, &["hold", "jobname=nobody"]), (Some(0), String::new(), String::new()));
    rig.run("scontrol", &["release", "name=same"]);
    rig.run("scontrol", &["top", &jobs[2]]);
    let order = rig.run("squeue", &["-h", "-S", "-Q,i", "-o", "%i"]);
    assert_eq!(order.split_whitespace().next(), Some(jobs[2].as_str()));
    assert_eq!(said(&rig, &["top", "99"]).2, "Invalid job id specified for job 99\n");
    rig.run("scontrol", &["hold", &other]);
    assert!(said(&rig, &["top", &other]).2.starts_with("Job is in held state"));
}

#[test]
fn special_exit_is_a_state_until_released() {
    let rig = Rig::start(1);
    let job = rig.submit(&["-o", "none", "--wrap", "sleep 600"]);
    assert!(said(&rig, &["wait_job", &job]).2.ends_with(&format!("Nodes are ready for job {job}\n")));
    rig.run("scontrol", &["requeuehold", "State=SpecialExit", &job]);
    wait_for("it is held", || rig.states(&job) == ["SPECIAL_EXIT"]);
    let shown = rig.run("scontrol", &["-o", "show", "job", &job]);
    assert!(shown.contains(" JobState=SPECIAL_EXIT Reason=JobHeldUser "), "{shown}");
    assert_eq!(rig.run("squeue", &["-h", "-j", &job, "-o", "%t"]).trim(), "SE");
    rig.run("scontrol", &["release", &job]);
    wait_for("it runs again", || rig.states(&job) == ["RUNNING"]);
    let listed = rig.run("scontrol", &["listpids", &job]);
    assert!(listed.starts_with("PID      JOBID    STEPID   LOCALID GLOBALID\n"), "{listed}");
    assert!(
        listed.lines().skip(1).any(|line| line.contains(&format!(" {job} ")) && line.contains(" batch ")),
        "{listed}"
    );
    let held = rig.run("scontrol", &["-d", "show", "job", &job]);
    assert!(held.contains("\n   JOB_GRES=(null)\n     Nodes=linux0 CPU_IDs=N/A Mem="), "{held}");
}

#[test]
fn commands_are_read_from_stdin() {
    let rig = Rig::start(0);
    let mut command = rig.command("scontrol", &[]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let lines = b"version\nbogus\noneliner\nshow part debug\nquit\nping\n";
    child.stdin.take().expect("piped").write_all(lines).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("scontrol: version\nslurm 25.05.3\nscontrol: bogus\n"), "{text}");
    assert!(text.contains("\nPartitionName=debug AllowGroups=ALL ") && !text.contains("is UP"), "{text}");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), &b"invalid keyword: bogus\n"[..]));
}

#[test]
fn what_is_shown_and_refused_without_jobs() {
    let rig = Rig::start(1);
    for (words, text) in [
        (vec!["show", "reservation"], "No reservations in the system\n"),
        (vec!["show", "lic"], "No licenses configured in Slurm.\n"),
        (vec!["show", "job"], "No jobs in the system\n"),
        (vec!["show", "federation"], ""),
        (vec!["completing"], ""),
        (vec!["show", "hostnames"], ""),
        (vec!["errnumstr", "2017"], "Invalid job id specified\n"),
        (vec!["show", "hostlistsorted", "n3,n1,n2"], "n[1-3]\n"),
    ] {
        assert_eq!(said(&rig, &words), (Some(0), text.to_owned(), String::new()), "{words:?}");
    }
    for (words, out, error) in [
        (vec!["show", "node", "nope"], "Node nope not found\n", ""),
        (vec!["show", "partition", "nope"], "Partition nope not found\n", ""),
        (vec!["show", "res", "nope"], "Reservation nope not found\n", ""),
        (vec!["show", "step", "99"], "", "slurm_get_job_steps error: Invalid job id specified\n"),
        (vec!["show", "bogus"], "", "invalid entity:bogus for keyword:show \n"),
        (vec!["ping", "x"], "", "too many arguments for keyword:ping\n"),
        (vec!["errnumstr", "x"], "", "numeric arguments required for keyword:errnumstr\n"),
    ] {
        assert_eq!(said(&rig, &words), (Some(1), out.to_owned(), error.to_owned()), "{words:?}");
    }
    for verb in ["shutdown", "takeover", "reboot", "notify"] {
        let (code, out, error) = said(&rig, &[verb, "1"]);
        let text = format!("scontrol: error: {verb} is not built in Covey; nothing was changed\n");
        assert!(code == Some(1) && out.is_empty() && error.starts_with(&text), "{verb}: {error}");
    }
    let config = rig.run("scontrol", &["show", "config"]);
    for key in ["SLURM_CONF", "SLURM_VERSION", "SlurmctldHost[0]", "SelectType", "AccountingStorageType", "NEXT_JOB_ID"]
    {
        assert!(config.lines().any(|line| line.starts_with(&format!("{key:<23} = "))), "{key} in {config}");
    }
    assert!(config.ends_with(" is UP\n"), "{config}");
    let cluster = rig.try_run("scontrol", &["-M", "elsewhere", "ping"]);
    assert_eq!(cluster.status.code(), Some(1));
}

#[test]
fn every_command_of_slurm_tells_its_release() {
    for name in ["sbatch", "squeue", "scancel", "sinfo", "scontrol", "sacct", "sdiag", "sprio"] {
        for option in ["-V", "--version"] {
            let output = std::process::Command::new(COVEY).args([name, option]).output().expect("it starts");
            assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"slurm 25.05.3\n"[..]), "{name}");
        }
    }
}

#[test]
fn completions_and_pages_are_made_by_the_binary() {
    let output = std::process::Command::new(COVEY).args(["completions", "bash"]).output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && text.contains("_controller") && text.contains("_squeue"), "{text}");
    let folder = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new(COVEY).arg("man").arg(folder.path()).output().expect("it starts");
    assert!(output.status.success() && folder.path().join("covey-noded.1").exists(), "{output:?}");
}
