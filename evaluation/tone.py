"""Brightness and skin tone of a face in its photo, so that scores can be told for dark and light faces apart.

Both are measured on the pixels of the true visible face. Light and camera change them as much as the person does: they
say how a face looks in this photo, not who is in it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE_PX = 96  # medians over some hundred pixels are settled; larger photos are averaged down to this
# Individual typology angle in degrees, upper bound of each group. Source: Del Bino et al. 2006, after Chardon 1991.
SKIN_TONES = (
    ("dark", -90.0, -30.0),
    ("brown", -30.0, 10.0),
    ("tan", 10.0, 28.0),
    ("intermediate", 28.0, 41.0),
    ("light", 41.0, 55.0),
    ("very light", 55.0, 90.0),
)


class Tone(NamedTuple):
    """Look of the visible face.

    Attributes:
        brightness: mean luma, 0..1 (Rec. 601).
        ita_deg: individual typology angle of the median colour, -90 (dark) .. 90 (light).
    """

    brightness: float
    ita_deg: float


def measure_tone(photo: NDArray[np.uint8], face: NDArray[np.bool_]) -> Tone | None:
    """Return the tone of a face; None where none of it is visible.

    Args:
        photo: (H, W, 3) uint8 RGB, taken for sRGB.
        face: (H, W) bool, the true visible face.

    Raises:
        ValueError: the sizes differ.

    Source: ITA = atan((L* - 50) / b*), Chardon et al. 1991.
    """
    if photo.shape[:2] != face.shape:
        raise ValueError(f"photo is {photo.shape[:2]}, mask of the face {face.shape} (height, width)")
    ratio = min(1.0, SIDE_PX / max(face.shape))
    size = (max(1, round(face.shape[1] * ratio)), max(1, round(face.shape[0] * ratio)))
    inside = cv2.resize(face.view(np.uint8), size, interpolation=cv2.INTER_NEAREST).view(np.bool_)
    if not inside.any():
        return None
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    pixels = np.ascontiguousarray(small[inside])[None]  # (1, M, 3)
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    lab = cv2.cvtColor(pixels.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB)[0]  # L* 0..100
    lightness, yellow = float(np.median(lab[:, 0])), float(np.median(lab[:, 2]))
    # A bluish face (b* below 0, from coloured light) has no angle of its own: it counts as b* = 0.
    angle = math.degrees(math.atan2(lightness - 50, max(yellow, 0.0)))
    return Tone(float(luma.mean()) / 255, angle)
