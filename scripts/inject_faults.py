"""Inject faults into the six commands on a small drawn world, and count what was lost.

    python scripts/inject_faults.py --rounds 20
    python scripts/inject_faults.py --rounds 100 --stages train infer --seed 7

A round injects each fault once into each stage: SIGKILL and SIGTERM at random moments (half of the runs after them with
the clock set back by ten years), a full disk, an output that cannot be written, two runs at once, a damaged result and
a damaged source. After each, the stage runs again and has to leave what an undisturbed run leaves, or the damage has to
be named. Needs Linux; with the right to mount, disks are small tmpfs, else files are limited in size.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.faults import injections
from tests.faults.stages import STAGES, make_world

NO_DAMAGE = {"align"}  # its sources are photos of others, of which nobody knows a hash


def faults(number: int, stage_name: str) -> dict[str, Callable[..., str]]:
    """Return what is injected in round `number`; faults without chance in them only once."""
    drawn = {
        "SIGKILL": partial(injections.killed, number=signal.SIGKILL),
        "SIGTERM": partial(injections.killed, number=signal.SIGTERM),
        "disk full": injections.disk_filled,
        "damaged result": injections.result_damaged,
        "damaged source": injections.source_damaged,
    }
    if stage_name in NO_DAMAGE:
        del drawn["damaged source"]
    once = {
        "not writable": lambda stage, world, whole, rng: injections.not_writable(stage, world),
        "two at once": lambda stage, world, whole, rng: injections.two_at_once(stage, world, whole),
    }
    return drawn | (once if number == 0 else {})


def main() -> None:
    """Parse the command line and inject."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=1, help="%(default)s")
    arguments.add_argument("--seed", type=int, default=0, help="another one draws other moments (%(default)s)")
    arguments.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), metavar="STAGE")
    options = arguments.parse_args()
    torch.set_num_threads(1)  # before any fork
    counts: dict[str, int] = {}
    lost: list[str] = []
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):  # which still gets the counts
        world = make_world(Path(folder))
        for name in options.stages:
            whole = injections.run_undisturbed(STAGES[name], world)
            for number in range(options.rounds):
                for fault, inject in faults(number, name).items():
                    rng = np.random.default_rng([options.seed, number, sum(map(ord, name + fault))])
                    problem = inject(STAGES[name], world, whole, rng)
                    counts[f"{name}, {fault}"] = counts.get(f"{name}, {fault}", 0) + 1
                    if problem:
                        lost.append(f"{name}, {fault}, round {number}: {problem}")
                        print(lost[-1], flush=True)
    for what, count in counts.items():
        print(f"{count:5d}  {what}")
    print(f"{sum(counts.values())} faults injected in {time.monotonic() - start_s:.0f} s, lost: {len(lost)}")
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
