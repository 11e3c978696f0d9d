"""The launch scripts end in the lines that docs/training.md promises."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "configs/sample/train.yaml"
TORCHRUN = "-m torch.distributed.run"


def call(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a launch script with an interpreter that only repeats what it is given."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return subprocess.run(
        ["bash", f"scripts/launch/{script}.sh", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**environment, "PYTHON": "echo", **variables},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("script", "arguments", "line"),
    [
        ("one_gpu", ["--gpu", "1"], "train.py"),
        ("one_node", [], f"{TORCHRUN} --standalone --nproc_per_node=gpu train.py"),
        ("one_node", ["--processes", "4"], f"{TORCHRUN} --standalone --nproc_per_node=4 train.py"),
        (
            "several_nodes",
            ["--nodes", "2", "--node", "1", "--head", "gpu01", "--processes", "8", "--port", "29600"],
            f"{TORCHRUN} --nnodes=2 --node_rank=1 --nproc_per_node=8 --master_addr=gpu01 --master_port=29600 train.py",
        ),
    ],
)
def test_a_script_ends_in_its_line(script: str, arguments: list[str], line: str) -> None:
    done = call(script, *arguments, CONFIG, "train.images=8", "run_dir=runs/a b")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{line} {CONFIG} train.images=8 run_dir=runs/a b"


def test_slurm_starts_one_torchrun_a_node(tmp_path: Path) -> None:
    for name, content in (("srun", 'echo "$@"'), ("scontrol", "printf 'gpu01\\ngpu02\\n'")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{content}\n")
        (tmp_path / name).chmod(0o755)
    job = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "123456", "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "gpu[01-02]", "SLURM_GPUS_ON_NODE": "8", "SLURM_SUBMIT_DIR": str(ROOT),
    }  # fmt: skip
    done = call("slurm", CONFIG, "run_dir=runs/x", **job)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        f"--kill-on-bad-exit=1 echo {TORCHRUN} --nnodes=2 --nproc_per_node=8 --rdzv_backend=c10d --rdzv_id=123456 "
        f"--rdzv_endpoint=gpu01:23456 train.py {CONFIG} run_dir=runs/x"
    )
    assert "give run_dir=FOLDER" in call("slurm", CONFIG, **job).stderr
    assert "submit it with sbatch" in call("slurm", CONFIG, "run_dir=runs/x").stderr


@pytest.mark.parametrize("script", ["one_gpu", "one_node", "several_nodes", "slurm"])
def test_mistakes_end_with_2(script: str) -> None:
    for arguments, message in (([], "a CONFIG is needed"), (["gone.yaml"], "gone.yaml: no such configuration")):
        done = call(script, *arguments)
        assert done.returncode == 2
        assert message in done.stderr
