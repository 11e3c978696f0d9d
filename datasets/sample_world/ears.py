"""Ears and what hangs from them."""

from __future__ import annotations

import numpy as np

from common.labels import PART_ID
from datasets.sample_world.attire import Attire
from datasets.sample_world.canvas import Canvas, Field, Patch, Points, cover, ellipse, linear, ribbon, spline
from datasets.sample_world.head import Head
from datasets.sample_world.lighting import Light, skin_tone

# About the ear's middle, from the top at the head over the rim to the lobe, for the ear on image-right.
EAR_OUTLINE = np.array(
    [(0.0, -0.30), (0.10, -0.29), (0.155, -0.15), (0.135, 0.04),
     (0.085, 0.17), (0.03, 0.285), (-0.03, 0.25), (-0.08, 0.0)]
)  # fmt: skip
HEIGHT_OF_MIDDLE = 0.14
LEAST_SEEN = 0.15


def ear_centre(head: Head, side: int) -> tuple[Points, float]:
    """Return the flat middle of an ear and how much of its width is seen, 1 when the head faces the viewer."""
    y, left, right = head.edges
    away = side * np.sin(head.pose.yaw)
    seen = float(np.clip(1.0 - 2.6 * max(away, 0.0), 0.0, 1.0)) * (1 + 0.5 * max(-away, 0.0))
    edge = np.interp(HEIGHT_OF_MIDDLE, y, left if side < 0 else right)
    return np.array([edge + side * 0.055 * head.shape.ear_size * seen, HEIGHT_OF_MIDDLE]), seen


def paint_ears(canvas: Canvas, head: Head, *, attire: Attire, depth: float, light: Light) -> None:
    """Paint the ears behind the cheeks, and what hangs from them; `depth` is that of the skin's tone."""
    for side, part in ((-1, "l_ear"), (1, "r_ear")):
        centre, seen = ear_centre(head, side)
        if seen < LEAST_SEEN:
            continue
        lit = 0.55 + 0.45 * float(np.clip(side * light.direction[0] + 0.5, 0.0, 1.0))
        glow = np.asarray(light.key, np.float32) * lit + np.asarray(light.ambient, np.float32)
        tone = skin_tone(depth) * glow * np.array([0.98, 0.83, 0.80], np.float32)
        scale = np.array([side * max(seen, 0.3), 1.0]) * head.shape.ear_size
        outline = spline(EAR_OUTLINE * scale + centre, closed=True)
        canvas.paint(cover(head.to_photo(outline), head.size_px), tone, part=PART_ID[part])
        _paint_shell(canvas, head, centre=centre, scale=scale, tone=tone)
        if attire.earring != "none":
            lobe = centre + np.array([side * 0.02, 0.27 * head.shape.ear_size])
            _paint_earring(canvas, head, attire=attire, light=light, lobe=lobe)


def _paint_shell(canvas: Canvas, head: Head, *, centre: Points, scale: Points, tone: Field) -> None:
    """Shade the hollow of an ear and lighten its rim."""
    unit, size = head.unit_px, head.size_px
    middle = centre + np.array([0.035, -0.05]) * scale
    for radii, factor in (((0.055, 0.15), (0.75, 0.58, 0.58)), ((0.03, 0.07), (0.80, 0.66, 0.66))):
        hollow = ellipse(middle, (radii[0] * abs(scale[0]), radii[1] * scale[1]))
        canvas.shade(cover(head.to_photo(hollow), size, blur_px=0.022 * unit), factor)
    rim = head.to_photo(spline(EAR_OUTLINE[1:5] * [0.86, 0.9] * scale + centre, steps=6))
    canvas.paint(_faint(cover(ribbon(rim, 0.022 * unit), size, blur_px=0.012 * unit), 0.35), tone * 1.35)


def _faint(patch: Patch, strength: float) -> Patch:
    return Patch(patch.window, patch.alpha * np.float32(strength))


def _paint_earring(canvas: Canvas, head: Head, *, attire: Attire, light: Light, lobe: Points) -> None:
    unit, size, part = head.unit_px, head.size_px, PART_ID["ear_r"]
    at = head.to_photo(lobe[None])[0]
    metal = linear(attire.metal) * (np.asarray(light.key, np.float32) + np.asarray(light.ambient, np.float32))
    if attire.earring == "hoop":
        turn = np.linspace(0, 2 * np.pi, 40)
        ring = at + np.column_stack([0.10 * np.sin(turn), 0.17 - 0.17 * np.cos(turn)]) * unit
        canvas.paint(cover(ribbon(ring, 0.042 * unit), size), metal, part=part)
        return
    for step, drop in enumerate((0.0,) if attire.earring == "stud" else (0.0, 0.13, 0.27)):
        point, radius = at + np.array([0.0, drop * unit]), (0.055 + 0.008 * step) * unit
        bead = ellipse(point, (radius, radius * (1 + 0.2 * step)))
        canvas.paint(cover(bead, size), metal * (0.8 + 0.15 * step), part=part)
        glint = cover(ellipse(point - 0.3 * radius, (0.3 * radius, 0.3 * radius)), size, blur_px=0.3)
        canvas.paint(_faint(glint, 0.8), (1.0, 1.0, 0.97))
