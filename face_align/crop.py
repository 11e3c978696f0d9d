"""Where a crop lies in its photo: one 2x3 transform a face, from five points."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_points, fit_similarity

Method = Literal["pos3d", "similarity5"]
Points = NDArray[np.float64]

# Five points of a mean head, x to image-right, y up, z to the camera. Source: FaceOcc release.
HEAD_TEMPLATE: Points = np.array(
    [
        [-0.31148657, 0.29036078, 0.13377953],
        [0.30979887, 0.28972036, 0.13179526],
        [0.00325350, -0.04617932, 0.55244243],
        [-0.25216928, -0.38133916, 0.22405732],
        [0.24846619, -0.38128236, 0.22235769],
    ]
)
CROP_SHARE_PER_UNIT = 116.0 / 256.0  # one unit of the head template is this share of the crop's side

# Where the five points shall land, with the side of the crop they are given for.
TEMPLATES: dict[str, tuple[int, Points]] = {
    "faceocc256": (
        256,
        np.array([[91.87, 94.32], [163.94, 94.39], [128.38, 133.36], [98.75, 172.24], [156.82, 172.23]]),
    ),
    "arcface112": (
        112,
        np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]),
    ),
}


def photo_to_crop(
    points: Points, *, photo_size: tuple[int, int], method: Method, size: int, template: str = "faceocc256"
) -> Affine:
    """Return the transform from photo pixels to pixels of a square crop.

    Args:
        points: (5, 2) (x, y) pixels of the photo: eyes, nose tip, mouth corners, image-left first.
        photo_size: (height, width).
        method: `pos3d` moves and scales only, so that a rolled head stays rolled; `similarity5` also turns.
        size: side of the crop in pixels.
        template: name in `TEMPLATES`, for `similarity5`.

    Raises:
        ValueError: points of another shape, coinciding points, or an unknown method or template.
    """
    if points.shape != (5, 2):
        raise ValueError(f"expected five points (5, 2), found {points.shape}")
    if method == "pos3d":
        return _fit_head(points, photo_size[0], size)
    if method == "similarity5":
        if template not in TEMPLATES:
            raise ValueError(f"unknown template {template!r}; known: {', '.join(TEMPLATES)}")
        template_size, target = TEMPLATES[template]
        return fit_similarity(points, target * (size / template_size))
    raise ValueError(f"unknown method {method!r}; known: pos3d, similarity5")


def residual_px(matrix: Affine, points: Points, size: int) -> float:
    """Return the mean distance, in crop pixels, of the moved five points to the frontal face at `size`.

    A large value tells of a turned head, or of wrong landmarks.
    """
    template_size, target = TEMPLATES["faceocc256"]
    distance = np.linalg.norm(apply_to_points(matrix, points) - target * (size / template_size), axis=1)
    return float(distance.mean())


def _fit_head(points: Points, height: int, size: int) -> Affine:
    """Return scale and translation from a weak-perspective fit of `HEAD_TEMPLATE`.

    Solves x = r1.X + tx and y_up = r2.X + ty for eight unknowns by least squares.

    Source: FaceOcc release; the same family as Deep3DFaceRecon (Deng et al. 2019).
    """
    upward = np.column_stack([points[:, 0], height - 1 - points[:, 1]])  # (5, 2)
    design = np.column_stack([HEAD_TEMPLATE, np.ones(5)])  # (5, 4)
    solution, *_ = np.linalg.lstsq(design, upward, rcond=None)  # (4, 2): columns are (r1, tx) and (r2, ty)
    scale = np.linalg.norm(solution[:3], axis=0).mean()  # photo pixels per template unit
    if scale < 1e-6:
        raise ValueError("the five points coincide")
    shift_x, shift_y = solution[3]
    ratio = CROP_SHARE_PER_UNIT * size / scale
    # x' = ratio (x - tx) + S/2;  y' = S/2 - ratio (y_up - ty) with y_up = height - 1 - y
    return np.array([[ratio, 0.0, size / 2 - ratio * shift_x], [0.0, ratio, size / 2 - ratio * (height - 1 - shift_y)]])
