"""How well the outline fits: boundary IoU and boundary F-score.

Both work in the box that holds face in truth or prediction, since faces are often small in their photos.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Image8 = NDArray[np.uint8]

BAND_SHARE = 0.02  # width of the band of the boundary IoU, share of the image's diagonal
TOLERANCE_SHARE = 0.008  # of the boundary F-score, share of the image's diagonal
# A disc is quicker as long as it is small; beyond, distances cost the same for every radius.
LARGEST_DISC_PX = 12
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


class BoundaryScores(NamedTuple):
    """Scores of one outline, 0..1."""

    iou: float
    f_score: float


def boundary_scores(prediction: Mask, truth: Mask, *, valid: Mask | None = None) -> BoundaryScores:
    """Return boundary IoU and boundary F-score of one image.

    Args:
        prediction: (H, W) bool, True is face.
        truth: (H, W) bool.
        valid: (H, W) bool, pixels to score; None scores all. Outlines are those of the whole masks; bands and
            contours are counted where they are scored.
    """
    size = (truth.shape[0], truth.shape[1])
    box = _box(prediction | truth)
    inner = (prediction[box].view(np.uint8), truth[box].view(np.uint8))
    scored = None if valid is None else valid[box].view(np.uint8)
    return BoundaryScores(
        _band_iou(*inner, scored, width_px=band_width_px(size)),
        _contour_f_score(*inner, scored, tolerance_px=tolerance_px(size)),
    )


def boundary_iou(prediction: Mask, truth: Mask, *, valid: Mask | None = None) -> float:
    """Return the IoU of the pixels of each mask that lie within 2 % of the diagonal from its outline.

    The band lies inside the mask; where the mask meets the edge of the image, that edge is outline. No band in
    either is 1.

    Source: Cheng et al. 2021, "Boundary IoU", equation 3; distances along rows, columns and diagonals alike
    (chessboard), as in the code published with it.
    """
    return boundary_scores(prediction, truth, valid=valid).iou


def boundary_f_score(prediction: Mask, truth: Mask, *, valid: Mask | None = None) -> float:
    """Return the F1 score of contour pixels, each right if the other contour is within 0.8 % of the diagonal.

    Contour are the pixels of a mask with a neighbour above, below, left or right that is in the image and not in
    the mask; so the edge of the image is none. No contour in either is 1.

    Source: Perazzi et al. 2016, "A benchmark dataset ... for video object segmentation" (DAVIS), contour accuracy F,
    with its tolerance, but contours within the mask instead of half a pixel beside it.
    """
    return boundary_scores(prediction, truth, valid=valid).f_score


def band_width_px(size: tuple[int, int]) -> int:
    """Return the width of the band for an image of `size` (height, width), at least 1."""
    return max(1, round(BAND_SHARE * math.hypot(*size)))


def tolerance_px(size: tuple[int, int]) -> int:
    """Return how far contours may lie apart in an image of `size` (height, width), rounded up."""
    return math.ceil(TOLERANCE_SHARE * math.hypot(*size))


def _box(mask: Mask) -> tuple[slice, slice]:
    """Return the box of the mask and one pixel around it, where the image has one."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(max(0, top - 1), top + height + 1), slice(max(0, left - 1), left + width + 1)


def _band_iou(prediction: Image8, truth: Image8, scored: Image8 | None, *, width_px: int) -> float:
    first, second = _band(prediction, width_px), _band(truth, width_px)
    both, either = cv2.bitwise_and(first, second), cv2.bitwise_or(first, second)
    union = _count(either, scored)
    return _count(both, scored) / union if union else 1.0


def _band(mask: Image8, width_px: int) -> Image8:
    """Return the pixels of the mask that `width_px` erosions by a square of 3 px take away."""
    kernel = np.ones((3, 3), np.uint8)
    kept = cv2.erode(mask, kernel, iterations=width_px, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(cv2.subtract(mask, kept), np.uint8)


def _contour_f_score(prediction: Image8, truth: Image8, scored: Image8 | None, *, tolerance_px: int) -> float:
    # By default OpenCV takes what lies outside the image for mask: no contour there.
    found, actual = (cv2.subtract(mask, cv2.erode(mask, CROSS)) for mask in (prediction, truth))
    pixels_found, pixels_actual = _count(found, scored), _count(actual, scored)
    if pixels_found == 0 or pixels_actual == 0:
        return float(pixels_found == pixels_actual)
    right = _count(cv2.bitwise_and(found, _near(actual, tolerance_px)), scored)
    reached = _count(cv2.bitwise_and(actual, _near(found, tolerance_px)), scored)
    precision, recall = right / pixels_found, reached / pixels_actual
    return 2 * precision * recall / (precision + recall) if right and reached else 0.0


def _near(contour: Image8, radius_px: int) -> Image8:
    """Return 1 where a pixel of the contour lies within `radius_px` (Euclidean)."""
    if radius_px <= LARGEST_DISC_PX:
        return np.asarray(cv2.dilate(contour, _disc(radius_px)), np.uint8)
    distance_px = cv2.distanceTransform(1 - contour, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squared distances are whole numbers: half a one more, and rounding cannot matter.
    return (distance_px <= math.sqrt(radius_px**2 + 0.5)).view(np.uint8)


@functools.lru_cache(maxsize=LARGEST_DISC_PX + 1)
def _disc(radius_px: int) -> Image8:
    rows, columns = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    return (rows**2 + columns**2 <= radius_px**2).astype(np.uint8)


def _count(mask: Image8, scored: Image8 | None) -> int:
    return cv2.countNonZero(mask if scored is None else cv2.bitwise_and(mask, scored))
