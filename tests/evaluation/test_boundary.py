"""Against brute force: chessboard and Euclidean distances by SciPy, pixel by pixel definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt, distance_transform_edt

from evaluation.boundary import (
    LARGEST_DISC_PX,
    band_width_px,
    boundary_f_score,
    boundary_iou,
    boundary_scores,
    tolerance_px,
)
from tests.evaluation.masks import blob, some

Mask = NDArray[np.bool_]
EMPTY = np.zeros((40, 48), bool)


def brute_band(mask: Mask, width_px: int) -> Mask:
    """Pixels of the mask at most `width_px` from a pixel outside, where all beyond the image is outside."""
    padded = np.pad(mask, 1)
    return mask & (distance_transform_cdt(padded, metric="chessboard")[1:-1, 1:-1] <= width_px)


def brute_iou(prediction: Mask, truth: Mask, valid: Mask) -> float:
    width_px = max(1, round(0.02 * math.hypot(*truth.shape)))
    first, second = brute_band(prediction, width_px) & valid, brute_band(truth, width_px) & valid
    union = (first | second).sum()
    return (first & second).sum() / union if union else 1.0


def brute_contour(mask: Mask) -> Mask:
    padded = np.pad(mask, 1, mode="edge")
    neighbours = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
    return mask & ~np.logical_and.reduce(neighbours)


def brute_f_score(prediction: Mask, truth: Mask, valid: Mask) -> float:
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    found, actual = brute_contour(prediction), brute_contour(truth)
    scored, wanted = found & valid, actual & valid
    if not scored.any() or not wanted.any():
        return float(scored.any() == wanted.any())
    precision = (scored & (distance_transform_edt(~actual) <= radius)).sum() / scored.sum()
    recall = (wanted & (distance_transform_edt(~found) <= radius)).sum() / wanted.sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("ignore", [False, True])
def test_scores_equal_brute_force_on_200_masks(ignore: bool) -> None:
    for seed in range(100):
        size = (40 + seed, 140 - seed)
        prediction, truth = blob(seed, size), blob(seed + 1 if seed % 3 else seed, size)
        valid = some(seed, size) if ignore else np.ones(size, bool)
        found = boundary_scores(prediction, truth, valid=valid if ignore else None)
        assert found.iou == pytest.approx(brute_iou(prediction, truth, valid), abs=1e-9)
        assert found.f_score == pytest.approx(brute_f_score(prediction, truth, valid), abs=1e-9)


def test_large_photos_equal_brute_force() -> None:
    size = (1100, 1300)
    assert tolerance_px(size) > LARGEST_DISC_PX  # the other way to find what is near
    prediction, truth = blob(3, size), np.roll(blob(3, size), 15, axis=1)
    valid = np.ones(size, bool)
    found = boundary_scores(prediction, truth)
    assert found.iou == pytest.approx(brute_iou(prediction, truth, valid), abs=1e-9)
    assert found.f_score == pytest.approx(brute_f_score(prediction, truth, valid), abs=1e-9)
    assert 0 < found.f_score < 1


def test_widths_at_the_size_of_published_crops() -> None:
    assert band_width_px((256, 256)) == 7
    assert tolerance_px((256, 256)) == 3
    assert band_width_px((4, 4)) == 1


def test_squares_by_hand() -> None:
    """In 50 x 50 the band is 1 px: of a 10 px square 36 pixels; moved by one pixel, 9 + 9 of them stay."""
    truth, moved = np.zeros((50, 50), bool), np.zeros((50, 50), bool)
    truth[20:30, 20:30] = True
    moved[20:30, 21:31] = True
    assert boundary_iou(moved, truth) == pytest.approx(18 / (36 + 36 - 18))
    assert boundary_f_score(moved, truth) == 1  # a contour may be 1 px off
    # Five columns apart, 6 + 6 pixels of upper and lower side are near, and 2 of the side that lies within.
    assert boundary_f_score(np.roll(truth, 5, axis=1), truth) == pytest.approx(14 / 36)


def test_empty_masks() -> None:
    face = blob(1)
    assert boundary_scores(EMPTY, EMPTY) == (1, 1)
    assert boundary_scores(face, EMPTY) == (0, 0)
    assert boundary_scores(EMPTY, face) == (0, 0)
    assert boundary_scores(~EMPTY, ~EMPTY) == (1, 1)
    assert boundary_scores(face, ~face, valid=EMPTY) == (1, 1)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_properties(first: int, second: int) -> None:
    prediction, truth = blob(first), blob(second)
    found = boundary_scores(prediction, truth)
    assert 0 <= found.iou <= 1
    assert 0 <= found.f_score <= 1
    assert boundary_scores(truth, truth) == (1, 1)
    assert boundary_scores(truth, prediction) == pytest.approx(found)
    turned = boundary_scores(np.rot90(prediction).copy(), np.rot90(truth).copy())
    assert turned == pytest.approx(found)
