from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from skimage.transform import estimate_transform

from common.geometry import (
    _strong_blur,
    apply_to_image,
    apply_to_label,
    apply_to_map,
    apply_to_points,
    compose,
    fit_similarity,
    invert,
    scale_of,
    scaling,
)

IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
coordinate = st.floats(-500, 500, allow_subnormal=False)
seeds = st.integers(0, 2**32 - 1)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@st.composite
def similarities(draw: st.DrawFn) -> np.ndarray:
    scale, angle = draw(st.floats(0.1, 8)), draw(st.floats(-math.pi, math.pi))
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[cosine, -sine, draw(coordinate)], [sine, cosine, draw(coordinate)]])


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    matrix = np.array(draw(st.lists(st.floats(-5, 5), min_size=4, max_size=4))).reshape(2, 2)
    assume(abs(np.linalg.det(matrix)) > 0.05)
    return np.hstack([matrix, [[draw(coordinate)], [draw(coordinate)]]])


points = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=20).map(np.array)


@given(affines(), points)
def test_a_transform_and_its_inverse_are_the_identity(matrix: np.ndarray, where: np.ndarray) -> None:
    assert_allclose(apply_to_points(invert(matrix), apply_to_points(matrix, where)), where, atol=1e-6)
    assert_allclose(compose(invert(matrix), matrix), IDENTITY, atol=1e-6)
    assert_allclose(compose(matrix, invert(matrix)), IDENTITY, atol=1e-6)


@given(affines(), affines(), points)
def test_compose_applies_the_inner_transform_first(outer: np.ndarray, inner: np.ndarray, where: np.ndarray) -> None:
    one_by_one = apply_to_points(outer, apply_to_points(inner, where))
    assert_allclose(apply_to_points(compose(outer, inner), where), one_by_one, atol=1e-6)


@given(similarities(), seeds, st.integers(2, 70))
def test_fit_recovers_a_similarity(matrix: np.ndarray, seed: int, count: int) -> None:
    source = np.random.default_rng(seed).uniform(-100, 100, (count, 2))
    assert_allclose(fit_similarity(source, apply_to_points(matrix, source)), matrix, atol=1e-5)


@given(seeds, st.integers(3, 70))
def test_fit_equals_an_independent_implementation(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.uniform(-100, 100, (2, count, 2))
    expected = estimate_transform("similarity", source, target).params[:2]
    assert_allclose(fit_similarity(source, target), expected, atol=1e-6)


def test_fit_never_mirrors() -> None:
    source = np.array([[0.0, 0], [10, 0], [0, 10], [7, 3]])
    assert np.linalg.det(fit_similarity(source, source * [-1, 1])[:, :2]) > 0


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (np.zeros((5, 2)), np.ones((5, 2)), "coincide"),
        (np.zeros((5, 2)), np.zeros((4, 2)), "equal shape"),
        (np.zeros((1, 2)), np.zeros((1, 2)), "L >= 2"),
        (np.zeros((5, 3)), np.zeros((5, 3)), r"\(L, 2\)"),
        (np.array([[0, 0], [np.nan, 1]]), np.ones((2, 2)), "finite"),
        (np.array([[0, 0], [1, 1.0]]), np.full((2, 2), np.inf), "finite"),
    ],
)
def test_fit_refuses_what_has_no_answer(source: np.ndarray, target: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_similarity(source, target)


def test_a_flat_transform_has_no_inverse() -> None:
    with pytest.raises(ValueError, match="no inverse"):
        invert(np.array([[1.0, 2, 0], [2, 4, 0]]))


@given(similarities(), st.floats(0.1, 8))
def test_scale_is_the_ratio_of_lengths(matrix: np.ndarray, length: float) -> None:
    ends = apply_to_points(matrix, np.array([[3.0, 4.0], [3.0 + length, 4.0]]))
    assert scale_of(matrix) == pytest.approx(np.linalg.norm(ends[1] - ends[0]) / length)


@given(*[st.integers(1, 500)] * 4)
def test_scaling_maps_the_edges_of_the_image_to_the_edges(height: int, width: int, rows: int, columns: int) -> None:
    corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    expected = [[-0.5, -0.5], [columns - 0.5, rows - 0.5]]
    assert_allclose(apply_to_points(scaling((height, width), (rows, columns)), corners), expected, atol=1e-9)


@given(seeds, st.sampled_from(["reflect_blur", "reflect", "black"]), st.sampled_from([(), (1,), (3,), (4,)]))
def test_identity_changes_no_pixel(seed: int, fill: str, channels: tuple[int, ...]) -> None:
    image = noise(seed, 17, 23, *channels)
    warped = apply_to_image(IDENTITY, image, size=(17, 23), fill=fill)
    assert_array_equal(warped.reshape(image.shape), image)
    assert_array_equal(apply_to_label(IDENTITY, image.reshape(17, -1), size=(17, image[0].size)), image.reshape(17, -1))


def test_mirroring_about_the_middle_of_the_pixel_grid_reverses_the_columns() -> None:
    image = noise(0, 12, 19, 3)
    mirror = np.array([[-1.0, 0, 18], [0, 1, 0]])
    assert_array_equal(apply_to_image(mirror, image, size=(12, 19)), image[:, ::-1])
    assert_array_equal(apply_to_label(mirror, image[..., 0].copy(), size=(12, 19)), image[:, ::-1, 0])


def test_a_quarter_turn_is_exact() -> None:
    image = noise(1, 15, 15, 3)
    turn = np.array([[0.0, -1, 14], [1, 0, 0]])  # (x, y) -> (14 - y, x): clockwise on the screen
    assert_array_equal(apply_to_image(turn, image, size=(15, 15)), np.rot90(image, -1))


@pytest.mark.parametrize("ratio", [0.11, 0.23, 0.4, 0.7, 1.0, 1.7, 3.0])
def test_image_map_and_label_move_like_points(ratio: float) -> None:
    """A blob lands where the transform sends its centre, with and without the area filter."""
    height, width, centre = 240, 300, np.array([140.3, 101.6])
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - centre[0], y - centre[1])
    blob = np.clip(255 * np.exp(-((distance / 25) ** 2)), 0, 255).astype(np.uint8)
    cosine, sine = ratio * math.cos(0.3), ratio * math.sin(0.3)
    matrix = np.array([[cosine, -sine, 40 * ratio], [sine, cosine, 7.25]])
    size = (math.ceil(420 * ratio), math.ceil(420 * ratio))
    expected = apply_to_points(matrix, centre[None])[0]

    def centroid(values: np.ndarray) -> np.ndarray:
        rows, columns = np.mgrid[: size[0], : size[1]]
        return np.array([(values * columns).sum(), (values * rows).sum()]) / values.sum()

    warped = apply_to_image(matrix, blob, size=size, fill="black").astype(float)
    assert_allclose(centroid(warped), expected, atol=0.06)
    assert_allclose(centroid(apply_to_map(matrix, blob.astype(np.float32), size=size)), expected, atol=0.06)
    label = (distance < 60).astype(np.uint8)
    assert_allclose(centroid(apply_to_label(matrix, label, size=size).astype(float)), expected, atol=0.25)


def test_shrinking_averages_instead_of_picking() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    small = apply_to_image(scaling((256, 256), (32, 32)), stripes, size=(32, 32)).astype(int)
    assert abs(small - 127.5).max() <= 1
    expected = cv2.resize(noise(3, 256, 256), (32, 32), interpolation=cv2.INTER_AREA)
    found = apply_to_image(scaling((256, 256), (32, 32)), noise(3, 256, 256), size=(32, 32))
    assert abs(found.astype(int) - expected).max() <= 1


@given(seeds, st.floats(-20, 20), st.floats(-20, 20), st.floats(0.6, 1.6))
def test_reflect_blur_changes_only_what_lies_outside(seed: int, x: float, y: float, scale: float) -> None:
    image = noise(seed, 40, 48, 3)
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    sharp = apply_to_image(matrix, image, size=(64, 64), fill="reflect")
    blurred = apply_to_image(matrix, image, size=(64, 64), fill="reflect_blur")
    inside = apply_to_label(matrix, np.ones((40, 48), np.uint8), size=(64, 64)).astype(bool)
    assert_array_equal(blurred[inside], sharp[inside])


@given(seeds, st.floats(-20, 20), st.floats(-20, 20), st.sampled_from([(), (1,), (3,)]))
def test_the_legacy_fill(seed: int, x: float, y: float, channels: tuple[int, ...]) -> None:
    image = noise(seed, 40, 48, *channels)
    matrix = np.array([[1.2, 0, x], [0, 1.2, y]])
    sharp = apply_to_image(matrix, image, size=(64, 64), fill="reflect").reshape(64, 64, *channels)
    found = apply_to_image(matrix, image, size=(64, 64), fill="legacy").reshape(64, 64, *channels)
    inside = apply_to_label(matrix, np.ones((40, 48), np.uint8), size=(64, 64)).astype(bool)
    inside[-1], inside[:, -1] = False, False
    assert_array_equal(found[inside], sharp[inside])
    # The mean of ten pixels to each side: five before, four after, mirrored about the last.
    padded = np.pad(sharp.astype(float), [(5, 4), (5, 4), *[(0, 0)] * len(channels)], mode="reflect")
    means = np.lib.stride_tricks.sliding_window_view(padded, (10, 10), axis=(0, 1)).mean(axis=(-2, -1))
    assert abs(found[~inside] - means[~inside]).max() <= 0.5 + 1e-6


def test_the_legacy_fill_covers_the_last_row_and_column_of_a_photo_that_fills_the_crop() -> None:
    image = noise(0, 32, 32, 3)
    changed = (apply_to_image(IDENTITY, image, size=(32, 32), fill="legacy") != image).any(axis=2)
    assert changed[-1].all()
    assert changed[:, -1].all()
    assert not changed[:-1, :-1].any()


def test_the_fills_outside() -> None:
    image = np.full((20, 20, 3), 200, np.uint8)
    image[:, ::2] = 0
    matrix = np.array([[1.0, 0, 30], [0, 1, 0]])
    black, sharp, blurred = (
        apply_to_image(matrix, image, size=(20, 80), fill=fill).astype(int)
        for fill in ("black", "reflect", "reflect_blur")
    )
    assert not black[:, :30].any()
    assert_array_equal(sharp[:, 29:31], np.stack([image[:, 1], image[:, 0]], axis=1))  # mirrored without the edge pixel
    assert np.ptp(blurred[:, 0:6]) < np.ptp(sharp[:, 0:6]) / 4


@given(seeds, similarities())
def test_labels_get_no_new_value_and_background_outside(seed: int, matrix: np.ndarray) -> None:
    label = np.random.default_rng(seed).choice(np.array([3, 90, 200], np.uint8), (30, 30))
    warped = apply_to_label(matrix, label, size=(40, 40))
    assert set(np.unique(warped)) <= {0, 3, 90, 200}
    away = apply_to_label(np.array([[1.0, 0, 100], [0, 1, 0]]), label, size=(20, 20))
    assert not away.any()


def test_maps_take_the_value_named_outside() -> None:
    values = np.full((5, 5), 0.25, np.float32)
    away = np.array([[1.0, 0, 10], [0, 1, 0]])
    assert_array_equal(apply_to_map(away, values, size=(5, 5)), np.zeros((5, 5), np.float32))
    assert_array_equal(apply_to_map(away, values, size=(5, 5), outside=7.0), np.full((5, 5), 7, np.float32))
    assert apply_to_map(IDENTITY, np.dstack([values] * 2), size=(5, 5)).shape == (5, 5, 2)


@pytest.mark.parametrize("side_px", [40, 256, 500])
def test_the_fast_blur_is_a_gaussian(side_px: int) -> None:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (8, 9, 3), dtype=np.uint8), (side_px + 7, side_px))
    for sigma_px in (0.5, 0.03 * side_px):
        exact = cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
        difference = abs(_strong_blur(image, sigma_px).astype(float) - exact)
        assert difference.mean() < 1
        assert difference.max() <= 4
