#!/usr/bin/env bash
# The NatOcc paper's table of training sets: from raw folders to Markdown, LaTeX and CSV.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
. scripts/table_common.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/table_natocc.sh [data=DATA] [--smoke] [--only NAME] [--seeds 0,1,2] [--dry-run] [key=value ...]

Aligns CelebAMask-HQ, makes every training set of Voo et al. 2022 (C-Original, C-CM, C-WO, NatOcc, NatOcc-SOT, RandOcc,
Mix), trains PSPNet, DeepLabV3+ and SegFormer on each of the nine rows, scores them on RealOcc, COFW and RealOcc-Wild,
and writes runs/tables/natocc.{md,tex,csv} with the published numbers beside ours. What to download: docs/tables.md.
TEXT
    options
    cat <<'TEXT'

examples:
  bash scripts/table_natocc.sh --smoke
  bash scripts/table_natocc.sh data=/data --dry-run
  bash scripts/table_natocc.sh data=/data --only hands --only randocc
  bash scripts/table_natocc.sh data=/data --only c_wo_natocc/segformer --seeds 0,1,2
TEXT
}

run_table natocc "$@"
