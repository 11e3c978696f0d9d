"""Warps of images that are no larger than what comes out, padded first by what the result shows beyond their edges.

OpenCV takes two to four times as long where it has to look up pixels beyond an edge by itself; and copying in order
brings into the processor's caches what a warp then reads across.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, invert, shrink_by_area

Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.uint16])


class Margins(NamedTuple):
    """How many pixels are added on each side, in the order of `cv2.copyMakeBorder`."""

    top: int
    bottom: int
    left: int
    right: int


def margins_px(matrix: Affine, source_size: tuple[int, ...], size: tuple[int, int]) -> Margins:
    """Return how far the result of a warp reaches beyond the source, and at least one pixel more.

    Even numbers, so that places halfway between two pixels are rounded as they would be without a margin.

    Args:
        matrix: source to target.
        source_size: (height, width).
        size: (height, width) of the result.

    Raises:
        ValueError: the matrix has no inverse.
    """
    (across_x, down_x, x), (across_y, down_y, y) = invert(matrix).tolist()
    left, right = _range(across_x, down_x, x, size)
    top, bottom = _range(across_y, down_y, y, size)
    return Margins(_even(-top), _even(bottom - (source_size[0] - 1)), _even(-left), _even(right - (source_size[1] - 1)))


def _range(across: float, down: float, start: float, size: tuple[int, int]) -> tuple[float, float]:
    """Return the least and the largest of start + across * x + down * y over a picture of `size` (height, width)."""
    xs, ys = (-0.5 * across, (size[1] - 0.5) * across), (-0.5 * down, (size[0] - 0.5) * down)
    return start + min(xs) + min(ys), start + max(xs) + max(ys)


def _even(overhang: float) -> int:
    return 2 * math.ceil((max(0.0, overhang) + 1) / 2)


def pad(image: Pixels, matrix: Affine, margins: Margins, *, border: int) -> tuple[Pixels, Affine]:
    """Return the image with margins, and `matrix` from there.

    Args:
        image: (H, W) or (H, W, C).
        matrix: from the image to a target.
        margins: from `margins_px`.
        border: what stands beyond the edge, one of OpenCV's names for it.
    """
    moved = matrix.copy()
    moved[:, 2] -= matrix[:, 0] * margins.left + matrix[:, 1] * margins.top
    return cv2.copyMakeBorder(image, *margins, border), moved


def warp_padded(image: Pixels, matrix: Affine, *, size: tuple[int, int], border: int) -> Pixels:
    """Return `image` (H, W, C) warped to `size` (height, width), between pixels in straight lines."""
    padded, from_padded = pad(image, matrix, margins_px(matrix, image.shape, size), border=border)
    return cv2.warpAffine(padded, from_padded, (size[1], size[0]), flags=cv2.INTER_LINEAR)


def warp_rgb_padded(
    image: NDArray[np.uint8], matrix: Affine, *, size: tuple[int, int], border: int
) -> NDArray[np.uint8]:
    """Return an image of three channels (H, W, 3) warped likewise, with an area filter where it shrinks by more than 2.

    OpenCV moves four channels in half the time that it takes for three.
    """
    four, to_result = shrink_by_area(cv2.cvtColor(image, cv2.COLOR_RGB2RGBA), matrix)
    return cv2.cvtColor(warp_padded(four, to_result, size=size, border=border), cv2.COLOR_RGBA2RGB)
