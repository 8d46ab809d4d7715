//! What sacct says of a job stays the same from its end on: in memory, in history, and after a restart.

use std::fs;

use crate::rig::{Rig, wait_for};

#[test]
fn a_job_is_accounted_for_at_once_and_for_good() {
    let mut rig = Rig::start_with(&[("linux0", &[])], "MinJobAge = 1\n");
    let go = rig.work().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.02; done; exit 3", go.display());
    let job = rig.submit(&["-J", "told", "-o", "none", "--array=0-1", "-c2", "--wrap", &script]);
    let fields =
        "JobID,JobName,State,ExitCode,Elapsed,Submit,Start,End,NodeList,AllocCPUS,ReqMem,TotalCPU,Reason,WorkDir";
    let told = |rig: &Rig, job: &str| rig.run("sacct", &["-n", "-P", "-j", job, "-o", fields]);
    let states = |rig: &Rig| rig.run("sacct", &["-X", "-n", "-P", "-j", &job, "-o", "JobID,State,ExitCode"]);
    wait_for("one task runs", || states(&rig) == format!("{job}_[1]|PENDING|0:0\n{job}_0|RUNNING|0:0\n"));
    fs::write(&go, "").expect("written");
    wait_for("both have ended", || states(&rig) == format!("{job}_0|FAILED|3:0\n{job}_1|FAILED|3:0\n"));
    let before = told(&rig, &job);
    assert_eq!(before.lines().count(), 4, "two tasks and their batch steps: {before}");
    assert!(before.starts_with(&format!("{job}_0|told|FAILED|3:0|00:00:0")), "{before}");

    wait_for("the job is forgotten", || !rig.try_run("scontrol", &["show", "job", &job]).status.success());
    assert_eq!(told(&rig, &job), before, "history says what memory said");
    rig.kill_controller();
    rig.start_controller();
    assert_eq!(told(&rig, &job), before, "a restart changes nothing");
    let first: String = before.lines().take(2).map(|line| format!("{line}\n")).collect();
    assert_eq!(told(&rig, &format!("{job}_0")), first);
    let own_number = rig.run("sacct", &["-XnP", "-j", &format!("{job}_0"), "-o", "JobIDRaw"]);
    assert_eq!(told(&rig, own_number.trim()), first, "a task is found by its own number, too");
    assert_eq!(
        rig.run("sacct", &["-XnP", "-a", "--name=told", "-s", "F", "-S", "now-1hour", "-E", "now", "-o", "state"])
            .lines()
            .count(),
        2
    );
    assert_eq!(rig.run("sacct", &["-XnP", "-s", "R"]), "", "nothing runs now");
    let nothing = rig.run("sacct", &["-j", "4711"]);
    assert_eq!(nothing.lines().count(), 2, "{nothing}");

    let cancelled = rig.submit(&["--hold", "-o", "none", "--wrap", "true"]);
    rig.run("scancel", &[&cancelled]);
    let line =
        |rig: &Rig| rig.run("sacct", &["-XnP", "-j", &cancelled, "-o", "State%30,ExitCode,Elapsed,Reason,Start,End"]);
    let at_once = line(&rig);
    assert!(at_once.starts_with("CANCELLED by ") && at_once.contains("|0:0|00:00:00|None|None|"), "{at_once}");
    wait_for("it is forgotten", || !rig.try_run("scontrol", &["show", "job", &cancelled]).status.success());
    assert_eq!(line(&rig), at_once);

    // Tasks that are cancelled one by one while they wait are told of, in memory as in history.
    let array = rig.submit(&["--hold", "-o", "none", "--array=0-3", "--wrap", "true"]);
    rig.run("scancel", &[&format!("{array}_2")]);
    let line = |rig: &Rig, job: &str| rig.run("sacct", &["-XnP", "-j", job, "-o", "JobID,State%9"]);
    assert!(line(&rig, &array).contains(&format!("{array}_[0-1,3]|PENDING")), "{}", line(&rig, &array));
    let one = format!("{array}_2");
    assert!(line(&rig, &one).starts_with(&format!("{one}|CANCELLED by")), "{}", line(&rig, &one));
    rig.run("scancel", &[&array]);
    wait_for("it is forgotten", || !rig.try_run("scontrol", &["show", "job", &array]).status.success());
    assert!(line(&rig, &array).starts_with(&format!("{array}_[0-3]|CANCELLED by")), "{}", line(&rig, &array));
    assert!(line(&rig, &one).starts_with(&format!("{one}|CANCELLED by")), "{}", line(&rig, &one));
}

#[test]
fn limits_are_shown_and_refusals_say_what_to_do() {
    let settings = "MaxJobsPerUser = 3\nMaxSubmitRate = 2\nMaxEnvironmentSize = 1000000\n";
    let mut rig = Rig::start_with(&[], settings);
    let config = rig.run("scontrol", &["show", "config"]);
    for line in ["MaxJobsPerUser          = 3", "MaxSubmitRate           = 2", "MinFreeDisk             = 64"] {
        assert!(config.contains(line), "{config}");
    }
    // The third comes too soon, and goes on by itself.
    for _ in 0..3 {
        rig.submit(&["--wrap", "true"]);
    }
    let said = |output: std::process::Output| {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let fourth = said(rig.try_run("sbatch", &["--wrap", "true"]));
    assert!(fourth.contains("Job violates accounting/QOS policy") && fourth.contains("MaxJobsPerUser"), "{fourth}");
    let hurried = |_| rig.try_run("sbatch", &["--connect-timeout=0", "--wrap", "true"]).stderr;
    let busy = (0..100)
        .map(hurried)
        .map(|text| String::from_utf8(text).expect("text"))
        .find(|text| text.contains("MaxSubmitRate"));
    assert!(busy.is_some_and(|text| text.contains("Resource temporarily unavailable")));

    rig.kill_controller();
    fs::write(rig.dir().join("covey.toml"), "MinFreeDisk = 1000000000\n").expect("written");
    rig.start_controller();
    let full = said(rig.try_run("sbatch", &["--wrap", "true"]));
    assert!(full.contains("MinFreeDisk") && full.contains(rig.dir().to_str().expect("text")), "{full}");
    assert_eq!(rig.run("squeue", &["-h"]).lines().count(), 3, "what was accepted stays");
}

#[test]
fn runs_that_were_requeued_and_what_was_used_are_told() {
    let rig = Rig::start_with(&[("linux0", &[])], "MinJobAge = 1\n");
    let (go, ran) = (rig.work().join("go"), rig.work().join("ran"));
    let script = format!("echo >> {}; while [ ! -e {} ]; do sleep 0.02; done", ran.display(), go.display());
    let job = rig.submit(&["-J", "twice", "-o", "none", "--wrap", &script]);
    let runs = || fs::read_to_string(&ran).unwrap_or_default().lines().count();
    wait_for("it runs", || runs() == 1);
    let steps = rig.run("sstat", &["-nP", "-a", "-j", &job, "-o", "jobid,nodelist,ntasks"]);
    assert_eq!(steps, format!("{job}.batch|linux0|1\n"));
    rig.run("scontrol", &["requeue", &job]);
    wait_for("it runs again", || runs() == 2);
    fs::write(&go, "").expect("written");
    let states = |rig: &Rig, more: &[&str]| {
        rig.run("sacct", &[&["-XnP", "-j", &job, "-o", "JobID,State,Restarts"][..], more].concat())
    };
    wait_for("it has ended", || states(&rig, &[]) == format!("{job}|COMPLETED|1\n"));
    let all = format!("{job}|REQUEUED|0\n{job}|COMPLETED|1\n");
    assert_eq!(states(&rig, &["-D"]), all);
    wait_for("the job is forgotten", || !rig.try_run("scontrol", &["show", "job", &job]).status.success());
    let past = states(&rig, &["-D"]);
    assert_eq!(past.lines().collect::<std::collections::BTreeSet<_>>(), all.lines().collect(), "{past}");
    assert_eq!(states(&rig, &[]), format!("{job}|COMPLETED|1\n"));

    let user = rig.run("sacct", &["-XnP", "-j", &job, "-o", "user"]);
    let user = user.trim();
    assert_eq!(rig.run("sacctmgr", &["-nP", "list", "user", "format=user"]), format!("{user}\n"));
    assert_eq!(rig.run("sacctmgr", &["-nP", "show", "cluster", "format=cluster"]), "covey\n");
    assert!(rig.run("sacctmgr", &["-n", "-s", "list", "user", user, "format=account%256"]).trim().is_empty());
    assert!(rig.run("sshare", &["-U", "--format", "Account%256", "--noheader"]).is_empty());
    assert!(rig.run("sshare", &["-anPo", "account,user"]).contains(&format!("root|{user}\n")));
    let top =
        rig.run("sreport", &["-nP", "user", "top", "start=now-1hour", "end=now+1hour", "-tsec", "format=login,used"]);
    let used = top.trim().split_once('|').map(|(login, used)| (login.to_owned(), used.parse::<u64>().is_ok()));
    assert!(top.is_empty() || used == Some((user.to_owned(), true)), "{top}");
    let refused = rig.try_run("sacctmgr", &["-i", "add", "account", "physics"]);
    assert_eq!((refused.status.code(), &refused.stdout[..]), (Some(1), &b" Nothing new added.\n"[..]));
}
