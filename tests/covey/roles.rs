//! Administrators, operators and users: what each may do with real processes, and that what they may not is on record.

use std::fs;
use std::process::Output;

use crate::rig::Rig;
use crate::users::{NOBODY, open_house, run_as, submit_as};

/// Users without a name on this machine: the numbers are what counts.
const ADA: u32 = 61_001;
const BOB: u32 = 61_002;
const CLARA: u32 = 61_003;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A user's command that must be refused in Slurm's words, with a line in the audit log that has these.
fn assert_denied(rig: &Rig, uid: u32, command: &[&str], words: &[&str]) {
    let output = run_as(rig, uid, command[0], &command[1..]);
    let text = said(&output) + &String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Access/permission denied"), "{uid} {command:?}: {text}");
    let who = uid.to_string();
    let words: Vec<&str> = [who.as_str(), "socket"].into_iter().chain(words.iter().copied()).collect();
    rig.assert_refused(&words);
}

fn assert_done(rig: &Rig, uid: u32, command: &[&str]) {
    let output = run_as(rig, uid, command[0], &command[1..]);
    assert!(output.status.success(), "{uid} {command:?}: {output:?}");
}

#[test]
fn a_users_job_is_safe_from_another_user_in_every_verb() {
    let Some(rig) = open_house("") else { return };
    let job = submit_as(&rig, ADA, &["-o", "/dev/null", "--wrap", "sleep 600"]);
    crate::rig::wait_for("it runs", || rig.states(&job) == ["RUNNING"]);
    let id = format!("jobid={job}");
    let of_another = "of another user";
    for (command, verb) in [
        (&["scancel", "-v", &job][..], "cancel"),
        (&["scancel", "-s", "USR1", &job], "signal"),
        (&["scancel", &format!("{job}.batch")], "cancel"),
        (&["scontrol", "hold", &job], "hold"),
        (&["scontrol", "uhold", &job], "hold"),
        (&["scontrol", "release", &job], "hold"),
        (&["scontrol", "requeue", &job], "requeue"),
        (&["scontrol", "requeuehold", &job], "requeue"),
        (&["scontrol", "suspend", &job], "suspend"),
        (&["scontrol", "resume", &job], "suspend"),
        (&["scontrol", "update", &id, "comment=x"], "update"),
        (&["scontrol", "update", &id, "timelimit=5"], "update"),
        (&["scontrol", "update", &id, "priority=0"], "update"),
        (&["scontrol", "write", "batch_script", &job, "-"], "read-script"),
        (&["srun", "--jobid", &job, "true"], "start-step"),
    ] {
        assert_denied(&rig, BOB, command, &[verb, &job, of_another]);
    }
    // A filter passes over what is not theirs.
    assert!(run_as(&rig, BOB, "scancel", &["-t", "running"]).status.success());
    assert_eq!(rig.states(&job), ["RUNNING"]);
    assert_done(&rig, ADA, &["scancel", &job]);
    assert_eq!(rig.wait_done(&job), ["CANCELLED"]);
    let own = rig.audit(&["--user", &ADA.to_string()]);
    let done =
        |verb: &str| own.iter().any(|line| line.contains("allowed") && line.contains(verb) && line.ends_with(&job));
    assert!(done("submit") && done("cancel"), "{own:#?}");
}

#[test]
fn operators_look_after_jobs_nodes_and_partitions_and_rule_nobody() {
    let settings = format!("Operators = [{BOB}]\nAdministrators = [\"{CLARA}\"]\n");
    let Some(rig) = open_house(&settings) else { return };
    let shown = rig.run("scontrol", &["show", "config"]);
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("Operators").ends_with("= 61002") && line("Administrators").ends_with("= 61003"), "{shown}");

    let job = submit_as(&rig, ADA, &["-H", "--wrap", "true"]);
    let id = format!("jobid={job}");
    assert_done(&rig, BOB, &["scontrol", "hold", &job]);
    assert_denied(&rig, ADA, &["scontrol", "release", &job], &["hold", &job, "operator or an administrator"]);
    assert_done(&rig, BOB, &["scontrol", "update", &id, "priority=1000"]);
    assert_done(&rig, BOB, &["scontrol", "update", "nodename=linux0", "state=drain", "reason=x"]);
    assert_done(&rig, BOB, &["scontrol", "update", "nodename=linux0", "state=resume"]);
    assert_done(&rig, BOB, &["scontrol", "update", "partition=debug", "state=drain"]);
    assert_done(&rig, BOB, &["scontrol", "update", "partition=debug", "state=up"]);
    assert_done(&rig, BOB, &["scancel", &job]);
    assert_done(&rig, BOB, &["audit", "-n", "5"]);
    for (command, verb) in [
        (&["scontrol", "update", "partition=debug", "maxtime=5"][..], "change-partition"),
        (&["scontrol", "create", "partition=new"], "change-partition"),
        (&["scontrol", "delete", "partition=debug"], "change-partition"),
        (&["scontrol", "reconfigure"], "reconfigure"),
        (&["covey", "node", "token", "create"], "create-node-token"),
        (&["covey", "node", "token", "list"], "list-node-tokens"),
        (&["covey", "node", "token", "revoke", "1"], "revoke-node-token"),
        (&["covey", "node", "revoke", "linux0"], "revoke-node"),
        (&["covey", "user", "token", "create", "--user", "nobody"], "create-user-token"),
    ] {
        let command = command.strip_prefix(&["covey"]).unwrap_or(command);
        assert_denied(&rig, BOB, command, &[verb, "only an administrator"]);
    }
    for (command, verb) in [
        (&["scontrol", "update", "nodename=linux0", "state=drain", "reason=x"][..], "update-nodes"),
        (&["scontrol", "update", "partition=debug", "state=down"], "partition-state"),
        (&["sdiag", "--reset"], "reset-statistics"),
        (&["audit"], "read-audit"),
        (&["sbatch", "--nice=-5", "--wrap", "true"], "submit"),
        (&["sbatch", "--priority=5", "--wrap", "true"], "submit"),
    ] {
        assert_denied(&rig, ADA, command, &[verb, "only an operator or an administrator"]);
    }
    fs::create_dir(rig.work().join("in")).expect("made");
    fs::write(rig.work().join("in/a.png"), "").expect("written");
    let map = ["sbatch", "--map-from=in/", "--map-to=out/", "--map-op=grayscale"];
    assert_denied(&rig, BOB, &map, &["submit-map", "only an administrator"]);

    assert_done(&rig, CLARA, &["scontrol", "update", "partition=debug", "maxtime=5"]);
    fs::write(rig.dir().join("covey.toml"), "").expect("written");
    assert_done(&rig, CLARA, &["scontrol", "reconfigure"]);
    assert_denied(&rig, CLARA, &["scontrol", "reconfigure"], &["reconfigure"]);
    assert_denied(&rig, BOB, &["audit"], &["read-audit"]);
}

#[test]
fn a_cluster_may_do_without_jobs_of_root() {
    let Some(rig) = open_house("DisableRootJobs = true\n") else { return };
    for (name, args) in [
        ("sbatch", &["--wrap", "true"][..]),
        ("sbatch", &["--test-only", "--wrap", "true"]),
        ("srun", &["true"]),
        ("salloc", &["true"]),
    ] {
        let output = rig.try_run(name, args);
        let text = said(&output);
        assert!(!output.status.success(), "{name}: {output:?}");
        assert!(text.contains("Access/permission denied") && text.contains("DisableRootJobs"), "{name}: {text}");
    }
    assert!(rig.audit(&["--refused", "--verb", "submit"]).iter().all(|line| line.contains("DisableRootJobs")));
    let job = rig.submit(&["--uid=nobody", "--wrap", "true", "-o", "/dev/null"]);
    assert_eq!(rig.wait_done(&job), ["COMPLETED"], "root may still submit for others");
    let own = submit_as(&rig, NOBODY, &["--wrap", "true", "-o", "/dev/null"]);
    assert_eq!(rig.wait_done(&own), ["COMPLETED"]);
    let listed = rig.audit(&["--verb", "submit"]);
    assert!(listed.iter().any(|line| line.contains(&format!("{job} of uid {NOBODY}"))), "{listed:#?}");
    let shown = rig.run("scontrol", &["show", "config"]);
    assert!(shown.lines().any(|line| line.starts_with("DisableRootJobs") && line.ends_with("= Yes")), "{shown}");
    fs::write(rig.dir().join("covey.toml"), "").expect("written");
    rig.run("scontrol", &["reconfigure"]);
    rig.submit(&["-H", "--wrap", "true"]);
}
