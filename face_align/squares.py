"""Crops that are squares of the photo: around landmarks, or around a detector's box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine

Points = NDArray[np.float64]
Box = tuple[float, float, float, float]


def extent(landmarks: Points) -> Box:
    """Return the box (x, y, width, height) of the pixels that the points (L, 2) lie in; x, y is its outer corner."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    return float(low[0]) - 0.5, float(low[1]) - 0.5, float(high[0] - low[0]) + 1, float(high[1] - low[1]) + 1


def around_landmarks(landmarks: Points, *, photo_size: tuple[int, int], size: int, legacy_clip: bool = False) -> Affine:
    """Return the transform to a square around the landmarks, with a margin that the face's pose decides.

    With w, h the extent of the landmarks and d its centre less their mean, the margins are 0.1 w + |min(d_x, 0)| left,
    0.1 w + max(d_x, 0) right, h (2 max(w/h, 1) - 1) + |min(d_y, 0)| above and 0.1 h + max(d_y, 0) below.

    Args:
        landmarks: (L, 2), pixels of the photo.
        photo_size: (height, width).
        size: side of the crop in pixels.
        legacy_clip: cut the box at the photo's edges before and after it is made a square; what is left is
            stretched. Else the square is whole, and what lies outside the photo is filled.

    Raises:
        ValueError: no points, or nothing of the box lies in the photo.

    Source: Nirkin et al. 2018, "On face segmentation, face swapping, and face perception".
    """
    if landmarks.ndim != 2 or landmarks.shape[1] != 2 or len(landmarks) < 6:
        raise ValueError(f"expected the landmarks of a whole face (L, 2), found {landmarks.shape}")
    left, top, width, height = extent(landmarks)
    offset = np.array([left + width / 2, top + height / 2]) - landmarks.mean(axis=0)
    low = np.array(
        [
            left - 0.1 * width - abs(min(offset[0], 0.0)),
            top - height * (2 * max(width / height, 1.0) - 1) - abs(min(offset[1], 0.0)),
        ]
    )
    high = np.array(
        [left + 1.1 * width + max(offset[0], 0.0), top + 1.1 * height + max(offset[1], 0.0)],
    )
    if not legacy_clip:
        return _stretch(*_square(low, high), size=size)
    low, high = _cut(*_square(*_cut(low, high, photo_size)), photo_size)
    return _stretch(low, high, size=size)


def around_box(box: Box, *, scale: float, size: int) -> Affine:
    """Return the transform to the square around a box (x, y, width, height), `scale` times its longer side.

    Raises:
        ValueError: the box is empty or not finite.
    """
    corner, sides = np.array(box[:2]), np.array(box[2:])
    if not np.isfinite(box).all() or sides.min() <= 0:
        raise ValueError(f"expected a box (x, y, width, height) with an area, found {box}")
    return _stretch(*_square(corner, corner + sides, scale), size=size)


def _square(low: Points, high: Points, scale: float = 1.0) -> tuple[Points, Points]:
    centre, half = (low + high) / 2, scale * (high - low).max() / 2
    return centre - half, centre + half


def _cut(low: Points, high: Points, photo_size: tuple[int, int]) -> tuple[Points, Points]:
    edge = np.array(photo_size[::-1]) - 0.5
    low, high = np.clip(low, -0.5, edge), np.clip(high, -0.5, edge)
    if (high - low).min() <= 0:
        raise ValueError("the landmarks lie outside the photo")
    return low, high


def _stretch(low: Points, high: Points, *, size: int) -> Affine:
    """Return the transform that puts the outer corners `low` and `high` onto those of the crop."""
    ratio = size / (high - low)
    return np.array([[ratio[0], 0.0, -0.5 - ratio[0] * low[0]], [0.0, ratio[1], -0.5 - ratio[1] * low[1]]])
