//! What a task finds around it: variables by every form of `--export`, limits, its folder; and what sbatch says beforehand.

use std::fs;
use std::process::{Command, Output};

use crate::rig::{COVEY, Rig};

/// Runs a shell line with `$SBATCH` for the command, where jobs are submitted.
fn shell(rig: &Rig, line: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(rig.work()).env("SBATCH", format!("{COVEY} sbatch"));
    command.env("COVEY_CONTROLLER", rig.endpoint()).env("COVEY_DIR", rig.dir());
    command.env("MINE", "of the submitter").env("OTHER", "too").output().expect("sh is there")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn variables_pass_as_export_says() {
    let rig = Rig::start(1);
    fs::write(rig.work().join("vars"), "FILED=from a file\n").expect("written");
    let line = r#"--wrap 'echo "$MINE|$OTHER|$X|$FILED|${SLURM_EXPORT_ENV-unset}|${HOME:+home}|${PATH:+path}|$SLURM_JOB_ACCOUNT"'"#;
    for (options, expected) in [
        ("", "of the submitter|too|||unset|home|path|"),
        ("--export=ALL,X=y -A chem", "of the submitter|too|y||ALL,X=y|home|path|chem"),
        ("--export=NONE", "||||NONE|home|path|"),
        ("--export=OTHER,X=\"'a,b'\"", "|too|a,b||NONE|home|path|"),
        ("--export=NIL", "||||NIL|||"),
        ("--export-file=vars --get-user-env", "|||from a file|unset|home|path|"),
        ("--export-file=3 3<vars --get-user-env=10L", "|||from a file|unset|home|path|"),
    ] {
        let done = shell(&rig, &format!("$SBATCH -W -o out {options} {line}"));
        assert!(done.status.success(), "{options}: {done:?}");
        // A shell without a PATH has one of its own.
        let found = rig.read("out").trim_end().replace("|path|", if options.contains("NIL") { "||" } else { "|path|" });
        assert_eq!(found, expected, "{options}");
    }
}

#[test]
fn limits_and_a_missing_folder_come_with_the_job() {
    let rig = Rig::start(1);
    let ulimit = |options: &str| {
        let done = shell(
            &rig,
            &format!("ulimit -S -n 123; ulimit -S -c 0; $SBATCH -W -o out {options} --wrap 'ulimit -S -n'"),
        );
        assert!(done.status.success(), "{done:?}");
        rig.read("out").trim_end().to_owned()
    };
    assert_eq!((ulimit(""), ulimit("--propagate=NOFILE")), ("123".into(), "123".into()));
    assert_ne!(ulimit("--propagate=CORE"), "123");
    assert_ne!(ulimit("--propagate=NONE"), "123");
    let done = shell(&rig, "$SBATCH -W -o $PWD/out -D /no/such/folder --wrap pwd");
    assert!(done.status.success(), "{done:?}");
    let expected = "slurmstepd: error: couldn't chdir to `/no/such/folder': No such file or directory: going to /tmp instead\n/tmp\n";
    assert_eq!(rig.read("out"), expected);
}

#[test]
fn sbatch_says_where_a_job_would_start_and_on_which_cluster_it_is() {
    let rig = Rig::start(1);
    let told = shell(&rig, "$SBATCH --test-only -n 2 --wrap true");
    let said = text(&told.stderr);
    assert!(said.starts_with("sbatch: Job 1 to start at 2"), "{said}");
    assert!(said.ends_with(" using 2 processors on nodes linux0 in partition debug\n"), "{said}");
    assert_eq!((told.status.code(), rig.run("squeue", &["-h"])), (Some(0), String::new()));
    let refused = shell(&rig, "$SBATCH --test-only -p nowhere --wrap true");
    assert!(text(&refused.stderr).contains("allocation failure: Invalid partition name specified"), "{refused:?}");
    assert_eq!(refused.status.code(), Some(1));
    for (line, said) in [
        ("$SBATCH -M covey --wrap true", "Submitted batch job 1 on cluster covey\n"),
        ("$SBATCH -M covey --parsable --wrap true", "2;covey\n"),
        ("$SBATCH -Q --parsable --wrap true", ""),
    ] {
        assert_eq!(text(&shell(&rig, line).stdout), said, "{line}");
    }
    let elsewhere = shell(&rig, "$SBATCH -M moon --wrap true");
    assert!(
        text(&elsewhere.stderr).starts_with("sbatch: error: No cluster 'moon' known by database."),
        "{elsewhere:?}"
    );
    let reserved = shell(&rig, "$SBATCH --reservation=r --wrap true");
    assert!(text(&reserved.stderr).contains("Requested reservation is invalid"), "{reserved:?}");
}

#[test]
fn filters_of_scancel_and_updates_know_accounts_and_qos() {
    let rig = Rig::start(1);
    let mine = rig.submit(&["-H", "-A", "chem", "-q", "high", "--wckey=w", "--comment=c", "--wrap", "true"]);
    let other = rig.submit(&["-H", "-A", "bio", "--wrap", "true"]);
    let runs = rig.submit(&["-A", "chem", "--wrap", "sleep 60"]);
    crate::rig::wait_for("it runs", || rig.states(&runs) == ["RUNNING"]);
    rig.run("scontrol", &["update", &format!("jobid={other}"), "account=phys", "qos=low", "mailtype=END"]);
    for filter in [&["-A", "bio"][..], &["-q", "none"], &["--wckey=x"], &["-w", "linux7"], &["-A", "chem", "-q", "low"]]
    {
        rig.run("scancel", filter);
    }
    assert_eq!([&mine, &other, &runs].map(|job| rig.states(job).concat()), ["PENDING", "PENDING", "RUNNING"]);
    rig.run("scancel", &["-w", "linux[0-3]"]);
    assert_eq!(rig.wait_done(&runs), ["CANCELLED"]);
    rig.run("scancel", &["--account=phys"]);
    rig.run("scancel", &["--wckey=w", "--qos=high"]);
    assert_eq!([&mine, &other].map(|job| rig.states(job).concat()), ["CANCELLED", "CANCELLED"]);
}

/// As under `docker exec` and in many a CI: the session's leader is not to be seen from here.
#[test]
fn commands_work_in_a_pid_namespace_of_their_own() {
    let rig = Rig::start(1);
    let inside = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--pid", "--fork", COVEY]).args(words).current_dir(rig.work());
        let done = command.env("COVEY_CONTROLLER", rig.endpoint()).output().expect("util-linux is there");
        assert!(done.status.success(), "{words:?}: {done:?}");
        text(&done.stdout)
    };
    assert_eq!(inside(&["sbatch", "-W", "-o", "out", "--wrap", "echo in"]), "Submitted batch job 1\n");
    assert_eq!((rig.read("out"), inside(&["srun", "echo", "here"])), ("in\n".into(), "here\n".into()));
    let shown = rig.run("scontrol", &["show", "job", "1"]);
    let session = shown.split_whitespace().find(|word| word.starts_with("AllocNode:Sid=")).expect("it is shown");
    assert!(session.ends_with(":0"), "that of a session which is not to be seen: {session}");
}
