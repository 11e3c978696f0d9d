"""The SLURM script, with a stand-in for sbatch that runs each job at once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SBATCH = """#!/usr/bin/env bash
echo "$*" >> {log}/sbatch.txt
last=0
while [ $# -gt 0 ]; do
    case "$1" in
        --array=1-*) last=${{1#--array=1-}} ;;
        --cpus-per-task=*) export SLURM_CPUS_PER_TASK=${{1#*=}} ;;
        --*) ;;
        *) break ;;
    esac
    shift
done
export SLURM_JOB_ID=7
if [ "$last" = 0 ]; then bash "$@" >&2; fi
for task in $(seq 1 "$last"); do SLURM_ARRAY_TASK_ID=$task bash "$@" >&2; done
echo "7;cluster"
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose sbatch runs jobs and whose python writes down what it is called with."""
    (tmp_path / "sbatch").write_text(SBATCH.format(log=tmp_path))
    (tmp_path / "python").write_text(f'#!/usr/bin/env bash\nprintf "%s|" "$@" >> {tmp_path}/python.txt\n')
    for name in ("sbatch", "python"):
        (tmp_path / name).chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CPUS": "3"}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "scripts/slurm_generate.sh", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)


def test_every_part_runs_and_then_the_whole(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, "2", "a b.yaml", "set=1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "array job 7 makes 2 parts; job 7 puts them together\n"
    begin, end = "-m|occlusion_gen|a b.yaml|set=1|", "--processes|3|"
    calls = (tmp_path / "python.txt").read_text()
    assert calls == f"{begin}shard=1/2|{end}{begin}shard=2/2|{end}{begin}{end}"
    first, second = (tmp_path / "sbatch.txt").read_text().splitlines()
    assert "--array=1-2" in first
    assert "--dependency=afterany:7" in second


def test_a_dry_run_submits_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, "--dry-run", "2", "a.yaml")
    assert "--array=1-2" in done.stderr
    assert not (tmp_path / "sbatch.txt").exists()


@pytest.mark.parametrize("arguments", [(), ("2",), ("0", "a.yaml"), ("a.yaml", "2")])
def test_mistakes_end_with_2(environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    done = run(environment, *arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr
