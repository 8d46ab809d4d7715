//! What lies in `examples/` can be submitted as it is, and does what it says.

use std::fs;
use std::process::{Command, Stdio};

use crate::rig::{Rig, wait_for};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// Submits one, with Covey's commands first in the path as on a cluster of its own.
fn submit(rig: &Rig, name: &str) -> String {
    let mut command = rig.command("sbatch", &["--parsable", &format!("{EXAMPLES}/{name}")]);
    let output = command.env("PATH", rig.path()).output().expect("the binary can be started");
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

fn array(rig: &Rig) {
    let job = submit(rig, "array.sh");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"; 10]);
    assert!(rig.read(&format!("squares-{job}_7.txt")).starts_with("7 squared is 49, computed on linux"));
}

fn map(rig: &Rig) {
    let photos = rig.work().join("photos");
    fs::create_dir(&photos).expect("a folder");
    for name in ["a.jpg", "b c.jpg", "$(d);.jpg"] {
        fs::write(photos.join(name), "abc").expect("written");
    }
    let job = submit(rig, "map.sh");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"; 3]);
    for name in ["a.jpg", "b c.jpg", "$(d);.jpg"] {
        assert!(rig.read(&format!("sums/{name}.sha256")).starts_with("ba7816bf"), "{name}");
    }
}

fn chain(rig: &Rig) {
    let mut command = Command::new("sh");
    command.arg(format!("{EXAMPLES}/chain.sh")).current_dir(rig.work()).stdin(Stdio::null());
    command.env("PATH", rig.path()).env("COVEY_CONTROLLER", rig.endpoint()).env("COVEY_DIR", rig.dir());
    let output = command.output().expect("sh is there");
    assert!(output.status.success(), "{output:?}");
    let tidy = || rig.run("sacct", &["-XnP", "-o", "State", "--name=tidy"]);
    wait_for("the last of the chain has ended", || tidy() == "COMPLETED\n");
    assert_eq!((rig.read("report.log"), rig.try_read("part-1.txt")), ("15 lines\n".into(), String::new()));
}

fn steps(rig: &Rig) {
    let job = submit(rig, "steps.sh");
    assert_eq!(rig.wait_done(&job), ["COMPLETED"], "{}", rig.try_read(&format!("steps-{job}.txt")));
    let text = rig.read(&format!("steps-{job}.txt"));
    for part in ["0: ", "1: ", "left in step ", "right in step ", "task 3 of 4\n"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let listed = rig.run("sacct", &["-nP", "-j", &job, "-o", "JobID,State"]);
    assert_eq!(listed.lines().filter(|line| line.ends_with("|COMPLETED")).count(), 6, "{listed}");
}

/// A script's name, and what must hold of it.
type Check = (&'static str, fn(&Rig));

#[test]
fn every_example_runs_as_it_is() {
    let rig = Rig::start(2);
    let checks: [Check; 4] = [("array.sh", array), ("chain.sh", chain), ("map.sh", map), ("steps.sh", steps)];
    let entries = fs::read_dir(EXAMPLES).expect("it is there").flatten();
    let mut there: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    there.retain(|name| name.ends_with(".sh"));
    there.sort();
    assert_eq!(there, checks.map(|(name, _)| name), "every script has its check");
    for (_, check) in checks {
        check(&rig);
    }
}
