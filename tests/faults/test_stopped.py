"""Commands that are stopped at any moment, and second ones that come in between: scripts/inject_faults.py does more."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from tests.faults import injections
from tests.faults.conftest import Whole
from tests.faults.stages import STAGES, World

ROUNDS = int(os.environ.get("OCCFACE_FAULT_ROUNDS", "1"))


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_run_goes_on_to_the_same_bytes(
    fault_world: World, whole: Whole, stage: str, number: int, seed: int
) -> None:
    rng = np.random.default_rng([seed, number])
    assert injections.killed(STAGES[stage], fault_world, whole(stage), rng, number=number) == ""


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_run_is_told_of_the_first(fault_world: World, whole: Whole, stage: str) -> None:
    assert injections.two_at_once(STAGES[stage], fault_world, whole(stage)) == ""
