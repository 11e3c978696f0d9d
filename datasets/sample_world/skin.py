"""The skin of the face: relief, shading, tone, beard and freckles."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from datasets.sample_world.canvas import Field, Points, noise
from datasets.sample_world.head import CROSS_SECTION_DEPTH, Head
from datasets.sample_world.lighting import SKIN_WRAP, Light, illuminate, skin_tone


@dataclass(frozen=True)
class Complexion:
    """How the skin looks: `depth` 0 pale .. 1 dark, the rest 0..1; `beard_kind` none, stubble, goatee or full."""

    depth: float = 0.3
    flush: float = 0.5
    gloss: float = 0.5
    freckles: float = 0.0
    beard: float = 0.0
    beard_kind: str = "none"
    beard_tone: tuple[float, float, float] = (0.08, 0.06, 0.05)
    age: float = 0.2


def _both(x: float, y: float) -> list[tuple[float, float]]:
    return [(-x, y), (x, y)]


def _bumps(head: Head, age: float) -> list[tuple[list[tuple[float, float]], float, tuple[float, float], float]]:
    """Return (front-view centres, lift, radii, height) of the hills and hollows of a face, in head units."""
    s, smile = head.shape, max(head.expression.smile, 0.0)
    tip, wing, mouth = s.nose_length, s.nose_width, s.mouth_y
    low = mouth + head.expression.mouth_open
    return [
        (_both(0.40, s.brow_y + 0.02), 0.05, (0.30, 0.10), 0.055),
        ([(0.0, s.brow_y + 0.08)], 0.0, (0.12, 0.12), 0.02),
        (_both(s.eye_x, 0.0), 0.0, (0.27, 0.17), -0.085),
        (_both(s.eye_x, -0.015), 0.0, (0.15, 0.105), 0.075),
        (_both(s.eye_x - 0.02, 0.17), 0.0, (0.15, 0.035), -0.010 - 0.016 * age),
        ([(0.0, 0.10)], 0.06, (0.085, 0.22), 0.10),
        ([(0.0, 0.32)], 0.14, (0.095, 0.20), 0.16),
        ([(0.0, tip - 0.01)], s.nose_depth, (0.115, 0.105), 0.17),
        ([(0.0, tip + 0.06)], s.nose_depth * 0.7, (0.16, 0.09), 0.07),
        (_both(wing * 0.72, tip + 0.08), 0.10, (0.085, 0.085), 0.085),
        (_both(wing * 1.30, tip + 0.10), 0.0, (0.05, 0.10), -0.03),
        (_both(0.58, 0.40), 0.0, (0.26, 0.20), 0.05 + 0.05 * smile),
        (_both(0.66, 0.86), 0.0, (0.20, 0.22), -0.025 + 0.02 * smile),
        ([(0.0, (tip + 0.18 + mouth) / 2 - 0.02)], 0.06, (0.028, 0.06), -0.012),
        ([(0.0, mouth - s.lip_upper * 0.4)], 0.09, (0.22, 0.05), 0.03),
        ([(0.0, low + s.lip_lower * 0.55)], 0.09, (0.19, 0.06), 0.045),
        ([(0.0, low + s.lip_lower + 0.09)], 0.03, (0.17, 0.05), -0.045),
        (
            _both(s.mouth_width * (1.13 + 0.22 * smile), mouth - 0.10 * smile),
            0.0,
            (0.05, 0.06),
            -0.025 - 0.02 * smile,
        ),
        ([(0.0, head.chin_y - 0.20)], 0.0, (0.17, 0.13), 0.07),
        (_both(0.42, -0.78), 0.0, (0.30, 0.20), 0.02),
    ]


def _at(head: Head, centres: list[tuple[float, float]], *, lift: float) -> Points:
    return head.flat(head.surface(np.array(centres), lift=lift))


def blob(grid: tuple[Field, Field], centre: Points, *, radii: tuple[float, float]) -> Field:
    """Return a Gaussian hill (S, S) of height 1 on the flat grid, `radii` being its standard deviations."""
    x = (grid[0] - np.float32(centre[0])) * np.float32(1 / radii[0])
    y = (grid[1] - np.float32(centre[1])) * np.float32(1 / radii[1])
    return cv2.exp(-0.5 * (x * x + y * y))


def relief(head: Head, grid: tuple[Field, Field], *, age: float) -> Field:
    """Return the height (S, S) of the face towards the viewer in head units, on a flat grid."""
    x, y = grid
    heights, left, right = head.edges
    middle = np.interp(y.ravel(), heights, (left + right) / 2).astype(np.float32).reshape(y.shape)
    half = np.interp(y.ravel(), heights, (right - left) / 2).astype(np.float32).reshape(y.shape)
    height = CROSS_SECTION_DEPTH * cv2.sqrt(np.maximum(half * half - (x - middle) ** 2, 0.004))
    turn = float(np.cos(head.pose.yaw))
    for centres, lift, radii, size in _bumps(head, age):
        for centre in _at(head, centres, lift=lift):
            height += np.float32(size) * blob(grid, centre, radii=(radii[0] * turn, radii[1]))
    return _folds(head, grid, height=height, age=age)


def _folds(head: Head, grid: tuple[Field, Field], *, height: Field, age: float) -> Field:
    """Return `height` with the two folds from the nose to the corners of the mouth."""
    depth = 0.006 + 0.02 * max(head.expression.smile, 0.0) + 0.016 * age
    shape = head.shape
    start, end = (
        np.array([shape.nose_width * 1.25, shape.nose_length + 0.10]),
        np.array([shape.mouth_width * 1.42, shape.mouth_y]),
    )
    for side in (-1.0, 1.0):
        for share in np.linspace(0.0, 1.0, 6):
            point = start + share * (end - start) + np.array([0.05 * np.sin(np.pi * share), 0.0])
            centre = _at(head, [(side * float(point[0]), float(point[1]))], lift=0.0)[0]
            height -= np.float32(depth * (1 - 0.5 * share)) * blob(grid, centre, radii=(0.035, 0.075))
    return height


def _tint(head: Head, grid: tuple[Field, Field], *, look: Complexion) -> Field:
    """Return the tone (h, w, 3) of the skin, linear: base, flush of cheeks and nose, darker sockets."""
    tone = skin_tone(look.depth)
    strength = look.flush * (1.0 - 0.55 * look.depth)
    shape = head.shape
    red = np.zeros_like(grid[0])
    for centre in _at(head, _both(0.60, 0.42), lift=0.0):
        red += 0.9 * blob(grid, centre, radii=(0.26, 0.20))
    red += 0.8 * blob(grid, _at(head, [(0.0, shape.nose_length)], lift=shape.nose_depth)[0], radii=(0.16, 0.12))
    red += 0.4 * blob(grid, _at(head, [(0.0, head.chin_y - 0.15)], lift=0.0)[0], radii=(0.22, 0.12))
    dark = np.zeros_like(red)
    for centre in _at(head, _both(shape.eye_x, 0.03), lift=0.0):
        dark += (0.28 + 0.25 * look.age) * blob(grid, centre, radii=(0.24, 0.15))
    colour = np.empty((*red.shape, 3), np.float32)
    for channel, (by_red, by_dark) in enumerate(((0.02, -0.45), (-0.26, -0.62), (-0.24, -0.55))):
        colour[..., channel] = tone[channel] * (1 + by_red * strength * red) * (1 + by_dark * dark)
    return colour


def beard_cover(head: Head, grid: tuple[Field, Field], *, kind: str) -> Field:
    """Return how much beard grows at each place, (S, S) in [0, 1], lips and outline not yet cut."""
    x, y = grid
    mouth_flat = _at(head, [(0.0, head.shape.mouth_y)], lift=0.05)[0]
    heights, left, right = head.edges
    wide = np.interp(y.ravel(), heights, (right - left) / 2).astype(np.float32).reshape(y.shape)
    middle = np.interp(y.ravel(), heights, (right + left) / 2).astype(np.float32).reshape(y.shape)
    side = np.abs(x - 0.5 * middle - 0.5 * np.float32(mouth_flat[0])) / np.maximum(wide, 0.2)
    below = y - np.float32(mouth_flat[1])
    if kind == "goatee":
        reach = blob(grid, np.array([mouth_flat[0], mouth_flat[1] + 0.18]), radii=(0.27, 0.29))
        return np.clip((reach - 0.42) * 5.0, 0.0, 1.0)
    line = -0.42 - 0.35 * np.clip((side - 0.62) / 0.3, 0, 1) + 0.10 * np.cos(side * 5)
    cheeks = np.clip((below - line - 0.75 * np.clip(0.62 - side, 0, 1)) * 5.0, 0.0, 1.0)
    moustache = blob(grid, mouth_flat + np.array([0.0, -0.19]), radii=(0.24, 0.085))
    chin = blob(grid, mouth_flat + np.array([0.0, 0.46]), radii=(0.50, 0.30))
    return np.clip(np.maximum(cheeks, np.maximum(moustache * 1.3, chin * 1.1)) * 1.1 - 0.1, 0.0, 1.0)


def paint_skin(head: Head, look: Complexion, *, light: Light, rng: np.random.Generator) -> tuple[Field, Field]:
    """Return the colour (S, S, 3) of the lit face as if it covered the whole photo, and its shine (S, S)."""
    size = head.size_px
    small = max(size // 2, 64)
    grid = head.grid_of(small)
    height = relief(head, grid, age=look.age)
    step = size / small / head.unit_px
    received, shine = illuminate(height / np.float32(step), light, wrap=SKIN_WRAP, gloss=14.0)
    hollow = np.clip((cv2.GaussianBlur(height, (0, 0), 0.09 / step) - height) * 5.0, -0.25, 0.6)
    mottle = noise(rng, (small, small), cells=9, octaves=4)
    colour = _tint(head, grid, look=look) * received * (1.0 - hollow)[..., None]
    colour *= (1.0 + 0.035 * mottle)[..., None]
    colour += (0.10 * look.gloss * shine * (1 + 0.4 * mottle))[..., None] * np.asarray(light.key, np.float32)
    full = cv2.resize(colour, (size, size), interpolation=cv2.INTER_LINEAR)
    pores = rng.standard_normal((size, size), dtype=np.float32)
    full *= (1.0 + (0.025 + 0.02 * look.age) * cv2.GaussianBlur(pores, (0, 0), 0.8))[..., None]
    if look.freckles > 0:
        spots = np.clip(noise(rng, (size, size), cells=60) - 1.5, 0, 1) * blob(
            head.grid, np.array([0.1 * head.pose.yaw, 0.4]), radii=(0.6, 0.3)
        )
        full *= 1.0 - look.freckles * spots[..., None] * np.array([0.35, 0.55, 0.65], np.float32)
    return full, cv2.resize(shine, (size, size), interpolation=cv2.INTER_LINEAR)


def grow_beard(head: Head, look: Complexion, *, colour: Field, rng: np.random.Generator) -> Field:
    """Return the skin's colour (S, S, 3) with the beard's shade on it; a beard stays skin in the labels."""
    size = head.size_px
    cover = beard_cover(head, head.grid, kind=look.beard_kind)
    hairs = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), sigmaX=0.6, sigmaY=1.3)
    ragged = np.where(cover > 0.02, np.clip(cover + 0.25 * noise(rng, (size, size), cells=48) * (1 - cover), 0, 1), 0)
    amount = np.clip(ragged * look.beard * (0.78 + 0.55 * hairs), 0.0, 0.92)[..., None]
    lit = cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)[..., None]
    tone = np.asarray(look.beard_tone, np.float32) * (0.5 + 1.8 * lit) * (1.0 + 0.5 * hairs[..., None])
    return colour + amount * (tone - colour)
