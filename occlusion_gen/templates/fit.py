"""How a mask sits on a head: the head's frame and turn from 68 landmarks, and the warp between face and template."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from common.errors import RecordError
from occlusion_gen.face import Points
from occlusion_gen.templates.frame import ARC, CHEEK_PLACES, EDGE_DEG, JAW_PLACES, KEY_PLACES, KEY_POINTS, PLACES, SLACK
from occlusion_gen.templates.spline import Matrix, apply_homography, fit_homography, fit_splines

Warp = Literal["spline", "homography"]
Seat: TypeAlias = Mapping[str, float]  # see `PROPER_SEAT`

# Where the centre and the sides of a mask begin and end, in v of the face, when it sits as it was drawn; `tighter`: of
# the width; `tilt`: of v over u.
PROPER_SEAT = {
    "top": 0.15,
    "bottom": 1.03,
    "side_top": 0.2,
    "side_bottom": 0.66,
    "tighter": 0.0,
    "tilt": 0.0,
}
SIDE_U = 0.84  # where the sides are
# Turn of the head against (l - r) / (l + r), l and r the distances of the nose tip from the edges of the jaw: a
# cylinder of radius 1 with a nose tip at 1.25 and edges at +-80 degrees, the far one replaced by the outline.
_RATIOS = (0.0, 0.22, 0.42, 0.61, 0.87, 1.1, 1.42)
_TURNS_DEG = (0.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0)
_NOSE_SHARES = np.array([[0.0], [0.1], [0.4], [1.0]])  # of the bulge, from nose bridge to tip
_FAR_JAW = {-1.0: np.arange(8), 1.0: np.arange(9, 17)}
RADIUS = 0.615  # of the cylinder, units
FRONTAL_UP_TO_DEG, VIEW_TURN_DEG = 13.0, 45.0  # published templates come in three views
MIN_UNIT_PX = 2.0
MIN_WIDTH = 0.25  # units
MIN_FAR_SHARE = 0.12
GAP = 0.05  # the far half of the jaw keeps at least this share of its width, in units


class Head(NamedTuple):
    """The frame of a head in the crop.

    Attributes:
        origin: (2,) landmark 27 in crop pixels.
        axes: (2, 2) rows: unit vectors to the head's image-right and down.
        unit_px: distance from landmark 27 to the chin.
        landmarks: (68, 2) in the frame, units.
        turn_deg: how far the face looks to image-right (> 0) or image-left (< 0), up to 90.
        far_share: how much of the far half of a mask can be seen, 0..1.
    """

    origin: Points
    axes: Points
    unit_px: float
    landmarks: Points
    turn_deg: float
    far_share: float

    @property
    def far_side(self) -> float:
        """1 where the image-right half of the face is the far one, else -1."""
        return 1.0 if self.turn_deg > 0 else -1.0

    def to_pixels(self, points: Points) -> Points:
        """Return points (L, 2) of the frame in crop pixels."""
        return self.origin + (points * self.unit_px) @ self.axes

    def from_pixels(self, points: Points) -> Points:
        """Return crop pixels (L, 2) in the frame."""
        return (points - self.origin) @ self.axes.T / self.unit_px


def read_head(landmarks: Points) -> Head:
    """Return the frame of the head.

    Args:
        landmarks: (68, 2) in crop pixels.

    Raises:
        RecordError: the points cannot be those of a face (`bad_landmarks`).
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise _bad(f"68 finite points, found an array of shape {points.shape} with {points[~np.isfinite(points)].size}")
    origin = points[27]
    down = points[8] - origin
    unit_px = float(np.hypot(*down))
    if unit_px < MIN_UNIT_PX:
        raise _bad(f"nose bridge and chin at least {MIN_UNIT_PX:g} px apart, found {unit_px:.2f} px")
    down = down / unit_px
    axes = np.array([[down[1], -down[0]], down])
    local = (points - origin) @ axes.T / unit_px
    x = local[:, 0].tolist()
    left, right, nose = sum(x[1:4]) / 3, sum(x[13:16]) / 3, x[30]
    aside = 2 * nose - left - right
    if right - left < MIN_WIDTH and abs(aside) < 2 * MIN_WIDTH:  # in a profile of 3D points both edges coincide
        raise _bad(
            f"a jaw wider than {MIN_WIDTH:g} of the face's height, found {right - left:.2f}; are points mirrored?"
        )
    ratio = aside / max(right - left, MIN_WIDTH)
    turn_deg = float(np.copysign(np.interp(abs(ratio), _RATIOS, _TURNS_DEG), ratio))
    far_share = min(1.0, max(MIN_FAR_SHARE, (90 - abs(turn_deg)) / 80))
    return Head(origin, axes, unit_px, local, turn_deg, far_share)


class PlaneMap(Protocol):
    """A map of the plane."""

    def __call__(self, points: Points, /) -> Points:
        """Return where points (L, 2) go."""
        ...


class View(NamedTuple):
    """A template that was pictured at a turn of the head, and the homography from the face's frame to that picture."""

    matrix: Matrix
    turn_deg: float

    def __call__(self, points: Points) -> Points:
        """Return which points of the unrolled template (x = u * ARC) lie on points (L, 2) of the face."""
        seen = apply_homography(self.matrix, points)
        across = np.clip(seen[:, 0] / RADIUS + math.sin(math.radians(self.turn_deg)), -1.0, 1.0)
        return np.column_stack([(np.degrees(np.arcsin(across)) - self.turn_deg) * (ARC / EDGE_DEG), seen[:, 1]])

    def back(self, template: Points) -> Points:
        """Return where points (L, 2) of the template lie on the face."""
        return apply_homography(np.linalg.inv(self.matrix), self.picture(template))

    def picture(self, template: Points) -> Points:
        """Return points (L, 2) of the unrolled template in the picture; what is turned away lies on its outline."""
        angle = np.clip(template[:, 0] * (EDGE_DEG / ARC) + self.turn_deg, -90.0, 90.0)
        across = np.sin(np.radians(angle)) - math.sin(math.radians(self.turn_deg))
        return np.column_stack([RADIUS * across, template[:, 1]])


class Fit(NamedTuple):
    """A mask's place on a head.

    Attributes:
        head: the frame.
        to_template: from the head's frame to the template, whose x is u * ARC.
        to_face: the other way.
    """

    head: Head
    to_template: PlaneMap
    to_face: PlaneMap

    def place_px(self, places: Points) -> Points:
        """Return where places (u, v) (L, 2) of the template lie in the crop, pixels."""
        return self.head.to_pixels(self.to_face(places * (ARC, 1.0)))


def fit_mask(head: Head, *, seat: Seat, bulge: float, warp: Warp) -> Fit:
    """Return the warp between face and template.

    Args:
        seat: how the mask is worn, see `PROPER_SEAT`.
        bulge: how far the template stands off mouth and nose, in units; shows on turned heads.
        warp: spline: smooth, through all controls; homography: through the six key points, as published.

    Raises:
        RecordError: the landmarks are degenerate (`bad_landmarks`).
    """
    try:
        return _fit_spline(head, seat, bulge) if warp == "spline" else _fit_homography(head, seat)
    except np.linalg.LinAlgError as error:
        raise _bad(f"points that span a face, found a degenerate set ({error})") from error


def _fit_spline(head: Head, seat: Seat, bulge: float) -> Fit:
    places = PLACES.copy()
    far = places[:, 0] * head.far_side > 0
    places[far, 0] *= head.far_share
    return Fit(head, *fit_splines(controls(head, bulge=bulge), seated(places, seat) * (ARC, 1.0), slack=SLACK))


def _fit_homography(head: Head, seat: Seat) -> Fit:
    """Return the fit of a template that was pictured at the nearest of three turns, as published ones are."""
    turn_deg = 0.0 if abs(head.turn_deg) <= FRONTAL_UP_TO_DEG else head.far_side * VIEW_TURN_DEG
    share = 1.0 if turn_deg == 0 else (90 - VIEW_TURN_DEG) / EDGE_DEG
    places = seated(np.array(list(KEY_PLACES.values())), seat) * (ARC, 1.0)
    matrix = fit_homography(head.landmarks[list(KEY_POINTS.values())], View(np.eye(3), turn_deg).picture(places))
    view = View(matrix, turn_deg)
    return Fit(head._replace(far_share=share), view, view.back)


def controls(head: Head, *, bulge: float = 0.0) -> Points:
    """Return where the controls of the warp lie in the head's frame, (32, 2), in the order of `PLACES`.

    On the far side of a turned head landmarks of a 3D model run behind the nose; there the outline takes their place,
    so that the template cannot fold over.
    """
    outward = np.array([bulge * math.sin(math.radians(head.turn_deg)), 0.0])
    jaw, nose = head.landmarks[:17].copy(), head.landmarks[27:31]
    mouth = (nose[3] + jaw[8]) / 2 + outward
    nose = nose + _NOSE_SHARES * outward
    if head.far_share < 1:
        midline = np.concatenate([nose, mouth[None], jaw[8:9]])
        midline = midline[np.argsort(midline[:, 1])]
        far = _FAR_JAW[head.far_side]
        least = head.far_side * np.interp(jaw[far, 1], midline[:, 1], midline[:, 0]) + GAP * np.abs(JAW_PLACES[far, 0])
        jaw[far, 0] = head.far_side * np.maximum(head.far_side * jaw[far, 0], least)
    return np.concatenate([jaw, nose, mouth[None], _cheeks(head, jaw)])


def _cheeks(head: Head, jaw: Points) -> Points:
    """Return points of the cheeks, which no landmark marks: on a cylinder between the face's plane and the jaw."""
    # The plane of the face runs straight from nose bridge to chin; the nose stands out of it.
    plane = CHEEK_PLACES[:, 1:] * jaw[8]
    edge = _EDGE_WEIGHTS @ jaw
    across = np.concatenate([_around(-head.turn_deg, _EDGE_SHARES[:5]), _around(head.turn_deg, _EDGE_SHARES[5:])])
    return plane + (edge - plane) * across[:, None]


def _around(turn_deg: float, share: Points) -> Points:
    """Return how far across the picture a point lies that is `share` of the way around from midline to edge.

    Args:
        turn_deg: of the head, > 0 where this half is the far one.
    """
    if turn_deg > 0:
        return share * (2 - share)  # up to the outline, where the surface turns away
    start, end = math.sin(math.radians(turn_deg)), math.sin(math.radians(turn_deg + EDGE_DEG))
    return (np.sin(np.radians(turn_deg + EDGE_DEG * share)) - start) / (end - start)


def _edge_weights() -> tuple[Points, Points]:
    """Return where the rows of `CHEEK_PLACES` meet the jaw: weights of its points (10, 17), and u as shares of it."""
    weights, shares = np.zeros((len(CHEEK_PLACES), 17)), np.zeros(len(CHEEK_PLACES))
    for row, (u, v) in enumerate(CHEEK_PLACES):
        chain = np.arange(9) if u < 0 else np.arange(16, 7, -1)  # downwards, to the chin
        for point, weight in zip(chain, np.eye(9), strict=True):
            weights[row, point] = np.interp(v, JAW_PLACES[chain, 1], weight)
        shares[row] = abs(u / (weights[row] @ JAW_PLACES[:, 0]))
    return weights, shares


_EDGE_WEIGHTS, _EDGE_SHARES = _edge_weights()


def seated(places: Points, seat: Seat) -> Points:
    """Return which places of the template lie on these places (L, 2) of the face."""
    u, v = places[:, 0], places[:, 1]
    centre = _onto(v, seat["top"], seat["bottom"], PROPER_SEAT["top"], PROPER_SEAT["bottom"])
    sides = _onto(v, seat["side_top"], seat["side_bottom"], PROPER_SEAT["side_top"], PROPER_SEAT["side_bottom"])
    share = np.minimum(np.abs(u) / SIDE_U, 1.0)
    share = share * share * (3 - 2 * share)
    return np.column_stack([u * (1 + seat["tighter"]), centre + (sides - centre) * share + seat["tilt"] * u])


def _onto(value: Points, low: float, high: float, target_low: float, target_high: float) -> Points:
    return target_low + (value - low) * ((target_high - target_low) / (high - low))


def _bad(expected: str) -> RecordError:
    return RecordError(
        f"landmarks: expected {expected}; look at the contact sheet of face_align, or drop this face",
        outcome="bad_landmarks",
    )
