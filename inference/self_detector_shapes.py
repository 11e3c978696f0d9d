"""The shape of a face in the `full` map of the segmenter: its place in an aligned crop, and how like one a blob is."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_points, invert
from face_align.crop import TEMPLATES
from face_align.detect import Face

Mask = NDArray[np.bool_]

# The mean full face of 450 crops of CelebAMask-HQ (`pos3d`), an ellipse, and the box of their 68 landmarks, in sides of
# the crop.
FACE_CENTRE = (0.499, 0.468)  # (x, y); standard deviation 0.027 and 0.041
FACE_SIZE = (0.621, 0.845)  # width and height; standard deviation 7.5 % of them
POINTS_BOX = (0.188, 0.271, 0.626, 0.620)  # (x, y, width, height)

EXTENT_SHARE = 0.01  # of a blob's pixels that may lie beyond each side of its extent: hairs and crumbs
SUB_PIXEL_BITS = 4  # OpenCV draws with coordinates in sixteenths of a pixel


class Extent(NamedTuple):
    """How far a blob reaches, in outer-edge coordinates of its picture, in sides of the picture."""

    left: float
    right: float
    top: float
    bottom: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From top to bottom."""
        return self.bottom - self.top


class Window(NamedTuple):
    """An upright square of the photo; around a face it is what an aligned crop of `faceocc256` would show.

    Attributes:
        x: left outer edge, photo pixels; it may lie outside the photo, as all edges.
        y: upper outer edge.
        side: length of its sides.
    """

    x: float
    y: float
    side: float

    def to_picture(self, size: int) -> Affine:
        """Return the transform (2, 3) from the photo to a picture of `size` x `size` pixels."""
        ratio = size / self.side
        # The outer edge, not the centre of the first pixel, comes to -0.5.
        return np.array([[ratio, 0.0, -0.5 - ratio * self.x], [0.0, ratio, -0.5 - ratio * self.y]])

    def overlap(self, other: Window) -> float:
        """Return the IoU of the two squares, 0..1."""
        width = min(self.x + self.side, other.x + other.side) - max(self.x, other.x)
        height = min(self.y + self.side, other.y + other.side) - max(self.y, other.y)
        common = max(0.0, width) * max(0.0, height)
        return common / (self.side**2 + other.side**2 - common)

    def inside(self, photo_size: tuple[int, int], *, size: int) -> Mask:
        """Return where its picture (size, size) shows the photo of `photo_size` (height, width)."""
        steps = (np.arange(size) + 0.5) * (self.side / size)  # outer-edge coordinates of the pixels' centres
        rows, columns = (
            (low + steps >= -0.5) & (low + steps <= length - 0.5)
            for low, length in zip((self.y, self.x), photo_size, strict=True)
        )
        return rows[:, None] & columns

    def enlarged(self, factor: float) -> Window:
        """Return the window in a photo that is larger by `factor`."""
        return Window(factor * (self.x + 0.5) - 0.5, factor * (self.y + 0.5) - 0.5, factor * self.side)

    def zoomed(self, factor: float) -> Window:
        """Return the window with the same centre whose sides are longer by `factor`."""
        shift = self.side * (1 - factor) / 2
        return Window(self.x + shift, self.y + shift, self.side * factor)

    def face(self, score: float) -> Face:
        """Return the face that the window is drawn around, with the box and the points of a frontal one."""
        template_size, target = TEMPLATES["faceocc256"]
        points = apply_to_points(invert(self.to_picture(template_size)), target)
        left, top, width, height = (self.side * share for share in POINTS_BOX)
        return Face((self.x + left, self.y + top, width, height), points, score)


def components(mask: Mask, *, smallest: int) -> list[Mask]:
    """Return the connected parts of a mask (H, W) that have at least `smallest` pixels, the largest first."""
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=4)
    areas = statistics[:, cv2.CC_STAT_AREA]
    order = sorted(range(1, len(areas)), key=lambda index: -areas[index])
    return [labels == index for index in order if areas[index] >= smallest]


def extent_of(blob: Mask) -> Extent:
    """Return how far a blob (S, S) that is not empty reaches."""
    return Extent(*_quantiles(np.count_nonzero(blob, axis=0)), *_quantiles(np.count_nonzero(blob, axis=1)))


def mean_face(size: int) -> Mask:
    """Return the mean full face of an aligned crop (size, size)."""
    x, y = (size * share - 0.5 for share in FACE_CENTRE)
    return _ellipse(x, y, size, size=size)


def likeness(blob: Mask, inside: Mask) -> float:
    """Return the IoU of a blob (S, S) with the mean face of its centroid and area, 0..1.

    Args:
        blob: not empty.
        inside: (S, S), where there is photo; only there the two are compared.
    """
    values = cv2.moments(blob.view(np.uint8), binaryImage=True)
    area = values["m00"]
    crop_side = math.sqrt(area / (math.pi / 4 * FACE_SIZE[0] * FACE_SIZE[1]))
    ideal = _ellipse(values["m10"] / area, values["m01"] / area, crop_side, size=len(blob)) & inside
    return int((blob & ideal).sum()) / int((blob | ideal).sum())


def _ellipse(x: float, y: float, crop_side: float, *, size: int) -> Mask:
    """Return the mean face of a crop of side `crop_side`, its centre at (x, y), in a picture (size, size)."""
    unit = 1 << SUB_PIXEL_BITS
    half_axes = [round(unit * crop_side * length / 2) for length in FACE_SIZE]
    canvas = np.zeros((size, size), np.uint8)
    cv2.ellipse(canvas, (round(unit * x), round(unit * y)), half_axes, 0, 0, 360, 1, cv2.FILLED, shift=SUB_PIXEL_BITS)
    return canvas.view(np.bool_)


def _quantiles(counts: NDArray[np.intp]) -> tuple[float, float]:
    """Return, in shares of their number, between which bins all but `EXTENT_SHARE` on either side lies."""
    summed = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    low, high = np.interp([EXTENT_SHARE, 1 - EXTENT_SHARE], summed, np.arange(len(summed)))
    return float(low) / len(counts), float(high) / len(counts)
