"""Key points of a mask template that nobody marked, from its silhouette."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Points
from occlusion_gen.templates.frame import EDGE_DEG, JAW_PLACES

VIEWED_FROM_SIDE = 0.56  # how much of the far half a template shows that was photographed from the side, at 45 degrees
TOP_V, BOTTOM_V = 0.13, 1.045  # where masks begin and end on the midline
CORNER = (0.84, 0.22)  # where the upper corner of a mask with corners lies
CUP_U = 0.72  # half the width of a mask without
LOW_CORNER = (0.72, 0.66)  # and its lower one
STRAP_SHARE = 0.06  # bands thinner than this share of the width are straps


def derive_points(opaque: NDArray[np.bool_], *, view: str) -> tuple[Points, Points]:
    """Return points of a template, pixels (L, 2), and their places (u, v) on the face (L, 2).

    Args:
        opaque: (H, W) where the template is.
        view: frontal, or left or right for one that was photographed from the side.
    """
    body = _without_straps(opaque)
    if view == "frontal":
        return _frontal(body)
    flipped = view == "right"
    pixels, places = _from_side(np.ascontiguousarray(body[:, ::-1]) if flipped else body)
    if flipped:
        pixels[:, 0], places[:, 0] = body.shape[1] - 1 - pixels[:, 0], -places[:, 0]
    return pixels, places


def _frontal(body: NDArray[np.bool_]) -> tuple[Points, Points]:
    """Return six points: both ends of the midline and four corners, where the outline is furthest out."""
    left, top, right, bottom = _box(body)
    middle = (left + right) / 2
    pixels = [_column_end(body, middle, top=True), _column_end(body, middle, top=False)]
    places = [(0.0, TOP_V), (0.0, BOTTOM_V)]
    for side in (-1, 1):
        upper, lower = _furthest(body, (side, -0.6)), _furthest(body, (side, 0.8))
        down = (upper[1] - top) / (bottom - top)
        place = CORNER if down < 0.38 else (CUP_U, TOP_V + (BOTTOM_V - TOP_V) * down)
        # A picture from the front shows the sides of the head foreshortened.
        across = min(1.0, abs(2 * (lower[0] - middle) / (right - left)))
        low_u = place[0] * np.degrees(np.arcsin(across * np.sin(np.radians(EDGE_DEG)))) / EDGE_DEG
        pixels += [upper, lower]
        places += [(side * place[0], place[1]), (side * low_u, _jaw_v(low_u) + 0.03)]
    return np.array(pixels), np.array(places)


def _from_side(body: NDArray[np.bool_]) -> tuple[Points, Points]:
    """Return five points of a mask whose wearer looks to image-left."""
    left, top, right, bottom = _box(body)
    far = _furthest(body, (-1.0, 0.0))
    far_v = TOP_V + (BOTTOM_V - TOP_V) * (far[1] - top) / (bottom - top)
    pixels = [
        _column_end(body, left + 0.25 * (right - left), top=True),
        _column_end(body, left + 0.3 * (right - left), top=False),
        far,
        _furthest(body, (1.0, -0.6)),
        _furthest(body, (1.0, 0.6)),
    ]
    middle = left + 0.28 * (right - left)
    span = right - middle
    high_u, low_u = CORNER[0] * (pixels[3][0] - middle) / span, LOW_CORNER[0] * (pixels[4][0] - middle) / span
    far_u = -VIEWED_FROM_SIDE * float(np.interp(far_v, JAW_PLACES[:9, 1], -JAW_PLACES[:9, 0]))
    places = [(0.0, TOP_V), (0.0, BOTTOM_V), (far_u, far_v), (high_u, CORNER[1]), (low_u, LOW_CORNER[1])]
    return np.array(pixels), np.array(places)


def _without_straps(opaque: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest part that is left when thin bands are taken away; all of it where nothing would be left."""
    reach = max(3, round(STRAP_SHARE * max(opaque.shape)) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    padded = cv2.copyMakeBorder(opaque.astype(np.uint8), reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=0)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)[reach:-reach, reach:-reach]
    count, parts, statistics, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return opaque
    return parts == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())


def _box(body: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    return float(columns[0]), float(rows[0]), float(max(columns[-1], columns[0] + 1)), float(max(rows[-1], rows[0] + 1))


def _column_end(body: NDArray[np.bool_], x: float, *, top: bool) -> tuple[float, float]:
    column = round(x)
    rows = np.flatnonzero(body[:, column])
    if rows.size == 0:
        rows = np.flatnonzero(body.any(axis=1))
    return float(column), float(rows[0] if top else rows[-1])


def _furthest(body: NDArray[np.bool_], direction: tuple[float, float]) -> tuple[float, float]:
    """Return the outermost pixel in a direction, measured in shares of the box."""
    left, top, right, bottom = _box(body)
    y, x = np.nonzero(body)
    reach = direction[0] * x / (right - left) + direction[1] * y / (bottom - top)
    best = int(reach.argmax())
    return float(x[best]), float(y[best])


def _jaw_v(u: float) -> float:
    return float(np.interp(u, JAW_PLACES[8:, 0], JAW_PLACES[8:, 1]))
