"""Bands that hold a mask: loops to the ears, straps around the head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.labels import PART_ID
from occlusion_gen.face import Image8, Points
from occlusion_gen.templates.fit import Fit
from occlusion_gen.templates.frame import ARC
from occlusion_gen.templates.sheet import Loop

HIDDEN_BEYOND_DEG = 14.0  # a head turned further shows no ear on its far side
_HAIR, _HAT = PART_ID["hair"], PART_ID["hat"]
_STEPS = np.linspace(0, 1, 6)[:, None]
_EARS = (PART_ID["l_ear"], PART_ID["r_ear"])
# Where ears and the way around the head lie, from landmarks of the jaw, outwards and down in units; shares of an ear's
# box from its inner edge and its top.
_FROM_JAW = {"ear_top": (0, 0.05, 0.02), "ear_bottom": (2, 0.05, -0.06)}
_IN_EAR_BOX = {"ear_top": (0.35, 0.16), "ear_bottom": (0.3, 0.86)}
_AROUND_HEAD = ((0, 0.05, -0.06), (2, 0.07, 0.06))  # upper and lower strap: over and under the ear


class Bands(NamedTuple):
    """The bands on one side of the head.

    Attributes:
        lines: (L, 2) pixels of the crop each.
        width_px: of all.
    """

    lines: list[Points]
    width_px: float


def loop_lines(loops: Sequence[Loop], *, fit: Fit, label: Image8) -> list[Bands]:
    """Return the bands that can be seen, by side: both sides of the head where it is not turned.

    Args:
        label: (H, W) uint8 class ids; its ears are the aim where it has them, else their usual place.
    """
    if not loops:
        return []
    head = fit.head
    sides = (-1.0, 1.0) if abs(head.turn_deg) < HIDDEN_BEYOND_DEG else (-head.far_side,)
    ears = _ear_boxes(label, fit) if any(loop.end != "head" for loop in loops) else {}
    places = np.array([(side * loop.start[0], loop.start[1]) for side in sides for loop in loops])
    starts = fit.to_face(places * (ARC, 1.0)).reshape(len(sides), len(loops), 2)
    bands = []
    for side, corners in zip(sides, starts, strict=True):
        lines = []
        for order, (loop, start) in enumerate(zip(loops, corners, strict=True)):
            end = _end(loop, order, side=side, fit=fit, ears=ears)
            sag = 0.06 * abs(end[0] - start[0]) * (1 if loop.end == "ear_top" else -0.5)
            lines.append(start + (end - start) * _STEPS + (0.0, 4 * sag) * _STEPS * (1 - _STEPS))
        pixels = head.to_pixels(np.concatenate(lines))
        bands.append(Bands(list(pixels.reshape(len(loops), -1, 2)), loops[0].width * head.unit_px))
    return bands


def draw_loops(
    colour: Image8,
    alpha: Image8,
    bands: Sequence[Bands],
    *,
    corner: NDArray[np.integer],
    tint: tuple[int, ...],
    label: Image8,
    hair: bool,
) -> None:
    """Draw bands below the mask: into `alpha` where it is free, with `colour` carried on around them.

    Args:
        colour: (h, w, 3) uint8 RGB of a region, changed.
        alpha: (h, w) uint8, changed.
        corner: (x, y) of the region in the crop.
        label: (h, w) uint8 class ids.
        hair: whether labelled hair and hats lie over the bands.
    """
    dark = tuple(int(0.72 * value) for value in tint)
    for side in bands:
        width = max(1, round(side.width_px))
        part = _part(np.concatenate(side.lines) - corner, reach=width + 4, size=alpha.shape)
        below = alpha[part]
        if below.size == 0:
            continue
        offset = corner + np.array([part[1].start, part[0].start])
        fixed = list(np.rint((np.stack(side.lines) - offset) * 16).astype(np.int32))
        free = cv2.compare(below, 128, cv2.CMP_LT)
        band, around = np.zeros_like(below), np.zeros_like(below)
        cv2.polylines(band, fixed, False, min(255, round(255 * max(side.width_px, 0.4))), width, cv2.LINE_AA, 4)
        cv2.polylines(around, fixed, False, 255, width + 4, cv2.LINE_8, 4)
        beside = colour[part]
        cv2.copyTo(_filled(beside, tint if width < 4 else dark), cv2.min(around, free), beside)
        if width >= 4:
            around[:] = 0
            cv2.polylines(around, fixed, False, 255, width // 2, cv2.LINE_AA, 4)
            cv2.copyTo(_filled(beside, tint), cv2.compare(cv2.min(around, free), 127, cv2.CMP_GT), beside)
        if hair:
            band = cv2.subtract(band, cv2.inRange(label[part], _HAIR, _HAT))
        cv2.max(below, cv2.min(band, free), dst=below)


def _filled(image: Image8, colour: tuple[int, ...]) -> Image8:
    return np.full(image.shape, colour, np.uint8)


def _part(points: Points, *, reach: int, size: tuple[int, ...]) -> tuple[slice, slice]:
    low = np.floor(points.min(axis=0)).astype(int) - reach
    high = np.ceil(points.max(axis=0)).astype(int) + reach
    (left, top), (right, bottom) = np.clip(low, 0, None).tolist(), np.clip(high, 0, (size[1], size[0])).tolist()
    return slice(min(top, bottom), bottom), slice(min(left, right), right)


def _end(loop: Loop, order: int, *, side: float, fit: Fit, ears: dict[float, Points]) -> Points:
    """Return where a band leaves the view, in the frame of the head."""
    if loop.end != "head" and side in ears:
        inner, top, outer, bottom = ears[side]
        share_out, share_down = _IN_EAR_BOX[loop.end]
        return np.array([inner + share_out * (outer - inner), top + share_down * (bottom - top)])
    number, outward, down = _AROUND_HEAD[order % 2] if loop.end == "head" else _FROM_JAW[loop.end]
    jaw = fit.head.landmarks[number if side < 0 else 16 - number]
    return np.array([jaw[0] + side * outward, jaw[1] + down])


def _ear_boxes(label: Image8, fit: Fit) -> dict[float, Points]:
    """Return for each side of the head its ear's (inner x, top, outer x, bottom) in the frame of the head."""
    boxes: dict[float, Points] = {}
    for part in _EARS:
        x, y, width, height = cv2.boundingRect(cv2.inRange(label, part, part))
        if width * height == 0 or height < 0.1 * fit.head.unit_px:
            continue
        corners = fit.head.from_pixels(np.array([[x, y], [x + width - 1, y + height - 1]], np.float64))
        middle, jaw = corners[:, 0].mean(), fit.head.landmarks[[0, 16], 0]
        side = -1.0 if abs(middle - jaw[0]) < abs(middle - jaw[1]) else 1.0
        low, high = corners[:, 0].min(), corners[:, 0].max()
        edges = (high, low) if side < 0 else (low, high)
        boxes[side] = np.array([edges[0], corners[:, 1].min(), edges[1], corners[:, 1].max()])
    return boxes
