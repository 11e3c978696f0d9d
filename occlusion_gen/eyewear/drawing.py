"""Painting glasses into the frame of a crop: coverage, lens light, rim shading, what hair hides."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.labels import FACE_PARTS, PART_ID
from occlusion_gen.blending.compositing import empty_patch, region_around
from occlusion_gen.eyewear.head import Camera
from occlusion_gen.eyewear.shapes import PANTOSCOPIC_SLOPE, Outlines, Shape, lens_centre_x
from occlusion_gen.face import Face, Image8, Params, Patch, Points

Map = NDArray[np.float32]

ARMS_LIE_ON = (*FACE_PARTS, "eye_g", "mask")
SMOOTH_SIDE_PX = 90
# Colours that a table leads through -> what share of each belongs to its 256 places.
_HATS = {
    count: np.clip(1 - np.abs(np.linspace(0, count - 1, 256)[:, None] - np.arange(count)), 0, 1) for count in (2, 3)
}
_AROUND_LENSES = np.array([[0.0, 0, 15], [1, 0, 15], [0, 1, 15 - PANTOSCOPIC_SLOPE]])
_FINE_UP_TO_PX = (320, 1100)  # regions up to these widths are painted at four and two times their size


class _Coverage(NamedTuple):
    """Shares of the pixels of a region, (h, w) float32 in 0..1."""

    front: Map
    lenses: Map
    arms: Map


def paint_glasses(params: Params, *, shape: Shape, parts: Outlines, camera: Camera, face: Face) -> Patch:
    """Return glasses as worn by `face`, without labels: `hides` is 255 wherever half of a pixel is covered.

    Args:
        params: "slip_mm", "under_hair", "frame_colour", "metal", "lens" and "reflection", as the generator draws them.
        shape: in millimetres.
        parts: its outlines in head coordinates.
        camera: head to crop.
        face: for the size of the crop, its light and the hair.
    """
    seen = _seen(parts, camera)
    rows, columns = region_around(np.vstack([*seen.front, *seen.arms]), face.label.shape)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    if 0 in size:
        return empty_patch(rows, columns)
    corner = np.array([columns.start, rows.start], float)
    front, lenses, arms = (_fill(polygons, size, corner) for polygons in (seen.front, seen.lenses, seen.arms))
    cover = _Coverage(front, lenses, arms)
    in_sight, skin = hair_and_skin(face, rows, columns, under_hair=params["under_hair"])
    cover = _Coverage(cover.front * in_sight, cover.lenses, cover.arms * skin)
    light = _light(face.image[rows, columns])
    opacity, glass = _glass(params, shape=shape, to_lens=_to_lens_frame(camera, corner), size=size, light=light)
    solid = _rims_and_arms(cover, np.array(params["frame_colour"], float) * light, metal=params["metal"], light=light)
    colour = cv2.blendLinear(glass, solid, cover.lenses, 1 - cover.lenses)
    alpha = cover.front * (1 - cover.lenses * (1 - opacity)) + cover.arms * (1 - cover.front)
    covered = np.maximum(cover.front, cover.arms) >= 0.5
    return Patch(rows, columns, colour, _eight_bit(alpha), covered.view(np.uint8) * np.uint8(255))


def hair_and_skin(face: Face, rows: slice, columns: slice, *, under_hair: bool) -> tuple[Map, Map]:
    """Return what hats and hair leave in sight and where arms are, (h, w) float32 in 0..1, soft at the edge.

    Arms lie on skin: further back they are under hair or behind the ear. Where nothing is labelled as hair, the label
    map is one of faces alone, and they go on to where an ear would be.

    Args:
        face: whose label map tells.
        rows: of the region.
        columns: of the region.
        under_hair: whether hair falls over the front, too, as a fringe may.
    """
    label = np.ascontiguousarray(face.label[rows, columns])
    in_sight = 1 - _share_of(label, ("hair", "hat") if under_hair else ("hat",), face.side_px)
    knows_hair = (face.label == PART_ID["hair"]).any()
    return in_sight, _share_of(label, ARMS_LIE_ON, face.side_px) if knows_hair else np.ones_like(in_sight)


def _seen(parts: Outlines, camera: Camera) -> Outlines:
    """Return the outlines (L, 2) in pixels; of the arms only those whose outer side faces the camera."""
    polygons = [*parts.lenses, *parts.front, *parts.arms]
    ends = np.cumsum([len(polygon) for polygon in polygons])[:-1]
    pixels = np.split(camera.project(np.vstack(polygons)), ends)
    lenses, front, arms = pixels[:2], pixels[2:-2], pixels[-2:]
    across = camera.turn[:, 0]  # an arm is in sight if its ear is seen further out than its hinge
    arms = [arm for arm, side in zip(arms, (-1, 1), strict=True) if side * ((arm[1] - arm[0]) @ across) > 0]
    return Outlines(lenses, front, arms)


def _fill(polygons: list[Points], size: tuple[int, int], corner: Points) -> Map:
    """Return the share of each pixel of the region at `corner` that the polygons (L, 2) cover, (h, w) float32."""
    if not polygons:
        return np.zeros(size, np.float32)
    height, width = size
    fine = 4 if width <= _FINE_UP_TO_PX[0] else 2 if width <= _FINE_UP_TO_PX[1] else 1
    canvas = np.zeros((height * fine, width * fine), np.uint8)
    for polygon in polygons:
        corners = np.rint(((polygon - corner + 0.5) * fine - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(canvas, [corners], 255, lineType=cv2.LINE_8, shift=4)
    while fine > 1:  # halving twice takes a fifth of the time of one step
        fine //= 2
        canvas = cv2.resize(canvas, (width * fine, height * fine), interpolation=cv2.INTER_AREA)
    return canvas.astype(np.float32) * np.float32(1 / 255)


def _share_of(label: Image8, names: tuple[str, ...], side_px: int) -> Map:
    table = np.zeros(256, np.uint8)
    table[[PART_ID[name] for name in names]] = 255
    reach = 2 * max(1, round(side_px / 256)) + 1
    return cv2.blur(cv2.LUT(label, table), (reach, reach)).astype(np.float32) * np.float32(1 / 255)


def _light(image: Image8) -> NDArray[np.float64]:
    """Return how bright and of what tint the light of the photo is around the eyes: (3,), 1 is white light."""
    mean = np.array(cv2.mean(np.ascontiguousarray(image))[:3])
    grey = mean.mean()
    tint = (mean + 3 * grey) / 4  # skin is warm itself: most of its colour is not the light's
    return np.clip(tint / 125, 0.25, 1.25)


def _to_lens_frame(camera: Camera, corner: Points) -> NDArray[np.float64]:
    """Return the (2, 3) transform from pixels of the region to millimetres of the flat front, over both lenses."""
    middle, right, below = camera.project(_AROUND_LENSES) - corner
    (a, c), (b, d) = right - middle, below - middle
    area = a * d - b * c
    if abs(area) < 1e-9:
        return np.zeros((2, 3))
    back = np.array([[d, -b], [-c, a]]) / area
    return np.column_stack([back, -back @ middle])


def _glass(
    params: Params, *, shape: Shape, to_lens: NDArray[np.float64], size: tuple[int, int], light: NDArray[np.float64]
) -> tuple[Map, Image8]:
    """Return opacity (h, w) float32 and colour (h, w, 3) uint8 of the lenses, carried on over the whole region.

    All of it is smooth, so that large regions are worked out at a fraction of their size.
    """
    lens, reflection = params["lens"], params["reflection"]
    step = max(1, size[1] // SMOOTH_SIDE_PX)
    rows, columns = (np.arange(step / 2 - 0.5, length + step - 1, step, dtype=np.float32) for length in size)
    scale = np.array([[1 / shape.half_width], [1 / shape.half_height]])
    (a, b, c), (d, e, f) = ((to_lens - [[0, 0, 0], [0, 0, params["slip_mm"]]]) * scale).tolist()
    x = a * columns[None, :] + (b * rows + c)[:, None]  # plain numbers keep all maps at float32
    y = d * columns[None, :] + (e * rows + f)[:, None]
    local_x = x - np.copysign(np.float32(lens_centre_x(shape) / shape.half_width), x)
    turn, width = math.radians(reflection["angle_deg"]), reflection["width"]
    band = local_x * (math.cos(turn) / width) + (y * (math.sin(turn) / width) - reflection["offset"] / width)
    band *= band
    shine = reflection["band"] / (1 + band * band) + reflection["sky"] * np.clip(reflection["horizon"] - y, 0, 1)
    down = np.clip(0.5 * y + 0.5, 0, 1)
    opacity = lens["opacity"] + (lens["opacity_bottom"] - lens["opacity"]) * down * down * (3 - 2 * down)
    # A reflection adds light of its own, also over clear glass, where it is all that is seen.
    whole = opacity + (1 - opacity) * shine
    colour = _along(shine / np.maximum(whole, 1e-3), np.array(lens["colour"]) * light, np.array(lens["mirror"]) * light)
    return _enlarge(whole, step, size), _enlarge(colour, step, size)


def _rims_and_arms(cover: _Coverage, body: NDArray[np.float64], *, metal: bool, light: NDArray[np.float64]) -> Image8:
    """Return the colour (h, w, 3) uint8 of rims and arms: lit from above, shining along upper edges, dark below."""
    rims = cv2.max(cover.front - cover.lenses, cover.arms)
    soft = cv2.GaussianBlur(rims, (0, 0), max(0.6, rims.shape[1] / 260))
    slope = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=1)  # above 0 at upper edges
    share = 0.5 + 0.5 * np.clip(slope * np.float32(1.4 if metal else 0.9), -0.6, 0.8)
    highlight = body + (235 * light - body) * (0.5 if metal else 0.3)
    return _along(share, np.zeros(3), body, highlight)


def _along(share: Map, *colours: NDArray[np.float64]) -> Image8:
    """Return (h, w, 3) uint8: `share` 0..1 (h, w) led through `colours` (3,), equally spaced, by a table."""
    table = _HATS[len(colours)] @ np.array(colours)
    return cv2.applyColorMap(_eight_bit(share), np.rint(np.clip(table, 0, 255)).astype(np.uint8)[:, None])


def _enlarge(values: NDArray, step: int, size: tuple[int, int]) -> NDArray:
    """Return a map of every `step`-th pixel at the region's size (height, width)."""
    if step == 1:
        return values
    larger = (values.shape[1] * step, values.shape[0] * step)
    return cv2.resize(values, larger, interpolation=cv2.INTER_LINEAR)[: size[0], : size[1]]


def _eight_bit(share: Map) -> Image8:
    """Return shares 0..1 as 0..255 uint8, rounded."""
    return cv2.convertScaleAbs(np.clip(share, 0, 1), alpha=255.0)
