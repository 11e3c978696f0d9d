"""What surrounds the face: neck, clothes, ears with rings, necklace, glasses and hats."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from common.labels import PART_ID
from datasets.sample_world.canvas import Canvas, Field, Patch, Points, cover, ellipse, linear, noise, ribbon, spline
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


def paint_neck(canvas: Canvas, head: Head, attire: Attire, *, depth: float, light: Light) -> None:
    """Paint neck and throat with the shadow of the chin."""
    unit, size, base = head.unit_px, head.size_px, _neck_base(head)
    wide = attire.neck_width
    top = head.to_photo(np.array([[-wide - 0.05, 0.55], [-wide, 1.05], [wide, 1.05], [wide + 0.05, 0.55]]))
    low = base + np.array([[wide + 0.06, -0.12], [1.5, 0.5], [1.7, 1.6], [-1.7, 1.6], [-1.5, 0.5], [-wide - 0.06, -0.12]]) * unit
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


def paint_cloth(canvas: Canvas, head: Head, attire: Attire, *, light: Light, rng: np.random.Generator) -> None:
    """Paint shoulders and collar."""
    unit, size, base = head.unit_px, head.size_px, _neck_base(head)
    wide = attire.neck_width
    drop = {"crew": 0.10, "vee": 0.75, "shirt": 0.35, "turtle": -0.50}[attire.collar]
    rise = -0.38 if attire.collar == "turtle" else -0.18
    neckline = np.array([[-wide - 0.10, rise], [-0.5 * wide, rise + 0.6 * (drop - rise)], [0.0, drop],
                         [0.5 * wide, rise + 0.6 * (drop - rise)], [wide + 0.10, rise]])  # fmt: skip
    curve = neckline if attire.collar in ("vee", "shirt") else spline(neckline, steps=6)
    shoulder = spline(np.array([[wide + 0.10, rise], [wide + 0.5, 0.06], [1.7, 0.28], [2.4, 0.75], [2.6, 3.0]]), steps=6)
    outline = base + np.concatenate([curve, shoulder, (shoulder * np.array([-1, 1]))[::-1]]) * unit
    patch = cover(outline, size)
    weave = noise(rng, (size, size), cells=7, octaves=3)[..., None]
    drum = _lit_drum(head, light, middle_px=float(base[0]), half_px=2.4 * unit)
    colour = linear(attire.cloth) * drum * (1.0 + 0.10 * weave)
    colour = colour * (1.0 + 0.06 * rng.standard_normal((size, size, 1), dtype=np.float32))
    if attire.pattern == "stripes":
        rows = (np.arange(size)[:, None] - base[1]) / unit + 0.15 * np.cos(np.arange(size)[None, :] / unit)
        colour = colour * np.where(np.sin(rows * 26) > 0.2, 0.55, 1.0).astype(np.float32)[..., None]
    if attire.collar != "turtle":
        edge = cover(ribbon(base + curve * unit + np.array([0.0, -0.02 * unit]), 0.10 * unit), size, blur_px=0.04 * unit)
        canvas.shade(edge, 0.6)
    canvas.paint(patch, colour, part=PART_ID["cloth"])
    rim = cover(ribbon(base + curve * unit + np.array([0.0, 0.05 * unit]), 0.07 * unit), size)
    canvas.shade(Patch(rim.window, rim.alpha * 0.5), 0.6)
    if attire.collar == "shirt":
        for side in (-1, 1):
            wing = base + np.array([[side * (wide + 0.08), -0.30], [side * 0.02, 0.36], [side * 0.40, 0.62], [side * (wide + 0.32), -0.02]]) * unit
            canvas.paint(cover(wing, size), colour * 1.12, part=PART_ID["cloth"])
            canvas.shade(cover(ribbon(wing[1:4], 0.03 * unit), size, blur_px=0.012 * unit), 0.5)


def paint_necklace(canvas: Canvas, head: Head, attire: Attire, *, light: Light) -> None:
    """Paint a chain on the throat, labelled only where it lies on the neck."""
    base, unit = _neck_base(head), head.unit_px
    wide = attire.neck_width
    arc = spline(np.array([[-wide - 0.02, -0.42], [-0.6 * wide, -0.16], [0.0, -0.02], [0.6 * wide, -0.16], [wide + 0.02, -0.42]]), steps=12)
    chain = cover(ribbon(base + arc * unit, 0.055 * unit), canvas.size_px)
    on_neck = (canvas.label[chain.window] == PART_ID["neck"]).astype(np.float32)
    canvas.shade(Patch(chain.window, on_neck * cv2.blur(chain.alpha, (5, 5))), 0.7)
    sparkle = 0.75 + 0.5 * (np.indices(chain.alpha.shape).sum(axis=0) % 5 < 2)
    colour = linear(attire.metal) * np.asarray(light.key, np.float32) * sparkle[..., None].astype(np.float32) * 1.3
    canvas.paint(Patch(chain.window, chain.alpha * on_neck), colour, part=PART_ID["neck_l"])


def ear_centre(head: Head, side: int) -> tuple[Points, float]:
    """Return the flat middle of an ear and how much of its width is seen, 0..1."""
    y, left, right = head.edges
    away = side * np.sin(head.pose.yaw)
    seen = float(np.clip(1.0 - 2.6 * max(away, 0.0), 0.0, 1.0)) * (1 + 0.5 * max(-away, 0.0))
    edge = np.interp(0.14, y, left if side < 0 else right)
    return np.array([edge + side * 0.055 * head.shape.ear_size * seen, 0.14]), seen


def paint_ears(canvas: Canvas, head: Head, attire: Attire, *, depth: float, light: Light) -> None:
    """Paint the ears behind the cheeks, and what hangs from them."""
    unit, size, scale = head.unit_px, head.size_px, head.shape.ear_size
    glow = np.asarray(light.ambient, np.float32)
    for side, part in ((-1, "l_ear"), (1, "r_ear")):
        centre, seen = ear_centre(head, side)
        if seen < 0.15:
            continue
        lit = 0.55 + 0.45 * np.clip(side * light.direction[0] + 0.5, 0.0, 1.0)
        tone = skin_tone(depth) * (np.asarray(light.key, np.float32) * lit + glow) * np.array([0.98, 0.83, 0.80], np.float32)
        shape = np.array([(0.0, -0.30), (0.10, -0.29), (0.155, -0.15), (0.135, 0.04), (0.085, 0.17), (0.03, 0.285), (-0.03, 0.25), (-0.08, 0.0)])
        points = spline(shape * np.array([side * max(seen, 0.3), 1.0]) * scale + centre, closed=True)
        canvas.paint(cover(head.to_photo(points), size), tone, part=PART_ID[part])
        for inner, strength in (((0.055, 0.15), 0.50), ((0.03, 0.07), 0.40)):
            hollow = ellipse(centre + np.array([side * 0.035, -0.05]) * scale, (inner[0] * seen * scale, inner[1] * scale))
            canvas.shade(cover(head.to_photo(hollow), size, blur_px=0.022 * unit), (1 - 0.5 * strength, 1 - 0.85 * strength, 1 - 0.85 * strength))
        rim = head.to_photo(spline(shape[[1, 2, 3, 4]] * np.array([side * seen * 0.86, 0.9]) * scale + centre, steps=6))
        canvas.paint(_faint(cover(ribbon(rim, 0.022 * unit), size, blur_px=0.012 * unit), 0.35), tone * 1.35)
        if attire.earring != "none":
            _paint_earring(canvas, head, attire, light=light, lobe=centre + np.array([side * 0.02, 0.27 * scale]))


def _faint(patch: Patch, strength: float) -> Patch:
    return Patch(patch.window, patch.alpha * np.float32(strength))


def _paint_earring(canvas: Canvas, head: Head, attire: Attire, *, light: Light, lobe: Points) -> None:
    unit, size = head.unit_px, head.size_px
    at = head.to_photo(lobe[None])[0]
    metal = linear(attire.metal) * (np.asarray(light.key, np.float32) + np.asarray(light.ambient, np.float32))
    if attire.earring == "hoop":
        turn = np.linspace(0, 2 * np.pi, 40)
        ring = at + np.column_stack([0.10 * np.sin(turn), 0.17 - 0.17 * np.cos(turn)]) * unit
        canvas.paint(cover(ribbon(ring, 0.042 * unit), size), metal, part=PART_ID["ear_r"])
        return
    drops = [at] if attire.earring == "stud" else [at, at + np.array([0, 0.13]) * unit, at + np.array([0, 0.27]) * unit]
    for step, point in enumerate(drops):
        radius = (0.055 + 0.008 * step) * unit
        canvas.paint(cover(ellipse(point, (radius, radius * (1 + 0.2 * step))), size), metal * (0.8 + 0.15 * step), part=PART_ID["ear_r"])
        glint = cover(ellipse(point - 0.3 * radius, (0.3 * radius, 0.3 * radius)), size, blur_px=0.3)
        canvas.paint(_faint(glint, 0.8), (1.0, 1.0, 0.97))
