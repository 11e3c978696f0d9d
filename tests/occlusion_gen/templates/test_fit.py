from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RecordError
from occlusion_gen.templates.fit import PROPER_SEAT, controls, fit_mask, read_head
from occlusion_gen.templates.frame import ARC, JAW_PLACES, PLACES, SLACK
from scripts.measure_mask_fit import six_point_residual
from tests.occlusion_gen.templates.turned_head import turned_points

LANDMARKS68 = Path(os.environ.get("OCCFACE_DATA") or "nowhere") / "landmarks68" / "pts68"


@given(st.floats(-35, 35))
def test_the_turn_of_a_head_is_found(yaw_deg: float) -> None:
    assert read_head(turned_points(yaw_deg)).turn_deg == pytest.approx(yaw_deg, abs=14)


@given(st.floats(-50, 50), st.integers(60, 4000), st.floats(-100, 100))
def test_size_and_place_do_not_change_the_head(yaw_deg: float, side_px: int, shift: float) -> None:
    plain = read_head(turned_points(yaw_deg))
    moved = read_head(turned_points(yaw_deg, side_px=side_px, shift=(shift, -shift)))
    assert moved.turn_deg == pytest.approx(plain.turn_deg, abs=1e-6)
    np.testing.assert_allclose(moved.landmarks, plain.landmarks, atol=1e-9)


def test_a_rolled_head_keeps_its_turn() -> None:
    points, angle = turned_points(30.0), np.radians(40)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert read_head(points @ turn.T).turn_deg == pytest.approx(read_head(points).turn_deg, abs=1e-6)


@given(st.floats(-25, 25))  # beyond, points of this head lie behind its outline, which takes their place
def test_the_spline_meets_the_six_points_where_a_homography_cannot(yaw_deg: float) -> None:
    points = turned_points(yaw_deg)
    assert six_point_residual(points, "spline") < 1.0
    assert six_point_residual(points, "homography") > 2 * six_point_residual(points, "spline")


@given(st.floats(-85, 85))
def test_nothing_folds_over_between_the_controls(yaw_deg: float) -> None:
    head = read_head(turned_points(yaw_deg))
    fit = fit_mask(head, seat=PROPER_SEAT, bulge=0.03, warp="spline")
    reach = np.array([head.far_share if side == head.far_side else 1.0 for side in (-1.0, 1.0)])
    u, v = np.meshgrid(np.linspace(-0.75 * reach[0], 0.75 * reach[1], 15), np.linspace(0.2, 0.9, 12))
    face = head.from_pixels(fit.place_px(np.column_stack([u.ravel(), v.ravel()])))
    step = 1e-4
    along, down = (fit.to_template(face + offset) - fit.to_template(face) for offset in ((step, 0.0), (0.0, step)))
    area = along[:, 0] * down[:, 1] - along[:, 1] * down[:, 0]
    assert area.min() > 0


def test_hidden_points_of_a_profile_are_brought_out_from_behind_the_nose() -> None:
    head = read_head(turned_points(40.0))
    hidden = head.landmarks.copy()
    hidden[9:17, 0] -= 0.6  # as a 3D model gives them: behind the midline
    found = controls(head._replace(landmarks=hidden))
    order = [*range(17, 22), 8]  # nose, mouth, chin
    middle = np.interp(found[9:17, 1], found[order, 1], found[order, 0])
    assert (found[9:17, 0] >= middle).all()
    assert (found[10:16, 0] > middle[1:7] + 0.01).all()
    np.testing.assert_array_equal(found[:8], head.landmarks[:8])


def test_the_controls_are_those_of_the_frame() -> None:
    assert len(PLACES) == len(SLACK) == len(controls(read_head(turned_points(0.0))))
    np.testing.assert_allclose(JAW_PLACES, JAW_PLACES[::-1] * (-1, 1))
    found = fit_mask(read_head(turned_points(0.0)), seat=PROPER_SEAT, bulge=0.0, warp="spline")
    back = found.to_template(found.head.from_pixels(found.place_px(PLACES[:17]))) / (ARC, 1.0)
    np.testing.assert_allclose(back, PLACES[:17], atol=0.02)


BAD = {
    "all equal": np.full((68, 2), 50.0),
    "not finite": np.where(np.arange(136).reshape(68, 2) == 7, np.nan, turned_points(0.0)),
    "too few": turned_points(0.0)[:5],
    "mirrored": turned_points(0.0) * (-1, 1),
    "on a line": np.column_stack([np.zeros(68), np.linspace(0, 100, 68)]),
}


@pytest.mark.parametrize("points", BAD.values(), ids=BAD)
def test_points_of_no_face_are_a_bad_record(points: np.ndarray) -> None:
    with pytest.raises(RecordError, match="landmarks: expected") as caught:
        fit_mask(read_head(points), seat=PROPER_SEAT, bulge=0.0, warp="spline")
    assert caught.value.outcome == "bad_landmarks"


@pytest.mark.skipif(not LANDMARKS68.is_dir(), reason="needs OCCFACE_DATA with landmarks68")
def test_on_real_faces_the_spline_misses_a_tenth_of_what_the_homography_does() -> None:
    faces = [np.loadtxt(path) for path in sorted(LANDMARKS68.glob("*.txt"))[::4]]
    spline, homography = ([six_point_residual(points, warp) for points in faces] for warp in ("spline", "homography"))
    assert np.median(spline) < 0.4
    assert np.median(spline) < np.median(homography) / 10
    assert 3 < np.median(homography) < 7
