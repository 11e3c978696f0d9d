#!/usr/bin/env bash
# Masked faces on LFW-PL, MFR2 and MLFW: from raw folders to Markdown, LaTeX and CSV.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh
. scripts/table_common.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/table_masked_faces.sh [data=DATA] [--smoke] [--only NAME] [--seeds 0,1,2] [--dry-run] [key=value ...]

Aligns CelebAMask-HQ, trains a parser with a class for masks and a small segmenter on faces with drawn masks, scores them
on LFW-PL, looks for masks in MFR2 and MLFW (scripts/masked_faces.py: region, result and three-column pictures), and
writes runs/tables/masked_faces.{md,tex,csv} with the published numbers beside ours. What to download: docs/tables.md.
TEXT
    options
    cat <<'TEXT'

examples:
  bash scripts/table_masked_faces.sh --smoke
  bash scripts/table_masked_faces.sh data=/data --dry-run
  bash scripts/table_masked_faces.sh data=/data --only ours/scanet
  bash scripts/table_masked_faces.sh data=/data --only '*/*/0/mfr2'
TEXT
}

run_table masked_faces "$@"
