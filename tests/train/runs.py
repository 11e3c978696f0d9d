"""Runs of `train.py`, in this process and in one of their own."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from common.manifest import read_manifest, sha256, write_manifest

train = importlib.import_module("train")
REPOSITORY = Path(__file__).resolve().parents[2]
LATEST, OLDER = train.LATEST, train.OLDER
Main = Callable[..., int]


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "train.py", *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def metrics(run: Path, kind: str) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def run_until_killed(arguments: list[str], *, images: int, delay_s: float) -> None:
    """Run the script in a process of its own and kill it once `images` were seen and `delay_s` has gone by."""
    run = Path(next(text for text in arguments if text.startswith("run_dir=")).partition("=")[2])
    process = start(*arguments)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        rows = metrics(run, "train") if (run / "metrics.jsonl").exists() else []
        if rows and rows[-1]["images"] >= images:
            break
        time.sleep(0.002)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors


def same(one: Any, two: Any) -> bool:
    """Return whether two states are equal, bit by bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


def record_hashes(prepared: Path) -> None:
    """Write the hashes of files that a test has changed into the manifest."""
    rows = read_manifest(prepared)
    for row in rows:
        row["sha256"] = {name: sha256(prepared / path) for name, path in row["files"].items()}
    write_manifest(prepared, rows)
