#!/usr/bin/env bash
# Train on all GPUs of this machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/launch/common.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/launch/one_node.sh [--processes N] [--dry-run] CONFIG [key=value ...]

Trains in N processes, one a GPU (default: as many as there are GPUs). train.batch_size stays the batch over all of
them. torchrun finds a free port by itself. The same command again goes on where it stopped.

examples:
  bash scripts/launch/one_node.sh configs/mini/train.yaml
  bash scripts/launch/one_node.sh --processes 4 configs/mini/train.yaml train.batch_size=256
TEXT
}

processes=gpu
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage && exit 0 ;;
        --dry-run) dry_run=yes && shift ;;
        --processes) value_of "$@" && processes=$2 && shift 2 ;;
        *) break ;;
    esac
done
need_config "$@"
run "$python" -m torch.distributed.run --standalone --nproc_per_node="$processes" train.py "$@"
