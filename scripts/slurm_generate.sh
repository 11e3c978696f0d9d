#!/usr/bin/env bash
# Make an occluded set on a SLURM cluster: an array of jobs does the parts, one more job puts them together.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: bash scripts/slurm_generate.sh [--dry-run] PARTS CONFIG [key=value ...]

Run it in the repository's root, on a file system that all nodes share, with the environment that the jobs shall have
(e.g. after `. .venv/bin/activate`). SLURM's own variables choose partition, account and time: SBATCH_PARTITION, ...
CPUS is the number of cores a job (default 8). Submit it again after a failure: whole images are not made again.

examples:
  bash scripts/slurm_generate.sh 16 configs/occlude/mix.yaml
  CPUS=32 SBATCH_PARTITION=cpu bash scripts/slurm_generate.sh 64 configs/occlude/mix.yaml set=1 output=/scratch/mix_1
TEXT
}

if [ -n "${SLURM_JOB_ID:-}" ] && [ "${1:-}" = --job ]; then # within a job: PARTS CONFIG ...
    parts=$2
    shift 2
    [ -n "${SLURM_ARRAY_TASK_ID:-}" ] && set -- "$@" "shard=$SLURM_ARRAY_TASK_ID/$parts"
    exec python -m occlusion_gen "$@" --processes "${SLURM_CPUS_PER_TASK:-1}"
fi

dry_run=no
case "${1:-}" in
    -h | --help) usage && exit 0 ;;
    --dry-run) dry_run=yes && shift ;;
esac
[ "$dry_run" = no ] || [ $# -gt 0 ] || set -- 16 configs/occlude/mix.yaml
[ $# -ge 2 ] && [ "$1" -ge 1 ] 2>/dev/null || { usage >&2 && exit 2; }

submit() {
    echo "+ sbatch $*" >&2
    [ "$dry_run" = yes ] && echo JOB || sbatch --parsable "$@" | cut -d';' -f1
}

# One core suffices to put parts together, but a part that failed is made up for there.
common=(--cpus-per-task="${CPUS:-8}" --nodes=1 --ntasks=1 --chdir="$PWD")
array=$(submit "${common[@]}" --job-name=occlude --array="1-$1" "$0" --job "$@")
last=$(submit "${common[@]}" --job-name=occlude-merge --dependency="afterany:$array" "$0" --job "$@")
echo "array job $array makes $1 parts; job $last puts them together"
