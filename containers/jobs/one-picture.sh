#!/bin/bash
# One picture a task, as in the lab that this re-creates: take the picture whose number the task has, make it gray, put it back.
# Arguments: where the pictures are, and where the gray ones go, such as az://input/ az://output/
#SBATCH --job-name=one-picture
set -euo pipefail
from=$1 to=$2

# The store's keys, where a Docker secret holds them for jobs of this container's administrator.
if [ -r /run/secrets/store ]; then
  set -a
  . /run/secrets/store
  set +a
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/colour" "$work/gray"
picture=$(covey blob ls "$from" | sed -n "$((SLURM_ARRAY_TASK_ID + 1))p")
covey blob get "$from$picture" "$work/colour"
covey op grayscale "$work/colour/$picture" "$work/gray/$picture"
covey blob put "$work/gray/$picture" "$to"
