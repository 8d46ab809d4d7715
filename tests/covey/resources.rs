//! What jobs ask for beyond CPUs and memory, from the option to the job's environment and back to the listings.

use std::fs;

use crate::rig::{Rig, wait_for};

/// Two nodes: `linux0` with two types of GPUs, `linux1` with features, and three licenses.
fn start() -> Rig {
    Rig::start_with(
        &[("linux0", &["--gres", "gpu:a100:2,gpu:v100:1"]), ("linux1", &["--features", "fast,ssd"])],
        "[Licenses]\nmatlab = 3\n",
    )
}

#[test]
fn gpus_reach_the_job_by_number_and_come_back_after_a_restart_of_the_controller() {
    let mut rig = start();
    let script = "#!/bin/sh\n#SBATCH --gres=gpu:a100:1 --cpus=0.5 -o gpu-%j.txt\n\
                  echo $CUDA_VISIBLE_DEVICES $ROCR_VISIBLE_DEVICES $SLURM_JOB_GPUS $SLURM_GPUS_ON_NODE $SLURM_GPUS_PER_NODE\n\
                  exec sleep 600\n";
    fs::write(rig.work().join("gpu.sh"), script).expect("written");
    let (first, second) = (rig.submit(&["gpu.sh"]), rig.submit(&["gpu.sh"]));
    let third = rig.submit(&["-G1", "--wrap", "echo $CUDA_VISIBLE_DEVICES", "-o", "third.txt"]);
    rig.wait_done(&third);
    assert_eq!(rig.read("third.txt"), "2\n");
    wait_for("both have said which", || rig.try_read(&format!("gpu-{second}.txt")).lines().count() == 1);
    let said = [&first, &second].map(|job| rig.read(&format!("gpu-{job}.txt")));
    assert_eq!(said, ["0 0 0 1 a100:1\n", "1 1 1 1 a100:1\n"]);
    let node = rig.run("scontrol", &["show", "node", "linux0"]);
    assert!(
        node.contains("   Gres=gpu:a100:2,gpu:v100:1\n   GresUsed=gpu:a100:2(IDX:0-1),gpu:v100:0(IDX:N/A)\n"),
        "{node}"
    );
    rig.kill_controller();
    rig.start_controller();
    let waits = rig.submit(&["gpu.sh"]);
    wait_for("it waits for a GPU", || rig.run("squeue", &["-h", "-j", &waits, "-o", "%r"]).trim() == "Resources");
    rig.run("scancel", &[&first]);
    wait_for("it has the first one's", || rig.try_read(&format!("gpu-{waits}.txt")) == "0 0 0 1 a100:1\n");
}

#[test]
fn wishes_are_shown_obeyed_and_refused_in_slurms_words() {
    let rig = start();
    let args =
        ["-C", "fast&ssd", "-x", "linux0", "--exclusive", "-L", "matlab:2", "--mem=10", "-N1", "--ntasks-per-node=2"];
    let wrap = [
        "--wrap",
        "echo $SLURM_JOB_NODELIST $SLURM_CPUS_ON_NODE $SLURM_NTASKS $SLURM_NTASKS_PER_NODE $SLURM_TASKS_PER_NODE; exec sleep 600",
    ];
    let job = rig.submit(&[&args[..], &wrap].concat());
    let output = format!("slurm-{job}.out");
    wait_for("it runs", || rig.try_read(&output) == "linux1 2 2 2 2\n");
    let shown = rig.run("scontrol", &["show", "job", &job]);
    for text in [
        "ReqNodeList=(null) ExcNodeList=linux0",
        "NtasksPerN:B:S:C=2:0:*:*",
        "Features=fast&ssd",
        "OverSubscribe=NO Contiguous=0 Licenses=matlab:2",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let second = rig.submit(&["-L", "matlab:2", "--wrap", "true"]);
    let share = rig.submit(&["-w", "linux0", "--cpus=0.15", "-o", "share.txt", "--wrap", "echo $SLURM_JOB_NODELIST"]);
    rig.wait_done(&share);
    assert_eq!(rig.read("share.txt"), "linux0\n");
    assert_eq!(rig.run("squeue", &["-h", "-j", &second, "-o", "%r"]).trim(), "Licenses");
    assert_eq!(rig.run("sinfo", &["-h", "-N", "-n", "linux1", "-o", "%f %G"]).trim(), "fast,ssd (null)");
    for (option, message, detail) in [
        ("-wlinux7", "Invalid node name specified", "--nodelist names linux7: there is no such node"),
        ("-Cslow", "Invalid feature specification", "known are: fast, ssd"),
        ("--gres=fpga", "Invalid generic resource (gres) specification", "no node has fpga"),
        ("--gpus-per-node=4", "Requested node configuration is not available", "at most 3 of gpu on a node"),
        ("-Lmatlab:4", "Invalid license specification", "the cluster has: matlab:3"),
    ] {
        let refused = rig.try_run("sbatch", &[option, "--wrap", "true"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(message) && said.contains(detail), "{option}: {said}");
    }
}
