"""Edges of masks that follow the edges of the photo: a guided filter over the probabilities.

What it gains and costs stands in docs/inference.md.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.photo_masks import Patch

Image8 = NDArray[np.uint8]
Map = NDArray[np.float32]

RADIUS_SHARE = 0.012  # of the box / longer side of the patch: a few pixels of the network's own map
SMOOTHNESS = 1e-3  # variance of the grey photo (0..1) from which on an edge is followed


def refine_edges(photo: Image8, patch: Patch) -> Patch:
    """Return the patch with its probabilities filtered such that they follow the photo's edges.

    Args:
        photo: (H, W, 3) uint8 RGB.
        patch: of this photo.
    """
    if patch.probabilities.size == 0:
        return patch
    grey = cv2.cvtColor(photo[patch.rows, patch.columns], cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    radius = max(1, round(RADIUS_SHARE * max(grey.shape)))
    filtered = [guided_filter(grey, channel, radius=radius, smoothness=SMOOTHNESS) for channel in patch.probabilities]
    return patch._replace(probabilities=np.clip(np.stack(filtered), 0, 1))


def guided_filter(guide: Map, values: Map, *, radius: int, smoothness: float) -> Map:
    """Return `values` as the local linear function of `guide` that comes nearest to them.

    Args:
        guide: (H, W) float32, 0..1.
        values: (H, W) float32.
        radius: of the square neighbourhood, pixels.
        smoothness: variance of the guide below which values are just averaged (epsilon).

    Source: He, Sun and Tang, "Guided image filtering", 2010, equations 5, 6 and 8.
    """

    def mean(values: NDArray[np.floating]) -> Map:
        return cv2.boxFilter(values, -1, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT_101)

    guide_mean, values_mean = mean(guide), mean(values)
    covariance = mean(guide * values) - guide_mean * values_mean
    variance = mean(guide * guide) - guide_mean * guide_mean
    slope = covariance / (variance + np.float32(smoothness))
    offset = values_mean - slope * guide_mean
    filtered: Map = mean(slope) * guide + mean(offset)
    return filtered
