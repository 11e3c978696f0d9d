"""Hands: tapered limbs joined to one relief and lit like the skin of the face."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.sample_world.canvas import Field, Points, noise, ribbon, spline
from datasets.sample_world.hand_pose import FINGER_ROOTS, HandLook, Limb, limbs_of
from datasets.sample_world.lighting import SKIN_WRAP, Light, illuminate, skin_tone


def _tube(limb: Limb, grid: tuple[Field, Field]) -> tuple[Field, Field]:
    """Return height and signed inner distance of a tube over the grid, in hand units (negative outside)."""
    x, y = grid
    path, radii = limb.path, limb.radii
    if len(path) > 2:
        radii = np.interp(np.linspace(0, len(path) - 1, 3 * (len(path) - 1) + 1), np.arange(len(path)), radii)
        path = spline(path, steps=3)
    inner = np.full(x.shape, -9.0, np.float32)
    height = np.full(x.shape, -9.0, np.float32)
    for start, end, first, last in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        bone = end - start
        along = (
            (x - np.float32(start[0])) * np.float32(bone[0]) + (y - np.float32(start[1])) * np.float32(bone[1])
        ) / np.float32(bone @ bone)
        along = np.clip(along, 0.0, 1.0)
        radius = np.float32(first) + along * np.float32(last - first)
        across = cv2.magnitude(
            x - np.float32(start[0]) - along * np.float32(bone[0]),
            y - np.float32(start[1]) - along * np.float32(bone[1]),
        )
        inner = np.maximum(inner, radius - across)
        height = np.maximum(height, cv2.sqrt(np.maximum(radius * radius - across * across, 0.0)))
    return height + np.float32(limb.lift), inner


def _paths(look: HandLook, *, unit_px: float, origin: Points) -> list[Limb]:
    """Return the limbs in pixels of the picture."""
    flip = np.array([look.side, 1.0])
    return [limb._replace(path=limb.path * flip * unit_px + origin) for limb in limbs_of(look)]


def render_hand(look: HandLook, light: Light, *, unit_px: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """Return a hand's linear colour (h, w, 3) and coverage (h, w), finger tips down, the arm cut by the upper edge.

    Args:
        look: the hand.
        light: in the frame of this picture.
        unit_px: width of the palm in pixels.
        rng: feeds the skin's texture.
    """
    left, right, top, bottom = 1.25, 1.25, 0.55 + 0.8 * look.forearm, 2.35
    width, height_px = round((left + right) * unit_px), round((top + bottom) * unit_px)
    origin = np.array([left, top]) * unit_px
    ticks_x = ((np.arange(width, dtype=np.float32) - np.float32(origin[0])) / np.float32(unit_px))[
        None, :
    ] * np.float32(look.side)
    ticks_y = ((np.arange(height_px, dtype=np.float32) - np.float32(origin[1])) / np.float32(unit_px))[:, None]
    grid = (np.repeat(ticks_x, height_px, axis=0), np.repeat(ticks_y, width, axis=1))
    relief, inner, crease = (
        np.zeros(grid[0].shape, np.float32),
        np.full(grid[0].shape, -9.0, np.float32),
        np.zeros(grid[0].shape, np.float32),
    )
    for limb in limbs_of(look):
        tube, depth = _tube(limb, grid)
        if limb.joints:
            # Fingers melt into the palm: their outline shows only beyond the knuckles.
            start = FINGER_ROOTS[0, 1] - 0.06 if limb.path[0, 1] > 0.5 else 0.62
            free = np.clip((grid[1] - np.float32(start)) / np.float32(0.28), 0.0, 1.0)
            seam = cv2.exp(-((depth / np.float32(0.03)) ** 2)) * (inner > 0.02) * free * np.float32(0.8)
            crease = np.maximum(crease * np.where(depth < 0.0, 1.0, 1.0 - free), seam).astype(np.float32)
        relief = np.where(depth > 0, np.maximum(relief, tube), relief)
        inner = np.maximum(inner, depth)
    alpha = np.clip(inner * np.float32(unit_px) + 0.5, 0.0, 1.0)
    relief = cv2.GaussianBlur(relief, (0, 0), 0.04 * unit_px)
    colour = _skin_colour(look, light, relief=relief * np.float32(unit_px * 0.9), crease=crease, rng=rng)
    for limb in _paths(look, unit_px=unit_px, origin=origin):
        _details(colour, limb, look=look, unit_px=unit_px)
    if look.sleeve is not None:
        _pull_sleeve(colour, alpha, look=look, light=light, origin=origin, unit_px=unit_px, rng=rng)
    return colour, alpha


def _skin_colour(look: HandLook, light: Light, *, relief: Field, crease: Field, rng: np.random.Generator) -> Field:
    size = relief.shape
    received, shine = illuminate(relief, light, wrap=SKIN_WRAP, gloss=12.0)
    tone = skin_tone(look.depth if look.back else look.depth * 0.75)
    mottle = noise(rng, size, cells=8, octaves=4)
    colour = tone * received * (1.0 + 0.045 * mottle)[..., None]
    redness = np.clip(noise(rng, size, cells=5) * 0.5 + (0.4 if look.back else 0.9), 0, 1.5)[..., None]
    colour *= 1.0 - redness * np.array([0.0, 0.12, 0.11], np.float32) * (1.2 - look.depth)
    colour *= 1.0 - crease[..., None] * np.array([0.42, 0.56, 0.58], np.float32)
    colour += (0.05 * shine * (1 + 0.5 * mottle))[..., None]
    pores = cv2.GaussianBlur(rng.standard_normal(size, dtype=np.float32), (0, 0), 0.8)
    return (colour * (1.0 + 0.035 * pores)[..., None]).astype(np.float32)


def _stroke(shape: tuple[int, int], outline: Points, *, blur_px: float) -> Field:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(mask, (0, 0), max(blur_px, 0.3)).astype(np.float32) / np.float32(255)


def _details(colour: Field, limb: Limb, *, look: HandLook, unit_px: float) -> None:
    """Darken joints and draw the nail of one limb, in place."""
    for joint in limb.joints:
        along = limb.path[min(joint + 1, len(limb.path) - 1)] - limb.path[joint - 1]
        along = along / max(float(np.linalg.norm(along)), 1e-6)
        across = np.array([-along[1], along[0]]) * limb.radii[joint] * unit_px
        for offset in (-0.035, 0.035) if look.back else (0.0, 0.05):
            middle = limb.path[joint] + along * offset * unit_px
            arc = spline(
                np.stack([middle - 0.62 * across, middle + 0.02 * unit_px * along, middle + 0.62 * across]),
                steps=5,
            )
            line = _stroke(colour.shape[:2], ribbon(arc, 0.018 * unit_px), blur_px=0.010 * unit_px)
            colour *= 1.0 - line[..., None] * np.array([0.32, 0.42, 0.44], np.float32)
    if limb.nail and look.back:
        _nail(colour, limb, look=look, unit_px=unit_px)


def _nail(colour: Field, limb: Limb, *, look: HandLook, unit_px: float) -> None:
    along = limb.path[-1] - limb.path[-2]
    along = along / max(float(np.linalg.norm(along)), 1e-6)
    across = np.array([-along[1], along[0]])
    radius = limb.radii[-1] * unit_px
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    cos, sin = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.75, np.sin(turn)
    outline = (
        limb.path[-1]
        + 0.34 * radius * along
        + (0.62 * radius * cos)[:, None] * across
        + (0.62 * radius * sin)[:, None] * along
    )
    plate, edge = (
        _stroke(colour.shape[:2], outline, blur_px=0.4),
        _stroke(colour.shape[:2], outline, blur_px=0.03 * unit_px),
    )
    colour *= 1.0 - 0.45 * edge[..., None]
    lit = cv2.GaussianBlur(colour, (0, 0), 0.05 * unit_px) / np.maximum(skin_tone(look.depth), 0.02)
    tone = (
        np.asarray(look.nail, np.float32)
        if look.nail
        else 0.72 * skin_tone(look.depth) + np.array([0.27, 0.16, 0.15], np.float32)
    )
    colour += plate[..., None] * (np.clip(lit * 1.55, 0, 1.6) * tone - colour)
    gleam = _stroke(
        colour.shape[:2],
        limb.path[-1] + 0.30 * radius * along - 0.2 * radius * across + (outline - outline.mean(axis=0)) * 0.25,
        blur_px=0.02 * unit_px,
    )
    colour += 0.22 * gleam[..., None]


def _pull_sleeve(
    colour: Field,
    alpha: Field,
    *,
    look: HandLook,
    light: Light,
    origin: Points,
    unit_px: float,
    rng: np.random.Generator,
) -> None:
    """Cover the forearm with a cuff, in place."""
    height, width = alpha.shape
    end = origin[1] - 0.42 * unit_px
    half = 0.52 * unit_px
    outline = np.array(
        [
            (origin[0] - half * 1.1, -4.0),
            (origin[0] + half * 1.1, -4.0),
            (origin[0] + half, end),
            (origin[0], end + 0.06 * unit_px),
            (origin[0] - half, end),
        ]
    )
    cuff = _stroke((height, width), outline, blur_px=0.5)
    across = np.clip(
        (np.arange(width, dtype=np.float32)[None, :] - np.float32(origin[0])) / np.float32(half * 1.15),
        -0.99,
        0.99,
    )
    drum = np.repeat(cv2.sqrt(1 - across * across), height, axis=0) * np.float32(half)
    folds = noise(rng, (height, width), cells=6, octaves=2) * np.float32(0.05 * unit_px)
    received, _ = illuminate(drum + folds, light, wrap=0.2)
    cloth = np.asarray(look.sleeve, np.float32) ** 2 * received
    colour += cuff[..., None] * (cloth - colour)
    np.maximum(alpha, cuff, out=alpha)


def hand_picture(
    look: HandLook, light: Light, *, unit_px: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the hand as a photo on white (h, w, 3) uint8 and its mask (h, w) bool."""
    colour, alpha = render_hand(look, light, unit_px=unit_px, rng=rng)
    image = 0.97 + alpha[..., None] * (colour - 0.97)
    return np.rint(np.sqrt(np.clip(image, 0, 1)) * 255).astype(np.uint8), alpha >= 0.5
