"""The head that glasses sit on, found from landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from occlusion_gen.eyewear.head import HEAD_MM, Camera, fit_camera
from tests.occlusion_gen.eyewear.seen import head_seen


@given(st.floats(-50, 50), st.floats(-180, 180), st.floats(0.1, 9))
def test_the_camera_finds_a_turned_head(yaw_deg: float, roll_deg: float, px_per_mm: float) -> None:
    landmarks = head_seen(yaw_deg=yaw_deg, roll_deg=roll_deg, px_per_mm=px_per_mm)
    camera = fit_camera(landmarks)
    seen = camera.project(np.array(list(HEAD_MM.values()), float))
    error_mm = np.linalg.norm(seen - landmarks[list(HEAD_MM)], axis=1) / px_per_mm
    assert error_mm.max() < 4  # the far camera has no perspective
    assert camera.px_per_mm == pytest.approx(px_per_mm, rel=0.05)
    assert np.degrees(np.arctan2(-camera.depth[0], camera.depth[2])) == pytest.approx(yaw_deg, abs=3)


def test_a_camera_without_a_turn_sees_all_at_its_origin() -> None:
    camera = Camera(np.zeros((2, 3)), np.array([0.0, 0, 1]), np.array([5.0, 6.0]))
    assert_array_equal(camera.project(np.ones((2, 3))), [[5, 6], [5, 6]])
