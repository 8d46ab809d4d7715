#!/bin/bash
# Steps: what srun starts inside a job, on the nodes that the job holds. Submit it with: sbatch steps.sh
#SBATCH --job-name=steps
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --time=5
#SBATCH --output=%x-%j.txt
set -euo pipefail

# One task on each node.
srun --nodes=2 --ntasks=2 --label hostname

# Two steps side by side, each with a CPU of its own: without --exact the second would wait for the first.
srun --nodes=1 --ntasks=1 --exact sh -c 'echo "left in step $SLURM_STEP_ID"' &
srun --nodes=1 --ntasks=1 --exact sh -c 'echo "right in step $SLURM_STEP_ID"' &
wait

# sacct -j JOB lists each step with its end and what it used.
srun --ntasks=4 sh -c 'echo "task $SLURM_PROCID of $SLURM_NTASKS"'
