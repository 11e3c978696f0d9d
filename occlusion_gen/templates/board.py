"""What all drawn templates share: the cut of a mask, relief, folds, seams, stitches and grain on its fabric.

A drawing consists of three float maps over the canvas: `shade` multiplies the colour (1 leaves it), `accent` 0..1
exchanges the colour of the fabric for the second one, `gloss` adds light, in grey levels of 255.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Points
from occlusion_gen.templates.frame import ARC, Canvas
from occlusion_gen.templates.spline import smooth_curve

Field = NDArray[np.floating]
SHIFT = 4  # fractional bits of the coordinates that OpenCV draws by


@dataclass
class Board:
    """A mask while it is drawn.

    Attributes:
        canvas: the pixels.
        u: (1, w) place around the head.
        v: (h, 1) place down the face.
        alpha: (h, w) 0..1, the mask's own cut.
        depth: (h, w) distance to the cut's edge in units, 0 outside.
        down: (h, w) 0 at the upper edge, 1 at the lower one.
        shade, accent, gloss: see the module.
    """

    canvas: Canvas
    u: Field
    v: Field
    alpha: Field
    depth: Field
    down: Field
    shade: Field
    accent: Field
    gloss: Field

    def paint(self, where: Field, *, accent: float | None = None, shade: float | None = None, gloss: float = 0) -> None:
        """Cover the drawing where `where` (h, w) 0..1 says so, with a flat piece of another material."""
        if accent is not None:
            self.accent += where * (np.float32(accent) - self.accent)
        if shade is not None:
            self.shade += where * (np.float32(shade) - self.shade)
        self.gloss += where * (np.float32(gloss) - self.gloss)


def start_board(canvas: Canvas, outline: Points) -> Board:
    """Return a flat mask cut along `outline` (L, 2) places."""
    alpha = fill(canvas, outline)
    opaque = (alpha > 0.5).astype(np.uint8)
    depth = cv2.distanceTransform(opaque, cv2.DIST_L2, 5) / np.float32(canvas.unit_px)
    u, v = canvas.grid()
    covered = opaque.any(axis=0)
    columns = np.flatnonzero(covered)
    rows = np.arange(opaque.shape[1])
    first, last = opaque.argmax(axis=0), opaque.shape[0] - 1 - opaque[::-1].argmax(axis=0)
    top = np.interp(rows, columns, v[first[columns], 0]).astype(np.float32)
    bottom = np.interp(rows, columns, v[last[columns], 0]).astype(np.float32)
    down = np.clip((v - top) / np.maximum(bottom - top, np.float32(0.02)), 0, 1)
    flat = np.ones(alpha.shape, np.float32)
    return Board(canvas, u, v, alpha, depth, down, flat, np.zeros_like(flat), np.zeros_like(flat))


def mirrored(half: Points) -> Points:
    """Return a smooth closed outline from its image-right half, given from the top of the midline to its bottom."""
    left = half[1:-1][::-1] * (-1, 1)
    return smooth_curve(np.concatenate([half, left]))


def fill(canvas: Canvas, outline: Points) -> Field:
    """Return the inside of a polygon of places as 0..1 with a soft edge of one pixel."""
    mask = np.zeros(canvas.size, np.uint8)
    pixels = np.rint(canvas.to_pixels(outline) * 2**SHIFT).astype(np.int32)
    cv2.fillPoly(mask, [pixels], 255, cv2.LINE_AA, SHIFT)
    return mask.astype(np.float32) * np.float32(1 / 255)


def stroke(canvas: Canvas, lines: list[Points], *, width: float) -> Field:
    """Return lines through places as 0..1, `width` in units (at least half a pixel)."""
    mask = np.zeros(canvas.size, np.uint8)
    width_px = width * canvas.unit_px
    for line in lines:
        pixels = np.rint(canvas.to_pixels(line) * 2**SHIFT).astype(np.int32)
        cv2.polylines(mask, [pixels], False, 255, max(1, round(width_px)), cv2.LINE_AA, SHIFT)
    return mask.astype(np.float32) * np.float32(min(1.0, max(width_px, 0.3)) / 255)


def smooth_step(value: Field, low: float, high: float) -> Field:
    """Return 0 up to `low`, 1 from `high` on, smooth between."""
    share = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return share * share * (3 - 2 * share)


def hill(value: Field, width: float) -> Field:
    """Return a Gaussian of `value`, 1 at 0."""
    scaled = value * np.float32(1 / width)
    return np.exp(-scaled * scaled)


def noise(board: Board, rng: np.random.Generator, *, scale: float, stretch: float = 1.0) -> Field:
    """Return smooth noise of standard deviation about 1, the same at any size.

    Args:
        scale: height of its features, units.
        stretch: how much wider than high they are.
    """
    height, width = board.alpha.shape
    unit = board.canvas.unit_px * scale
    nodes = (max(4, round(width / unit / stretch)), max(4, round(height / unit)))
    coarse = rng.standard_normal((nodes[1], nodes[0])).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(1.3)


def model_relief(board: Board, *, strength: float = 1.0) -> None:
    """Shade the mask as the cylinder that a face is: light from above, darker sides, chin and flanks of the nose."""
    sides = np.clip(np.abs(board.u) / 0.9, 0, 1) ** 2
    nose = hill(board.v - 0.32, 0.17)
    ridge = 0.13 * hill(board.u, 0.075) - 0.17 * hill(np.abs(board.u) - 0.21, 0.1)
    mouth = 0.06 * hill(board.v - 0.55, 0.12) * hill(board.u, 0.4)
    shade = 0.99 - 0.3 * sides - 0.3 * smooth_step(board.v, 0.6, 1.08) + ridge * nose + mouth
    board.shade *= 1 + np.float32(strength) * (shade - 1)


def crumple(board: Board, rng: np.random.Generator, *, strength: float) -> None:
    """Shade broad waves of the fabric, longer than they are high: slopes that face up are lighter."""
    broad = noise(board, rng, scale=0.3, stretch=2.2)
    fine = noise(board, rng, scale=0.11, stretch=2.5)
    board.shade *= 1 + np.float32(strength) * emboss(board, broad * np.float32(0.022) + fine * np.float32(0.005))


def creases(board: Board, rng: np.random.Generator, *, count: int, strength: float) -> None:
    """Shade soft creases that run from the sides, where the loops pull, towards the middle."""
    lines = []
    for _ in range(count):
        side, start, end = rng.choice([-1, 1]), rng.uniform(0.3, 0.75), rng.uniform(0.35, 0.8)
        t = np.linspace(0, 1, 12)
        reach = rng.uniform(0.25, 0.6)
        u = side * (0.82 - reach * t)
        v = start + (end - start) * t * 0.8 + rng.uniform(-0.05, 0.05) * np.sin(np.pi * t)
        lines.append(np.column_stack([u, v]))
    fold = blur(board, stroke(board.canvas, lines, width=0.016), rng.uniform(0.014, 0.024))
    board.shade *= 1 + np.float32(strength) * emboss(board, fold * np.float32(0.045))


def emboss(board: Board, height: Field) -> Field:
    """Return how much lighter than flat a relief `height` (units) is under light from above: its slope, -1..1."""
    slope = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=board.canvas.unit_px / 8)
    slant = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=board.canvas.unit_px / 8)
    return np.clip(slope + 0.35 * slant, -1, 1)


def blur(board: Board, field: Field, sigma: float) -> Field:
    """Return `field` under a Gaussian of `sigma` units."""
    return cv2.GaussianBlur(field, (0, 0), max(0.3, sigma * board.canvas.unit_px))


def pleat(board: Board, curve: Field, *, depth: float, soft: float) -> None:
    """Shade a fold along v = `curve` (1, w) or (h, w): a lit lip above, a shadow that fades out below."""
    below = board.v - curve
    shadow = np.where(below >= 0, np.exp(-np.maximum(below, 0) / np.float32(soft)), hill(below, 0.006))
    lip = hill(below + 0.016, 0.012)
    board.shade *= 1 - np.float32(depth) * shadow + np.float32(0.3 * depth) * lip


def hem(board: Board, *, width: float, lift: float, where: Field | None = None) -> None:
    """Draw a folded rim: a lighter band along the edge with a thin shadow where it ends."""
    share = np.float32(1) if where is None else where
    band = 1 - smooth_step(board.depth, width * 0.9, width * 1.1)
    board.shade *= 1 + share * (np.float32(lift) * band - np.float32(0.16) * hill(board.depth - width, 0.007))
    board.shade *= 1 - share * np.float32(0.25) * hill(board.depth, 0.008)  # the edge turns away


def stitches(board: Board, lines: list[Points], *, dash: float = 0.018, darkness: float = 0.2) -> None:
    """Draw dashed seams along lines of places."""
    dashes = [piece for line in lines for piece in _dashes(line, dash)]
    threads = stroke(board.canvas, dashes, width=0.006)
    board.shade *= 1 - np.float32(darkness) * threads


def inset_lines(board: Board, depth: float) -> list[Points]:
    """Return the lines that run `depth` units inside the edge, as places."""
    inside = (board.depth > depth).astype(np.uint8)
    found, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    unit = board.canvas.unit_px
    low = np.array([float(board.u[0, 0]), float(board.v[0, 0])])
    return [line[:, 0].astype(float) / (ARC * unit, unit) + low for line in found if len(line) > 8]


def weave(board: Board, rng: np.random.Generator, *, pitch: float, strength: float) -> None:
    """Add the grain of a fabric: uneven, and woven every `pitch` units, where pixels are fine enough to show it."""
    pitch_px = pitch * board.canvas.unit_px
    grain = noise(board, rng, scale=0.012) * np.float32(0.5)
    if pitch_px > 3:
        grain += np.sin(board.u * np.float32(2 * np.pi * ARC / pitch)) * np.sin(board.v * np.float32(2 * np.pi / pitch))
    board.shade *= 1 + np.float32(strength) * grain


def _dashes(line: Points, dash: float) -> list[Points]:
    steps = np.hypot(*(np.diff(line, axis=0) * (ARC, 1.0)).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    starts = np.arange(0, along[-1], 2 * dash)
    ends = np.minimum(starts + dash, along[-1])
    spots = np.stack([starts, (starts + ends) / 2, ends], axis=1)
    return list(np.stack([np.interp(spots, along, line[:, 0]), np.interp(spots, along, line[:, 1])], axis=-1))
