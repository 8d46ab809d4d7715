#!/bin/sh
# Jobs that wait for one another. Run it with: sh chain.sh
# Each sbatch answers at once; the jobs start as what they wait for ends.
set -eu

# An array makes the parts,
parts=$(sbatch --parsable --job-name=parts --array=1-5 --time=5 --output=parts-%a.log \
    --wrap 'seq "$SLURM_ARRAY_TASK_ID" > "part-$SLURM_ARRAY_TASK_ID.txt"')
# one job joins them, if all of them have succeeded,
join=$(sbatch --parsable --job-name=join --dependency="afterok:$parts" --kill-on-invalid-dep=yes --time=5 --output=join.log \
    --wrap 'cat part-*.txt | sort -n > joined.txt')
# one reports,
report=$(sbatch --parsable --job-name=report --dependency="afterok:$join" --kill-on-invalid-dep=yes --time=5 --output=report.log \
    --wrap 'echo "$(wc -l < joined.txt) lines"')
# and one tidies up, however the others have ended.
tidy=$(sbatch --parsable --job-name=tidy --dependency="afterany:$join:$report" --time=5 --output=tidy.log \
    --wrap 'rm -f part-*.txt')

echo "submitted $parts, $join, $report and $tidy; covey why $report says what it waits for"
