"""Textures of named classes, 256 x 256."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.sample_world.backdrop import draw_colour
from datasets.sample_world.canvas import Field, cover, ellipse, linear, noise, to_display

SIZE_PX = 256


def _rotated(rng: np.random.Generator, *, bend: float = 0.0) -> tuple[Field, Field]:
    """Return two crossed coordinates (S, S) in pixels, turned by a random angle and slightly bent."""
    ticks = np.arange(SIZE_PX, dtype=np.float32)
    x, y = np.meshgrid(ticks, ticks)
    angle = np.float32(rng.uniform(0, np.pi))
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if bend:
        along = along + bend * noise(rng, along.shape, cells=4)
        across = across + bend * noise(rng, along.shape, cells=4)
    return along, across


def _stripes(rng: np.random.Generator) -> Field:
    along, _ = _rotated(rng, bend=float(rng.uniform(0, 4)))
    period = rng.uniform(12, 48)
    return np.clip(np.sin(along * (2 * np.pi / period)) * period * 0.16 + 0.5, 0, 1)


def _checks(rng: np.random.Generator) -> Field:
    along, across = _rotated(rng, bend=1.0)
    step = np.pi / rng.uniform(12, 36)
    return np.clip(np.sin(along * step) * np.sin(across * step) * 6 + 0.5, 0, 1)


def _dots(rng: np.random.Generator) -> Field:
    along, across = _rotated(rng)
    pitch = rng.uniform(20, 48)
    distance = cv2.magnitude(np.mod(along, pitch) - pitch / 2, np.mod(across, pitch) - pitch / 2)
    return np.clip(rng.uniform(0.22, 0.42) * pitch - distance + 0.5, 0, 1)


def _noise(rng: np.random.Generator) -> Field:
    return np.clip(0.5 + 0.28 * noise(rng, (SIZE_PX, SIZE_PX), cells=float(rng.uniform(3, 24)), octaves=5), 0, 1)


def _marble(rng: np.random.Generator) -> Field:
    along, _ = _rotated(rng)
    veins = np.abs(np.sin(along * 0.03 + 1.6 * noise(rng, along.shape, cells=4, octaves=5)))
    return np.clip(veins**0.5, 0, 1)


def _weave(rng: np.random.Generator) -> Field:
    along, across = _rotated(rng)
    step = 2 * np.pi / rng.uniform(9, 22)
    over = np.sin(along * step / 2) * np.sin(across * step / 2) > 0
    threads = np.where(over, np.abs(np.sin(along * step)), np.abs(np.sin(across * step)))
    return (0.25 + 0.75 * threads) * np.where(over, 1.0, 0.72)


def _wood(rng: np.random.Generator) -> Field:
    along, across = _rotated(rng)
    stretched = noise(rng, (SIZE_PX, SIZE_PX), cells=3, octaves=2) * 10
    rings = np.sin((across + stretched) * 0.22 + 0.01 * along)
    return np.clip(0.5 + 0.35 * rings + 0.08 * noise(rng, along.shape, cells=60), 0, 1)


def _bricks(rng: np.random.Generator) -> Field:
    ticks = np.arange(SIZE_PX, dtype=np.float32)
    x, y = np.meshgrid(ticks, ticks)
    tall = rng.uniform(22, 40)
    row = np.floor(y / tall)
    shifted = np.mod(x + (row % 2) * tall, 2 * tall)
    gap = np.minimum(np.minimum(shifted, 2 * tall - shifted), np.minimum(np.mod(y, tall), tall - np.mod(y, tall)))
    return np.clip((gap - 2.0) * 0.7, 0, 1) * (0.85 + 0.1 * noise(rng, x.shape, cells=10, octaves=3))


def _scales(rng: np.random.Generator) -> Field:
    image, pitch = np.zeros((SIZE_PX, SIZE_PX), np.float32), rng.uniform(22, 42)
    for row in range(int(SIZE_PX / (pitch * 0.5)) + 3, -2, -1):
        for column in range(-1, int(SIZE_PX / pitch) + 2):
            centre = np.array([(column + 0.5 * (row % 2)) * pitch, row * pitch * 0.5])
            patch = cover(ellipse(centre, (pitch * 0.56, pitch * 0.56)), SIZE_PX)
            rows = np.arange(patch.window[0].start, patch.window[0].stop, dtype=np.float32)[:, None]
            glow = np.clip(0.9 - (centre[1] + pitch * 0.5 - rows) / (1.3 * pitch), 0.1, 1).astype(np.float32)
            image[patch.window] += patch.alpha * (glow - image[patch.window])
    return image


CLASSES: dict[str, Callable[[np.random.Generator], Field]] = {
    "stripes": _stripes, "checks": _checks, "dots": _dots, "noise": _noise,
    "marble": _marble, "weave": _weave, "wood": _wood, "bricks": _bricks, "scales": _scales,
}  # fmt: skip


def texture(name: str, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a texture of the class `name`, (256, 256, 3) uint8."""
    share = CLASSES[name](rng).astype(np.float32)[..., None]
    dark, bright = linear(draw_colour(rng, low=0.08, high=0.6)), linear(draw_colour(rng, low=0.45, high=1.0))
    tone = 1.0 + 0.06 * noise(rng, (SIZE_PX, SIZE_PX), cells=5, octaves=4)[..., None]
    return to_display((dark + share * (bright - dark)) * tone)
