#!/bin/bash
# A map: one task for each file in photos/. The script finds its input in $COVEY_IN and writes $COVEY_OUT, which appears in sums/ when
# the script has succeeded, and not at all when it has failed. Submit it with: sbatch map.sh
# az://container/prefix/, s3://bucket/prefix/ and gs://bucket/prefix/ work in place of folders, with their keys in the nodes' environment.
#COVEY --map-from=photos/ --map-to=sums/ --map-name={name}.sha256
#SBATCH --job-name=sums
#SBATCH --time=5
#SBATCH --output=%x-%A_%a.txt
set -euo pipefail

# Names of blobs are other people's input: keep the quotes.
sha256sum < "$COVEY_IN" > "$COVEY_OUT"
