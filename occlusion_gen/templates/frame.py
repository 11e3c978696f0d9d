"""The frame that mask templates are drawn in: an unrolled face, on which the 68 landmarks have fixed places.

A place is (u, v). u runs around the head: 0 on the midline, -1 and 1 in front of the image-left and image-right ear. v
runs down: 0 between the eyes (landmark 27), 1 at the chin (landmark 8). One unit of v is one unit of length; one unit
of u is `ARC` units, since the side of a head is an arc of about 80 degrees.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Points

ARC = 0.86
EDGE_DEG = 80.0  # how far around the head u = 1 lies
LOW_U, HIGH_U, LOW_V, HIGH_V = -1.02, 1.02, 0.04, 1.14  # the part of the frame that a template covers

# Mean of 68 near-frontal faces with landmarks set by hand, made symmetric; u from x as on a cylinder of radius 0.615.
_JAW = ((1.02, 0.036), (0.96, 0.198), (0.88, 0.356), (0.8, 0.514), (0.675, 0.662), (0.52, 0.789), (0.35, 0.891),
        (0.18, 0.973))  # fmt: skip
JAW_PLACES = np.array([(-u, v) for u, v in _JAW] + [(0.0, 1.0)] + [(u, v) for u, v in reversed(_JAW)])
NOSE_PLACES = np.array([(0.0, 0.0), (0.0, 0.101), (0.0, 0.2), (0.0, 0.303)])  # landmarks 27-30
MOUTH_PLACE = np.array([(0.0, 0.65)])  # a mask spans the mouth: half-way between nose tip and chin
_CHEEK = ((0.2, 0.12), (0.45, 0.1), (0.45, 0.35), (0.45, 0.6), (0.45, 0.82))
CHEEK_PLACES = np.array([(side * u, v) for side in (-1, 1) for u, v in _CHEEK])
PLACES = np.concatenate([JAW_PLACES, NOSE_PLACES, MOUTH_PLACE, CHEEK_PLACES])  # (32, 2), the controls of the warp
# A mask follows the jaw and the bridge of the nose, and spans the rest: how loosely each control is followed.
SLACK = np.concatenate([np.full(17, 0.004), [0.02, 0.005, 0.04, 0.08], [0.04], np.full(len(CHEEK_PLACES), 0.04)])

# The six key points of published mask templates: names, and their landmarks.
KEY_POINTS = {"nose": 28, "left_top": 2, "right_top": 14, "left_bottom": 5, "right_bottom": 11, "chin": 8}
KEY_PLACES = {
    name: NOSE_PLACES[landmark - 27] if landmark >= 27 else JAW_PLACES[landmark]
    for name, landmark in KEY_POINTS.items()
}


class Canvas(NamedTuple):
    """The pixels of a template: `unit_px` is the length of one unit."""

    unit_px: float

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return round((HIGH_V - LOW_V) * self.unit_px), round((HIGH_U - LOW_U) * ARC * self.unit_px)

    def to_pixels(self, places: Points) -> Points:
        """Return places (..., 2) as (x, y) pixels of the canvas."""
        return (np.asarray(places) - (LOW_U, LOW_V)) * (ARC * self.unit_px, self.unit_px) - 0.5

    def from_pixels(self, pixels: Points) -> Points:
        """Return (x, y) pixels (..., 2) of the canvas as places."""
        return (np.asarray(pixels) + 0.5) / (ARC * self.unit_px, self.unit_px) + (LOW_U, LOW_V)

    def grid(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return u (1, w) and v (h, 1) of the pixel centres, to be broadcast."""
        height, width = self.size
        u = LOW_U + (np.arange(width, dtype=np.float32) + 0.5) / (ARC * self.unit_px)
        v = LOW_V + (np.arange(height, dtype=np.float32) + 0.5) / self.unit_px
        return u[None, :].astype(np.float32), v[:, None].astype(np.float32)
