"""A short seeded round of what scripts/fuzz.py does for hours: parsers take bytes or refuse them by a message."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from tests.faults.parsers import CRASHING_LIBRARIES, PARSERS, mutations

NUMBER = 40 * int(os.environ.get("OCCFACE_FAULT_ROUNDS", "1"))


@pytest.mark.parametrize("name", [name for name in PARSERS if name not in CRASHING_LIBRARIES])
def test_damaged_input_is_taken_or_refused_by_a_message(name: str, tmp_path: Path) -> None:
    seeds = PARSERS[name].seeds()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of decoders
        for content in mutations(seeds, number=NUMBER, rng=np.random.default_rng(1)):
            PARSERS[name].attack(tmp_path, content)


@pytest.mark.parametrize("name", [name for name in PARSERS if name != "packed"])  # whose arrays are missing here
def test_the_seeds_are_well_formed(name: str, tmp_path: Path) -> None:
    """Mutations of what is refused anyway would find nothing."""
    assert all(PARSERS[name].attack(tmp_path, seed) for seed in PARSERS[name].seeds())
