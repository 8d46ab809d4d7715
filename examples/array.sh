#!/bin/bash
# An array: ten tasks with numbers of their own, at most four at a time. Submit it with: sbatch array.sh
#SBATCH --job-name=squares
#SBATCH --array=0-9%4
#SBATCH --time=5
#SBATCH --cpus-per-task=1
# %x is the job's name, %A its number, %a the task's.
#SBATCH --output=%x-%A_%a.txt
set -euo pipefail

n=$SLURM_ARRAY_TASK_ID
echo "$n squared is $((n * n)), computed on $SLURMD_NODENAME"
