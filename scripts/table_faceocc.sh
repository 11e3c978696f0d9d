#!/usr/bin/env bash
# FaceOcc's recipe on its own test set: from raw folders to Markdown, LaTeX and CSV.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
. scripts/table_common.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/table_faceocc.sh [data=DATA] [--smoke] [--only NAME] [--seeds 0,1,2] [--dry-run] [key=value ...]

Aligns CelebAMask-HQ as FaceOcc does, trains the U-Net by the paper's recipe, by that of the released checkpoint and by
ours, scores them (and published checkpoints, where they lie in $OCCFACE_WEIGHTS) on FaceOcc's crops of COFW's test set,
and writes runs/tables/faceocc.{md,tex,csv} with the published numbers beside ours. What to download: docs/tables.md.
TEXT
    options
    cat <<'TEXT'

examples:
  bash scripts/table_faceocc.sh --smoke
  bash scripts/table_faceocc.sh data=/data --dry-run
  bash scripts/table_faceocc.sh data=/data --only ours/published --seeds 0,1,2
  bash scripts/table_faceocc.sh data=/data --only theirs
TEXT
}

run_table faceocc "$@"
