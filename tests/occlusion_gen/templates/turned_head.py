"""A head in three dimensions with the 68 landmarks on it, seen at any turn, at any size and place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.labels import PART_ID, FacePolicy
from occlusion_gen.face import Face, make_face
from tests.tiny_world import SIDE, points68

SKIN_RGB = (188, 140, 112)
_RADIUS = 80.0  # of the head, pixels of the frame of `points68`
_UNIT_PX = 130.0  # nose bridge to chin
# The jaw of a mean face, image-left, from ear to chin, in units from the nose bridge.
_JAW = np.array([(0.61, 0.04), (0.6, 0.2), (0.58, 0.36), (0.55, 0.51), (0.5, 0.66), (0.41, 0.79), (0.29, 0.89),
                 (0.15, 0.97), (0.0, 1.0)])  # fmt: skip
_NOSE_PX = np.array([12.0, 22.0, 32.0, 42.0])  # how far landmarks 27-30 stand out of the face


def turned_points(yaw_deg: float, *, side_px: int = SIDE, shift: tuple[float, float] = (0, 0)) -> NDArray[np.float64]:
    """Return the landmarks (68, 2) of a head that looks `yaw_deg` to image-right, in a crop of `side_px`."""
    flat = points68()
    flat[:9] = (128, 96) + _UNIT_PX * _JAW * (-1, 1)
    flat[9:17] = (128, 96) + _UNIT_PX * _JAW[7::-1]
    x, y = flat[:, 0] - 128, flat[:, 1]
    depth = np.sqrt(np.maximum(_RADIUS**2 - x**2, 0))
    depth[27:31] += _NOSE_PX
    depth[31:36] += 18
    depth[5:12] += 0.25 * (y[5:12] - y[4])
    angle = np.radians(yaw_deg)
    turned = np.column_stack([np.cos(angle) * x + np.sin(angle) * depth + 128 - 30 * np.sin(angle), y])
    scale = side_px / SIDE
    return (turned + 0.5) * scale - 0.5 + np.array(shift)


def face_with(
    points: NDArray[np.float64] | None, *, side_px: int = SIDE, image: NDArray[np.uint8] | None = None
) -> Face:
    """Return a face of plain skin, all of the crop, with these landmarks."""
    if image is None:
        image = np.full((side_px, side_px, 3), SKIN_RGB, np.uint8)
    label = np.full(image.shape[:2], PART_ID["skin"], np.uint8)
    return make_face(image, label, FacePolicy(), landmarks=points)
