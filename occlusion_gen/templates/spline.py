"""Smooth maps and homographies between planes, and smooth curves through points."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Points

Matrix = NDArray[np.floating]
ROUND = 0.2  # radius within which a control's cone is rounded off, units


class Spline(NamedTuple):
    """A smooth map of the plane.

    Attributes:
        centres: (L, 2) controls in the source plane.
        weights: (L + 3, 2): of the bending terms, then constant, x and y.
    """

    centres: Points
    weights: Points

    def __call__(self, points: Points) -> Points:
        """Return where points (M, 2) go."""
        bending = _kernel(points, self.centres) @ self.weights[:-3]
        return bending + self.weights[-3] + points @ self.weights[-2:]


def fit_splines(source: Points, target: Points, *, slack: Points) -> tuple[Spline, Spline]:
    """Return the map that carries `source` (L, 2) near to `target` (L, 2), and the one back; both of unit scale.

    Multiquadrics swing less between controls of uneven distance than thin plates do, whose lines dip beside a nose.

    Args:
        slack: (L,) > 0, how loosely each control is followed; 0.001 is near to exact.

    Raises:
        np.linalg.LinAlgError: the points of one plane lie on a line.

    Source: Hardy, "Multiquadric equations of topography and other irregular surfaces", 1971; smoothing as in Wahba,
        "Spline models for observational data", 1990.
    """
    count = len(source)
    systems, values = np.zeros((2, count + 3, count + 3)), np.zeros((2, count + 3, 2))
    for system, centres in zip(systems, (source, target), strict=True):
        system[:count, :count] = _kernel(centres, centres)
        system[:count, count] = system[count, :count] = 1
        system[:count, count + 1 :] = centres
        system[count + 1 :, :count] = centres.T
    diagonal = np.arange(count)
    systems[:, diagonal, diagonal] += slack
    values[0, :count], values[1, :count] = target, source
    there, back = np.linalg.solve(systems, values)
    return Spline(source, there), Spline(target, back)


def fit_homography(source: Points, target: Points) -> Matrix:
    """Return the homography (3, 3) nearest to `target` (L, 2) in the least-squares sense, L >= 4.

    Raises:
        np.linalg.LinAlgError: the points lie on a line.
    """
    matrix, _ = cv2.findHomography(source, target, 0)
    if matrix is None:
        raise np.linalg.LinAlgError("no homography: the points lie on a line")
    return matrix


def apply_homography(matrix: Matrix, points: Points) -> Points:
    """Return where points (M, 2) go."""
    return cv2.perspectiveTransform(points[None].astype(np.float64), matrix)[0]


def smooth_curve(points: Points, *, steps: int = 8) -> Points:
    """Return a closed Catmull-Rom curve through `points` (L, 2), as (L * steps, 2)."""
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    before, start, end, after = (np.roll(points, shift, axis=0)[None] for shift in (1, 0, -1, -2))
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    return curve.transpose(1, 0, 2).reshape(-1, 2)


def _kernel(points: Points, centres: Points) -> NDArray[np.float64]:
    """Return -sqrt(r^2 + c^2) of all distances r, (M, L)."""
    offsets_x = points[:, :1] - centres[:, 0]
    offsets_y = points[:, 1:] - centres[:, 1]
    return -np.sqrt(offsets_x * offsets_x + offsets_y * offsets_y + ROUND * ROUND)
