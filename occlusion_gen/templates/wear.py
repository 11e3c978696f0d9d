"""Puts a template on a head: region, warp, far side, hair and glasses in front, loops."""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.labels import PART_ID
from occlusion_gen.face import Face, Image8, Patch, Points
from occlusion_gen.templates.fit import Fit
from occlusion_gen.templates.frame import ARC, EDGE_DEG, JAW_PLACES, Canvas
from occlusion_gen.templates.loops import draw_loops, loop_lines
from occlusion_gen.templates.paint import Fabric, paint_drawn, paint_photographed, spread_pattern
from occlusion_gen.templates.sheet import Level, Sheet

NODES = 10  # of the coarse warp along each side of the region; the template is smooth, and so is the warp between them
NODE_STEPS, WEIGHT_STEPS = 64, 2**16  # to a pixel of the template, and to a weight of 1
FAR_PX = 8192.0  # beyond every template
MARGIN_PX = 3
HAIR_FROM_U = 0.45  # hair lies in front of a mask only at the cheeks; on nose and mouth a label "hair" is a beard
HAIR_UP_TO_V = 0.9
_FAR_JAW = JAW_PLACES[:7:-1]  # downwards, to the chin
_ORDER = np.arange(NODES + 4) - 1  # of the nodes; two on each side stand outside the region
_GRID = (len(_ORDER), len(_ORDER))
_GLASSES, _HAIR = PART_ID["eye_g"], PART_ID["hair"]


class Look(NamedTuple):
    """How a template looks on one face.

    Attributes:
        fabric: its colours.
        loop_colour: RGB; None leaves the loops away.
        hair_in_front: whether labelled hair at the cheeks lies over mask and loops.
    """

    fabric: Fabric
    loop_colour: tuple[int, ...] | None
    hair_in_front: bool


class _Map(NamedTuple):
    """Where each pixel of the region lies on the template, and how light it is there (128: as it is)."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    light: Image8


def wear(face: Face, *, fit: Fit, sheet: Sheet, look: Look) -> Patch:
    """Return the template on the face."""
    border = fit.place_px(_visible_border(sheet, fit))
    bands = [] if look.loop_colour is None else loop_lines(sheet.loops, fit=fit, label=face.label)
    extent = np.concatenate([border, *(line for side in bands for line in side.lines)])
    rows, columns = _region(extent, face.label.shape)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    if min(size) <= 0:
        nothing = np.zeros((0, 0), np.uint8)
        return Patch(slice(0, 0), slice(0, 0), np.zeros((0, 0, 3), np.uint8), nothing, nothing)
    corner = np.array([columns.start, rows.start])
    level = sheet.level(fit.head.unit_px)
    warp = _map(fit, canvas=level.canvas, rows=rows, columns=columns)
    sheet_pixels = level.pixels.copy()  # read in order, which brings into the caches what is then read across
    pixels = cv2.remap(sheet_pixels, warp.x, warp.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    kept = _filled([border, *_span(sheet, fit)], corner=corner, size=size)
    alpha = cv2.min(cv2.extractChannel(pixels, 3), kept)
    colour = _painted(pixels, warp=warp, level=level, drawn=sheet.drawn, fabric=look.fabric)
    label = face.label[rows, columns]
    _put_in_front(alpha, label, warp=warp, canvas=level.canvas, hair=look.hair_in_front)
    if look.loop_colour is not None:
        draw_loops(colour, alpha, bands, corner=corner, tint=look.loop_colour, label=label, hair=look.hair_in_front)
    hides = cv2.threshold(alpha, 127, 255, cv2.THRESH_BINARY)[1]
    return Patch(rows, columns, colour, alpha, hides)


def _painted(pixels: Image8, *, warp: _Map, level: Level, drawn: bool, fabric: Fabric) -> Image8:
    if not drawn:
        return paint_photographed(pixels, light=warp.light, fabric=fabric)
    pattern = None
    if fabric.pattern is not None:
        whole = spread_pattern(fabric.pattern, level)
        pattern = cv2.remap(whole, warp.x, warp.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return paint_drawn(pixels, light=warp.light, fabric=fabric, pattern=pattern)


def _visible_border(sheet: Sheet, fit: Fit) -> Points:
    """Return a line around the template that cuts off what lies behind the outline of a turned head, as places.

    Elsewhere it keeps a distance from the template, whose own alpha draws the edge.
    """
    border = (sheet.border - (0.0, 0.6)) * 1.2 + (0.0, 0.6)
    share = fit.head.far_share
    if share < 1 and sheet.whole:
        side = fit.head.far_side
        jaw = np.interp(border[:, 1], _FAR_JAW[:, 1], _FAR_JAW[:, 0])
        slack = sheet.thickness / ARC + 0.25 * max(0.0, (share - 0.6) / 0.4)
        limit = share * jaw + slack
        far = side * border[:, 0]
        border[:, 0] = side * np.minimum(far, limit)
    return border


def _region(extent: Points, size: tuple[int, ...]) -> tuple[slice, slice]:
    limit = np.array([size[1], size[0]])
    low = np.clip(np.floor(extent.min(axis=0)).astype(int) - MARGIN_PX, 0, limit)
    high = np.clip(np.ceil(extent.max(axis=0)).astype(int) + MARGIN_PX + 1, 0, limit)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def _map(fit: Fit, *, canvas: Canvas, rows: slice, columns: slice) -> _Map:
    """Return the dense warp: exact at the nodes of a coarse grid, cubic between them."""
    down, across = _weights(rows.stop - rows.start), _weights(columns.stop - columns.start)
    x = columns.start - 0.5 + (_ORDER - 0.5) * ((columns.stop - columns.start) / NODES)
    y = rows.start - 0.5 + (_ORDER - 0.5) * ((rows.stop - rows.start) / NODES)
    nodes = np.stack([np.tile(x, len(_ORDER)), np.repeat(y, len(_ORDER))], axis=1)
    places = fit.to_template(fit.head.from_pixels(nodes)) / (ARC, 1.0)
    shade = 128 * _turn_shade(places[:, 0], turn_deg=fit.head.turn_deg).reshape(_GRID)
    pixels = np.clip(canvas.to_pixels(places), -FAR_PX, FAR_PX)
    # Whole numbers below 2**53 are multiplied and added without rounding: no thread count can change a byte.
    coarse = np.rint(np.stack([pixels[:, 0].reshape(_GRID), pixels[:, 1].reshape(_GRID), shade]) * NODE_STEPS)
    coarse *= 1 / (NODE_STEPS * WEIGHT_STEPS**2)  # a power of two, so that the sums stay exact
    dense_x, dense_y, light = (down @ coarse @ across.T).astype(np.float32)
    return _Map(dense_x, dense_y, cv2.convertScaleAbs(light))


@functools.lru_cache(maxsize=1024)
def _weights(count: int) -> Points:
    """Return how much each node weighs in each of `count` pixels in a row, (count, NODES + 4), in `WEIGHT_STEPS`.

    cv2.resize has a cubic of its own (a = -0.75), under which straight lines ripple.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.5.
    """
    place = (np.arange(count) + 0.5) * (NODES / count) + 0.5  # node k lies at k
    distance = np.abs(place[:, None] - _ORDER)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.rint(np.where(distance < 1, near, np.where(distance < 2, far, 0.0)) * WEIGHT_STEPS)
    weights[np.arange(count), weights.argmax(axis=1)] += WEIGHT_STEPS - weights.sum(axis=1)
    return weights


def _turn_shade(u: Points, *, turn_deg: float) -> Points:
    """Return how much darker the mask is where it turns away from the viewer, 1 where it faces him."""
    facing = np.cos(np.radians(np.clip(u * EDGE_DEG + turn_deg, -90.0, 90.0)))
    return 0.84 + 0.2 * facing


def _span(sheet: Sheet, fit: Fit) -> list[Points]:
    """Return the part of a turned head that a mask spans whatever the outline says: from nose to chin, as a polygon."""
    if fit.head.far_share == 1:
        return []
    points = fit.head.landmarks[[28, 29, 30, 33, 8]]
    outward = points + np.array([fit.head.far_side * sheet.thickness, 0.0])
    hull = cv2.convexHull(np.concatenate([points, outward]).astype(np.float32))[:, 0]
    return [fit.head.to_pixels(hull.astype(np.float64))]


def _filled(polygons: list[Points], *, corner: NDArray[np.integer], size: tuple[int, int]) -> Image8:
    mask = np.zeros(size, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.rint((polygon - corner) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def _put_in_front(alpha: Image8, label: Image8, *, warp: _Map, canvas: Canvas, hair: bool) -> None:
    """Take out of `alpha` what lies over a mask: glasses, and hair at the cheeks."""
    glasses = cv2.inRange(label, _GLASSES, _GLASSES)
    if cv2.countNonZero(glasses):
        alpha[glasses > 0] = 0
    strands = cv2.inRange(label, _HAIR, _HAIR)
    if not hair or not cv2.countNonZero(strands):
        return
    (left, low), (right, _) = canvas.to_pixels(np.array([[-HAIR_FROM_U, HAIR_UP_TO_V], [HAIR_FROM_U, HAIR_UP_TO_V]]))
    beside = cv2.bitwise_not(cv2.inRange(warp.x, float(left), float(right)))
    high = cv2.compare(warp.y, float(low), cv2.CMP_LT)
    cv2.subtract(alpha, cv2.min(cv2.min(strands, beside), high), dst=alpha)
