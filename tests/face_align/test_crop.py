from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from common.geometry import apply_to_image, apply_to_points, invert, scale_of
from common.image_io import read_image, write_image
from face_align.crop import HEAD_TEMPLATE, TEMPLATES, photo_to_crop, read_crop, residual_px
from tests.tiny_world import points68

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
        (PUBLISHED, {"method": "bbox"}, "the method 'bbox' needs landmarks of the whole face"),
        (PUBLISHED, {"method": "box"}, "the method 'box' needs landmarks of the whole face"),
        (PUBLISHED, {"method": "bbox", "landmarks": PUBLISHED}, "landmarks of a whole face"),
        (PUBLISHED, {"method": "box", "box": (3, 4, 0, 5)}, "with an area"),
        (PUBLISHED, {"method": "mean"}, "unknown method 'mean'; known: pos3d, similarity5, bbox, box, none"),
        (PUBLISHED, {"method": "similarity5", "template": "x"}, "unknown template 'x'; known: faceocc256"),
        (np.full((5, 2), 30.0), {"method": "similarity5", "template": "ffhq"}, "coincide"),
    ],
)
def test_bad_input_is_told(points: np.ndarray, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        photo_to_crop(points, **{"photo_size": (100, 100), "method": "pos3d", "size": 64, **options})


# Where FaceOcc's own code puts the five points of a frontal face.
LEGACY = np.array([[91.87, 93.76], [163.94, 93.83], [128.38, 132.79], [98.75, 171.67], [156.82, 171.67]])
WHOLE = points68()


@pytest.mark.parametrize("side_px", [512, 1024])
def test_legacy_offsets_of_pos3d(side_px: int) -> None:
    points = frontal(205 * side_px / 512, side_px * 0.5, side_px * 0.55)
    options = {"photo_size": (side_px, side_px), "method": "pos3d", "size": 256}
    legacy, clean = (photo_to_crop(points, legacy_offsets=switch, **options) for switch in (True, False))
    assert_allclose(apply_to_points(legacy, points), LEGACY, atol=0.015)
    assert clean[1, 2] - legacy[1, 2] == pytest.approx(116 / 205, rel=1e-6)  # one pixel of the photo of 512 px


def test_legacy_offsets_stretch_a_photo_that_is_no_square() -> None:
    points = frontal(100, 200, 150)
    matrix = photo_to_crop(points, photo_size=(300, 400), method="pos3d", size=256, legacy_offsets=True)
    assert matrix[1, 1] / matrix[0, 0] == pytest.approx(400 / 300)


def ellipse_box(left: float, top: float, width: float, height: float) -> np.ndarray:
    """Return points whose extent (max - min + 1) is the box, with their mean in its centre."""
    right, bottom = left + width - 1, top + height - 1
    corners = [[left, top], [right, top], [left, bottom], [right, bottom]]
    return np.array([*corners, [(left + right) / 2, (top + bottom) / 2], [(left + right) / 2, (top + bottom) / 2]])


def edges(matrix: np.ndarray, size: int) -> np.ndarray:
    """Return left, top, right, bottom of the crop in the photo, counted from the corner of its first pixel."""
    return (apply_to_points(invert(matrix), np.array([[-0.5, -0.5], [size - 0.5, size - 0.5]])) + 0.5).ravel()


def test_bbox_has_the_published_margins() -> None:
    options = {"photo_size": (1000, 1000), "method": "bbox", "size": 128}
    square = photo_to_crop(None, landmarks=ellipse_box(400, 400, 100, 100), **options)
    # 10 left and right, 100 above, 10 below: 120 x 210, made a square about its centre (450, 405).
    assert_allclose(edges(square, 128), [345, 300, 555, 510])
    wide = photo_to_crop(None, landmarks=ellipse_box(400, 400, 200, 100), **options)
    # above: 100 (2 * 2 - 1) = 300; 240 x 410 about (500, 305)
    assert_allclose(edges(wide, 128), [295, 100, 705, 510])
    turned_away = ellipse_box(400, 400, 100, 100)
    turned_away[4:, 0] -= 30  # mean 10 to the left of the centre: 10 more on the right
    shifted = photo_to_crop(None, landmarks=turned_away, **options)
    assert_allclose(edges(shifted, 128), [350, 300, 560, 510])
    turned_away[4:, 0] += 60  # and to the right
    assert_allclose(edges(photo_to_crop(None, landmarks=turned_away, **options), 128), [340, 300, 550, 510])


def test_bbox_pads_and_does_not_clip_unless_told() -> None:
    options = {"photo_size": (200, 300), "method": "bbox", "size": 128, "landmarks": ellipse_box(10, 20, 100, 100)}
    padded = photo_to_crop(None, **options)
    assert padded[0, 0] == padded[1, 1]
    assert_allclose(edges(padded, 128), [-45, -80, 165, 130])
    legacy = photo_to_crop(None, legacy_clip=True, **options)
    # cut to 0..120 x 0..130, made a square about (60, 65) of 130, cut again at the left
    assert_allclose(edges(legacy, 128), [0, 0, 125, 130], atol=1e-9)
    assert legacy[0, 0] > legacy[1, 1]
    inside = ellipse_box(400, 400, 100, 100)
    for switch in (True, False):
        matrix = photo_to_crop(
            None, photo_size=(999, 999), method="bbox", size=64, landmarks=inside, legacy_clip=switch
        )
        assert_allclose(edges(matrix, 64), [345, 300, 555, 510])
    with pytest.raises(ValueError, match="outside the photo"):
        photo_to_crop(None, **(options | {"landmarks": ellipse_box(900, 20, 9, 9), "legacy_clip": True}))


def test_box_grows_about_its_centre() -> None:
    options = {"photo_size": (90, 90), "method": "box", "size": 50}
    matrix = photo_to_crop(None, box=(9.5, 19.5, 40.0, 20.0), box_scale=1.5, **options)
    assert_allclose(edges(matrix, 50), [0, 0, 60, 60])
    from_points = photo_to_crop(None, landmarks=ellipse_box(10, 20, 40, 20), box_scale=1.5, **options)
    assert_allclose(from_points, matrix)


def test_none_stretches_the_photo() -> None:
    assert_allclose(edges(photo_to_crop(None, photo_size=(30, 40), method="none", size=64), 64), [0, 0, 40, 30])


def test_the_rule_of_ffhq() -> None:
    """An upright face: eyes 60 apart, mouth 50 below them; a side is the larger of 4 * 60 and 3.6 * 50."""
    points = np.array([[70.0, 80], [130, 80], [100, 100], [80, 130], [120, 130]])
    options = {"photo_size": (300, 300), "method": "similarity5", "template": "ffhq"}
    assert_allclose(edges(photo_to_crop(points, size=128, **options), 128) - 0.5, [-20, -35, 220, 205])
    long = points + np.array([0, 0, 0, 50, 50])[:, None] * [0, 1]  # 3.6 * 100 = 360 is larger; centre at (100, 90)
    assert_allclose(edges(photo_to_crop(long, size=128, **options), 128) - 0.5, [-80, -90, 280, 270])
    rolled = apply_to_points(photo_to_crop(turned(points, 25), size=128, **options), turned(points, 25))
    assert_allclose(rolled, apply_to_points(photo_to_crop(points, size=128, **options), points), atol=1e-9)
    landed = photo_to_crop(PUBLISHED * 2 + 9, size=256, **options)
    assert residual_px(landed, PUBLISHED * 2 + 9, 256, "ffhq") < 1e-9
    with pytest.raises(ValueError, match="coincide, or the mouth"):
        photo_to_crop(np.array([[0.0, 9], [9, 9], [4, 4], [0, 0], [9, 0]]), size=8, **options)


@pytest.mark.parametrize("method", ["pos3d", "similarity5", "bbox", "box", "none"])
@given(size=st.integers(16, 700), height=st.integers(20, 3000), width=st.integers(20, 3000), scale=st.floats(0.1, 5))
def test_every_crop_has_an_exact_inverse(method: str, size: int, height: int, width: int, scale: float) -> None:
    whole = WHOLE * scale
    five = np.stack([whole[[36, 39]].mean(axis=0), whole[[42, 45]].mean(axis=0), *whole[[30, 48, 54]]])
    for more in ({}, {"legacy_offsets": True}, {"template": "ffhq"}, {"box": (1.0, 2.0, 30.0, 40.0)}):
        matrix = photo_to_crop(five, photo_size=(height, width), method=method, size=size, landmarks=whole, **more)
        assert matrix.dtype == np.float64
        assert_allclose(apply_to_points(invert(matrix), apply_to_points(matrix, whole)), whole, atol=1e-7 * scale * 99)


def test_residual_without_a_template() -> None:
    points = turned(frontal(100, 200, 150), 20)
    matrix = photo_to_crop(points, photo_size=(300, 400), method="box", size=256, box=(100, 50, 200, 200))
    assert residual_px(matrix, points, 256, None) < 0.02
    assert residual_px(matrix, points + PERSONAL, 256, None) > 0.5


@pytest.mark.parametrize("name", ["1.jpg", "1.png"])
@pytest.mark.parametrize(("side_px", "scale"), [(1024, 405), (512, 205), (1024, 900), (1023, 405)])
def test_crops_from_disk_are_those_of_the_whole_photo(tmp_path: Path, name: str, side_px: int, scale: float) -> None:
    y, x = np.mgrid[:side_px, :side_px] / side_px * 40
    photo = np.stack([np.sin(x) * np.cos(y), np.sin(x + y), np.cos(x - y)], axis=2) * 80 + 128
    write_image(tmp_path / name, photo.astype(np.uint8))
    points = frontal(scale, side_px * 0.5, side_px * 0.55)
    matrix = photo_to_crop(points, photo_size=(side_px, side_px), method="pos3d", size=256)
    whole = apply_to_image(matrix, read_image(tmp_path / name), size=(256, 256))
    crop = read_crop(tmp_path / name, matrix, photo_size=(side_px, side_px), size=256)
    difference = abs(crop.astype(float) - whole)[4:-4, 4:-4]
    assert difference.mean() < 1.5
    assert np.percentile(difference, 99) < 8  # at the edge of the photo the mirror image differs
