from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from occlusion_gen.blending.motion_blur import blur_by_motion
from tests.occlusion_gen.blending.drawn_patches import draw_patch


@given(st.floats(2, 40), st.floats(0, 180))
def test_motion_moves_alpha_and_labels_together_and_pulls_in_no_background(length: float, angle: float) -> None:
    patch = draw_patch(slice(0, 120), slice(0, 120), share=0.25)
    patch = patch._replace(colour=np.full_like(patch.colour, 200))
    moved = blur_by_motion(patch, length_px=length, angle_deg=angle)
    assert abs(moved.colour.astype(int) - 200).max() <= 1
    assert_array_equal(moved.hides > 0, moved.alpha > 127)
    assert set(np.unique(moved.hides)) <= {0, 255}
    assert float(moved.alpha.sum()) == pytest.approx(float(patch.alpha.sum()), rel=0.01)
    y, x = np.mgrid[:120, :120]
    centre = [(moved.alpha * axis).sum() / moved.alpha.sum() for axis in (x, y)]
    assert centre == pytest.approx([59.5, 59.5], abs=1.1)


def test_motion_is_as_long_as_it_says_and_only_along_its_direction() -> None:
    patch = draw_patch(slice(0, 101), slice(0, 101))
    dot = np.zeros((101, 101), np.uint8)
    dot[48:53, 48:53] = 255
    moved = blur_by_motion(patch._replace(alpha=dot, hides=dot), length_px=20, angle_deg=0)
    rows, columns = (np.flatnonzero((moved.alpha > 10).any(axis=axis)) for axis in (1, 0))
    assert len(rows) == 5
    assert 20 <= len(columns) <= 27
    assert not moved.hides.any()  # it hid each pixel for a quarter of the time


def test_soft_labels_stay_soft_under_motion() -> None:
    patch = draw_patch(slice(0, 60), slice(0, 60))
    soft = patch._replace(hides=patch.hides // 2)
    assert len(np.unique(blur_by_motion(soft, length_px=10, angle_deg=45).hides)) > 4
