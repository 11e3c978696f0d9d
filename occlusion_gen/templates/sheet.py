"""A template ready for use: its pixels in several sizes, and what the wearer's head needs to know about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Image8, Points
from occlusion_gen.occluders.rgba import spread_colours
from occlusion_gen.templates.frame import Canvas

SHADE_ONE = 160
BORDER_POINTS = 56
LoopEnd = Literal["ear_top", "ear_bottom", "head"]


class Loop(NamedTuple):
    """A band that holds a mask: from `start` (u, v) of the image-right half to the ear, or over it around the head."""

    start: tuple[float, float]
    end: LoopEnd
    width: float  # units


class Level(NamedTuple):
    """A template at one size.

    Attributes:
        canvas: its frame.
        pixels: (h, w, 4) uint8, straight: shade (`SHADE_ONE` leaves the colour as it is), accent and gloss of a drawn
            template, or RGB; then alpha. The first three carry on smoothly where alpha is 0.
    """

    canvas: Canvas
    pixels: Image8


class Sheet(NamedTuple):
    """A mask template.

    Attributes:
        name: for manifests.
        levels: the largest first, each half of the one before.
        border: (L, 2) places, a closed convex line around everything opaque, see `border_around`.
        loops: bands, of the image-right half; the other half has their mirror images.
        bulge: how far it stands off nose and mouth, units.
        thickness: how far it stands off the cheeks, units.
        drawn: whether it waits for colours; else it is RGB.
        whole: whether it shows both halves; else it was photographed from the side, up to the head's outline.
    """

    name: str
    levels: Sequence[Level]
    border: Points
    loops: Sequence[Loop] = ()
    bulge: float = 0.02
    thickness: float = 0.03
    drawn: bool = True
    whole: bool = True

    def level(self, unit_px: float) -> Level:
        """Return the smallest level that is still as large as the target, or the largest there is."""
        return next((level for level in reversed(self.levels) if level.canvas.unit_px >= 0.8 * unit_px), self.levels[0])


def border_around(places: Points) -> Points:
    """Return a convex closed line around places (L, 2), as `BORDER_POINTS` evenly spaced points."""
    hull = cv2.convexHull(places.astype(np.float32))[:, 0].astype(np.float64)
    closed = np.concatenate([hull, hull[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    spots = np.linspace(0, along[-1], BORDER_POINTS, endpoint=False)
    return np.column_stack([np.interp(spots, along, closed[:, axis]) for axis in (0, 1)])


def make_levels(canvas: Canvas, surface: NDArray[np.float32], alpha: NDArray[np.float32]) -> list[Level]:
    """Return the template and its halves, area-filtered; colours are weighted by alpha, so that no rim turns pale.

    Args:
        surface: (h, w, 3), 0..255, anything where alpha is 0.
        alpha: (h, w), 0..1.
    """
    levels = []
    alpha = alpha.copy()
    alpha[[0, -1]], alpha[:, [0, -1]] = 0, 0  # what lies beyond the template is not covered
    weighted = surface * alpha[..., None]
    unit_px = canvas.unit_px
    while True:
        levels.append(_level(Canvas(unit_px), weighted, alpha))
        unit_px /= 2
        if unit_px < 12:
            return levels
        height, width = Canvas(unit_px).size
        weighted = cv2.resize(weighted, (width, height), interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)


def _level(canvas: Canvas, weighted: NDArray[np.float32], alpha: NDArray[np.float32]) -> Level:
    straight = weighted / np.maximum(alpha, 1e-3)[..., None]
    surface = spread_colours(np.rint(np.clip(straight, 0, 255)).astype(np.uint8), alpha > 0.5)
    return Level(canvas, np.dstack([surface, np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)]))
