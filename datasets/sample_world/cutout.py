"""Cut-outs: a canvas that knows how much of each pixel it covers."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.sample_world.canvas import Canvas, Field, Patch, Points, cover, to_display


class CutOut(Canvas):
    """A picture on nothing: `image` is premultiplied linear light, `alpha` (S, S) its coverage."""

    def __init__(self, size_px: int) -> None:
        super().__init__(size_px)
        self.alpha: Field = np.zeros((size_px, size_px), np.float32)

    def paint(self, patch: Patch, colour: Field | tuple[float, ...], *, part: int | None = None) -> None:
        """Lay `colour` over what is there; without a `part` it tints only what is already covered."""
        if part is None:
            patch = Patch(patch.window, patch.alpha * self.alpha[patch.window])
        super().paint(patch, colour, part=part)
        if part is not None:
            self.alpha[patch.window] += patch.alpha * (1.0 - self.alpha[patch.window])

    def rgba(self) -> NDArray[np.uint8]:
        """Return the picture as RGBA (S, S, 4) uint8 with straight alpha."""
        straight = (self.image / np.maximum(self.alpha, 1e-3)[..., None]).astype(np.float32)
        colour = to_display(straight)
        return np.dstack([colour, np.rint(np.clip(self.alpha, 0, 1) * 255).astype(np.uint8)])


def trim(rgba: NDArray[np.uint8], *, margin_px: int = 3) -> NDArray[np.uint8]:
    """Return `rgba` (H, W, 4) cut to the box of what it covers, plus a margin where there is one."""
    rows, columns = np.flatnonzero(rgba[..., 3].any(axis=1)), np.flatnonzero(rgba[..., 3].any(axis=0))
    top, left = max(rows[0] - margin_px, 0), max(columns[0] - margin_px, 0)
    return np.ascontiguousarray(rgba[top : rows[-1] + margin_px + 1, left : columns[-1] + margin_px + 1])


def lay_over(
    canvas: Canvas,
    colour: Field,
    *,
    alpha: Field,
    to_canvas: NDArray[np.float64],
    part: int,
    shadow: tuple[float, float, float],
) -> Field:
    """Paint a premultiplied picture through a 2x3 transform, its contact shadow first; return its coverage (S, S).

    Args:
        canvas: painted in place.
        colour: (h, w, 3) premultiplied linear light.
        alpha: (h, w) coverage.
        to_canvas: maps points of the picture to points of the canvas.
        part: class id of what it covers by at least one half.
        shadow: (shift x, shift y, sigma) in pixels of the canvas.
    """
    size = (canvas.size_px, canvas.size_px)
    scale = float(np.sqrt(abs(np.linalg.det(to_canvas[:, :2]))))
    if scale < 0.6:
        sigma = 0.45 / scale
        colour, alpha = cv2.GaussianBlur(colour, (0, 0), sigma), cv2.GaussianBlur(alpha, (0, 0), sigma)
    over = cv2.warpAffine(colour, to_canvas, size, flags=cv2.INTER_LINEAR)
    covered = cv2.warpAffine(alpha, to_canvas, size, flags=cv2.INTER_LINEAR)
    move = np.array([[1, 0, shadow[0]], [0, 1, shadow[1]]], np.float64)
    cast = cv2.GaussianBlur(cv2.warpAffine(covered, move, size), (0, 0), max(shadow[2], 0.3))
    canvas.shade(canvas.everywhere(cast), (0.50, 0.42, 0.40))
    canvas.image *= 1.0 - covered[..., None]
    canvas.image += over
    canvas.label[covered >= 0.5] = part
    return covered


def rounded_box(centre: tuple[float, float], half: tuple[float, float], *, radius: float) -> Points:
    """Return the outline of a box with round corners."""
    turn = np.linspace(0, np.pi / 2, 8)
    corner = np.column_stack([np.cos(turn), np.sin(turn)]) * radius + np.array(half) - radius
    quadrants = [corner, (corner * [-1, 1])[::-1], corner * [-1, -1], (corner * [1, -1])[::-1]]
    return np.concatenate(quadrants) + np.array(centre)


def soft(outlines: Points | list[Points], size_px: int, *, blur_px: float, strength: float = 1.0) -> Patch:
    """Return a blurred, weakened coverage, for gleams and shadows."""
    patch = cover(outlines, size_px, blur_px=blur_px)
    return Patch(patch.window, patch.alpha * np.float32(strength))
