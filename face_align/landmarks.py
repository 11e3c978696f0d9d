"""Reading landmarks, and the five points that alignment works with.

Point order of the 68 scheme (ibug, dlib): 0-16 jaw, 17-26 brows, 27-35 nose (30 = tip), 36-41 and 42-47 eyes,
48-59 outer lips, 60-67 inner lips. Points are (x, y) in pixels of the photo that they were detected in.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError

KNOWN_SHAPES = "(68, 2), (68, 3), (3, 68), (2, 68) or (5, 2)"
OUTSIDE_SHARE = 0.5  # landmarks with more points than this outside the photo belong to another photo or frame


class LandmarkError(RecordError):
    """Landmarks that are missing, unreadable, or of another photo."""


def read_landmarks(path: Path) -> NDArray[np.float64]:
    """Return the points (L, 2) of a NumPy file, L = 68 or 5.

    Args:
        path: `.npy` of shape (68, 2), (68, 3), (5, 2), or transposed (3, 68) as 3DDFA_V2 writes it.

    Raises:
        LandmarkError: there is no file (outcome "no_landmarks"), or its content is something else ("bad_landmarks").
    """
    if not path.exists():
        raise LandmarkError(f"{path}: no landmarks for this photo; detect them, or leave the photo out",
                            outcome="no_landmarks")  # fmt: skip
    try:
        with path.open("rb") as stream:  # unlike `numpy.load`, this never opens an archive or a pickle
            points = np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise LandmarkError(
            f"{path}: expected a NumPy array of numbers, found something else ({error}); save it with numpy.save",
            outcome="bad_landmarks",
        ) from error
    return _as_points(path, points)


def check_frame(path: Path, points: NDArray[np.float64], photo_size: tuple[int, int]) -> None:
    """Refuse points that lie mostly outside a photo of `photo_size` (height, width).

    Raises:
        LandmarkError: they do (outcome "bad_landmarks").
    """
    height, width = photo_size
    outside = (points < -0.5).any(axis=1) | (points[:, 0] > width - 0.5) | (points[:, 1] > height - 0.5)
    if outside.mean() > OUTSIDE_SHARE:
        raise LandmarkError(
            f"{path}: {outside.sum()} of {len(points)} points lie outside the photo of {height} x {width} pixels "
            "(height x width); they were detected in a photo of another size: scale them to this one",
            outcome="bad_landmarks",
        )


def five_points(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return image-left eye, image-right eye, nose tip, image-left and image-right mouth corner, (5, 2).

    An eye is the mean of its two corners.

    Args:
        points: (68, 2) in the ibug order, or (5, 2), which comes back as it is.

    Raises:
        ValueError: another number of points.
    """
    if len(points) == 5:
        return points
    if len(points) != 68:
        raise ValueError(f"expected 68 or 5 points, found {len(points)}")
    left_eye, right_eye = points[[36, 39]].mean(axis=0), points[[42, 45]].mean(axis=0)
    return np.stack([left_eye, right_eye, points[30], points[48], points[54]])


def _as_points(path: Path, values: NDArray[np.generic]) -> NDArray[np.float64]:
    points: NDArray[np.generic] = values.T if values.ndim == 2 and values.shape in ((3, 68), (2, 68)) else values
    numeric = np.issubdtype(points.dtype, np.floating) or np.issubdtype(points.dtype, np.integer)
    if not numeric or points.ndim != 2 or points.shape not in ((68, 2), (68, 3), (5, 2)):
        raise LandmarkError(
            f"{path}: expected landmarks of shape {KNOWN_SHAPES}, found {values.dtype} {values.shape}",
            outcome="bad_landmarks",
        )
    plane = points[:, :2].astype(np.float64)
    if not np.isfinite(plane).all():
        raise LandmarkError(f"{path}: a coordinate is not a finite number", outcome="bad_landmarks")
    return plane
