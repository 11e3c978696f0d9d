"""Run by torchrun in tests: several trainings in one launch, of a network without batch statistics.

usage: two_processes.py JOBS.json, a list of {"arguments": [...], "dies_at": images or null}
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
train = importlib.import_module("train")
learner = importlib.import_module("models.learner")


def without_batch_statistics(module: torch.nn.Module) -> torch.nn.Module:
    """Return the network with a norm over each image alone in place of every batch norm."""
    for name, child in module.named_children():
        if isinstance(child, torch.nn.BatchNorm2d):
            norm = torch.nn.GroupNorm(1, child.num_features)
            activation = getattr(child, "act", torch.nn.Identity())  # timm's batch norms carry one
            setattr(module, name, torch.nn.Sequential(norm, activation))
        else:
            without_batch_statistics(child)
    return module


@contextmanager
def changed(dies_at: int | None) -> Iterator[None]:
    """Let trainings build such networks, and let process 1 be killed before the step after `dies_at` images."""
    build, take_step = train.build_network, learner.Learner.take_step

    def build_network(*arguments: Any, **options: Any) -> Any:
        network, *rest = build(*arguments, **options)
        return without_batch_statistics(network), *rest

    def take_or_die(self: Any, *arguments: Any, **options: Any) -> Any:
        if self.progress.images == dies_at and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return take_step(self, *arguments, **options)

    train.build_network = build_network
    learner.Learner.take_step = take_or_die
    yield
    train.build_network, learner.Learner.take_step = build, take_step


def run(jobs: list[dict[str, Any]]) -> None:
    """Train once a job."""
    for job in jobs:
        sys.argv = ["train.py", *job["arguments"]]
        with changed(job["dies_at"]):
            train.main()


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(json.loads(Path(sys.argv[1]).read_text()))
