"""Trainings over two processes (gloo, CPU): like one process, resumed exactly, and not stuck when a process dies."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from common.checkpoint import load_state
from tests import two_processes
from tests.tiny_world import HOLDOUT, World

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS, BATCH = 20, 4
RATE = 0.01  # at 0.05 the steps are so large that rounding grows to 1e-3 within the 20
DIES_AT = 13 * BATCH  # in the midst of an epoch of four faces' worth of batches, and between two states


@pytest.fixture(scope="module")
def config(world: World, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = {
        "name": "tiny",
        "seed": 1,
        "data": {"root": str(world.root), "prepared": str(prepared)},
        "size": 64,
        "train_sets": {"faces": {"prepared": str(prepared), "split": "train", "limit": 3}},
        "validation": {"every_images": 40, "previews": 0, "set": {"prepared": str(prepared), "split": "val"}},
        "occlusion": {
            "generators": {
                "shapes": {"kind": "randocc", "textures": str(world.textures), "holdout_share": HOLDOUT},
            }
        },
        "model": {"encoder": "tu-lcnet_035", "decoder_channels": [8, 8, 8, 4, 4], "outputs": ["visible"]},
        "loss": {"bce": 1.0, "dice": 0.0},
        "train": {
            "images": STEPS * BATCH, "batch_size": BATCH, "schedule": {"warmup_images": 8}, "workers": 0,
            "threads": 1, "precision": "32-true", "ema_half_life_images": 16, "log_every_images": BATCH,
            "save_every_images": 3 * BATCH, "optimiser": {"kind": "sgd", "learning_rate": RATE},
        },
    }  # fmt: skip
    path = tmp_path_factory.mktemp("config") / "train.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def launch(folder: Path, jobs: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    listed = folder / "jobs.json"
    listed.write_text(json.dumps(jobs))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [sys.executable, *torchrun, "tests/two_processes.py", str(listed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, env=environment)


def job(config: Path, run: Path, *overrides: str, dies_at: int | None = None) -> dict[str, Any]:
    return {"arguments": [str(config), f"run_dir={run}", *overrides], "dies_at": dies_at}


def losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "train"]


class Runs:
    """What the launches of this module left behind."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.one, self.whole, self.killed = (folder / name for name in ("one", "whole", "killed"))
        self.halves = folder / "halves"
        two_processes.run([job(config, self.one), job(config, self.halves, "train.accumulate=2")])
        began_s = time.monotonic()
        self.death = launch(folder, [job(config, self.whole), job(config, self.killed, dies_at=DIES_AT)])
        self.death_s = time.monotonic() - began_s
        self.reached = load_state(self.killed / "checkpoints" / "latest.pt")["progress"]["images"]
        resumed = launch(folder, [job(config, self.killed)])
        assert resumed.returncode == 0, resumed.stderr


@pytest.fixture(scope="module")
def runs(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys.argv)
        return Runs(tmp_path_factory.mktemp("runs"), config)


def test_two_processes_train_like_one(runs: Runs) -> None:
    one, two = losses(runs.one), losses(runs.whole)
    assert len(one) == len(two) == STEPS
    assert one[-1] < 0.9 * one[0]
    np.testing.assert_allclose(two, one, atol=1e-4)


def test_two_passes_a_step_train_like_one(runs: Runs) -> None:
    np.testing.assert_allclose(losses(runs.halves), losses(runs.one), atol=1e-4)


def test_a_process_that_dies_ends_the_training_with_a_reason(runs: Runs) -> None:
    assert (runs.whole / "checkpoints" / "best.safetensors").exists()  # the launch got past the first training
    assert runs.death.returncode != 0
    assert runs.death_s < 200
    assert "another process of this training died" in runs.death.stderr
    assert "Signal 9 (SIGKILL)" in runs.death.stderr
    assert runs.reached == DIES_AT // (3 * BATCH) * 3 * BATCH


def test_two_processes_resume_to_the_very_same_weights(runs: Runs) -> None:
    whole, resumed = (load_state(run / "checkpoints" / "latest.pt") for run in (runs.whole, runs.killed))
    assert whole["progress"] == resumed["progress"]
    for part in (whole["network"], whole["average"]["module"]):
        assert all(torch.isfinite(tensor).all() for tensor in part.values())
    assert all(torch.equal(resumed["network"][name], tensor) for name, tensor in whole["network"].items())
    averages = whole["average"]["module"], resumed["average"]["module"]
    assert all(torch.equal(averages[1][name], tensor) for name, tensor in averages[0].items())
    assert len(whole["generators"]) == 2
    assert losses(runs.killed) == losses(runs.whole)


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [
            "bash", "scripts/launch/several_nodes.sh", "--nodes", "2", "--node", "0", "--processes", "1",
            "--head", "127.0.0.1", "--port", str(taken.getsockname()[1]), "configs/sample/train.yaml",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "is taken; choose another with --port" in done.stderr
