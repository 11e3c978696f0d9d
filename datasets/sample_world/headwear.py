"""Glasses and hats, worn on a head of any pose."""

from __future__ import annotations

import cv2
import numpy as np

from common.labels import PART_ID
from datasets.sample_world.attire import Attire
from datasets.sample_world.canvas import Canvas, Field, Patch, Points, cover, linear, noise, ribbon, spline
from datasets.sample_world.head import Head
from datasets.sample_world.lighting import Light, illuminate

SEEN_THROUGH_LENSES = ("l_eye", "r_eye", "l_brow", "r_brow")
# Edges of hats in the flat frame of the head: upper ones run to image-right, the others back.
HAT_EDGES = {
    "crown": [(1.07, -0.55), (0.6, -0.72), (0.0, -0.78), (-0.6, -0.72), (-1.07, -0.55)],
    "beanie upper": [(-1.15, -0.90), (-0.6, -1.10), (0.0, -1.15), (0.6, -1.10), (1.15, -0.90)],
    "beanie front": [(1.12, -0.56), (1.0, -0.52), (0.55, -0.66), (0.0, -0.73), (-0.55, -0.66), (-1.0, -0.52),
                     (-1.12, -0.56)],
    "cap upper": [(-0.92, -0.70), (-0.5, -0.92), (0.0, -0.98), (0.5, -0.92), (0.92, -0.70)],
    "cap front": [(0.92, -0.66), (0.62, -0.52), (0.0, -0.46), (-0.62, -0.52), (-0.92, -0.66)],
    "brim upper": [(-1.75, -0.72), (-1.1, -0.86), (0.0, -0.98), (1.1, -0.86), (1.75, -0.72)],
    "brim front": [(1.75, -0.66), (1.1, -0.58), (0.0, -0.56), (-1.1, -0.58), (-1.75, -0.66)],
}  # fmt: skip


def lens_outline(head: Head, side: int, *, kind: str, thickness: float = 0.0) -> Points:
    """Return the outline of one lens in pixels; `kind` is round, square or aviator, `thickness` grows it."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    power = {"round": 2.0, "square": 4.5, "aviator": 2.8}[kind]
    wide, high = {"round": (0.30, 0.285), "square": (0.335, 0.235), "aviator": (0.335, 0.30)}[kind]
    cos, sin = np.cos(turn), np.sin(turn)
    x = np.sign(cos) * np.abs(cos) ** (2 / power) * (wide + thickness)
    y = np.sign(sin) * np.abs(sin) ** (2 / power) * (high + thickness)
    if kind == "aviator":
        x = x + 0.05 * np.where(y > 0, y / high, 0.0)
        y = np.where(y > 0, y * (1.0 - 0.18 * x / wide), y * 0.85)
    centre_x, centre_y = head.shape.eye_x + 0.015, 0.055
    front = np.column_stack([side * (centre_x + x), centre_y + y])
    return head.on_face(front, lift=0.10 + 0.10 * np.abs(front[:, 0]))


def paint_glasses(canvas: Canvas, head: Head, *, attire: Attire, light: Light) -> None:
    """Paint eyeglasses: eyes and brows behind clear lenses keep their labels, as the data set labels them."""
    size, unit = head.size_px, head.unit_px
    lenses = [lens_outline(head, side, kind=attire.glasses) for side in (-1, 1)]
    rims = [lens_outline(head, side, kind=attire.glasses, thickness=0.035) for side in (-1, 1)]
    whole, inner = _full(cover(rims, size), size), _full(cover(lenses, size), size)
    rim = whole * (1.0 - inner)
    strokes = cover(_bridge_and_arms(head, attire), size)
    rim[strokes.window] = np.maximum(rim[strokes.window], strokes.alpha * (1.0 - inner[strokes.window]))
    _shade_below(canvas, rim, unit=unit)
    keep = np.isin(canvas.label, [PART_ID[name] for name in SEEN_THROUGH_LENSES]) & (attire.tint < 0.6)
    colour = np.broadcast_to(linear(attire.frame) * 0.25, canvas.image.shape)
    canvas.paint(canvas.everywhere(inner * np.float32(max(attire.tint, 0.05))), colour)
    canvas.label[(inner >= 0.5) & ~keep] = PART_ID["eye_g"]
    for outline in lenses:
        _paint_reflection(canvas, outline, inner=inner, light=light)
    glow = np.asarray(light.key, np.float32) * 0.8 + np.asarray(light.ambient, np.float32)
    canvas.paint(canvas.everywhere(rim), linear(attire.frame) * glow, part=PART_ID["eye_g"])
    canvas.paint(canvas.everywhere(np.clip(rim - np.roll(rim, 1, axis=0), 0, 1) * np.float32(0.35)), (0.9, 0.9, 0.9))


def _full(patch: Patch, size_px: int) -> Field:
    alpha = np.zeros((size_px, size_px), np.float32)
    alpha[patch.window] = patch.alpha
    return alpha


def _bridge_and_arms(head: Head, attire: Attire) -> list[Points]:
    unit = head.unit_px
    x = head.shape.eye_x
    bridge = head.on_face(spline(np.array([[-x + 0.30, 0.02], [0.0, -0.04], [x - 0.30, 0.02]]), steps=8), lift=0.13)
    strokes = [ribbon(bridge, 0.042 * unit)]
    y_edge, left, right = head.edges
    for side, edge in ((-1, left), (1, right)):
        hinge = head.on_face(np.array([(side * (x + 0.33), 0.0)]), lift=0.14)[0]
        end = head.to_photo(np.array([[np.interp(0.0, y_edge, edge), 0.0]]))[0]
        reach = (end - hinge) @ (head.to_photo(np.array([[side, 0.0]])) - head.to_photo(np.array([[0.0, 0.0]])))[0]
        if reach > 0:
            strokes.append(ribbon(np.stack([hinge, end]), 0.045 * unit))
    return strokes


def _shade_below(canvas: Canvas, rim: Field, *, unit: float) -> None:
    shift = np.array([[1, 0, 0.0], [0, 1, 0.05 * unit]])
    soft = cv2.GaussianBlur(cv2.warpAffine(rim, shift, rim.shape[::-1]), (0, 0), 0.025 * unit)
    canvas.shade(canvas.everywhere(soft * np.float32(0.7)), (0.72, 0.64, 0.62))


def _paint_reflection(canvas: Canvas, outline: Points, *, inner: Field, light: Light) -> None:
    low, high = outline.min(axis=0), outline.max(axis=0)
    wide, tall = high - low
    lean = 0.22 if light.direction[0] < 0 else -0.22
    start = low + np.array([0.30, 0.0]) * wide
    band = np.array([[0.0, -0.1], [0.24, -0.1], [0.24 - lean, 1.1], [-lean, 1.1]]) * np.array([wide, tall]) + start
    patch = cover(band, canvas.size_px, blur_px=0.02 * float(wide))
    canvas.paint(Patch(patch.window, patch.alpha * inner[patch.window] * np.float32(0.10)), (0.95, 0.97, 1.0))


def paint_hat(canvas: Canvas, head: Head, *, attire: Attire, light: Light, rng: np.random.Generator) -> None:
    """Paint a beanie, a cap or a hat with a brim over forehead and hair."""
    size, unit = head.size_px, head.unit_px
    crown, trim = _hat_outlines(head, attire.hat)
    height = _full(cover(head.to_photo(crown), size, blur_px=0.22 * unit), size)
    received, _ = illuminate(height * np.float32(1.6 * unit), light, wrap=0.25)
    x, _ = head.grid
    weave = 0.16 * np.sin(x * 42) if attire.hat == "beanie" else 0.05 * noise(rng, (size, size), cells=70)
    cloth = (
        linear(attire.hat_colour)
        * received
        * (1.0 + weave + 0.06 * noise(rng, (size, size), cells=8, octaves=2)).astype(np.float32)[..., None]
    )
    below = cover(head.to_photo(trim) + np.array([0.0, 0.10 * unit]), size, blur_px=0.06 * unit)
    canvas.shade(Patch(below.window, below.alpha * np.float32(0.85)), (0.45, 0.38, 0.36))
    canvas.paint(cover(head.to_photo(crown), size), cloth, part=PART_ID["hat"])
    edge = cover(head.to_photo(trim), size)
    canvas.paint(edge, cloth * (1.12 if attire.hat == "beanie" else 0.72), part=PART_ID["hat"])
    rim = head.to_photo(trim)
    canvas.shade(cover(ribbon(rim[: len(rim) // 2], 0.03 * unit), size, blur_px=0.02 * unit), 0.6)


def _hat_outlines(head: Head, kind: str) -> tuple[Points, Points]:
    """Return the crown and the trim (fold, peak or brim) of a hat, flat; the first half of a trim is its upper edge."""
    turn = np.sin(head.pose.yaw)
    shift = 0.10 * turn
    half = np.array([(0.0, -1.97), (0.55, -1.85), (1.0, -1.45), (1.13, -0.95), (1.07, -0.55)])
    crown = np.concatenate([spline(_mirror(half), steps=8), spline(np.array(HAT_EDGES["crown"]), steps=6)])
    upper, front = (np.array(HAT_EDGES[f"{kind} {edge}"]) for edge in ("upper", "front"))
    if kind == "cap":  # the peak points where the nose points
        upper = upper + np.array([0.33, 0.0]) * turn
        front = front + np.array([0.55, 0.0]) * turn * np.sin(np.linspace(0.5, np.pi - 0.5, len(front)))[:, None]
    trim = np.concatenate([spline(upper, steps=8), spline(front, steps=8)])
    return crown + np.array([shift, 0.0]), trim + np.array([shift, 0.0])


def _mirror(half: Points) -> Points:
    """Return a symmetric line from left to right, given its right half from the middle outwards."""
    return np.concatenate([half[:0:-1] * [-1, 1], half])
