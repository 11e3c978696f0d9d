"""Where an occluder lands: size, stretch, turn and centre, in one affine transform."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, compose
from occlusion_gen.face import Box, Params

MOST_MOVED = 1.0  # halves of an occluder that it is moved back at most


def draw_placement(rng: np.random.Generator, box: Box, *, area: tuple[float, float], affine_share: float) -> Params:
    """Return the random decisions about size, shape and place.

    Args:
        box: bounding box of the face mask.
        area: range of (occluder box area / face box area).
        affine_share: probability of stretch, rotation and shear.

    Source: Voo et al. 2022 (NatOcc), with the ranges of the published configuration.
    """
    changed = rng.random() < affine_share
    stretch, rotation, shear = rng.uniform(0.8, 1.2, 2), rng.uniform(-15, 15), rng.uniform(-8, 8, 2)
    return {
        "area": round(float(rng.uniform(*area)), 5),
        "stretch": [round(float(value), 5) for value in stretch] if changed else [1.0, 1.0],
        "rotation_deg": round(float(rotation), 3) if changed else 0.0,
        "shear_deg": [round(float(value), 3) for value in shear] if changed else [0.0, 0.0],
        "centre_px": [
            round(float(box.x + rng.random() * (box.width - 1)), 2),
            round(float(box.y + rng.random() * (box.height - 1)), 2),
        ],
    }


def occluder_to_crop(
    params: Params, *, occluder_size: tuple[int, int], box: Box, rotate_toward_face: bool, from_outside: bool = False
) -> Affine:
    """Return the transform from occluder pixels to crop pixels.

    Args:
        params: from `draw_placement`.
        occluder_size: (height, width) of the occluder, which is cut to its mask's box.
        box: bounding box of the face mask.
        rotate_toward_face: turn the occluder's downward direction to the centre of `box`.
        from_outside: move the occluder back, against its downward direction, until its upper end leaves `box` or half
            of it is gone: no wrist ends on a cheek.
    """
    height, width = occluder_size
    scale = math.sqrt(box.width * box.height / (width * height) * params["area"])
    stretch_x, stretch_y = params["stretch"]
    shear_x, shear_y = (math.tan(math.radians(angle)) for angle in params["shear_deg"])
    shape = np.array([[1.0, shear_x], [shear_y, 1.0]]) @ np.diag([scale * stretch_x, scale * stretch_y])
    linear = _rotation(params["rotation_deg"]) @ shape
    centre_x, centre_y = params["centre_px"]
    if rotate_toward_face:
        face_x, face_y = box.x + (box.width - 1) / 2, box.y + (box.height - 1) / 2
        theta_deg = math.degrees(math.atan2(centre_y - face_y, centre_x - face_x))
        linear = _rotation(theta_deg + 90) @ linear
    if from_outside:
        back = linear @ np.array([0.0, -(height - 1) / 2])  # from the middle of the occluder to its upper end
        share = _way_out(np.array([centre_x, centre_y]) + back, back, box)
        centre_x, centre_y = np.array([centre_x, centre_y]) + min(share, MOST_MOVED) * back
    to_origin = np.array([[1.0, 0.0, -(width - 1) / 2], [0.0, 1.0, -(height - 1) / 2]])
    place = np.hstack([linear, [[centre_x], [centre_y]]])
    return compose(place, to_origin)


def _way_out(point: NDArray[np.float64], way: NDArray[np.float64], box: Box) -> float:
    """Return how many times `way` leads from `point` out of `box`; 0 where it is outside."""
    low = np.array([box.x, box.y], np.float64)
    high = low + np.array([box.width, box.height])
    if ((point < low) | (point > high)).any():
        return 0.0
    with np.errstate(divide="ignore"):
        shares = np.where(way > 0, (high - point) / way, (low - point) / way)
    return float(shares[way != 0].min(initial=np.inf))


def _rotation(angle_deg: float) -> Affine:
    """Return the matrix (2, 2) that turns clockwise on the screen, where y points down."""
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[cosine, -sine], [sine, cosine]])
