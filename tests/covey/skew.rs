//! Another version's noded and commands work with this version's controller. `tests/skew` builds the other version and runs this.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::rig::{Rig, daemon, rounds, wait_for};

/// The other version.
struct Other {
    covey: PathBuf,
}

impl Other {
    fn given() -> Other {
        let covey = std::env::var_os("COVEY_TEST_OTHER").expect("COVEY_TEST_OTHER names another version's binary");
        Other { covey: covey.into() }
    }

    fn start_node(&self, rig: &mut Rig, name: &str) {
        let mut command = Command::new(&self.covey);
        command.args(["noded", "--name", name, "--cpus", "2", "--memory", "2G", "--controller"]);
        command.arg(rig.endpoint()).arg("--dir").arg(rig.dir());
        rig.adopt(name, daemon(&mut command));
        wait_for("the other version's node is idle", || rig.node_state(name) == "idle");
    }

    fn run(&self, rig: &Rig, name: &str, args: &[&str]) -> String {
        let output = rig.command_by(&self.covey, name, args).output().expect("the binary can be started");
        assert!(output.status.success(), "{name} {args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

#[test]
#[ignore = "needs another version's binary: tests/skew builds one"]
fn another_versions_noded_and_commands_work_with_this_controller() {
    let other = Other::given();
    let rounds = rounds(2, 10);
    for round in 0..rounds {
        let mut rig = Rig::prepared("");
        rig.start_controller();
        other.start_node(&mut rig, "a");
        let submit = |args: &[&str]| other.run(&rig, "sbatch", &[&["--parsable"], args].concat()).trim().to_owned();

        let array = submit(&[
            "--array=0-4",
            "-o",
            "out-%a",
            "--wrap",
            "echo $SLURM_ARRAY_TASK_ID; exit $((SLURM_ARRAY_TASK_ID % 2))",
        ]);
        // A step by this version's srun, on the other version's node.
        let mut sbatch = rig.command("sbatch", &["--parsable", "-o", "ours", "--wrap", "srun echo ours"]);
        let submitted = sbatch.env("PATH", rig.path()).output().expect("the binary can be started");
        let ours = String::from_utf8(submitted.stdout).expect("text").trim().to_owned();
        let held = submit(&["--hold", "--wrap", "true"]);
        let mut ends = rig.wait_done(&array);
        ends.sort();
        assert_eq!(ends, ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED", "FAILED"], "round {round}");
        assert_eq!((rig.wait_done(&ours), rig.read("ours")), (vec!["COMPLETED".to_owned()], "ours\n".to_owned()));
        assert_eq!((0..5).map(|index| rig.read(&format!("out-{index}"))).collect::<String>(), "0\n1\n2\n3\n4\n");
        assert_eq!(other.run(&rig, "squeue", &["-h", "-o", "%i %T"]), format!("{held} PENDING\n"));
        other.run(&rig, "scancel", &[&held]);
        let past = other.run(&rig, "sacct", &["-X", "-n", "-P", "-j", &held, "-o", "JobID,State"]);
        assert!(past.starts_with(&format!("{held}|CANCELLED")), "{past}");
        assert!(other.run(&rig, "sinfo", &["-h", "-N", "-o", "%N %t"]).starts_with("a idle"));

        // An upgrade of the node under a task.
        let gate = rig.work().join("gate");
        let waits = submit(&[
            "-o",
            "runs",
            "--open-mode=append",
            "--wrap",
            "echo run; until [ -e gate ]; do sleep 0.05; done; exit 7",
        ]);
        wait_for("it runs", || rig.try_read("runs") == "run\n");
        rig.kill_node("a");
        rig.start_node("a");
        wait_for("this version's node has it", || rig.node_state("a") != "idle*" && rig.states(&waits) == ["RUNNING"]);
        fs::write(&gate, "").expect("written");
        assert_eq!(rig.wait_done(&waits), ["FAILED"]);
        let exit = rig.run("sacct", &["-X", "-n", "-P", "-j", &waits, "-o", "ExitCode"]);
        assert_eq!((exit.trim(), rig.read("runs").as_str()), ("7:0", "run\n"), "round {round}");
    }
    println!("{rounds} rounds with the other version's noded and commands");
}
