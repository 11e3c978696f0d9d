"""What the scripts that measure share: the machine they ran on, intervals, and the sets that they read."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
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
