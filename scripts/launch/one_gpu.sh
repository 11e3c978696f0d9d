#!/usr/bin/env bash
# Train on one GPU, or on the CPU where there is none.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/launch/common.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/launch/one_gpu.sh [--gpu N] [--dry-run] CONFIG [key=value ...]

Trains in one process. The same command again goes on where it stopped. PYTHON names the interpreter.

examples:
  bash scripts/launch/one_gpu.sh configs/mini/train.yaml
  bash scripts/launch/one_gpu.sh --gpu 1 configs/mini/train.yaml train.batch_size=64 run_dir=runs/big
TEXT
}

gpu=
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage && exit 0 ;;
        --dry-run) dry_run=yes && shift ;;
        --gpu) value_of "$@" && gpu=$2 && shift 2 ;;
        *) break ;;
    esac
done
need_config "$@"
[ -z "$gpu" ] || export CUDA_VISIBLE_DEVICES=$gpu
run "$python" train.py "$@"
