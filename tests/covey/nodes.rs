//! What nodes are told and tell: signals for jobs, signals for a noded, and what it says of itself.

use std::fs;

use crate::rig::{Rig, wait_for};

#[test]
fn a_warning_reaches_the_batch_shell_and_only_where_it_is_asked_for_it() {
    let rig = Rig::start(1);
    // It comes after a second. A shell that is not warned goes on until it is let go.
    let script = "#!/bin/sh\n#SBATCH --time=1 --signal=B:USR1@59\n\
                  trap 'echo warned; exit 3' USR1\necho ready\nwhile [ ! -e stop ]; do sleep 0.05; done\n";
    fs::write(rig.work().join("warn.sh"), script).expect("written");
    let steps = rig.submit(&["-o", "steps.txt", "--signal=SIGUSR1@59", "warn.sh"]);
    let job = rig.submit(&["-o", "warned.txt", "warn.sh"]);
    wait_for("the warned job is done", || rig.states(&job) == ["FAILED"]);
    // On a machine so busy that the shell had not come to its trap, the signal ended it.
    let killed = || rig.run("scontrol", &["show", "job", &job]).contains("ExitCode=0:10");
    assert!(rig.read("warned.txt").ends_with("warned\n") || killed(), "{}", rig.read("warned.txt"));
    fs::write(rig.work().join("stop"), "").expect("written");
    assert_eq!(rig.wait_done(&steps), ["COMPLETED"]);
    assert_eq!(rig.read("steps.txt"), "ready\n", "a signal for steps is not the shell's");
    let refused = rig.try_run("sbatch", &["--signal=USR9", "warn.sh"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("Invalid --signal specification"), "{said}");
}

#[test]
fn a_noded_that_is_told_to_go_while_it_starts_leaves_a_launcher_that_can_be_found() {
    let mut rig = Rig::start(0);
    rig.start_node("linux9");
    let folder = rig.dir().join("nodes").join("linux9");
    wait_for("noded begins", || folder.join("noded.lock").exists());
    let left = rig.end_node("linux9", "TERM");
    assert!(left.success(), "it goes as it would at any other time: {left}");
    assert!(folder.join("launcher.pid").exists());
    let said = rig.run("down", &["--dir", &rig.dir().to_string_lossy()]);
    assert!(said.starts_with("stopped the controller and 1 launcher in "), "{said}");
}

#[test]
fn a_node_says_what_it_holds_tasks_to() {
    let rig = Rig::start(1);
    let shown = rig.run("scontrol", &["show", "node", "linux0"]);
    let last = shown.trim_end().lines().last().map(str::trim);
    let known = ["Enforces=cgroup2:memory,", "Enforces=cgroup1:memory,", "Enforces=sampling:memory,open_files"];
    assert!(last.is_some_and(|line| known.iter().any(|known| line.starts_with(known))), "{shown}");
}
