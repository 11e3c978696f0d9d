"""Moulded masks: the cup of an N95 and the rubber half mask with two filters."""

from __future__ import annotations

import numpy as np

from occlusion_gen.templates import board as b
from occlusion_gen.templates.board import Board
from occlusion_gen.templates.frame import ARC
from occlusion_gen.templates.valves import draw_plastic, draw_valve

FILTER_PLACE, FILTER_RADIUS = (0.6, 0.64), 0.2  # units


def draw_cup(board: Board, rng: np.random.Generator) -> None:
    """A moulded dome of matt fibre with a metal nose clip, a pressed rim and lines of small print."""
    x, y = board.u * np.float32(ARC), board.v - np.float32(0.58)
    dome = np.sqrt(np.clip(1 - (x / 0.62) ** 2 - (y / 0.52) ** 2, 0, 1))
    lean = np.float32(rng.uniform(-0.25, 0.25))
    board.shade *= 0.66 + 0.36 * dome - 0.2 * y + lean * x * 0.5
    board.shade *= 1 + 0.05 * b.hill(board.u, 0.08) * b.hill(board.v - 0.3, 0.14)
    b.crumple(board, rng, strength=0.18)
    for row in rng.uniform(0.38, 0.8, int(rng.integers(0, 3))):
        ridge = board.v - np.float32(row) + 0.12 * x**2
        board.shade *= 1 + 0.1 * b.hill(ridge + 0.008, 0.008) - 0.14 * b.hill(ridge - 0.006, 0.008)
    b.hem(board, width=0.035, lift=-0.03)
    b.weave(board, rng, pitch=0.0, strength=0.03)
    if rng.random() < 0.7:
        clip = (np.abs(board.depth - 0.045) < 0.011) & (np.abs(board.u) < 0.24) & (board.v < 0.5)
        soft = b.blur(board, clip.astype(np.float32), 0.002)
        board.paint(soft, accent=1.0, gloss=14)
        board.shade *= 1 - 0.2 * b.hill(board.depth - 0.06, 0.006) * (np.abs(board.u) < 0.24) * (board.v < 0.5)
    if rng.random() < 0.6:
        _print_lines(board, rng)


def draw_half_mask(board: Board, rng: np.random.Generator) -> None:
    """Smooth rubber over nose and chin, a valve in the middle, a round filter on each side."""
    x, y = board.u * np.float32(ARC), board.v - np.float32(0.6)
    board.shade *= 0.95 - 0.28 * np.clip(np.abs(x) / 0.5, 0, 1) ** 1.6 - 0.25 * y
    nose = b.hill(board.u, 0.09) * (1 - b.smooth_step(board.v, 0.45, 0.62))
    upper = 1 - b.smooth_step(board.v, 0.38, 0.6)
    board.shade *= 1 + 0.16 * nose - 0.14 * b.hill(np.abs(x) - 0.14, 0.06) * upper
    board.gloss += 14 * b.hill(x + 0.05, 0.035) * b.smooth_step(board.v, 0.16, 0.3) * upper
    b.hem(board, width=0.03, lift=0.08)
    rim = b.hill(np.hypot(x / 0.2, y / 0.24) - 1, 0.06)
    board.shade *= 1 - 0.25 * rim
    draw_valve(board, centre=(0.0, 0.62), rng=rng)
    # Real filters lie lower on some makes; place and size are the same on both sides.
    grooves = rng.uniform(0.02, 0.032)
    for side in (-1, 1):
        along, across = x - np.float32(side * FILTER_PLACE[0] * ARC), board.v - np.float32(FILTER_PLACE[1])
        radius = np.sqrt(along**2 + across**2)
        draw_plastic(
            board, distance=radius - np.float32(FILTER_RADIUS), radius=FILTER_RADIUS, lift_x=along, lift_y=across
        )
        lid = 1 - b.smooth_step(radius, FILTER_RADIUS * 0.74, FILTER_RADIUS * 0.76)
        board.shade *= 1 - 0.16 * lid * (0.5 + 0.5 * np.cos(radius * np.float32(2 * np.pi / grooves)))
        board.shade *= 1 - 0.3 * b.hill(radius - FILTER_RADIUS * 0.76, 0.008)


def half_mask_outline() -> tuple[tuple[float, float], ...]:
    """Return the image-right half of the outline of rubber body and filter, as one line of places."""
    turn = np.radians(np.linspace(-140, 150, 14))
    filter_u = FILTER_PLACE[0] + FILTER_RADIUS / ARC * np.cos(turn)
    filter_v = FILTER_PLACE[1] + FILTER_RADIUS * np.sin(turn)
    body = [(0.0, 0.12), (0.13, 0.14), (0.27, 0.235), (0.37, 0.35), (0.43, 0.45)]
    chin = [(0.36, 0.9), (0.22, 0.99), (0.0, 1.05)]
    return (*body, *zip(filter_u.tolist(), filter_v.tolist(), strict=True), *chin)


def _print_lines(board: Board, rng: np.random.Generator) -> None:
    """Draw a label that no one can read: rows of short strokes, centred below the nose or to one side."""
    middle, rows = rng.choice([0.0, -0.25, 0.25]), int(rng.integers(2, 5))
    dashes = []
    for row in range(rows):
        v, reach = 0.6 + 0.035 * row, rng.uniform(0.08, 0.16)
        edges = np.sort(rng.uniform(-reach, reach, 2 * int(rng.integers(6, 11))))
        dashes += [np.array([[middle + a, v], [middle + z, v]]) for a, z in zip(edges[::2], edges[1::2], strict=True)]
    print_ = b.stroke(board.canvas, dashes, width=0.014)
    board.shade *= 1 - 0.55 * print_
