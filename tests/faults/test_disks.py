"""Disks that are full or closed, and files that change on them: scripts/inject_faults.py does more."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.faults import injections
from tests.faults.conftest import Whole
from tests.faults.stages import STAGES, World

ROUNDS = int(os.environ.get("OCCFACE_FAULT_ROUNDS", "1"))
READERS = [name for name in STAGES if name != "align"]  # of files whose hashes are known


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_told_and_costs_nothing(fault_world: World, whole: Whole, stage: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 28])
    assert injections.disk_filled(STAGES[stage], fault_world, whole(stage), rng) == ""


@pytest.mark.parametrize("stage", STAGES)
def test_an_output_that_cannot_be_written_is_told(fault_world: World, stage: str) -> None:
    assert injections.not_writable(STAGES[stage], fault_world) == ""


@pytest.mark.parametrize("seed", range(2 * ROUNDS))
@pytest.mark.parametrize("stage", STAGES)
def test_a_damaged_result_is_made_again_or_refused(fault_world: World, whole: Whole, stage: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 5])
    assert injections.result_damaged(STAGES[stage], fault_world, whole(stage), rng) == ""


@pytest.mark.parametrize("seed", range(2 * ROUNDS))
@pytest.mark.parametrize("stage", READERS)
def test_a_damaged_source_is_named_and_not_used(fault_world: World, whole: Whole, stage: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 6])
    assert injections.source_damaged(STAGES[stage], fault_world, whole(stage), rng) == ""
