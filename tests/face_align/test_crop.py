from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from common.geometry import apply_to_points, scale_of
from face_align.crop import HEAD_TEMPLATE, TEMPLATES, photo_to_crop, residual_px

PUBLISHED = np.array([[91.87, 94.32], [163.94, 94.39], [128.38, 133.36], [98.75, 172.24], [156.82, 172.23]])
PERSONAL = np.array([[0, 3], [2, 0], [5, 5], [0, 0], [-3, 1]])  # no face is the template
METHODS = ("pos3d", "similarity5")
place = st.floats(-300, 300)


def frontal(scale: float, x: float, y: float) -> np.ndarray:
    """Return where a camera far away sees the head of the template, (5, 2) photo pixels, y down."""
    return np.column_stack([x + scale * HEAD_TEMPLATE[:, 0], y - scale * HEAD_TEMPLATE[:, 1]])


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    angle = math.radians(degrees)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return (points - points.mean(axis=0)) @ rotation.T + points.mean(axis=0)


@pytest.mark.parametrize("method", METHODS)
@given(scale=st.floats(5, 900), x=place, y=place, height=st.integers(1, 3000))
def test_a_frontal_face_lands_on_the_published_points(
    method: str, scale: float, x: float, y: float, height: int
) -> None:
    points = frontal(scale, x, y)
    matrix = photo_to_crop(points, photo_size=(height, 400), method=method, size=256)
    assert_allclose(apply_to_points(matrix, points), PUBLISHED, atol=0.012)
    assert residual_px(matrix, points, 256) < 0.02


@pytest.mark.parametrize("method", METHODS)
@given(size=st.integers(16, 1024), degrees=st.floats(-40, 40))
def test_another_size_of_crop_is_the_same_picture_scaled(method: str, size: int, degrees: float) -> None:
    points = turned(frontal(100, 200, 150), degrees) + PERSONAL
    options = {"photo_size": (300, 400), "method": method}
    small = apply_to_points(photo_to_crop(points, size=size, **options), points)
    large = apply_to_points(photo_to_crop(points, size=256, **options), points)
    assert_allclose(small, large * size / 256, atol=1e-6)


@given(st.floats(-60, 60))
def test_pos3d_keeps_the_roll(degrees: float) -> None:
    points = turned(frontal(100, 200, 150), degrees)
    matrix = photo_to_crop(points, photo_size=(300, 400), method="pos3d", size=256)
    assert matrix[0, 0] == matrix[1, 1] > 0
    assert matrix[0, 1] == matrix[1, 0] == 0
    crop = apply_to_points(matrix, points)
    eyes = crop[1] - crop[0]
    level = PUBLISHED[1] - PUBLISHED[0]
    found = math.degrees(math.atan2(eyes[1], eyes[0]) - math.atan2(level[1], level[0]))
    assert found == pytest.approx(degrees, abs=0.02)
    assert np.linalg.norm(eyes) == pytest.approx(np.linalg.norm(level), rel=2e-3)


@given(st.floats(-180, 180), st.floats(5, 900))
def test_similarity_takes_the_roll_away(degrees: float, scale: float) -> None:
    points = turned(frontal(scale, 200, 150), degrees)
    matrix = photo_to_crop(points, photo_size=(300, 400), method="similarity5", size=256)
    assert_allclose(apply_to_points(matrix, points), PUBLISHED, atol=0.02)


@pytest.mark.parametrize("method", METHODS)
@given(scale=st.floats(0.2, 6), x=place, y=place)
def test_moving_or_scaling_the_photo_changes_nothing(method: str, scale: float, x: float, y: float) -> None:
    face = turned(frontal(100, 200, 150), 12) + PERSONAL
    moved = face * scale + [x, y]
    first, second = (
        apply_to_points(photo_to_crop(points, photo_size=(300, 400), method=method, size=128), points)
        for points in (face, moved)
    )
    assert_allclose(first, second, atol=1e-5)


def test_a_turned_head_has_a_residual_and_keeps_its_scale() -> None:
    yaw = math.radians(35)
    rotation = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    head = HEAD_TEMPLATE @ rotation.T
    points = np.column_stack([200 + 100 * head[:, 0], 150 - 100 * head[:, 1]])
    matrix = photo_to_crop(points, photo_size=(300, 400), method="pos3d", size=256)
    assert scale_of(matrix) == pytest.approx(1.16, rel=1e-6)  # 116 px a unit, whatever the yaw
    assert residual_px(matrix, points, 256) > 5


def test_the_template_of_arcface() -> None:
    _, target = TEMPLATES["arcface112"]
    matrix = photo_to_crop(target * 3 + 7, photo_size=(400, 400), method="similarity5", size=112, template="arcface112")
    assert_allclose(apply_to_points(matrix, target * 3 + 7), target, atol=1e-6)


def test_clean_positions_are_the_projected_head() -> None:
    centred = 128 + 116 * HEAD_TEMPLATE[:, :2] * [1, -1]
    assert_allclose(centred, PUBLISHED, atol=0.006)
    assert_allclose(TEMPLATES["faceocc256"][1], PUBLISHED)


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.zeros((4, 2)), {}, "five points"),
        (np.zeros((68, 2)), {}, "five points"),
        (np.full((5, 2), 30.0), {}, "coincide"),
        (np.full((5, 2), 30.0), {"method": "similarity5"}, "coincide"),
        (PUBLISHED, {"method": "bbox"}, "unknown method 'bbox'; known: pos3d, similarity5"),
        (PUBLISHED, {"method": "similarity5", "template": "ffhq"}, "unknown template 'ffhq'; known: faceocc256"),
    ],
)
def test_bad_input_is_told(points: np.ndarray, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        photo_to_crop(points, **{"photo_size": (100, 100), "method": "pos3d", "size": 64, **options})
