"""Out-of-focus surroundings behind a person."""

from __future__ import annotations

import cv2
import numpy as np

from datasets.sample_world.canvas import Field, cover, ellipse, linear, noise

RASTER_PX = 160


def draw_colour(rng: np.random.Generator, *, low: float = 0.1, high: float = 0.9) -> tuple[float, float, float]:
    """Return a display colour of any hue, mostly muted."""
    hue, saturation, value = rng.uniform(0, 180), rng.beta(1.6, 2.2), rng.uniform(low, high)
    hsv = np.array([[[hue * 2, saturation, value]]], np.float32)
    red, green, blue = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def backdrop(size_px: int, *, rng: np.random.Generator) -> Field:
    """Return a background (S, S, 3), linear light: a gradient, a room, foliage or lights, all blurred."""
    kind = str(rng.choice(["studio", "room", "lights", "foliage"], p=[0.35, 0.3, 0.2, 0.15]))
    top, bottom = linear(draw_colour(rng)), linear(draw_colour(rng))
    share = np.linspace(0, 1, RASTER_PX, dtype=np.float32)[:, None, None]
    image = np.broadcast_to(top * (1 - share) + bottom * share, (RASTER_PX, RASTER_PX, 3)).astype(np.float32)
    if kind == "studio":
        spot = cover(ellipse(rng.uniform(0.2, 0.8, 2) * RASTER_PX, (60.0, 60.0)), RASTER_PX, blur_px=38)
        image[spot.window] *= 1 + 0.9 * spot.alpha[..., None]
    elif kind == "room":
        image = _room(image, rng)
    elif kind == "lights":
        image = _lights(image * 0.35, rng)
    else:
        leaves = noise(rng, (RASTER_PX, RASTER_PX), cells=12, octaves=2)[..., None]
        green = linear((rng.uniform(0.2, 0.45), rng.uniform(0.3, 0.5), rng.uniform(0.12, 0.35)))
        image = np.clip(0.15 * image + green * np.exp(0.55 * leaves), 0.01, 1)
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(2.5, 6)))
    return cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_CUBIC)


def _room(image: Field, rng: np.random.Generator) -> Field:
    for _ in range(int(rng.integers(4, 9))):
        corner, extent = rng.uniform(-20, RASTER_PX, 2), rng.uniform(15, 90, 2)
        box = corner + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * extent
        patch = cover(np.clip(box, -40, RASTER_PX + 40), RASTER_PX)
        below = image[patch.window]
        below += 0.85 * patch.alpha[..., None] * (linear(draw_colour(rng)) - below)
    return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(3, 8)))


def _lights(image: Field, rng: np.random.Generator) -> Field:
    radius = rng.uniform(5, 12)
    for _ in range(int(rng.integers(12, 36))):
        patch = cover(ellipse(rng.uniform(0, RASTER_PX, 2), (radius, radius)), RASTER_PX)
        glow = linear(draw_colour(rng, low=0.6, high=1.0)) * rng.uniform(0.3, 0.9)
        image[patch.window] += patch.alpha[..., None] * glow * 0.7
    return cv2.GaussianBlur(image, (0, 0), 1.5)
