#!/usr/bin/env bash
# Face segmentation on COFW by Nirkin et al.'s protocol: from raw folders to Markdown, LaTeX and CSV.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
. scripts/table_common.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/table_cofw.sh [data=DATA] [--smoke] [--only NAME] [--seeds 0,1,2] [--dry-run] [key=value ...]

Cuts CelebAMask-HQ as Nirkin et al. do, trains FCN-8s on it with pasted hands, scores it and FaceOcc's U-Net (once
scripts/table_faceocc.sh has trained it) on COFW, and writes runs/tables/cofw.{md,tex,csv} with the published numbers
beside ours. What to download: docs/tables.md.
TEXT
    options
    cat <<'TEXT'

examples:
  bash scripts/table_cofw.sh --smoke
  bash scripts/table_cofw.sh data=/data --dry-run
  bash scripts/table_cofw.sh data=/data --only hands/fcn8s
  bash scripts/table_cofw.sh data=/data --only bbox
TEXT
}

run_table cofw "$@"
