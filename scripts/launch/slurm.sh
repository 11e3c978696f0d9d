#!/usr/bin/env bash
#SBATCH --job-name=occface
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%x-%j.log
# Train under SLURM: one torchrun a node, one process a GPU.
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-$(dirname "$0")/../..}"
. scripts/launch/common.sh

usage() {
    cat <<'TEXT'
usage: sbatch [SBATCH OPTIONS] scripts/launch/slurm.sh [--dry-run] CONFIG run_dir=FOLDER [key=value ...]

Submit it from the root of this checkout, which all nodes must see, like the data. The head of the file asks for one
node with one GPU; options of sbatch win over it. A job that is killed, preempted or out of time goes on where it
stopped when it is queued again, by SLURM or by the same command, because run_dir stays the same.

examples:
  sbatch scripts/launch/slurm.sh configs/mini/train.yaml run_dir=runs/cluster
  sbatch --nodes=4 --gpus-per-node=8 --cpus-per-task=96 scripts/launch/slurm.sh configs/mini/train.yaml run_dir=runs/big
TEXT
}

while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) usage && exit 0 ;;
        --dry-run) dry_run=yes && shift ;;
        *) break ;;
    esac
done
need_config "$@"
head=HOST
if [ "$dry_run" = no ]; then
    [ -n "${SLURM_JOB_ID:-}" ] || fail "this runs inside a job: submit it with sbatch, see --help"
    case " $* " in *" run_dir="*) ;; *) fail "give run_dir=FOLDER, or a job that is queued again begins anew" ;; esac
    head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
fi
# Jobs that share a node get different ports.
port=$((20000 + ${SLURM_JOB_ID:-0} % 20000))
run srun --kill-on-bad-exit=1 "$python" -m torch.distributed.run --nnodes="${SLURM_JOB_NUM_NODES:-1}" \
    --nproc_per_node="${SLURM_GPUS_ON_NODE:-gpu}" --rdzv_backend=c10d --rdzv_id="${SLURM_JOB_ID:-0}" \
    --rdzv_endpoint="$head:$port" train.py "$@"
