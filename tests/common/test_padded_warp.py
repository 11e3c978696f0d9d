from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.geometry import apply_to_points, invert
from common.padded_warp import margins_px, pad, warp_padded

RNG = np.random.default_rng(0)
SMOOTH = cv2.GaussianBlur(RNG.integers(0, 256, (30, 44, 4), dtype=np.uint8), (0, 0), 2)
BORDERS = [cv2.BORDER_REFLECT_101, cv2.BORDER_REFLECT, cv2.BORDER_REPLICATE]


def turned(angle_deg: float, scale: float, x: float, y: float) -> np.ndarray:
    cosine, sine = (scale * turn(math.radians(angle_deg)) for turn in (math.cos, math.sin))
    return np.array([[cosine, -sine, x], [sine, cosine, y]])


MATRICES = st.builds(
    turned, st.floats(-180, 180), st.floats(0.5, 3), st.floats(-60, 60), st.floats(-60, 60)
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(MATRICES, st.sampled_from(BORDERS))
def test_a_padded_warp_is_the_warp_with_that_border(matrix: np.ndarray, border: int) -> None:
    found = warp_padded(SMOOTH, matrix, size=(24, 33), border=border).astype(int)
    expected = cv2.warpAffine(SMOOTH, matrix, (33, 24), flags=cv2.INTER_LINEAR, borderMode=border)
    # OpenCV rounds places to float32, and these are others beside a margin.
    assert np.abs(found - expected).max() <= 1
    assert (found != expected).mean() < 0.02


@settings(max_examples=60, deadline=None)
@given(MATRICES)
def test_margins_are_even_and_reach_what_is_seen(matrix: np.ndarray) -> None:
    top, bottom, left, right = margins = margins_px(matrix, SMOOTH.shape, (24, 33))
    assert all(margin >= 2 and margin % 2 == 0 for margin in margins)
    corners = apply_to_points(invert(matrix), np.array([[-0.5, -0.5], [32.5, -0.5], [-0.5, 23.5], [32.5, 23.5]]))
    assert (corners >= (-left, -top)).all()
    assert (corners <= (44 - 1 + right, 30 - 1 + bottom)).all()


def test_places_between_two_pixels_are_rounded_as_without_a_margin() -> None:
    ids = RNG.integers(0, 2, (64, 64), dtype=np.uint8)
    halved = np.array([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25]])  # each place lies between four pixels
    padded, matrix = pad(ids, halved, margins_px(halved, ids.shape, (32, 32)), border=cv2.BORDER_REFLECT_101)
    found = cv2.warpAffine(padded, matrix, (32, 32), flags=cv2.INTER_NEAREST)
    assert (found == cv2.warpAffine(ids, halved, (32, 32), flags=cv2.INTER_NEAREST)).all()


def test_a_matrix_without_an_inverse_is_refused() -> None:
    with pytest.raises(ValueError, match="no inverse"):
        margins_px(np.zeros((2, 3)), (4, 4), (4, 4))
