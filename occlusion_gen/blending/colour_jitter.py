"""Random brightness, contrast and saturation of an occluder: drawn first, applied later."""

from __future__ import annotations

import cv2
import numpy as np

from occlusion_gen.face import Image8

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
CHANGES = ("brightness", "contrast", "saturation")
Jitter = list[tuple[str, float]]


def draw_jitter(rng: np.random.Generator, *, limit: float) -> Jitter:
    """Return (change, factor in 1 +- `limit`) in the order of their application, which is drawn, too."""
    factors = rng.uniform(1 - limit, 1 + limit, len(CHANGES))
    return [(CHANGES[at], round(float(factors[at]), 4)) for at in rng.permutation(len(CHANGES))]


def jitter(changes: Jitter, image: Image8, alpha: Image8) -> Image8:
    """Return `image` (h, w, 3) uint8 RGB with its colours changed.

    Args:
        changes: from `draw_jitter`.
        image: (h, w, 3) uint8 RGB.
        alpha: (h, w) uint8; contrast changes about the mean grey of pixels with alpha above a half.
    """
    for change, factor in changes:
        if change == "saturation":
            image = cv2.transform(image, factor * np.eye(3) + (1 - factor) * LUMA)
            continue
        pivot = 0.0 if change == "brightness" else _mean_grey(image, alpha)
        table = (np.arange(256) - pivot) * factor + pivot
        image = cv2.LUT(image, np.rint(np.clip(table, 0, 255)).astype(np.uint8))
    return image


def _mean_grey(image: Image8, alpha: Image8) -> float:
    return float(LUMA @ cv2.mean(image, mask=(alpha > 127).view(np.uint8))[:3])
