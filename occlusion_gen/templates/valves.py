"""Exhalation valves, and other round or boxed parts of hard plastic."""

from __future__ import annotations

import numpy as np

from occlusion_gen.templates import board as b
from occlusion_gen.templates.board import Board, Field
from occlusion_gen.templates.frame import ARC


def draw_valve(board: Board, *, centre: tuple[float, float], rng: np.random.Generator) -> None:
    """Draw a valve of a second colour with a bevel, slots and the shadow that it casts."""
    side = rng.choice([-1, 1])
    x, y = (board.u - np.float32(side * centre[0])) * np.float32(ARC), board.v - np.float32(centre[1])
    radius = rng.uniform(0.075, 0.095)
    power = rng.choice([2.0, 4.0])  # round, or a box with round corners
    reach = (np.abs(x / 1.1) ** power + np.abs(y) ** power) ** np.float32(1 / power)
    draw_plastic(board, distance=reach - np.float32(radius), radius=radius, lift_x=x, lift_y=y)
    inside = 1 - b.smooth_step(reach, radius * 0.68, radius * 0.72)
    slots = b.hill(np.sin(y * np.float32(np.pi / (radius * 0.3))), 0.35)
    board.shade *= 1 - 0.4 * slots * inside


def draw_plastic(
    board: Board, *, distance: Field, radius: float, lift_x: Field, lift_y: Field, accent: float = 1.0
) -> None:
    """Draw a piece of hard plastic: its shadow on the mask, its body and a bevel that catches the light.

    Args:
        distance: (h, w) signed distance to its edge in units, negative inside.
        radius: its size, units.
        lift_x: (h, w) place relative to its middle, units.
        lift_y: likewise, downwards.
        accent: its material, 1 the second colour, 0 the first.
    """
    pixel = 1 / board.canvas.unit_px
    below = np.maximum(distance - np.float32(0.25 * radius) * np.clip(lift_y / np.float32(radius), -1, 1), 0)
    board.shade *= 1 - 0.4 * b.hill(below, 0.22 * radius) * (distance > 0)
    body = 1 - b.smooth_step(distance, -pixel, pixel)
    across = np.clip(-(0.35 * lift_x + lift_y) / np.float32(radius), -1, 1)
    bevel = b.hill(distance + np.float32(0.14 * radius), 0.1 * radius)
    shade = 0.95 + 0.1 * across + 0.28 * bevel * across
    board.shade += body * (shade - board.shade)
    board.accent += body * (np.float32(accent) - board.accent)
    board.gloss += body * (26 * bevel * np.clip(across, 0, 1) + 8 * np.clip(across, 0, 1) ** 2 - board.gloss)
