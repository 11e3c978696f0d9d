"""Things that people hold before their faces, as cut-outs with anti-aliased alpha.

Each painter draws into a unit square, (0, 0) top left to (1, 1), upright, lit by one light.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from common.labels import PART_ID
from datasets.sample_world.backdrop import draw_colour
from datasets.sample_world.canvas import Field, Points, cover, ellipse, linear, noise, ribbon, spline
from datasets.sample_world.cutout import CutOut, rounded_box, soft
from datasets.sample_world.head import Head, Pose
from datasets.sample_world.lighting import Light, illuminate
from datasets.sample_world.wearables import draw_mask, draw_shades, paint_mask, paint_shades

OBJECT = PART_ID["object"]


class Bench:
    """A cut-out of the unit square under one light: painters speak in shares of the square."""

    def __init__(self, size_px: int, light: Light, rng: np.random.Generator) -> None:
        self.canvas, self.light, self.rng, self.size_px = CutOut(size_px), light, rng, size_px
        self.dust = 1.0 + 0.03 * noise(rng, (size_px, size_px), cells=24, octaves=3)[..., None]

    def fill(self, outline: Points, colour: tuple[float, ...], *, lit: Field | float = 1.0) -> None:
        """Paint a shape given in shares with a display colour times a light field."""
        level = np.asarray(lit, np.float32) if isinstance(lit, np.ndarray) else np.asarray(self.flat * lit, np.float32)
        self.canvas.paint(
            cover(outline * self.size_px - 0.5, self.size_px), linear(colour) * level * self.dust, part=OBJECT
        )

    @property
    def flat(self) -> Field:
        """Return the light on a surface that faces the viewer, (3,)."""
        return np.asarray(self.light.key, np.float32) * max(self.light.direction[2], 0.3) + np.asarray(
            self.light.ambient, np.float32
        )

    def shade(self, outline: Points, factor: float, *, blur: float) -> None:
        """Darken what is covered already."""
        self.canvas.shade(cover(outline * self.size_px - 0.5, self.size_px, blur_px=blur * self.size_px), factor)

    def gleam(self, outline: Points, strength: float, *, blur: float = 0.008) -> None:
        """Lay a highlight over what is covered already."""
        self.canvas.paint(
            soft(outline * self.size_px - 0.5, self.size_px, blur_px=blur * self.size_px, strength=strength),
            (0.95, 0.96, 1.0),
        )

    def drum(self, middle: float, half: float) -> Field:
        """Return the light (S, S, 3) on an upright cylinder around x = `middle`."""
        x = (np.arange(self.size_px, dtype=np.float32)[None, :] / self.size_px - np.float32(middle)) / np.float32(half)
        height = np.repeat(cv2.sqrt(np.maximum(1 - x * x, 0.04)), 8, axis=0) * np.float32(half * self.size_px)
        received, shine = illuminate(height, self.light, wrap=0.2, gloss=30.0)
        return np.repeat((received + 0.35 * shine[..., None])[4:5], self.size_px, axis=0)

    def ball(self, centre: tuple[float, float], radius: float, *, gloss: float = 0.3) -> Field:
        """Return the light (S, S, 3) on a sphere."""
        ticks = (np.arange(self.size_px, dtype=np.float32) + 0.5) / self.size_px
        x, y = (
            (ticks[None, :] - np.float32(centre[0])) / np.float32(radius),
            (ticks[:, None] - np.float32(centre[1])) / np.float32(radius),
        )
        height = cv2.sqrt(np.maximum(1 - x * x - y * y, 0.01)) * np.float32(radius * self.size_px)
        received, shine = illuminate(height, self.light, wrap=0.2, gloss=36.0)
        return received + np.float32(gloss) * shine[..., None]


def _box(x: float, y: float, *, half_x: float, half_y: float) -> Points:
    return rounded_box((x, y), (half_x, half_y), radius=0.25 * min(half_x, half_y))


def _cup(bench: Bench) -> None:
    rng, colour = bench.rng, draw_colour(bench.rng, low=0.3, high=0.95)
    top, low = 0.28, 0.28 * rng.uniform(0.68, 1.0)
    drum = bench.drum(0.46, 0.32)
    turn = np.linspace(-1.35, 1.35, 30)
    handle = np.column_stack([0.46 + top * 0.93 + 0.16 * np.cos(turn), 0.47 + 0.17 * np.sin(turn)])
    bench.fill(ribbon(handle, 0.06), colour, lit=0.85)
    body = np.concatenate(
        [
            [(0.46 - top, 0.16)],
            spline(np.array([(0.46 - low, 0.80), (0.46, 0.85), (0.46 + low, 0.80)])),
            [(0.46 + top, 0.16)],
        ]
    )
    bench.fill(body, colour, lit=drum)
    if rng.random() < 0.6:
        stripe = draw_colour(rng, low=0.2, high=0.95)
        for y in rng.uniform(0.30, 0.70, int(rng.integers(1, 4))):
            side = top + (low - top) * (y - 0.16) / 0.64
            bench.fill(
                ribbon(spline(np.array([(0.46 - side, y), (0.46, y + 0.05), (0.46 + side, y)])), 0.05),
                stripe,
                lit=drum,
            )
    bench.fill(ellipse(np.array([0.46, 0.165]), (top, 0.062)), colour, lit=1.1)
    bench.fill(ellipse(np.array([0.46, 0.168]), (top * 0.92, 0.050)), (0.30, 0.18, 0.10), lit=0.6)


def _phone(bench: Bench) -> None:
    rng, colour = bench.rng, draw_colour(bench.rng, low=0.06, high=0.5)
    bench.fill(rounded_box((0.5, 0.5), (0.235, 0.46), radius=0.05), (0.55, 0.56, 0.6))
    bench.fill(rounded_box((0.5, 0.5), (0.225, 0.45), radius=0.045), colour, lit=0.8)
    bench.fill(rounded_box((0.40, 0.16), (0.10, 0.10), radius=0.035), tuple(0.6 * channel for channel in colour))
    for x, y in ((0.365, 0.12), (0.365, 0.20), (0.435, 0.16))[: int(rng.integers(1, 4))]:
        bench.fill(ellipse(np.array([x, y]), (0.033, 0.033)), (0.05, 0.05, 0.06))
        bench.gleam(ellipse(np.array([x - 0.008, y - 0.008]), (0.010, 0.010)), 0.8, blur=0.003)
    bench.gleam(np.array([(0.28, 0.9), (0.28, 0.55), (0.72, 0.2), (0.72, 0.42)]), 0.12, blur=0.02)


def _microphone(bench: Bench) -> None:
    colour = draw_colour(bench.rng, low=0.05, high=0.4)
    handle = np.array([(0.42, 0.36), (0.455, 0.98), (0.545, 0.98), (0.58, 0.36)])
    bench.fill(handle, colour, lit=bench.drum(0.5, 0.09))
    bench.fill(_box(0.5, 0.345, half_x=0.115, half_y=0.03), (0.75, 0.75, 0.78), lit=bench.drum(0.5, 0.13))
    ball = bench.ball((0.5, 0.20), 0.18)
    ticks = np.arange(bench.size_px, dtype=np.float32) / bench.size_px
    mesh = 0.62 + 0.38 * (np.sin(ticks[None, :] * 330) * np.sin(ticks[:, None] * 330) > -0.1)
    bench.fill(
        ellipse(np.array([0.5, 0.20]), (0.165, 0.18)),
        (0.55, 0.56, 0.60),
        lit=ball * mesh[..., None].astype(np.float32),
    )


def _book(bench: Bench) -> None:
    rng, colour, title = (
        bench.rng,
        draw_colour(bench.rng, low=0.2, high=0.8),
        draw_colour(bench.rng, low=0.6, high=1.0),
    )
    bench.fill(rounded_box((0.515, 0.515), (0.36, 0.445), radius=0.01), (0.93, 0.91, 0.85), lit=0.85)
    bench.fill(rounded_box((0.5, 0.5), (0.36, 0.445), radius=0.015), colour)
    bench.shade(_box(0.175, 0.5, half_x=0.012, half_y=0.45), 0.6, blur=0.01)
    for y, wide in ((0.22, 0.22), (0.29, 0.15), (0.80, 0.10)):
        bench.fill(_box(0.53, y, half_x=wide, half_y=0.018), title, lit=0.9)
    centre, radius = np.array([0.53, 0.54]), rng.uniform(0.08, 0.16)
    bench.fill(ellipse(centre, (radius, radius)), draw_colour(rng, low=0.4, high=1.0))


def _bottle(bench: Bench) -> None:
    colour, label = draw_colour(bench.rng, low=0.2, high=0.7), draw_colour(bench.rng, low=0.6, high=1.0)
    half = np.array(
        [
            (0.055, 0.08),
            (0.055, 0.20),
            (0.075, 0.28),
            (0.145, 0.40),
            (0.155, 0.60),
            (0.15, 0.90),
            (0.12, 0.965),
        ]
    )
    right = spline(half + np.array([0.5, 0.0]), steps=6)
    bench.fill(np.concatenate([right, (right * [-1, 1] + [1, 0])[::-1]]), colour, lit=bench.drum(0.5, 0.18))
    bench.fill(_box(0.5, 0.66, half_x=0.153, half_y=0.11), label, lit=bench.drum(0.5, 0.18))
    bench.fill(_box(0.5, 0.66, half_x=0.08, half_y=0.03), colour, lit=bench.drum(0.5, 0.18))
    bench.fill(_box(0.5, 0.065, half_x=0.065, half_y=0.045), label, lit=bench.drum(0.5, 0.08))
    bench.gleam(_box(0.43, 0.60, half_x=0.014, half_y=0.24), 0.45)


def _ball(bench: Bench) -> None:
    rng, base, seam = (
        bench.rng,
        draw_colour(bench.rng, low=0.4, high=0.95),
        draw_colour(bench.rng, low=0.05, high=0.95),
    )
    lit = bench.ball((0.5, 0.5), 0.45)
    bench.fill(ellipse(np.array([0.5, 0.5]), (0.44, 0.44)), base, lit=lit)
    turn, lean = np.linspace(-1.45, 1.45, 24), rng.uniform(0, np.pi)
    for bow in (-0.5, 0.0, 0.5):
        arc = np.column_stack([0.44 * np.sin(bow) * np.cos(turn), 0.44 * np.sin(turn)])
        turned = arc @ np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]]) + 0.5
        bench.fill(ribbon(turned, 0.02 if bow else 0.10), seam, lit=lit)


def _flower(bench: Bench) -> None:
    rng, petal = bench.rng, draw_colour(bench.rng, low=0.6, high=1.0)
    stem = spline(np.array([(0.5, 0.35), (0.52, 0.6), (0.47, 0.99)]))
    bench.fill(ribbon(stem, 0.035), (0.22, 0.42, 0.16), lit=0.8)
    bench.fill(ellipse(np.array([0.60, 0.74]), (0.12, 0.04), angle=-0.6), (0.25, 0.48, 0.18), lit=0.85)
    count = int(rng.integers(7, 12))
    for ring, reach in ((0, 0.22), (1, 0.15)):
        for number in range(count):
            angle = 2 * np.pi * (number + 0.5 * ring) / count
            middle = np.array([0.5, 0.32]) + reach * 0.75 * np.array([np.cos(angle), np.sin(angle)])
            bench.fill(
                ellipse(middle, (reach * 0.62, 0.075), angle=angle),
                petal,
                lit=float(rng.uniform(0.7, 1.05)) + 0.08 * ring,
            )
    bench.fill(ellipse(np.array([0.5, 0.32]), (0.075, 0.075)), (0.85, 0.62, 0.12), lit=bench.ball((0.5, 0.32), 0.1))


def _camera(bench: Bench) -> None:
    body = draw_colour(bench.rng, low=0.08, high=0.3)
    bench.fill(_box(0.5, 0.27, half_x=0.14, half_y=0.08), body, lit=0.9)
    bench.fill(rounded_box((0.5, 0.52), (0.45, 0.25), radius=0.05), body)
    bench.fill(_box(0.5, 0.36, half_x=0.45, half_y=0.03), (0.62, 0.62, 0.64), lit=0.9)
    for radius, colour in (
        (0.225, (0.12, 0.12, 0.13)),
        (0.19, (0.32, 0.32, 0.34)),
        (0.165, (0.06, 0.06, 0.07)),
        (0.11, (0.10, 0.08, 0.20)),
    ):
        bench.fill(ellipse(np.array([0.5, 0.54]), (radius, radius)), colour, lit=bench.ball((0.5, 0.54), 0.4))
    bench.gleam(ellipse(np.array([0.46, 0.50]), (0.035, 0.025)), 0.8)
    bench.fill(ellipse(np.array([0.80, 0.27]), (0.05, 0.022)), (0.7, 0.1, 0.1))


def _icecream(bench: Bench) -> None:
    rng = bench.rng
    cone = np.array([(0.33, 0.48), (0.5, 0.98), (0.67, 0.48)])
    bench.fill(cone, (0.82, 0.60, 0.34), lit=bench.drum(0.5, 0.2))
    for step in np.linspace(-0.6, 0.6, 6):
        for lean in (-0.22, 0.22):
            line = np.array([(0.5 + 0.25 * step + lean, 0.45), (0.5 + 0.25 * step - lean, 0.98)])
            bench.canvas.shade(soft(ribbon(line, 0.012) * bench.size_px, bench.size_px, blur_px=0.6, strength=0.5), 0.6)
    for y, x, radius in ((0.40, 0.5, 0.20), (0.22, 0.47 + 0.06 * rng.random(), 0.17)):
        bench.fill(
            ellipse(np.array([x, y]), (radius, radius * 0.92)),
            draw_colour(rng, low=0.7, high=1.0),
            lit=bench.ball((x, y), radius * 1.05, gloss=0.1),
        )


def _cigarette(bench: Bench) -> None:
    bench.fill(_box(0.5, 0.55, half_x=0.028, half_y=0.36), (0.95, 0.94, 0.92), lit=bench.drum(0.5, 0.035))
    bench.fill(_box(0.5, 0.25, half_x=0.029, half_y=0.10), (0.85, 0.58, 0.30), lit=bench.drum(0.5, 0.035))
    bench.fill(_box(0.5, 0.915, half_x=0.027, half_y=0.03), (0.75, 0.25, 0.10))
    bench.fill(_box(0.5, 0.945, half_x=0.024, half_y=0.022), (0.45, 0.43, 0.42))


def _worn(bench: Bench, *, kind: str) -> None:
    head = Head(bench.size_px, pose=Pose(scale=0.45, centre=(0.5, 0.30 if kind == "mask" else 0.72)))
    if kind == "mask":
        paint_mask(bench.canvas, head, look=draw_mask(bench.rng), light=bench.light, rng=bench.rng)
    else:
        paint_shades(bench.canvas, head, shades=draw_shades(bench.rng), light=bench.light)


PAINTERS: dict[str, Callable[[Bench], None]] = {
    "cup": _cup, "phone": _phone, "microphone": _microphone, "book": _book, "bottle": _bottle, "ball": _ball,
    "sunglasses": partial(_worn, kind="sunglasses"), "mask": partial(_worn, kind="mask"),
    "flower": _flower, "camera": _camera, "icecream": _icecream, "cigarette": _cigarette,
}  # fmt: skip
TRAIN_CATEGORIES = ("cup", "phone", "microphone", "book", "bottle", "ball", "sunglasses", "mask")
TEST_ONLY_CATEGORIES = ("flower", "camera", "icecream")


def render_object(category: str, light: Light, *, size_px: int, rng: np.random.Generator) -> CutOut:
    """Return one thing of `category` (a key of `PAINTERS`) on an empty square of `size_px`."""
    bench = Bench(size_px, light, rng)
    PAINTERS[category](bench)
    return bench.canvas


def object_picture(category: str, light: Light, *, size_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the thing as RGBA (S, S, 4) uint8, straight alpha."""
    return render_object(category, light, size_px=size_px, rng=rng).rgba()
