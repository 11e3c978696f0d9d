#!/usr/bin/env bash
# Train on several machines: run this on each of them.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/launch/common.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/launch/several_nodes.sh --nodes N --node I --head HOST [--port P] [--processes N] [--dry-run]
       CONFIG [key=value ...]

Run it on each of N machines with its own number I (0 to N-1) and the name of machine 0, in any order. All need this
checkout and the data under the same paths; only machine 0 writes the run folder. Give run_dir, so that the same
commands again go on where they stopped.

  --port P         on machine 0, reachable from the others (29500)
  --processes N    a machine (default: as many as it has GPUs)

examples:
  bash scripts/launch/several_nodes.sh --nodes 2 --node 0 --head gpu01 configs/mini/train.yaml run_dir=runs/two
  bash scripts/launch/several_nodes.sh --nodes 2 --node 1 --head gpu01 configs/mini/train.yaml run_dir=runs/two
TEXT
}

nodes= node= head= port=29500 processes=gpu
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage && exit 0 ;;
        --dry-run) dry_run=yes && shift ;;
        --nodes) value_of "$@" && nodes=$2 && shift 2 ;;
        --node) value_of "$@" && node=$2 && shift 2 ;;
        --head) value_of "$@" && head=$2 && shift 2 ;;
        --port) value_of "$@" && port=$2 && shift 2 ;;
        --processes) value_of "$@" && processes=$2 && shift 2 ;;
        *) break ;;
    esac
done
need_config "$@"
if [ "$dry_run" = no ]; then
    [ -n "$nodes" ] && [ -n "$node" ] && [ -n "$head" ] || fail "--nodes, --node and --head are needed; see --help"
    [ "$node" != 0 ] || need_free_port "$port"
fi
run "$python" -m torch.distributed.run --nnodes="${nodes:-N}" --node_rank="${node:-I}" \
    --nproc_per_node="$processes" --master_addr="${head:-HOST}" --master_port="$port" train.py "$@"
