from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.faults.injections import Reference, run_undisturbed
from tests.faults.stages import STAGES, World, make_world

Whole = Callable[[str], Reference]


@pytest.fixture(scope="session")
def fault_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    if not hasattr(os, "fork"):
        pytest.skip("the commands are run in forked children, which this system has not")
    return make_world(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="session")
def whole(fault_world: World) -> Whole:
    """What an undisturbed run of a stage leaves, worked out when it is first asked for."""
    known: dict[str, Reference] = {}

    def of(stage: str) -> Reference:
        if stage not in known:
            known[stage] = run_undisturbed(STAGES[stage], fault_world)
        return known[stage]

    return of
