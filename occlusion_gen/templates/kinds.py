"""The drawn kinds of masks. Each function paints one variant; `draw_sheet` makes it a template."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from occlusion_gen.face import Points
from occlusion_gen.templates import board as b
from occlusion_gen.templates.board import Board
from occlusion_gen.templates.frame import Canvas
from occlusion_gen.templates.respirators import draw_cup, draw_half_mask, half_mask_outline
from occlusion_gen.templates.sheet import SHADE_ONE, Loop, Sheet, border_around, make_levels
from occlusion_gen.templates.valves import draw_valve

MIN_UNIT_PX, MAX_UNIT_PX = 160.0, 480.0  # a template is never drawn smaller, so that thin lines are filtered, not lost


class Cut(NamedTuple):
    """What tells a kind from the others besides its surface: see `Sheet` for `loops`, `bulge` and `thickness`."""

    half_outline: tuple[tuple[float, float], ...]
    loops: tuple[Loop, ...]
    bulge: float
    thickness: float
    jitter: float  # standard deviation of the outline's points, units
    valve: tuple[float, float]  # where a valve sits


_EAR_LOOPS = (Loop((0.8, 0.225), "ear_top", 0.02), Loop((0.72, 0.64), "ear_bottom", 0.02))
CUTS = {
    "surgical": Cut(
        ((0, 0.13), (0.1, 0.138), (0.3, 0.182), (0.6, 0.2), (0.8, 0.2), (0.84, 0.22), (0.82, 0.4), (0.765, 0.61),
         (0.71, 0.67), (0.56, 0.815), (0.38, 0.925), (0.2, 1.005), (0, 1.04)),
        _EAR_LOOPS, 0.03, 0.03, 0.006, (0.26, 0.66),
    ),
    "cloth": Cut(
        ((0, 0.12), (0.12, 0.14), (0.36, 0.205), (0.66, 0.215), (0.85, 0.2), (0.87, 0.23), (0.83, 0.39), (0.8, 0.53),
         (0.76, 0.61), (0.6, 0.79), (0.4, 0.925), (0.2, 1.015), (0, 1.045)),
        (Loop((0.83, 0.24), "ear_top", 0.026), Loop((0.76, 0.58), "ear_bottom", 0.026)), 0.035, 0.03, 0.01, (0.4, 0.64),
    ),
    "kn95": Cut(
        ((0, 0.105), (0.16, 0.135), (0.46, 0.2), (0.74, 0.25), (0.83, 0.28), (0.85, 0.36), (0.82, 0.5), (0.75, 0.63),
         (0.55, 0.83), (0.32, 0.965), (0.12, 1.05), (0, 1.075)),
        (Loop((0.81, 0.3), "ear_top", 0.02), Loop((0.75, 0.6), "ear_bottom", 0.02)), 0.05, 0.035, 0.006, (0.34, 0.62),
    ),
    "n95": Cut(
        ((0, 0.115), (0.16, 0.135), (0.36, 0.19), (0.55, 0.27), (0.67, 0.38), (0.72, 0.53), (0.66, 0.68), (0.53, 0.83),
         (0.36, 0.95), (0.18, 1.02), (0, 1.045)),
        (Loop((0.65, 0.42), "head", 0.034), Loop((0.63, 0.7), "head", 0.034)), 0.06, 0.045, 0.006, (0.0, 0.6),
    ),
    "respirator": Cut(
        half_mask_outline(), (Loop((0.48, 0.44), "head", 0.045), Loop((0.45, 0.74), "head", 0.045)),
        0.07, 0.06, 0.0, (0.0, 0.62),
    ),
}  # fmt: skip


def draw_sheet(kind: str, *, variant: int, valve: bool, unit_px: float) -> Sheet:
    """Return one variant of a kind; equal arguments give equal bytes.

    Args:
        kind: one of `CUTS`.
        variant: seed of its shape, seams, folds and grain.
        valve: whether it has an exhalation valve.
        unit_px: distance from nose bridge to chin that it is needed at.
    """
    cut = CUTS[kind]
    rng = np.random.default_rng([sorted(CUTS).index(kind), variant])
    canvas = Canvas(float(np.clip(unit_px, MIN_UNIT_PX, MAX_UNIT_PX)))
    outline = _outline(cut, rng)
    board = b.start_board(canvas, outline)
    _PAINTERS[kind](board, rng)
    if valve and kind != "respirator":
        draw_valve(board, centre=cut.valve, rng=rng)
    surface = np.dstack([board.shade * SHADE_ONE, board.accent * 255, board.gloss]).astype(np.float32)
    return Sheet(
        name=f"{kind}_{variant}{'_valve' if valve else ''}",
        levels=make_levels(canvas, np.clip(surface, 0, 255), board.alpha),
        border=border_around(outline),
        loops=cut.loops,
        bulge=cut.bulge,
        thickness=cut.thickness,
    )


def _outline(cut: Cut, rng: np.random.Generator) -> Points:
    half = np.array(cut.half_outline)
    half[1:-1] += rng.normal(0, 1, half[1:-1].shape) * cut.jitter
    half[[0, -1], 1] += rng.normal(0, 1, 2) * cut.jitter
    return b.mirrored(half)


def _draw_surgical(board: Board, rng: np.random.Generator) -> None:
    """Three pleats between a stiff upper rim with a nose wire and welded side edges."""
    b.model_relief(board, strength=0.9)
    b.crumple(board, rng, strength=0.55)
    b.creases(board, rng, count=int(rng.integers(3, 7)), strength=0.35)
    sides = np.abs(board.u)
    first = rng.uniform(0.3, 0.38)
    for place in first + np.arange(3) * rng.uniform(0.14, 0.17):
        bow = rng.uniform(-0.01, 0.03) + 0.05 * (place - 0.5)
        curve = _row_at(board, place) - np.float32(bow) * (1 - (sides / 0.84) ** 2)
        curve = curve + np.float32(0.004) * b.noise(board, rng, scale=0.25)[:1]
        b.pleat(board, curve.astype(np.float32), depth=rng.uniform(0.2, 0.34), soft=rng.uniform(0.03, 0.055))
    gathers = np.sin(board.v * np.float32(2 * np.pi / 0.055) + b.noise(board, rng, scale=0.2)) * 0.09
    board.shade *= 1 + gathers * b.smooth_step(sides, 0.6, 0.84)
    rim = 1 - b.smooth_step(board.down, 0.075, 0.085)
    board.shade *= 1 + 0.05 * rim - 0.12 * b.hill(board.down - 0.08, 0.008)
    wire = b.hill(board.v - _row_at(board, 0.045), 0.014) * (1 - b.smooth_step(sides, 0.2, 0.24))
    board.shade *= 1 + 0.1 * wire - 0.1 * b.hill(board.v - _row_at(board, 0.075), 0.01) * (sides < 0.22)
    b.stitches(board, [_row_line(board, place) for place in (0.02, 0.07, 0.965)], dash=0.009, darkness=0.13)
    side_weld = b.smooth_step(sides, 0.75, 0.77) * b.smooth_step(board.down, 0.05, 0.1)
    board.shade *= 1 - 0.05 * side_weld
    board.accent += (0.85 if rng.random() < 0.4 else 0.0) * np.maximum(rim, side_weld)
    b.weave(board, rng, pitch=0.012, strength=0.014)
    b.hem(board, width=0.012, lift=0.03)


def _draw_cloth(board: Board, rng: np.random.Generator) -> None:
    """Two curved panels that meet in a seam on the midline, or one panel; hemmed all around."""
    b.model_relief(board)
    b.crumple(board, rng, strength=0.9)
    b.creases(board, rng, count=int(rng.integers(4, 10)), strength=0.7)
    if rng.random() < 0.65:
        seam = board.u + np.float32(0.004) * b.noise(board, rng, scale=0.3)
        board.shade *= 1 - 0.3 * b.hill(seam, 0.006) + 0.07 * b.hill(np.abs(seam) - 0.02, 0.01)
        v = np.linspace(0.15, 1.03, 40)
        b.stitches(board, [np.column_stack([np.full(40, side * 0.028), v]) for side in (-1, 1)], dash=0.012)
    width = rng.uniform(0.025, 0.04)
    b.hem(board, width=width, lift=0.05)
    b.stitches(board, b.inset_lines(board, width * 0.7), dash=0.012)
    ends = b.smooth_step(np.abs(board.u), 0.77, 0.78)
    board.shade *= 1 - 0.1 * b.hill(np.abs(board.u) - 0.775, 0.008) + 0.03 * ends
    board.accent += (0.9 if rng.random() < 0.3 else 0.0) * (1 - b.smooth_step(board.depth, width * 0.9, width * 1.1))
    b.weave(board, rng, pitch=0.01, strength=0.035)


def _draw_kn95(board: Board, rng: np.random.Generator) -> None:
    """Two flat halves that meet in a welded vertical fold, with dotted welds and an embossed label."""
    b.model_relief(board, strength=0.75)
    b.crumple(board, rng, strength=0.35)
    b.creases(board, rng, count=int(rng.integers(1, 4)), strength=0.5)
    light = rng.choice([-1, 1])
    board.shade *= 1 + np.float32(0.045 * light) * np.tanh(board.u / 0.02)
    board.shade *= 1 + 0.1 * b.hill(board.u - 0.012 * light, 0.012) - 0.22 * b.hill(board.u, 0.005)
    t = np.linspace(0, 1, 40)
    for side in (-1, 1):
        bend = np.column_stack([side * (0.02 + 0.7 * t), 0.33 + 0.09 * t + 0.05 * np.sin(np.pi * t)])
        low = np.column_stack([side * (0.02 + 0.62 * t), 0.86 - 0.22 * t])
        b.stitches(board, [bend, low] if rng.random() < 0.7 else [bend], dash=0.008, darkness=0.17)
    b.stitches(board, b.inset_lines(board, 0.03), dash=0.009, darkness=0.15)
    b.hem(board, width=0.022, lift=0.04)
    wire = b.hill(board.depth - 0.05, 0.015) * (np.abs(board.u) < 0.2) * (board.v < 0.35)
    board.shade *= 1 + 0.08 * wire
    b.weave(board, rng, pitch=0.014, strength=0.016)


def _row_at(board: Board, place: float) -> b.Field:
    """Return v (1, w) of the line that runs at `place` (0 upper edge, 1 lower edge) of each column."""
    covered = board.alpha > 0.5
    first, last = covered.argmax(axis=0), covered.shape[0] - 1 - covered[::-1].argmax(axis=0)
    top, bottom = board.v[first, 0], board.v[last, 0]
    return (top + np.float32(place) * (bottom - top))[None, :]


def _row_line(board: Board, place: float) -> Points:
    """Return the same line as places, between the sides of the mask."""
    inside = np.flatnonzero((board.alpha > 0.5).any(axis=0))[4:-4:2]
    return np.column_stack([board.u[0, inside], _row_at(board, place)[0, inside]]).astype(float)


_PAINTERS: dict[str, Callable[[Board, np.random.Generator], None]] = {
    "surgical": _draw_surgical,
    "cloth": _draw_cloth,
    "kn95": _draw_kn95,
    "n95": draw_cup,
    "respirator": draw_half_mask,
}
