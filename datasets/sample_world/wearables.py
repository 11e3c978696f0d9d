"""Masks and dark glasses, drawn on a head of any pose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from common.labels import PART_ID
from datasets.sample_world.attire import Attire
from datasets.sample_world.backdrop import draw_colour
from datasets.sample_world.canvas import (
    Canvas,
    Field,
    Patch,
    Points,
    cover,
    ellipse,
    linear,
    noise,
    ribbon,
    spline,
)
from datasets.sample_world.head import Head
from datasets.sample_world.headwear import lens_outline, paint_glasses
from datasets.sample_world.lighting import Light, illuminate

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class MaskLook:
    """A mask: kind surgical, cloth or domino (a carnival mask around the eyes); display colours."""

    kind: str = "surgical"
    colour: Colour = (0.62, 0.80, 0.88)
    second: Colour = (0.9, 0.9, 0.9)
    pattern: str = "plain"
    top: float = 0.30
    drop: float = 0.05


def draw_mask(rng: np.random.Generator, *, kind: str | None = None) -> MaskLook:
    """Return a mask; `kind` fixes its kind."""
    chosen = kind or str(rng.choice(["surgical", "cloth"], p=[0.65, 0.35]))
    surgical = [
        (0.62, 0.80, 0.88),
        (0.70, 0.86, 0.80),
        (0.93, 0.94, 0.95),
        (0.18, 0.18, 0.20),
        (0.90, 0.74, 0.80),
    ]
    colour = surgical[int(rng.integers(len(surgical)))] if chosen == "surgical" else draw_colour(rng, low=0.2, high=0.9)
    pattern = "plain" if chosen == "surgical" else str(rng.choice(["plain", "stripes", "dots"]))
    return MaskLook(
        chosen,
        colour,
        draw_colour(rng, low=0.3, high=0.95),
        pattern,
        float(rng.uniform(0.2, 0.40)),
        float(rng.uniform(0.02, 0.10)),
    )


def draw_shades(rng: np.random.Generator) -> Attire:
    """Return dark glasses."""
    frame = draw_colour(rng, low=0.04, high=0.5)
    shape = str(rng.choice(["round", "square", "aviator"]))
    return Attire(glasses=shape, frame=frame, tint=float(rng.uniform(0.86, 0.98)))


def paint_shades(canvas: Canvas, head: Head, *, shades: Attire, light: Light) -> None:
    """Paint dark glasses over the eyes, labelled as glasses."""
    lenses = [lens_outline(head, side, kind=shades.glasses) for side in (-1, 1)]
    canvas.paint(cover(lenses, head.size_px), linear(shades.frame) * 0.10, part=PART_ID["eye_g"])
    paint_glasses(canvas, head, attire=replace(shades, tint=max(shades.tint, 0.7)), light=light)


def _mask_outline(head: Head, look: MaskLook) -> Points:
    """Return the outline of a mask over nose, mouth and chin in pixels."""
    top, low = look.top, head.chin_y + look.drop
    half = np.array([(0.0, top), (0.16, top + 0.06), (0.42, top + 0.20), (0.70, top + 0.19), (0.91, 0.36), (0.90, 0.62),
                     (0.80, 0.92), (0.60, 0.78 * low), (0.34, 0.945 * low), (0.0, 0.985 * low)])  # fmt: skip
    lift = np.array([0.26, 0.16, 0.05, 0.02, 0.02, 0.04, 0.06, 0.08, 0.10, 0.12])
    right = head.on_face(half, lift=lift)
    left = head.on_face(half * [-1, 1], lift=lift)
    down = (head.to_photo(np.array([[0.0, look.drop]])) - head.to_photo(np.zeros((1, 2))))[0]
    right[-3:] += down
    left[-3:] += down
    return np.concatenate([spline(right, steps=6), spline(left[::-1], steps=6)])


def paint_mask(canvas: Canvas, head: Head, *, look: MaskLook, light: Light, rng: np.random.Generator) -> None:
    """Paint a mask with its bands, pleats and shadow, labelled as mask."""
    size, unit = head.size_px, head.unit_px
    outline = _domino_outline(head) if look.kind == "domino" else _mask_outline(head, look)
    shadow = cover(
        outline - np.array([light.direction[0], light.direction[1] - 0.4]) * 0.05 * unit,
        size,
        blur_px=0.05 * unit,
    )
    canvas.shade(shadow, (0.62, 0.54, 0.52))
    for band in _bands(head, look):
        canvas.paint(cover(band, size), linear((0.92, 0.92, 0.93)) * _level(light), part=PART_ID["mask"])
    patch = cover(outline, size)
    if look.kind == "domino":
        holes = cover([_hole(head, side) for side in (-1, 1)], size)
        whole = np.zeros((size, size), np.float32)
        whole[patch.window] = patch.alpha
        whole[holes.window] *= 1.0 - holes.alpha
        patch = Patch(patch.window, whole[patch.window])
    canvas.paint(patch, _cloth(head, look, outline=outline, light=light, rng=rng), part=PART_ID["mask"])
    seam = cover(ribbon(np.concatenate([outline, outline[:2]]), 0.05 * unit), size, blur_px=0.012 * unit)
    canvas.shade(_within(seam, patch, size_px=size), 0.84)


def _within(patch: Patch, area: Patch, *, size_px: int) -> Patch:
    whole = np.zeros((size_px, size_px), np.float32)
    whole[area.window] = area.alpha
    return Patch(patch.window, patch.alpha * whole[patch.window])


def _level(light: Light) -> Field:
    return np.asarray(light.key, np.float32) * np.float32(0.75) + np.asarray(light.ambient, np.float32)


def _bands(head: Head, look: MaskLook) -> list[Points]:
    """Return the bands to the ears, seen on the sides that face the viewer."""
    y_edge, left, right = head.edges
    bands = []
    for side, edge in ((-1, left), (1, right)):
        if side * np.sin(head.pose.yaw) > 0.30:
            continue
        for start_y, end_y in ((0.40, 0.0), (0.90, 0.24)) if look.kind != "domino" else ((-0.05, -0.12),):
            start = head.on_face(np.array([(side * (0.88 if start_y < 0.8 else 0.80), start_y)]))[0]
            end = head.to_photo(np.array([[np.interp(end_y, y_edge, edge) + 0.02 * side, end_y]]))[0]
            sag = 0.03 * head.unit_px * np.array([0.0, 1.0])
            bands.append(ribbon(spline(np.stack([start, (start + end) / 2 + sag, end])), 0.035 * head.unit_px))
    return bands


def _cloth(head: Head, look: MaskLook, *, outline: Points, light: Light, rng: np.random.Generator) -> Field:
    """Return the lit colour (S, S, 3) of the mask's cloth."""
    size, unit = head.size_px, head.unit_px
    x, y = head.grid
    swelling = cover(outline, size, blur_px=0.30 * unit)
    height = np.zeros((size, size), np.float32)
    height[swelling.window] = swelling.alpha
    tip = head.flat(head.surface(np.array([[0.0, head.shape.nose_length]]), lift=head.shape.nose_depth))[0]
    nose_x, nose_y = x - np.float32(tip[0]), y - np.float32(tip[1])
    height = 0.9 * height + 0.16 * cv2.exp(-((nose_x / 0.22) ** 2) - (nose_y / 0.34) ** 2)
    if look.kind == "surgical":
        fold = y + 0.10 * nose_x * nose_x
        pleat = sum(
            np.clip((fold - at) / 0.07, 0, 1) * np.clip((at + 0.16 - fold) / 0.09, 0, 1) for at in (0.62, 0.86, 1.10)
        )
        height = height + 0.035 * np.asarray(pleat, np.float32)
    height += 0.012 * noise(rng, (size, size), cells=9, octaves=2)
    received, _ = illuminate(height * np.float32(unit), light, wrap=0.3)
    return _dye(look, nose_x, y=y) * received * (1.0 + 0.02 * rng.standard_normal((size, size, 1), dtype=np.float32))


def _dye(look: MaskLook, x: Field, *, y: Field) -> Field:
    base, second = linear(look.colour), linear(look.second)
    if look.pattern == "stripes":
        share = (np.sin(x * 22) > 0.3).astype(np.float32)
    elif look.pattern == "dots":
        share = (np.sin(x * 26) * np.sin(y * 26) > 0.45).astype(np.float32)
    else:
        return np.broadcast_to(base, (*x.shape, 3))
    return base + cv2.GaussianBlur(share, (0, 0), 0.7)[..., None] * (second - base)


def _domino_outline(head: Head) -> Points:
    half = np.array(
        [
            (0.0, -0.28),
            (0.25, -0.42),
            (0.60, -0.52),
            (0.90, -0.40),
            (0.90, -0.05),
            (0.70, 0.26),
            (0.38, 0.34),
            (0.16, 0.30),
            (0.0, 0.22),
        ]
    )
    right = head.on_face(half, lift=0.12)
    left = head.on_face(half * [-1, 1], lift=0.12)
    return np.concatenate([spline(right, steps=6), spline(left[::-1], steps=6)])


def _hole(head: Head, side: int) -> Points:
    turn = ellipse(np.array([head.shape.eye_x, 0.0]), (0.27, 0.15))
    return head.on_face(turn * [side, 1], lift=0.1)
