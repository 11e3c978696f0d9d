"""An occluder that moved while the shutter was open."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Image8, Patch

# Colours count a little where alpha is 0, so that they carry on there instead of falling to black.
BASE_WEIGHT = 1 / 64


def blur_by_motion(patch: Patch, *, length_px: float, angle_deg: float) -> Patch:
    """Return the patch blurred along a line: colours weighted by alpha, alpha, and what it hides with it.

    Where labels are hard the blurred occluder hides what it covers for at least half of the time. Nothing is cut off
    if the region is wider than the occluder by `length_px` / 2; beyond the edge of the region it carries on.

    Args:
        length_px: way of the occluder in pixels.
        angle_deg: direction, clockwise from the right.
    """
    if length_px < 1:
        return patch
    way = length_px * math.cos(math.radians(angle_deg)), length_px * math.sin(math.radians(angle_deg))
    weights = patch.alpha.astype(np.float32) * np.float32(1 / 255) + np.float32(BASE_WEIGHT)
    weighted = cv2.multiply(patch.colour, cv2.merge([weights] * 3), dtype=cv2.CV_32F)
    hard = not bool(((patch.hides > 0) & (patch.hides < 255)).any())
    blurred = _average_along(cv2.merge([*cv2.split(weighted), weights]), way)
    colour = blurred[..., :3] / blurred[..., 3:]
    alpha = (blurred[..., 3] - np.float32(BASE_WEIGHT)) * 255
    hides = _average_along(patch.hides.astype(np.float32), way)
    return patch._replace(
        colour=_to_bytes(colour),
        alpha=_to_bytes(alpha),
        hides=np.where(hides >= 127.5, np.uint8(255), np.uint8(0)) if hard else _to_bytes(hides),
    )


def _average_along(image: NDArray[np.float32], way: tuple[float, float]) -> NDArray[np.float32]:
    """Return the mean of `image` over 2 ** rounds places spread evenly along `way` (x, y), centred, to whole pixels.

    Each round averages two copies half as far apart as the round before, so that the cost grows with the logarithm of
    the length.
    """
    rounds = max(1, math.ceil(math.log2(math.hypot(*way))))
    shifts = [(round(way[0] / 2**level), round(way[1] / 2**level)) for level in range(1, rounds + 1)]
    height, width = image.shape[:2]
    across, down = sum(abs(x) for x, _ in shifts), sum(abs(y) for _, y in shifts)
    sides = down // 2, down - down // 2, across // 2, across - across // 2
    image = cv2.copyMakeBorder(image, *sides, cv2.BORDER_REPLICATE)
    for x, y in shifts:
        first_rows, second_rows = _two_views(image.shape[0], y)
        first_columns, second_columns = _two_views(image.shape[1], x)
        image = cv2.addWeighted(image[first_rows, first_columns], 0.5, image[second_rows, second_columns], 0.5, 0)
    assert image.shape[:2] == (height, width)
    return image


def _two_views(length: int, shift: int) -> tuple[slice, slice]:
    """Return two slices of equal length, `shift` apart."""
    here, there = slice(max(0, shift), length + min(0, shift)), slice(max(0, -shift), length - max(0, shift))
    return here, there


def _to_bytes(values: NDArray[np.float32]) -> Image8:
    return cv2.add(values, 0, dtype=cv2.CV_8U)
