#!/usr/bin/env bash
# Set up and pass the tests: format, lint, types, layers, then pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/environment.sh

usage() {
    cat <<'TEXT'
usage: bash scripts/test.sh [--dry-run] [PYTEST ARGUMENTS]

Makes .venv, installs the pinned requirements once, checks the code and runs the tests (minutes on two cores).
Tests on real data run when OCCFACE_DATA and OCCFACE_WEIGHTS name folders, and skip with a reason elsewhere.

examples:
  bash scripts/test.sh
  bash scripts/test.sh tests/common -k geometry
  OCCFACE_DATA=/data OCCFACE_WEIGHTS=/weights bash scripts/test.sh
TEXT
}

run() {
    echo "+ $*"
    [ "$dry_run" = yes ] || "$@"
}

dry_run=no
case "${1:-}" in
    -h | --help) usage && exit 0 ;;
    --dry-run) dry_run=yes && shift ;;
esac
[ "$dry_run" = yes ] || use_environment requirements-dev.txt
# Each of the two pytest processes computes on one core; small networks are slower with more.
export OMP_NUM_THREADS=1 NO_ALBUMENTATIONS_UPDATE=1
run ruff format --check .
run ruff check .
run mypy
run lint-imports
run python -m pytest -n "${PYTEST_PROCESSES:-2}" --dist loadfile "$@"
