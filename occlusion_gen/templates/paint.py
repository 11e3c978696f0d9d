"""Colours on a template in the crop: fabric, second material, print; its shades and highlights stay on top."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from common.padded_warp import warp_rgb_padded
from occlusion_gen.face import Image8
from occlusion_gen.templates.sheet import SHADE_ONE, Level

_SHADES = np.arange(256)[:, None] / SHADE_ONE
# Even a black fabric has a sheen where it faces the light; a shade alone would leave it flat.
_SHEEN = np.clip((_SHADES - 0.92) * 28, 0, 40)


class Print(NamedTuple):
    """A pattern on the fabric.

    Attributes:
        texture: (s, s, 3) uint8 RGB.
        scale: its side on the template, in units of the face (nose bridge to chin).
        angle_deg: its turn, clockwise.
        shift: (2,) of its corner, shares of its side.
    """

    texture: Image8
    scale: float
    angle_deg: float
    shift: tuple[float, ...]


class Fabric(NamedTuple):
    """What a mask is made of.

    Attributes:
        body: RGB of the fabric, unused under a pattern; None leaves a photographed template as it is.
        accent: RGB of the second material: rim, valve, clip, filters.
        pattern: print on the fabric.
    """

    body: tuple[int, ...] | None
    accent: tuple[int, ...] = (255, 255, 255)
    pattern: Print | None = None


def paint_drawn(pixels: Image8, *, light: Image8, fabric: Fabric, pattern: Image8 | None) -> Image8:
    """Return the colours (h, w, 3) uint8 RGB of a drawn template.

    Args:
        pixels: (h, w, 4) uint8, see `Level`, warped to the crop.
        light: (h, w) uint8, 128 leaves the template as light as it is.
        pattern: (h, w, 3) uint8 RGB, warped to the crop; None: the fabric has its `body`.
    """
    shade, share, gloss, _ = cv2.split(pixels)
    shade = cv2.multiply(shade, light, scale=1 / 128)
    if pattern is None:
        colour = _look_up(shade, _table(fabric.body or (255, 255, 255)))
    else:
        colour = cv2.multiply(pattern, cv2.merge([shade] * 3), scale=1 / SHADE_ONE)
    if share.any():
        weight = share.astype(np.float32) * np.float32(1 / 255)
        colour = cv2.blendLinear(colour, _look_up(shade, _table(fabric.accent)), 1 - weight, weight)
    return cv2.add(colour, cv2.merge([gloss, gloss, gloss])) if gloss.any() else colour


def paint_photographed(pixels: Image8, *, light: Image8, fabric: Fabric) -> Image8:
    """Return the colours (h, w, 3) uint8 RGB of a template from a file, see `paint_drawn`; a `body` tints it."""
    colour = cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB)
    if fabric.body is not None:
        colour = _tinted(colour, fabric.body)
    return cv2.multiply(colour, cv2.merge([light, light, light]), scale=1 / 128)


def spread_pattern(pattern: Print, level: Level) -> Image8:
    """Return the pattern over a whole template, (h, w, 3); where it ends its mirror image follows: no seam shows."""
    height, width = level.canvas.size
    side_px = max(4, round(pattern.scale * level.canvas.unit_px))
    texture = pattern.texture
    if side_px < texture.shape[0]:
        texture = cv2.resize(texture, (side_px, side_px), interpolation=cv2.INTER_AREA)
    scale = side_px / texture.shape[0]
    turn = math.radians(pattern.angle_deg)
    cosine, sine = scale * math.cos(turn), scale * math.sin(turn)
    place = np.array([[cosine, -sine, pattern.shift[0] * side_px], [sine, cosine, pattern.shift[1] * side_px]])
    return warp_rgb_padded(texture, place, size=(height, width), border=cv2.BORDER_REFLECT)


def _look_up(shade: Image8, table: Image8) -> Image8:
    """Return the colour (h, w, 3) of each shade (h, w); channel by channel it takes half the time in OpenCV.

    Args:
        table: (1, 256, 3) uint8.
    """
    return cv2.merge([cv2.LUT(shade, np.ascontiguousarray(table[0, :, channel])) for channel in range(3)])


def _table(colour: tuple[int, ...]) -> Image8:
    """Return the colour under each shade, (1, 256, 3)."""
    table = np.array(colour) * _SHADES + _SHEEN
    return np.minimum(table + 0.5, 255).astype(np.uint8)[None]


def _tinted(colour: Image8, body: tuple[int, ...]) -> Image8:
    """Return a photographed fabric dyed: its shades, relative to their bright end, on the colour `body`."""
    grey = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)
    white = max(60.0, float(np.percentile(grey[::4, ::4], 80)))
    table = np.minimum(np.array(body) * (np.arange(256)[:, None] / white) + 0.5, 255).astype(np.uint8)[None]
    return _look_up(grey, table)
