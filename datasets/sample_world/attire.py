"""Neck and clothes, and the description of all that a person wears."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from common.labels import PART_ID
from datasets.sample_world.canvas import (
    Canvas,
    Field,
    Patch,
    Points,
    cover,
    linear,
    noise,
    ribbon,
    spline,
)
from datasets.sample_world.head import Head
from datasets.sample_world.lighting import SKIN_WRAP, Light, illuminate, skin_tone

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Attire:
    """What the person wears; colours are display RGB, `None` and "none" mean absent.

    Attributes:
        collar: crew, vee, shirt or turtle.
        glasses: none, round, square, aviator; `tint` 0 clear .. 1 black lenses.
        hat: none, beanie, cap or brim.
    """

    cloth: Colour = (0.3, 0.35, 0.45)
    pattern: str = "plain"
    collar: str = "crew"
    neck_width: float = 0.66
    earring: str = "none"
    metal: Colour = (0.85, 0.72, 0.40)
    necklace: bool = False
    glasses: str = "none"
    frame: Colour = (0.08, 0.07, 0.07)
    tint: float = 0.0
    hat: str = "none"
    hat_colour: Colour = (0.5, 0.2, 0.2)


def _neck_base(head: Head) -> Points:
    """Return the middle of the neck's lower end in pixels; the trunk stays upright when the head rolls."""
    hinge = head.to_photo(np.array([[0.05 * np.sin(head.pose.yaw), 0.9]]))[0]
    return hinge + np.array([-0.25 * np.sin(head.pose.roll), 1.15]) * head.unit_px


def _lit_drum(head: Head, light: Light, *, middle_px: float, half_px: float) -> Field:
    """Return the light (S, S, 3) on an upright cylinder."""
    across = (np.arange(head.size_px, dtype=np.float32)[None, :] - np.float32(middle_px)) / np.float32(half_px)
    height = cv2.sqrt(np.maximum(1.0 - np.repeat(across, 8, axis=0) ** 2, 0.02)) * np.float32(half_px)
    received, _ = illuminate(height, light, wrap=SKIN_WRAP)
    return np.repeat(received[4:5], head.size_px, axis=0)


def paint_neck(canvas: Canvas, head: Head, *, attire: Attire, depth: float, light: Light) -> None:
    """Paint neck and throat with the shadow of the chin."""
    unit, size, base = head.unit_px, head.size_px, _neck_base(head)
    wide = attire.neck_width
    top = head.to_photo(np.array([[-wide - 0.05, 0.55], [-wide, 1.05], [wide, 1.05], [wide + 0.05, 0.55]]))
    half = np.array([(wide + 0.06, -0.12), (1.5, 0.5), (1.7, 1.6)])
    low = base + np.concatenate([half, (half * [-1, 1])[::-1]]) * unit
    outline = np.concatenate([top[:2], low[::-1], top[2:]])
    patch = cover(outline, size)
    drum = _lit_drum(head, light, middle_px=float(base[0]), half_px=1.25 * wide * unit)
    canvas.paint(patch, skin_tone(depth) * drum * 0.86, part=PART_ID["neck"])
    chin = cover(head.outline + np.array([-0.12 * light.direction[0], 0.16]) * unit, size, blur_px=0.10 * unit)
    shade = np.zeros((size, size), np.float32)
    shade[patch.window] = patch.alpha
    canvas.shade(Patch(chin.window, chin.alpha * shade[chin.window]), (0.42, 0.31, 0.29))
    for side in (-1, 1):
        cord = base + np.array([[side * 0.42 * wide, -0.95], [side * 0.3 * wide, -0.4], [side * 0.08, 0.1]]) * unit
        canvas.shade(cover(ribbon(spline(cord), 0.05 * unit), size, blur_px=0.05 * unit), 0.86)


def _neckline(attire: Attire) -> Points:
    """Return the collar's edge from left to right, in head units about the base of the neck."""
    wide = attire.neck_width
    drop = {"crew": 0.10, "vee": 0.75, "shirt": 0.35, "turtle": -0.50}[attire.collar]
    rise = -0.38 if attire.collar == "turtle" else -0.18
    half = np.array([(wide + 0.10, rise), (0.5 * wide, rise + 0.6 * (drop - rise)), (0.0, drop)])
    edge = np.concatenate([half * [-1, 1], half[1::-1]])
    return edge if attire.collar in ("vee", "shirt") else spline(edge, steps=6)


def _woven(head: Head, attire: Attire, *, light: Light, rng: np.random.Generator) -> Field:
    """Return the lit colour (S, S, 3) of the clothes over the whole photo."""
    unit, size, base = head.unit_px, head.size_px, _neck_base(head)
    drum = _lit_drum(head, light, middle_px=float(base[0]), half_px=2.4 * unit)
    colour = linear(attire.cloth) * drum * (1.0 + 0.10 * noise(rng, (size, size), cells=7, octaves=3)[..., None])
    colour = colour * (1.0 + 0.06 * rng.standard_normal((size, size, 1), dtype=np.float32))
    if attire.pattern == "stripes":
        rows = (np.arange(size)[:, None] - base[1]) / unit + 0.15 * np.cos(np.arange(size)[None, :] / unit)
        colour = colour * np.where(np.sin(rows * 26) > 0.2, 0.55, 1.0).astype(np.float32)[..., None]
    return colour.astype(np.float32)


def paint_cloth(canvas: Canvas, head: Head, *, attire: Attire, light: Light, rng: np.random.Generator) -> None:
    """Paint shoulders and collar."""
    unit, size, base = head.unit_px, head.size_px, _neck_base(head)
    curve, start = base + _neckline(attire) * unit, _neckline(attire)[-1]
    shoulder = spline(np.array([start, (attire.neck_width + 0.5, 0.06), (1.7, 0.28), (2.4, 0.75), (2.6, 3.0)]), steps=6)
    outline = np.concatenate([curve, base + shoulder * unit, (base + shoulder * [-1, 1] * unit)[::-1]])
    colour = _woven(head, attire, light=light, rng=rng)
    if attire.collar != "turtle":
        canvas.shade(cover(ribbon(curve - np.array([0.0, 0.02 * unit]), 0.10 * unit), size, blur_px=0.04 * unit), 0.6)
    canvas.paint(cover(outline, size), colour, part=PART_ID["cloth"])
    rim = cover(ribbon(curve + np.array([0.0, 0.05 * unit]), 0.07 * unit), size)
    canvas.shade(Patch(rim.window, rim.alpha * 0.5), 0.6)
    if attire.collar == "shirt":
        wide = attire.neck_width
        corners = np.array([(wide + 0.08, -0.30), (0.02, 0.36), (0.40, 0.62), (wide + 0.32, -0.02)])
        for side in (-1, 1):
            wing = base + corners * [side, 1] * unit
            canvas.paint(cover(wing, size), colour * 1.12, part=PART_ID["cloth"])
            canvas.shade(cover(ribbon(wing[1:4], 0.03 * unit), size, blur_px=0.012 * unit), 0.5)


def paint_necklace(canvas: Canvas, head: Head, *, attire: Attire, light: Light) -> None:
    """Paint a chain on the throat, labelled only where it lies on the neck."""
    base, unit = _neck_base(head), head.unit_px
    wide = attire.neck_width
    half = np.array([(wide + 0.02, -0.42), (0.6 * wide, -0.16), (0.0, -0.02)])
    arc = spline(np.concatenate([half * [-1, 1], half[1::-1]]), steps=12)
    chain = cover(ribbon(base + arc * unit, 0.055 * unit), canvas.size_px)
    on_neck = (canvas.label[chain.window] == PART_ID["neck"]).astype(np.float32)
    canvas.shade(Patch(chain.window, on_neck * cv2.blur(chain.alpha, (5, 5))), 0.7)
    sparkle = 0.75 + 0.5 * (np.indices(chain.alpha.shape).sum(axis=0) % 5 < 2)
    colour = linear(attire.metal) * np.asarray(light.key, np.float32) * sparkle[..., None].astype(np.float32) * 1.3
    canvas.paint(Patch(chain.window, chain.alpha * on_neck), colour, part=PART_ID["neck_l"])
