//! A job script of the shape that the original lab ran, as it is: an array over two nodes a task, each in a folder of its own.

use std::collections::BTreeSet;
use std::fs;

use crate::rig::Rig;

/// What a task does there, less the pictures.
const SCRIPT: &str = "\
#!/bin/bash
#SBATCH -J slurmdemo
#SBATCH -n 1
#SBATCH -N 1
#SBATCH -t 0-00:05
#SBATCH -o slurmdemo_%A_%a.out
#SBATCH -e slurmdemo_%A_%a.err

folder=$LAB_SCRATCH/${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
mkdir -p \"$folder\" && cd \"$folder\" || exit 1
echo \"$SLURM_JOB_NODELIST\" > nodes.txt
echo \"task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT on $SLURM_NNODES nodes for $SLURM_NTASKS tasks: $LAB_WORDS\"
echo \"nothing to complain of\" >&2
";

#[test]
fn the_original_labs_script_runs_as_it_is() {
    let rig = Rig::start(8);
    fs::write(rig.work().join("slurmdemo.sh"), SCRIPT).expect("written");
    let mut command = rig.command("sbatch", &["-N", "2", "-n", "2", "--array=0-48", "slurmdemo.sh"]);
    command.env("LAB_SCRATCH", rig.work().join("scratch")).env("LAB_WORDS", "it's \"carried\",\nall of it");
    let said = command.output().expect("the binary can be started");
    assert_eq!(String::from_utf8_lossy(&said.stdout), "Submitted batch job 1\n", "{said:?}");
    assert_eq!(rig.wait_done("1"), vec!["COMPLETED"; 49]);
    for index in 0..49 {
        let expected = format!("task {index} of 49 on 2 nodes for 2 tasks: it's \"carried\",\nall of it\n");
        assert_eq!(rig.read(&format!("slurmdemo_1_{index}.out")), expected);
        assert_eq!(rig.read(&format!("slurmdemo_1_{index}.err")), "nothing to complain of\n");
        let nodes = rig.read(&format!("scratch/1_{index}/nodes.txt"));
        let nodes = rig.run("scontrol", &["show", "hostnames", nodes.trim()]);
        assert_eq!(nodes.lines().collect::<BTreeSet<_>>().len(), 2, "{nodes}");
    }
    let listed = rig.run("sacct", &["-XnP", "-j", "1", "-o", "JobName,NNodes,AllocCPUS,State,ExitCode"]);
    assert_eq!(listed, "slurmdemo|2|2|COMPLETED|0:0\n".repeat(49));
}
