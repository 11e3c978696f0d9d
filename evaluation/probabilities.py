"""Probabilities of an image as a small histogram, from which every curve over thresholds and the calibration follow.

A histogram has the same size for every image, and histograms add up: a set of any length is scored in fixed memory.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.metrics import Counts

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

STEPS = 100
# A float32 each, since probabilities are: 0.7 of a network and 0.7 here are then the same number.
GRID = (np.arange(STEPS + 1) / STEPS).astype(np.float32)
THRESHOLDS = tuple(step / STEPS for step in range(1, STEPS))  # 0.01 .. 0.99
RELIABILITY_BINS = 20
AT_ONCE = 16384  # pixels: what is made of them fits into the cache, and photos of any size need no more memory
_NOT_SCORED = 127  # a bin between those of background (0 .. 100) and of face (128 .. 228)
_FACE = 128
_GRID_BY_BYTE = np.concatenate([GRID, np.full(256 - len(GRID), np.inf, np.float32)])
# Rounds a product such that it never falls below the whole number it stands for; the look-up then settles the bin.
_UPWARDS = np.float32(STEPS * (1 + 3e-7))


class Histogram(NamedTuple):
    """Scored pixels by truth (0 background, 1 face) and probability.

    Attributes:
        pixels: (2, 101) int64; bin 0 holds probability 0, bin k those in (GRID[k - 1], GRID[k]].
        sums: (2, 101) float64, sum of the probabilities in each bin.
        squares: sum of the squared probabilities.
    """

    pixels: NDArray[np.int64]
    sums: Floats
    squares: float

    def __add__(self, other: object) -> Histogram:
        """Return the histogram of the pixels of both."""
        if not isinstance(other, Histogram):
            return NotImplemented
        return Histogram(self.pixels + other.pixels, self.sums + other.sums, self.squares + other.squares)


class Reliability(NamedTuple):
    """Probability of face against share of face, in equally wide bins that hold pixels.

    Attributes:
        edges: (low, high] of each bin.
        confidence: mean probability.
        accuracy: share of the pixels that are face.
        share: of all scored pixels.
    """

    edges: tuple[tuple[float, float], ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    share: tuple[float, ...]


def empty_histogram() -> Histogram:
    """Return the histogram of no pixel."""
    return Histogram(np.zeros((2, STEPS + 1), np.int64), np.zeros((2, STEPS + 1)), 0.0)


def as_probability(prediction: NDArray) -> NDArray[np.float32]:
    """Return a prediction as float32 in 0..1: masks become 0 and 1, bytes are divided by 255.

    Args:
        prediction: (H, W) bool, uint8, or float in 0..1.

    Raises:
        ValueError: another type, or values outside 0..1 (logits?), or NaN.
    """
    if prediction.dtype == np.bool_:
        return prediction.astype(np.float32)
    if prediction.dtype == np.uint8:
        return prediction.astype(np.float32) / np.float32(255)
    if not np.issubdtype(prediction.dtype, np.floating):
        raise ValueError(f"expected bool, uint8 or float probabilities, found {prediction.dtype}")
    probability = np.ascontiguousarray(prediction, np.float32)
    above_one = float(np.nextafter(np.float32(1), np.float32(2)))
    if not cv2.checkRange(probability, True, 0.0, above_one)[0]:  # NaN fails, too
        low, high = float(prediction.min()), float(prediction.max())
        raise ValueError(f"expected probabilities in 0..1, found {low:g} .. {high:g}; apply a sigmoid to logits first")
    return probability


def histogram(probability: NDArray[np.float32], truth: Mask, *, valid: Mask | None = None) -> Histogram:
    """Return the histogram of one image.

    Args:
        probability: (H, W) float32 in 0..1, of face.
        truth: (H, W) bool, True is face.
        valid: (H, W) bool, pixels to score; None scores all.
    """
    shape, flat = (2, _FACE), probability.reshape(-1)
    flat_truth, scored = truth.reshape(-1), None if valid is None else valid.reshape(-1)
    pixels, sums, squares = np.zeros(shape, np.int64), np.zeros(shape), 0.0
    for start in range(0, flat.size, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        values = flat[part]
        bins = _bins(values, flat_truth[part], None if scored is None else scored[part])
        pixels += np.bincount(bins, minlength=2 * _FACE).reshape(shape)
        exact = values.astype(np.float64)
        sums += np.bincount(bins, weights=exact, minlength=2 * _FACE).reshape(shape)
        squares += float(exact @ exact if scored is None else exact @ (exact * scored[part]))
    return Histogram(pixels[:, : STEPS + 1], sums[:, : STEPS + 1], squares)


def counts_by_threshold(found: Histogram) -> NDArray[np.int64]:
    """Return (99, 4): true positives, false positives, false negatives, true negatives above each of `THRESHOLDS`."""
    above = found.pixels[:, ::-1].cumsum(axis=1)[:, ::-1][:, 2:]  # (2, 99): pixels in bin k + 1 and beyond
    background, face = found.pixels.sum(axis=1)
    return np.stack([above[1], above[0], face - above[1], background - above[0]], axis=1)


def iou_by_threshold(found: Histogram) -> Floats:
    """Return the face IoU above each of `THRESHOLDS`, (99,); nothing found where nothing is is 1."""
    true_positive, false_positive, false_negative, _ = counts_by_threshold(found).T
    union = true_positive + false_positive + false_negative
    return np.where(union > 0, true_positive / np.maximum(union, 1), 1.0)


def miou_by_threshold(found: Histogram) -> Floats:
    """Return the mean of background and face IoU above each of `THRESHOLDS`, (99,), by `dataset_miou`."""
    images = (Counts(*row) for row in counts_by_threshold(found).tolist())
    return np.array([(image.face_iou + image.background_iou) / 2 for image in images])


def brier_score(found: Histogram) -> float:
    """Return the mean squared difference of probability and truth (0 or 1); 0 of no pixel.

    Source: Brier 1950, for two classes, of which only face is counted.
    """
    pixels = int(found.pixels.sum())
    face = int(found.pixels[1].sum())
    return (found.squares - 2 * float(found.sums[1].sum()) + face) / pixels if pixels else 0.0


def reliability(found: Histogram) -> Reliability:
    """Return how often pixels of each probability are face, in `RELIABILITY_BINS` bins; the first holds 0, too."""
    pixels, sums = (_coarse(values) for values in (found.pixels, found.sums))  # (2, bins)
    total = pixels.sum(axis=0)
    filled = np.flatnonzero(total)
    edges = np.linspace(0, 1, RELIABILITY_BINS + 1).round(9)
    return Reliability(
        tuple((float(edges[at]), float(edges[at + 1])) for at in filled),
        tuple((sums.sum(axis=0)[filled] / total[filled]).tolist()),
        tuple((pixels[1][filled] / total[filled]).tolist()),
        tuple((total[filled] / max(1, total.sum())).tolist()),
    )


def expected_calibration_error(found: Histogram) -> float:
    """Return the mean distance of probability and share of face over bins, weighted by their pixels.

    Source: Naeini et al. 2015 and Guo et al. 2017, equation 5, for the probability of face itself.
    """
    bins = reliability(found)
    gaps = np.abs(np.array(bins.confidence) - np.array(bins.accuracy))
    return float(gaps @ np.array(bins.share)) if bins.share else 0.0


def _bins(values: NDArray[np.float32], truth: Mask, scored: Mask | None) -> NDArray[np.intp]:
    """Return the bin of each of (n,) probabilities, from `_FACE` on for face."""
    bins = (values * _UPWARDS).astype(np.uint8)  # the last grid point at or below, or one above by rounding
    np.minimum(bins, STEPS, out=bins)
    bins += values > cv2.LUT(bins, _GRID_BY_BYTE).reshape(-1)
    bins += truth.view(np.uint8) * np.uint8(_FACE)
    if scored is not None:
        bins[~scored] = _NOT_SCORED
    return bins.astype(np.intp)


def _coarse(values: NDArray) -> NDArray:
    """Return (2, 20) from (2, 101)."""
    width = STEPS // RELIABILITY_BINS
    joined = values[:, 1:].reshape(2, RELIABILITY_BINS, width).sum(axis=2)
    joined[:, 0] += values[:, 0]
    return joined
