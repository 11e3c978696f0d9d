"""Outlines of glasses in millimetres. Lens coordinates: x away from the nose, y down, origin at the lens centre."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Points

ShapeName = Literal["aviator", "wayfarer", "round", "rectangular", "cat_eye", "sport", "rimless"]
SHAPE_NAMES: tuple[ShapeName, ...] = get_args(ShapeName)
OUTLINE_POINTS = 48
HINGE_X_MM = 68.0  # the temples, where the arms begin
_ANGLES = np.linspace(0, 2 * np.pi, OUTLINE_POINTS, endpoint=False)
_CIRCLE = np.array([np.cos(_ANGLES), np.sin(_ANGLES)])
FRONT_Z_MM = 17.0  # the front stands this far before the inner corners of the eyes
PANTOSCOPIC_SLOPE = 0.14  # the lower rim is nearer to the cheek: tangent of 8 degrees


class Shape(NamedTuple):
    """A pair of glasses. All lengths in millimetres.

    Attributes:
        half_width: of a lens.
        half_height: of a lens.
        squareness: exponent of the superellipse; 2 is an ellipse, more is squarer.
        taper: how much narrower the lens is at the bottom than in the middle, as a share.
        rise: how far the outer upper corner is drawn up.
        nose_cut: how much of the lower inner corner is missing, as a share of the height.
        rim_top: width of the rim at the top.
        rim: width of the rim elsewhere; 0 for lenses without one.
        gap: between the lenses.
        bridge: width of the bridge.
        bridge_y: height of the bridge over the lens centre, as a share of `half_height`; -1 is the top.
        top_bar: whether a second bridge joins the tops.
        radius: of the curve of the front around the face.
        arm: width of the arms.
        metal: whether it can be of metal; only metal if `rim_top` is below 2.
    """

    half_width: float
    half_height: float
    squareness: float
    taper: float
    rise: float
    nose_cut: float
    rim_top: float
    rim: float
    gap: float
    bridge: float
    bridge_y: float
    top_bar: bool
    radius: float
    arm: float
    metal: bool


SHAPES: dict[str, Shape] = {
    "aviator": Shape(28.5, 24, 2.5, 0.10, 0.5, 0.36, 1.3, 1.3, 16, 1.5, -0.42, True, 230, 2.2, True),
    "wayfarer": Shape(26.5, 20, 3.2, 0.10, 2.5, 0.20, 4.6, 3.0, 18, 4.5, -0.50, False, 300, 6.0, False),
    "round": Shape(24.5, 23.5, 2.05, 0.0, 0.0, 0.0, 1.9, 1.9, 19, 2.0, -0.35, False, 300, 2.6, True),
    "rectangular": Shape(27.5, 16.5, 4.2, 0.04, 0.8, 0.12, 3.0, 2.2, 17, 3.0, -0.40, False, 300, 4.2, True),
    "cat_eye": Shape(27, 19, 2.6, 0.07, 6.0, 0.15, 4.0, 2.0, 18, 3.0, -0.45, False, 300, 4.4, False),
    "sport": Shape(33, 18.5, 2.6, 0.08, 1.0, 0.42, 2.6, 1.2, 11, 4.5, -0.60, False, 115, 8.0, False),
    "rimless": Shape(26.5, 16.5, 3.2, 0.02, 0.5, 0.12, 0.0, 0.0, 18, 1.4, -0.30, False, 300, 1.8, True),
}


class Outlines(NamedTuple):
    """The parts of a pair of glasses as polygons (L, 3) in head coordinates.

    Attributes:
        lenses: the two openings.
        front: everything of the front that is opaque or lens: rims, bridge, end pieces; painted as one area.
        arms: of the two sides, the left of the picture first.
    """

    lenses: list[Points]
    front: list[Points]
    arms: list[Points]


def outlines(shape: Shape, *, slip_mm: float) -> Outlines:
    """Return the glasses as worn, `slip_mm` further down the nose than where the eyes look through the middle."""
    lens = lens_outline(shape)
    rim = rim_outline(lens, shape)
    hinge_y = -0.45 * shape.half_height
    arm_half = shape.arm / 2
    outer_x = lens_centre_x(shape) + float(rim[:, 0].max()) - 2.5
    end_piece = np.array(
        [[outer_x, hinge_y - arm_half], [HINGE_X_MM, hinge_y - arm_half * 0.9],
         [HINGE_X_MM, hinge_y + arm_half * 0.9], [outer_x, hinge_y + arm_half]]
    )  # fmt: skip
    centre = np.array([lens_centre_x(shape), 0.0])
    right = _onto_front(np.vstack([lens + centre, rim + centre, end_piece]), shape, slip_mm)
    left = right * (-1, 1, 1)
    ends = [len(lens), len(lens) + len(rim)]
    (left_lens, *left_front), (right_lens, *right_front) = np.split(left, ends), np.split(right, ends)
    bars = [_onto_front(bar, shape, slip_mm) for bar in _bridges(lens, shape)]
    arm = _arm(shape, hinge_y, slip_mm)
    return Outlines([left_lens, right_lens], [*left_front, *right_front, *bars], [arm * (-1, 1, 1), arm])


def lens_centre_x(shape: Shape) -> float:
    """Return how far the middle of a lens is from the middle of the nose."""
    return shape.gap / 2 + shape.half_width


def lens_outline(shape: Shape) -> Points:
    """Return the outline (L, 2) of a lens in lens coordinates: a superellipse, tapered, raised and cut."""
    x, y = np.sign(_CIRCLE) * np.abs(_CIRCLE) ** (2 / shape.squareness)
    upper, outer = (1 - y) / 2, (1 + x) / 2
    lowered = np.where(y > 0, y * (1 - shape.nose_cut * (1 - outer)), y)
    return np.column_stack(
        [x * (1 - shape.taper * y) * shape.half_width, lowered * shape.half_height - shape.rise * upper * outer**2]
    )


def rim_outline(lens: Points, shape: Shape) -> Points:
    """Return the outer edge (L, 2) of the rim: the outline `lens` (L, 2) moved outwards by the width of the rim."""
    along = np.roll(lens, -1, axis=0) - np.roll(lens, 1, axis=0)
    outwards = np.column_stack([along[:, 1], -along[:, 0]]) / np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
    topness = np.clip(-outwards[:, 1], 0, 1)
    return lens + outwards * (shape.rim + (shape.rim_top - shape.rim) * topness)[:, None]


def depth_at(x_mm: NDArray[np.float64], y_mm: NDArray[np.float64], radius_mm: float) -> NDArray[np.float64]:
    """Return z of the front: curved around the face, the lower rim leaning to the cheek."""
    return FRONT_Z_MM - x_mm**2 / (2 * radius_mm) - PANTOSCOPIC_SLOPE * y_mm


def _onto_front(points: Points, shape: Shape, slip_mm: float) -> Points:
    """Return points of the flat front (L, 2) in head coordinates (L, 3)."""
    x, y = points.T
    return np.column_stack([x, y + slip_mm, depth_at(x, y, shape.radius)])


def _bridges(lens: Points, shape: Shape) -> list[Points]:
    inner = shape.gap / 2 + 1.5  # reaches into the rim
    level = shape.bridge_y * shape.half_height
    x = np.linspace(-1, 1, 9)
    bow = -0.10 * shape.gap * (1 - x**2)  # bridges are arched
    spread = 1 + 0.5 * np.abs(x) ** 3  # and wider where they meet the rim
    bars = [_strip(x * (inner + _inset(lens, level)), level + bow, shape.bridge * spread)]
    if shape.top_bar:
        top = -0.93 * shape.half_height
        bars.append(_strip(x * (inner + _inset(lens, top)), np.full(9, top), np.full(9, shape.bridge)))
    return bars


def _inset(lens: Points, level: float) -> float:
    """Return how far the inner edge of the lens lies behind its innermost point, at height `level`."""
    inner = lens[lens[:, 0] < 0]
    return float(inner[np.abs(inner[:, 1] - level).argmin(), 0] - lens[:, 0].min())


def _strip(x: Points, y: Points, width: Points) -> Points:
    upper, lower = np.column_stack([x, y - width / 2]), np.column_stack([x, y + width / 2])
    return np.vstack([upper, lower[::-1]])


def _arm(shape: Shape, hinge_y: float, slip_mm: float) -> Points:
    """Return the right arm (4, 3), from the hinge back to the ear."""
    half = shape.arm / 2
    hinge_z = float(depth_at(np.array(HINGE_X_MM), np.array(hinge_y), shape.radius))
    front, back = (HINGE_X_MM, hinge_y + slip_mm, hinge_z), (73.0, hinge_y + 1.0, -88.0)
    return np.array(
        [(front[0], front[1] - half, front[2]), (back[0], back[1] - half * 0.7, back[2]),
         (back[0], back[1] + half * 0.7, back[2]), (front[0], front[1] + half, front[2])]
    )  # fmt: skip
