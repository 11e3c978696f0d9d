from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from occlusion_gen.occluders.rgba import cut_to_box, extend_colours, shrink, shrink_by_halves, spread_colours


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 4), st.integers(0, 100))
def test_halving_keeps_the_grid_and_stays_between_the_colours(height: int, width: int, halves: int, seed: int) -> None:
    rgba = noise(height, width, seed)
    small = shrink_by_halves(rgba, halves)
    step = 2**halves
    assert small.shape == (-(-height // step), -(-width // step), 4)
    if height % step == 0 and width % step == 0:
        alpha = rgba[..., 3].astype(float).reshape(height // step, step, width // step, step).mean(axis=(1, 3))
        assert abs(small[..., 3] - alpha).max() <= 0.51


def test_nothing_transparent_gets_into_a_smaller_cut_out() -> None:
    rgba = noise(64, 64)
    rgba[..., :3][rgba[..., 3] < 128] = (0, 255, 0)
    rgba[..., 3] = np.where(rgba[..., 3] < 128, 0, 255)
    rgba[..., :3][rgba[..., 3] == 255] = (200, 10, 30)
    for small in (shrink_by_halves(rgba, 3), shrink(rgba, 9)):
        assert abs(small[..., :3].astype(int) - (200, 10, 30)).max() <= 1
        assert 90 < small[..., 3].mean() < 165


def test_colours_carry_on_smoothly_and_opaque_ones_stay() -> None:
    rgba = np.zeros((90, 120, 4), np.uint8)
    rgba[20:60, 30:60] = (220, 60, 20, 255)
    rgba[20:60, 60:90] = (20, 60, 220, 255)
    extended = extend_colours(rgba)
    opaque = rgba[..., 3] > 127
    assert_array_equal(extended[opaque], rgba[opaque])
    assert_array_equal(extended[..., 3], rgba[..., 3])
    # Beside each half its own colour, green unchanged everywhere, no step between neighbours outside.
    assert abs(extended[16:20, 36:50, :3].astype(int) - (220, 60, 20)).max() < 35
    assert abs(extended[40, 90:94, :3].astype(int) - (20, 60, 220)).max() < 35
    assert abs(extended[..., 1].astype(int) - 60).max() <= 1
    outside = extended[62:, :, :3].astype(int)
    assert max(abs(np.diff(outside, axis=0)).max(), abs(np.diff(outside, axis=1)).max()) <= 24


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 50))
def test_spread_colours_stay_between_the_known_ones(height: int, width: int, seed: int) -> None:
    rgba = noise(height, width, seed)
    known = rgba[..., 3] > 200
    known[0, 0] = True
    spread = spread_colours(rgba[..., :3], known)
    assert_array_equal(spread[known], rgba[..., :3][known])
    low, high = rgba[..., :3][known].min(axis=0).astype(int), rgba[..., :3][known].max(axis=0).astype(int)
    assert (spread >= low - 1).all()
    assert (spread <= high + 1).all()


@pytest.mark.parametrize("alpha", [0, 127])
def test_nothing_opaque_has_no_box(alpha: int) -> None:
    rgba = noise(6, 7)
    rgba[..., 3] = alpha
    assert cut_to_box(rgba) is None
    assert_array_equal(extend_colours(rgba), rgba)
