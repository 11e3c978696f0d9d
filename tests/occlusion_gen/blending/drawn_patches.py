"""Faces and occluders drawn from random numbers, for the tests of colour and light."""

from __future__ import annotations

import cv2
import numpy as np

from common.labels import PART_ID, FacePolicy
from occlusion_gen.face import Face, Image8, Mask, Patch, make_face


def disc(height: int, width: int, *, share: float = 0.4) -> Mask:
    """Return an ellipse in the middle, (height, width) bool."""
    y, x = np.mgrid[:height, :width]
    return ((x - (width - 1) / 2) / max(share * width, 0.6)) ** 2 + (
        (y - (height - 1) / 2) / max(share * height, 0.6)
    ) ** 2 <= 1


def textured(height: int, width: int, colour: tuple[int, int, int], *, seed: int, spread: float = 25.0) -> Image8:
    """Return (height, width, 3) of one colour with smooth variation of its brightness and a little of its hue."""
    if height * width == 0:
        return np.zeros((height, width, 3), np.uint8)
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, spread, (6, 6, 1)) + rng.normal(0, spread / 4, (6, 6, 3))
    field = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    noise = rng.normal(0, 2, (height, width, 3))
    return np.clip(np.rint(np.array(colour) + field + noise), 0, 255).astype(np.uint8)


def draw_face(
    height: int = 96,
    width: int = 96,
    *,
    seed: int = 0,
    colour: tuple[int, int, int] = (190, 140, 115),
    spread: float = 25.0,
) -> Face:
    """Return a face that is an ellipse of skin before a dark background."""
    inside = disc(height, width)
    skin = textured(height, width, colour, seed=seed, spread=spread)
    image = np.where(inside[..., None], skin, np.uint8(40))
    return make_face(image, inside * np.uint8(PART_ID["skin"]), FacePolicy())


def draw_patch(
    rows: slice,
    columns: slice,
    *,
    seed: int = 1,
    colour: tuple[int, int, int] = (120, 90, 160),
    share: float = 0.4,
    spread: float = 25.0,
) -> Patch:
    """Return an elliptic occluder in the region."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    inside = disc(height, width, share=share) * np.uint8(255)
    return Patch(rows, columns, textured(height, width, colour, seed=seed, spread=spread), inside, inside)
