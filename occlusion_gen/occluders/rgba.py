"""RGBA cut-outs: their box, smaller copies of them, and colours that carry on beyond their edge.

Alpha is straight. Every resize works on colours multiplied by alpha, so that nothing from outside gets in.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image8 = NDArray[np.uint8]
Floats = NDArray[np.float32]
OPAQUE = 127  # alpha above this counts as the occluder


def cut_to_box(rgba: Image8) -> Image8 | None:
    """Return the part of `rgba` (H, W, 4) that its opaque pixels span; None where there is none."""
    mask = rgba[..., 3] > OPAQUE
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    return np.ascontiguousarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def shrink(rgba: Image8, max_side_px: int) -> Image8:
    """Return the cut-out with its long side at most `max_side_px`, by area averages."""
    ratio = max_side_px / max(rgba.shape[:2])
    if ratio >= 1:
        return rgba
    return _resize(rgba, (max(1, round(rgba.shape[0] * ratio)), max(1, round(rgba.shape[1] * ratio))))


def shrink_by_halves(rgba: Image8, halves: int) -> Image8:
    """Return the cut-out at exactly 2**-halves of its size, by area averages.

    Sides that do not divide are first continued, transparent, to the right and below. The pixel (x, y) of the result
    covers the square from 2**halves * (x, y) on.
    """
    step = 2**halves
    bottom, right = -rgba.shape[0] % step, -rgba.shape[1] % step
    colour = cv2.copyMakeBorder(np.ascontiguousarray(rgba[..., :3]), 0, bottom, 0, right, cv2.BORDER_REPLICATE)
    alpha = cv2.copyMakeBorder(np.ascontiguousarray(rgba[..., 3]), 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=0)
    return _resize(np.dstack([colour, alpha]), (alpha.shape[0] // step, alpha.shape[1] // step))


def extend_colours(rgba: Image8) -> Image8:
    """Return RGBA in which pixels that are not opaque carry the colours of the opaque ones around them, smoothly."""
    opaque = rgba[..., 3] > OPAQUE
    if opaque.all() or not opaque.any():
        return rgba
    spread = spread_colours(rgba[..., :3], opaque)
    return np.dstack([np.where(opaque[..., None], rgba[..., :3], spread), rgba[..., 3]])


def spread_colours(colour: Image8, known: NDArray[np.bool_]) -> Image8:
    """Return `colour` (H, W, 3) with every pixel that is not `known` (H, W) filled from the known ones around it.

    Push and pull: near known pixels the fill follows them, further away it goes over into averages of wider and
    wider surroundings.

    Source: Gortler et al., "The lumigraph", 1996, section 3.4.
    """
    filled = _pull(colour.astype(np.float32), known.astype(np.float32))
    return np.rint(np.clip(filled, 0, 255)).astype(np.uint8)


def _pull(colour: Floats, weight: Floats) -> Floats:
    height, width = weight.shape
    if height * width == 1 or weight.min() >= 1:
        return colour
    size = (max(1, width // 2), max(1, height // 2))
    small_weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA).reshape(size[::-1])
    small = cv2.resize(colour * weight[..., None], size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], 3)
    small = small / np.maximum(small_weight, 1e-6)[..., None]
    coarse = _pull(small, np.minimum(small_weight * 4, 1).astype(np.float32))
    fill = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, 3)
    return weight[..., None] * colour + (1 - weight)[..., None] * fill


def _resize(rgba: Image8, size: tuple[int, int]) -> Image8:
    """Return RGBA (h, w, 4) of `size` (height, width)."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    premultiplied = np.dstack([rgba[..., :3] * alpha, alpha])
    small = cv2.resize(premultiplied, size[::-1], interpolation=cv2.INTER_AREA).reshape(*size, 4)
    colour = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
    return np.rint(np.clip(np.dstack([colour, small[..., 3:] * 255]), 0, 255)).astype(np.uint8)
