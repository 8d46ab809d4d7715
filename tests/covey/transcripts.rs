//! Sessions at a terminal, as `tests/cmd/*.trycmd` have them: each file runs against a cluster of its own with the same jobs.
//!
//! `TRYCMD=overwrite cargo test --test covey transcripts` writes what is printed into the files. What differs from run to run
//! is hidden with as many letters as it had, so that the files show where columns stand.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use trycmd::TestCases;

use crate::rig::{Rig, wait_for};

/// Four nodes like those of `tests/clients/compare`, and three partitions.
const SETTINGS: &str = r#"
[Licenses]
matlab = 3

[[Partition]]
PartitionName = "debug"
Nodes = "ALL"
Default = true
DefMemPerCPU = 100

[[Partition]]
PartitionName = "small"
Nodes = "linux[0-1]"
MaxTime = 60
DefaultTime = 10
DefMemPerCPU = 100

[[Partition]]
PartitionName = "shut"
Nodes = "linux3"
State = "DOWN"
DefMemPerCPU = 100
"#;

/// What stands before a command: it runs in the folder of the jobs, and what changes is hidden. With `AWAY` it finds no controller.
const HIDING: &str = r#"#!/bin/bash
cd "$WORK"
user=$(id -un)
[ -n "$AWAY" ] && export COVEY_CONTROLLER=unix://$WORK/nowhere
# Usage grows with time, and so do all figures of the controller.
case ${0##*/} in
  sshare) own=(-e 's/^(.{20} .{10} .{10} .{11} )[ 0-9]{10}[0-9] /\1 UUUUUUUUUU /') ;;
  sdiag) own=(-e '/\([ 0-9]+\) *count/d' -e 's/(Mon|Tue|Wed|Thu|Fri|Sat|Sun) .*/DATE/' -e 's/: ( *)[0-9]+/: \1N/') ;;
  *) own=() ;;
esac
"$WORK/bin/${0##*/}" "$@" 2>&1 | sed -E \
  "${own[@]}" \
  -e "s|$WORK|WORK|g" \
  -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}/YYYY-MM-DDTHH:MM:SS/g' \
  -e 's/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) .* [0-9]{4}$/DATE/' \
  -e 's/(^|[^:0-9])0:[0-5][0-9]($|[^:0-9])/\10:SS\2/g' \
  -e 's/(^|[^-:0-9])00:00:[0-9]{2}/\100:00:SS/g' \
  -e 's/\|23:5[0-9]:[0-9]{2}\|/|1-00:00:00|/' \
  -e "s/$(printf '%8s' "$user")( |$)/    USER\1/g" -e "s/$user\(/USER(/g" \
  -e 's/\b[0-9]{4,5}K\b/NNNNK/g' -e 's/([0-9]{2}:)?[0-9]{2}:[0-9]{2}\.[0-9]{3}/MM:SS.mmm/g' \
  -e "s/\b$(hostname -s)\b/HOST/g" -e 's/(AllocNode:Sid=HOST:)[0-9]+/\1SID/' -e 's/RunTime=[0-9:]+(SS)?/RunTime=HH:MM:SS/'
exit "${PIPESTATUS[0]}"
"#;

#[test]
fn sbatch() {
    run("sbatch");
}

#[test]
fn squeue() {
    run("squeue");
}

#[test]
fn sinfo() {
    run("sinfo");
}

#[test]
fn scontrol() {
    run("scontrol");
}

#[test]
fn sacct() {
    run("sacct");
}

#[test]
fn scancel() {
    run("scancel");
}

#[test]
fn srun() {
    run("srun");
}

#[test]
fn salloc() {
    run("salloc");
}

#[test]
fn sacctmgr() {
    run("sacctmgr");
}

#[test]
fn sshare() {
    let rig = layout();
    wait_for("something was used", || rig.run("sshare", &["-nP", "-o", "EffectvUsage"]).trim() == "1.000000");
    run_in(&rig, "sshare");
}

#[test]
fn sreport() {
    run("sreport");
}

#[test]
fn sprio() {
    run("sprio");
}

#[test]
fn sdiag() {
    run("sdiag");
}

#[test]
fn sstat() {
    run("sstat");
}

/// Runs the session of this name.
fn run(name: &str) {
    run_in(&layout(), name);
}

fn run_in(rig: &Rig, name: &str) {
    let (links, hiding) = (rig.work().join("bin"), rig.work().join("hiding"));
    rig.run("links", &[links.to_str().expect("text")]);
    fs::create_dir(&hiding).expect("a folder");
    let cases = TestCases::new();
    for link in fs::read_dir(&links).expect("a folder") {
        let name = link.expect("readable").file_name();
        let path = hiding.join(&name);
        fs::write(&path, HIDING).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        cases.register_bin(name.to_str().expect("text"), path);
    }
    let text = |path: std::path::PathBuf| path.to_str().expect("text").to_owned();
    cases.env("COVEY_CONTROLLER", rig.endpoint()).env("COVEY_DIR", text(rig.dir())).env("WORK", text(rig.work()));
    cases.case(format!("tests/cmd/{name}.trycmd")).run();
}

/// Job 1 has its node alone, 2 has two nodes, 3 has failed, two tasks of 4 run, 7 waits for nodes, 8 is held, 9 depends on
/// others, 10 is for tomorrow.
fn layout() -> Rig {
    let nodes: [(&str, &[&str]); 4] =
        ["linux0", "linux1", "linux2", "linux3"].map(|name| (name, &["--features", "fast"][..]));
    let rig = Rig::start_with(&nodes, SETTINGS);
    let write = |name: &str, text: &str| fs::write(rig.work().join(name), text).expect("written");
    write("sleep.sh", "#!/bin/sh\nexec sleep 600\n");
    write("true.sh", "#!/bin/sh\ntrue\n");
    write("fails.sh", "#!/bin/sh\nexit 3\n");
    write("plain.sh", "echo\n");
    write("empty.sh", "");
    write("blank.sh", "  \n\n");
    write("dos.sh", "#!/bin/sh\r\ntrue\r\n");
    write("bogus.sh", "#!/bin/sh\n#SBATCH --bogus\ntrue\n");
    let submit = |expected: &str, line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(rig.submit(&words), expected, "{line}");
    };
    let running = |job: &str, count| {
        wait_for("it runs", || rig.states(job).iter().filter(|state| *state == "RUNNING").count() == count);
    };
    submit("1", "-J alone -w linux0 --exclusive -t 1-00:00:00 --comment=words -o none sleep.sh");
    submit("2", "-J pair -N2 -n2 -w linux1,linux2 -t 30 -o none sleep.sh");
    submit("3", "-J gone -o none fails.sh");
    running("1", 1);
    running("2", 1);
    assert_eq!(rig.wait_done("3"), ["FAILED"]);
    submit("4", "-J arr --array=0-9%2 -w linux3 -o none sleep.sh");
    running("4", 2);
    submit("7", "-J waits -N2 -n2 -w linux0,linux1 -t 10 --mem=200 sleep.sh");
    submit("8", "-J held -H --nice=5 -p small sleep.sh");
    submit("9", "-J dep -d afterok:1,afterany:2 -L matlab:2 sleep.sh");
    submit("10", "-J later --begin=now+1day sleep.sh");
    rig
}
