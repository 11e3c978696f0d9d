"""Sliced optimal transport between two sets of colours, and the smooth displacement field made from it.

Sources: Pitie et al., "N-dimensional probability density function transfer", 2005; Bonneel et al., "Sliced and Radon
Wasserstein barycenters of measures", 2015; Voo et al. 2022 for the steps, the directions and the smoothing.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Colours = NDArray[np.float32]
Indices = NDArray[np.int64]

STEPS = 15
DIRECTIONS = 5
GRID_SIDE = 96
# The published filter is a 61x61 Gaussian of sigma 30 px on an occluder of 741 px. Cut off at one sigma it has a
# standard deviation of 16.4 px.
SMOOTHING_SHARE = 16.4 / 741
GRID_VARIANCE = 0.25  # of binning and bilinear up-sampling together, in cells squared


def displace(source: Colours, target: Colours, rng: np.random.Generator) -> Colours:
    """Return by how much each colour of `source` moves so that their distribution becomes that of `target`.

    Each step draws random directions, sorts both sets along each and moves the source by the mean of the gaps between
    equal ranks.

    Args:
        source: (n, 3) float32.
        target: (n, 3) float32, as many.
    """
    moved = np.ascontiguousarray(source.T)  # (3, n)
    goal = np.ascontiguousarray(target.T)
    gaps = np.empty((DIRECTIONS, len(source)), np.float32)
    for _ in range(STEPS):
        directions = rng.standard_normal((DIRECTIONS, 3)).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        projected = directions @ moved  # (directions, n)
        order = np.argsort(projected, axis=1)
        ranked = np.sort(directions @ goal, axis=1)
        np.put_along_axis(gaps, order, ranked, axis=1)
        moved = moved + directions.T @ (gaps - projected) / np.float32(DIRECTIONS)
    return np.ascontiguousarray(moved.T) - source


def smooth_field(
    displacement: Colours, *, places: Indices, size: tuple[int, int], sigma_px: float
) -> NDArray[np.float32]:
    """Return the displacement of scattered pixels as a smooth field over a whole image.

    Near the pixels it is their mean under a Gaussian, weighted by where there are pixels at all; away from
    them it goes over to means of wider and wider surroundings, so that it carries on smoothly.

    Args:
        displacement: (n, 3) float32.
        places: (n,) flat indices of the pixels, row * width + column.
        size: (height, width) of the image.
        sigma_px: standard deviation of the smoothing in pixels of the image.

    Returns:
        (height, width, 3) float32.
    """
    ratio = min(1.0, GRID_SIDE / float(max(size)))
    height, width = (max(1, round(side * ratio)) for side in size)
    rows, columns = np.divmod(places, size[1])
    cells = rows * height // size[0] * width + columns * width // size[1]
    sums = [np.bincount(cells, displacement[:, channel], height * width) for channel in range(3)]
    counts = np.bincount(cells, minlength=height * width)
    scattered = np.stack([*sums, counts], axis=1).astype(np.float32).reshape(height, width, 4)
    field = np.broadcast_to(displacement.mean(axis=0), (height, width, 3)).astype(np.float32)
    sigma = max(0.3, sigma_px * ratio)
    if ratio < 1:
        sigma = math.sqrt(max(0.1, sigma**2 - GRID_VARIANCE))
    trust = max(1e-6, 0.002 * len(displacement) / max(1, int(np.count_nonzero(counts))))
    for reach in (4 * sigma, 2 * sigma, sigma):
        blurred = cv2.GaussianBlur(scattered, (0, 0), reach, borderType=cv2.BORDER_REPLICATE)
        field = (blurred[..., :3] + trust * field) / (blurred[..., 3:] + trust)
    if (height, width) == size:
        return field
    return cv2.resize(field, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
