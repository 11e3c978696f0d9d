"""Timing of a job against its floor, in turns, so that a noisy machine slows both alike."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

ROUNDS = 5


@dataclass(frozen=True)
class Measurement:
    """One case.

    Attributes:
        bench: name of the benchmark.
        case: what was done.
        images_per_s: median over rounds.
        floor_images_per_s: the same for the floor.
        n: images a round.
        threads: cores that were used.
    """

    bench: str
    case: str
    images_per_s: float
    floor_images_per_s: float
    n: int
    threads: int


def measure(
    *,
    bench: str,
    case: str,
    job: Callable[[int], object],
    floor: Callable[[int], object],
    n: int,
    threads: int = 1,
    batch: int = 1,
) -> Measurement:
    """Return the median speeds of `job` and `floor`, in turns after a warm-up.

    Args:
        job: called with 0, batch, 2 * batch, ... below n.
        floor: the same.
        batch: images of a call.
    """
    job(0), floor(0)
    seconds: dict[Callable[[int], object], list[float]] = {job: [], floor: []}
    for _ in range(ROUNDS):
        for call in (job, floor):
            start_s = time.perf_counter()
            for index in range(0, n, batch):
                call(index)
            seconds[call].append(time.perf_counter() - start_s)
    speed, floor_speed = (n / float(np.median(seconds[call])) for call in (job, floor))
    return Measurement(bench, case, round(speed, 2), round(floor_speed, 2), n, threads)


def print_measurements(measurements: Sequence[Measurement]) -> None:
    """Print a table, and then one JSON object a line for programs."""
    print(f"{'case':32} {'images/s':>10} {'floor':>10} {'of floor':>9} {'n':>5} {'threads':>7}")
    for found in measurements:
        share = found.images_per_s / found.floor_images_per_s
        print(
            f"{found.case:32} {found.images_per_s:10.1f} {found.floor_images_per_s:10.1f} {share:9.0%} "
            f"{found.n:5d} {found.threads:7d}"
        )
    for found in measurements:
        print(json.dumps(asdict(found)))
