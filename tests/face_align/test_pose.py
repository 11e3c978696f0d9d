from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_align.crop import HEAD_TEMPLATE
from face_align.histograms import BAR, Panel, histogram_page
from face_align.pose import head_angles
from tests.tiny_world import FIVE

turns = st.floats(-40, 40)


def seen(yaw: float, pitch: float) -> np.ndarray:
    """Return the mean head as a camera sees it after turning: yaw > 0 to image-right, pitch > 0 up."""
    a, b = np.radians([yaw, pitch])
    turn_side = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    turn_up = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    moved = HEAD_TEMPLATE @ (turn_side @ turn_up).T
    return moved[:, :2] * (120.0, -120.0) + (300.0, 200.0)


@given(turns, turns)
def test_known_turns_are_found(yaw: float, pitch: float) -> None:
    angles = head_angles(seen(yaw, pitch))
    assert angles.yaw == pytest.approx(yaw, abs=0.5)
    assert angles.pitch == pytest.approx(pitch, abs=0.5)


def test_a_frontal_face_is_frontal_and_roll_is_clockwise() -> None:
    assert np.abs(head_angles(FIVE)).max() < 2
    turn = np.array([[np.cos(0.3), np.sin(0.3)], [-np.sin(0.3), np.cos(0.3)]])  # rows are points: clockwise, y down
    assert head_angles(FIVE @ turn).roll == pytest.approx(np.degrees(0.3), abs=0.2)


def test_every_value_is_drawn_and_a_constant_is_no_error() -> None:
    page = histogram_page([Panel("a", np.full(5, 3.0), (0.0, 10.0)), Panel("b", np.arange(99.0), (0.0, 10.0))])
    assert page.shape[2] == 3
    blue = (page == BAR).all(axis=2)
    left, right = np.hsplit(blue, 2)
    assert 0 < left.sum() < right.sum()
    assert not (histogram_page([Panel("a", np.zeros(1), (0.0, 1.0))] * 3) == 0).all(axis=2).any()
