"""What the scripts that measure share: the machine they ran on, intervals, and the sets that they read."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from evaluation.bootstrap import bootstrap_interval


def machine_line(device: str) -> str:
    """Return, for the head of a table, the processor, its cores and PyTorch's version.

    Args:
        device: that the network ran on, "cpu" or "cuda".
    """
    processor = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        models = [line.split(":", 1)[1].strip() for line in listing.read_text().splitlines() if "model name" in line]
        processor = models[0] if models else processor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    card = f", {torch.cuda.get_device_name()}" if device == "cuda" else ""
    return f"machine: {processor}, {cores} cores{card}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"


def interval_text(scores: Sequence[float], *, digits: int = 4) -> str:
    """Return the 95 % bootstrap interval of the mean of `scores`."""
    low, high = bootstrap_interval(scores)
    return f"{low:.{digits}f} to {high:.{digits}f}"


def add_model(arguments: argparse.ArgumentParser, *, what: str, counted: str) -> None:
    """Add the options of a script that measures a model: --weights, -n, --device and --dry-run.

    Args:
        what: the model has to be.
        counted: what -n limits.
    """
    default = Path("weights/occface_mobile.safetensors")
    arguments.add_argument("--weights", type=Path, default=default, help=f"{what} (%(default)s)")
    arguments.add_argument("-n", type=int, metavar="N", help=f"only the first N photos{counted} (all)")
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 (%(default)s)")
    arguments.add_argument("--dry-run", action="store_true", help="say what would be measured, and stop")


def names_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Return what reads "one,two" for argparse, each of them `known`."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := sorted(set(names) - set(known)):
            raise argparse.ArgumentTypeError(f"unknown {unknown}; known: {', '.join(known)}")
        return names

    return read
