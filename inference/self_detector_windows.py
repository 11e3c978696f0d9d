"""Where the segmenter looks for faces: the whole photo, tiles of it, and how a window of a photo is cut out."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from common.geometry import apply_to_image
from inference.self_detector_shapes import Window

Image8 = NDArray[np.uint8]

WHOLE_SIDE = 1.25  # side of the window that shows the whole photo / longer side of the photo
TILE_SIDE = 0.65  # of the tiles / longer side of the photo
FINE_TILE_SIDE = 0.35  # where nothing was found with the larger ones
TILE_MARGIN = 0.05  # by which tiles reach beyond the photo / longer side of the photo
TILE_OVERLAP = 0.3  # of neighbours at least, in sides of a tile: what is smaller lies whole in one of them
SMALLEST_TILE_PX = 64  # a smaller tile shows nothing that the whole photo does not


def whole_window(photo_size: tuple[int, int]) -> Window:
    """Return the window that shows the whole photo of `photo_size` (height, width), with a margin."""
    height, width = photo_size
    side = WHOLE_SIDE * max(photo_size)
    return Window((width - side) / 2 - 0.5, (height - side) / 2 - 0.5, side)


def tile_windows(photo_size: tuple[int, int], *, share: float) -> list[Window]:
    """Return overlapping windows that cover the photo and a margin; none where they would show hardly any pixels.

    Args:
        photo_size: (height, width).
        share: side of the tiles / longer side of the photo.
    """
    side, margin = share * max(photo_size), TILE_MARGIN * max(photo_size)
    if side < SMALLEST_TILE_PX:
        return []
    starts_y, starts_x = (_tile_starts(length, side=side, margin=margin) for length in photo_size)
    return [Window(x - 0.5, y - 0.5, side) for y in starts_y for x in starts_x]


def cut_out(image: Image8, window: Window, *, size: int) -> Image8:
    """Return what a window shows, (size, size, 3), as alignment would cut it.

    Only the window's part of the photo is worked on, since a face is often small in its photo.
    """
    margin = 2 + 2 * window.side / size  # what the filters of two pixels of the picture reach
    low = np.floor([window.x - margin, window.y - margin]).clip(0).astype(int)
    high = np.ceil([window.x + window.side + margin, window.y + window.side + margin]).astype(int)
    part = image[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
    matrix = window.to_picture(size)
    matrix[:, 2] += matrix[:, :2] @ low
    return apply_to_image(matrix, part, size=(size, size))


def shrink(image: Image8, *, size: int) -> tuple[Image8, int]:
    """Return the photo, made smaller by a whole factor as long as its tiles keep the resolution of crops."""
    factor = max(1, int(FINE_TILE_SIDE * max(image.shape[:2]) / size))
    if factor == 1:
        return image, 1
    height, width = (max(1, round(length / factor)) for length in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), factor


def _tile_starts(length: int, *, side: float, margin: float) -> list[float]:
    """Return where the tiles of one axis begin; a single one is centred."""
    covered = length + 2 * margin
    if side >= covered:
        return [(length - side) / 2]
    overlap = TILE_OVERLAP * side
    count = math.ceil((covered - overlap) / (side - overlap) - 1e-9)
    return np.linspace(-margin, length + margin - side, count).tolist()
