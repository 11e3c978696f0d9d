from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from occlusion_gen.face import Patch
from occlusion_gen.generators.bending import bend, draw_bend


def disc(size: int = 64) -> Patch:
    y, x = np.mgrid[:size, :size]
    alpha = np.where((x - size / 2) ** 2 + (y - size / 2) ** 2 < (size * 0.3) ** 2, 255, 0).astype(np.uint8)
    colour = np.dstack([x, y, x + y]).astype(np.uint8)
    return Patch(slice(5, 5 + size), slice(9, 9 + size), colour, alpha, alpha)


def test_no_bend_changes_nothing() -> None:
    patch = bend(draw_bend(np.random.default_rng(0), (0.0, 0.0)), disc())
    for name in ("colour", "alpha", "hides"):
        assert_array_equal(getattr(patch, name), getattr(disc(), name))
    assert (patch.rows, patch.columns) == (disc().rows, disc().columns)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_occluder_moves_but_neither_leaves_the_patch_nor_dissolves(seed: int) -> None:
    params = draw_bend(np.random.default_rng(seed), (0.05, 0.08))
    assert np.abs(params["nodes"]).max() <= 0.08
    patch = bend(params, disc())
    rim = np.concatenate([patch.alpha[0], patch.alpha[-1], patch.alpha[:, 0], patch.alpha[:, -1]])
    assert not rim.any()
    assert 0.6 < patch.alpha.sum() / disc().alpha.sum() < 1.6
    assert (patch.alpha != disc().alpha).any()
    assert_array_equal(patch.hides, np.where(patch.alpha > 127, 255, 0))
    assert_array_equal(bend(params, disc()).alpha, patch.alpha)


def test_an_empty_patch_stays_empty() -> None:
    nothing = np.zeros((0, 4), np.uint8)
    empty = Patch(slice(0, 0), slice(0, 4), np.zeros((0, 4, 3), np.uint8), nothing, nothing)
    assert bend(draw_bend(np.random.default_rng(0), (0.1, 0.1)), empty).alpha.size == 0
