"""The slow, full-size colour transfer that the fast one is judged by, and the judge."""

from __future__ import annotations

import cv2
import numpy as np
import ot
from numpy.typing import NDArray

from occlusion_gen.face import Image8, Mask


def colour_distance(first: NDArray[np.generic], second: NDArray[np.generic]) -> float:
    """Return the sliced Wasserstein distance of two colour sets (n, 3) in grey levels, as POT computes it."""
    rng = np.random.default_rng(0)
    some = [colours[rng.permutation(len(colours))[:4000]].astype(np.float64) for colours in (first, second)]
    return float(ot.sliced_wasserstein_distance(*some, n_projections=150, seed=0))


def full_transport(colour: Image8, opaque: Mask, target: NDArray[np.uint8], *, seed: int) -> Image8:
    """Return what the published algorithm makes of the opaque pixels: all of them, at full size, without short cuts.

    15 steps of 5 directions, then the displacement smoothed by a Gaussian of sigma 30 px, cut off at 30 px, for an
    occluder of 741 px.
    """
    rng = np.random.default_rng(seed)
    source = colour[opaque].astype(np.float64)
    ranks, target_ranks = ((np.arange(n) + 0.5) / n for n in (len(source), len(target)))
    moved = source.copy()
    for _ in range(15):
        shift = np.zeros_like(moved)
        for _ in range(5):
            direction = rng.standard_normal(3)
            direction /= np.linalg.norm(direction)
            projected = moved @ direction
            order = np.argsort(projected)
            goal = np.interp(ranks, target_ranks, np.sort(target @ direction))
            shift[order] += (goal - projected[order])[:, None] * direction
        moved += shift / 5
    displacement = np.zeros(colour.shape)
    displacement[opaque] = moved - source
    longest = max(int(np.ptp(np.flatnonzero(opaque.any(axis=axis)))) + 1 for axis in (0, 1))
    window = round((61 / 741 * longest - 1) / 2) * 2 + 1

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return cv2.GaussianBlur(values, (window, window), 30 / 61 * window, borderType=cv2.BORDER_REPLICATE)

    weights = np.maximum(smooth(opaque.astype(np.float64)), 1e-9)
    return np.rint(np.clip(colour + smooth(displacement) / weights[..., None], 0, 255)).astype(np.uint8)
