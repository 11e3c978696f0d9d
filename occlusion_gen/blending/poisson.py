"""Poisson blending of an occluder: its details stay, its colours join those around it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Image8, Mask, Patch

SOLVED_SIDE_PX = 128  # the membrane is smooth; its finest details are lost on nobody
ROUNDS = 24
RADIUS = 0.995  # slower changes are left to the coarser sizes
_NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4


def poisson_blend(below: Image8, patch: Patch, *, strength: float = 1.0) -> Image8:
    """Return `below` with the patch on it, shifted in colour by a membrane that meets `below` at its outline.

    The equation holds inside the occluder, with the colours below it given around it. At the edges of the region,
    which for an occluder that leaves the photo is the edge of the photo, nothing is given and the membrane ends level.
    A patch without any outline in the region is laid on as it is.

    Args:
        below: (h, w, 3) uint8 RGB, the region `patch.rows`, `patch.columns` of the crop.
        strength: share of the membrane, 0 lays the patch on as it is, 1 is the whole of it.

    Source: Perez, Gangnet and Blake, "Poisson image editing", 2003, equation 5, with Neumann borders.
    """
    if below.size == 0 or not patch.alpha.any():
        return below
    shares = patch.alpha.astype(np.float32) * np.float32(1 / 255)
    inside = patch.alpha > 0
    if strength == 0 or inside.all():
        return cv2.blendLinear(below, patch.colour, 1 - shares, shares)
    height, width = inside.shape
    ratio = min(1.0, SOLVED_SIDE_PX / max(height, width))
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    gap = cv2.subtract(below, patch.colour, dtype=cv2.CV_32F)
    gap, free = _shrink_outside(gap, ~inside, size)
    membrane = cv2.resize(_membrane(gap, free), (width, height), interpolation=cv2.INTER_LINEAR)
    colour = cv2.scaleAdd(membrane, strength, patch.colour.astype(np.float32))
    return cv2.blendLinear(below, cv2.add(colour, 0, dtype=cv2.CV_8U), 1 - shares, shares)


def _shrink_outside(
    values: NDArray[np.float32], outside: Mask, size: tuple[int, int]
) -> tuple[NDArray[np.float32], Mask]:
    """Return means of `values` (h, w, 3) outside the occluder, and where there are none.

    Args:
        size: (width, height) of both, smaller.
    """
    weights = outside.astype(np.float32)
    small = cv2.resize(
        cv2.merge([*cv2.split(values * weights[..., None]), weights]), size, interpolation=cv2.INTER_AREA
    )
    known = small[..., 3] > 0.25
    return small[..., :3] / np.maximum(small[..., 3:], 1e-6), ~known


def _membrane(values: NDArray[np.float32], free: Mask) -> NDArray[np.float32]:
    """Return `values` (h, w, 3) with the free pixels filled so that each is the mean of its four neighbours.

    Solved from coarse to fine; beyond the edges a pixel's neighbour is itself (Neumann).
    """
    height, width = free.shape
    if min(height, width) > 4 and not free.all():
        half = (width + 1) // 2, (height + 1) // 2
        coarse = _membrane(*_shrink_outside(values, ~free, half))
        start = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        known = values[~free]
        start = np.broadcast_to(known.mean(axis=0) if len(known) else np.float32(0), values.shape).astype(np.float32)
    return _relax(start, values, frozen=(~free).astype(np.uint8))


def _relax(start: NDArray[np.float32], values: NDArray[np.float32], *, frozen: Image8) -> NDArray[np.float32]:
    """Return `start` after some rounds towards the mean of its neighbours, with `values` held where frozen.

    Source: Golub and Varga, "Chebyshev semi-iterative methods", 1961, which needs the square root of the rounds that
    plain averaging needs.
    """
    weight, before = 1.0, start
    solved = cv2.copyTo(values, frozen, np.ascontiguousarray(start))
    for step in range(ROUNDS):
        after = cv2.filter2D(solved, -1, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
        if step > 0:
            weight = 1 / (1 - RADIUS**2 / (2 if step == 1 else 4 / weight))
            after = cv2.addWeighted(after, weight, before, 1 - weight, 0)
        before, solved = solved, cv2.copyTo(values, frozen, after)
    return solved
