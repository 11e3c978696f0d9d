"""Drawing primitives: smooth outlines, exact area coverage, layers that paint colour and label together.

Colours inside the canvas are linear light in [0, 1] with a gamma of 2 (one square root away from sRGB); points are
(x, y) pixels, integer = pixel centre.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Points = NDArray[np.float64]
SUPERSAMPLING = 4
FIXED_POINT_BITS = 4


class Patch(NamedTuple):
    """Coverage of a shape inside a window of the canvas.

    Attributes:
        window: (rows, columns) of the canvas.
        alpha: (h, w) float32 in [0, 1], the covered share of each pixel.
    """

    window: tuple[slice, slice]
    alpha: Field


class Canvas:
    """An image and its label map, painted back to front.

    Attributes:
        image: (S, S, 3) float32, linear light.
        label: (S, S) uint8 class ids; a layer owns the pixels that it covers by at least one half.
    """

    def __init__(self, size_px: int) -> None:
        self.size_px = size_px
        self.image: Field = np.zeros((size_px, size_px, 3), np.float32)
        self.label: NDArray[np.uint8] = np.zeros((size_px, size_px), np.uint8)

    def paint(self, patch: Patch, colour: Field | tuple[float, ...], *, part: int | None = None) -> None:
        """Lay `colour` over the image where `patch` covers it, and name the covered pixels `part`.

        Args:
            patch: where, and how much of each pixel.
            colour: (3,), or (h, w, 3) of the patch, or (S, S, 3) of the canvas; linear light.
            part: class id, or None to keep the labels below (shading, lashes, reflections).
        """
        colour_array = np.asarray(colour, np.float32)
        if colour_array.ndim == 3 and colour_array.shape[:2] != patch.alpha.shape:
            colour_array = colour_array[patch.window]
        below = self.image[patch.window]
        below += patch.alpha[..., None] * (colour_array - below)
        if part is not None:
            self.label[patch.window][patch.alpha >= 0.5] = part

    def shade(self, patch: Patch, factor: float | tuple[float, ...]) -> None:
        """Multiply the image by `factor` where `patch` covers it (1 = unchanged)."""
        strength = 1.0 - np.asarray(factor, np.float32)
        self.image[patch.window] *= 1.0 - patch.alpha[..., None] * strength

    def everywhere(self, alpha: Field) -> Patch:
        """Return `alpha` (S, S) as a patch of the whole canvas."""
        return Patch((slice(0, self.size_px), slice(0, self.size_px)), alpha)


def linear(colour: tuple[float, ...] | NDArray[np.floating]) -> Field:
    """Return the display colour (values 0..1) as linear light."""
    return np.asarray(colour, np.float32) ** 2


def spline(points: Points, *, closed: bool = False, steps: int = 8) -> Points:
    """Return a Catmull-Rom curve through `points` (n, 2), with `steps` samples a segment."""
    points = np.asarray(points, np.float64)
    if closed:
        padded = np.concatenate([points[-1:], points, points[:2]])
    else:
        padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    before, start, end, after = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[None, :, None]
    before, start, end, after = (part[:, None, :] for part in (before, start, end, after))
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    ).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


def ellipse(centre: Points, radii: tuple[float, float], *, angle: float = 0.0, samples: int = 48) -> Points:
    """Return the outline (samples, 2) of an ellipse; `angle` in radians turns it clockwise on the screen."""
    turn = np.linspace(0.0, 2 * np.pi, samples, endpoint=False)
    x, y = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    rotated = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=1)
    return rotated + np.asarray(centre)


def ribbon(points: Points, widths: NDArray[np.floating] | float) -> Points:
    """Return the outline of a stroke along `points` (n, 2) whose full width is `widths`, (n,) or one number."""
    tangent = np.gradient(points, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    half = np.broadcast_to(np.asarray(widths, np.float64) / 2, (len(points),))[:, None]
    return np.concatenate([points + half * normal, (points - half * normal)[::-1]])


def cover(outlines: Points | list[Points], size_px: int, *, blur_px: float = 0.0) -> Patch:
    """Return the exact coverage of the union of closed polygons on a square canvas of `size_px`.

    Args:
        outlines: one polygon (n, 2) or several; may reach beyond the canvas.
        size_px: width and height of the canvas.
        blur_px: sigma of a Gaussian that softens the result, for shadows and make-up.
    """
    polygons = outlines if isinstance(outlines, list) else [outlines]
    every = np.concatenate(polygons)
    margin = int(3 * blur_px) + 2
    low = np.clip(np.floor(every.min(axis=0)).astype(int) - margin, 0, size_px - 1)
    high = np.clip(np.ceil(every.max(axis=0)).astype(int) + margin + 1, low + 1, size_px)
    width, height = (high - low).tolist()
    fine = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    for polygon in polygons:
        inside = (polygon - low + 0.5) * SUPERSAMPLING - 0.5
        fixed = np.rint(inside * (1 << FIXED_POINT_BITS)).astype(np.int32)
        layer = fine if polygon is polygons[0] else np.zeros_like(fine)
        cv2.fillPoly(layer, [fixed], 255, lineType=cv2.LINE_8, shift=FIXED_POINT_BITS)
        # The filler takes in every cell that the outline touches; half of each belongs to the shape.
        cv2.polylines(layer, [fixed], True, 128, lineType=cv2.LINE_8, shift=FIXED_POINT_BITS)
        fine = np.maximum(fine, layer)
    alpha = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    if blur_px > 0:
        alpha = cv2.GaussianBlur(alpha, (0, 0), blur_px, borderType=cv2.BORDER_REPLICATE)
    return Patch((slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))), alpha)


def clip_to(patch: Patch, alpha: Field) -> Patch:
    """Return `patch` seen only where `alpha` (S, S) of the canvas is."""
    return Patch(patch.window, patch.alpha * alpha[patch.window])


def noise(rng: np.random.Generator, size: tuple[int, int], *, cells: float, octaves: int = 1) -> Field:
    """Return smooth noise (height, width) float32 with zero mean and about unit deviation.

    Args:
        rng: source of the grid values.
        size: (height, width) of the result.
        cells: grid cells along the longer side of the first octave.
        octaves: each further one has twice the cells and half the weight.
    """
    height, width = size
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        count = cells * 2**octave
        rows = max(2, round(count * height / max(size)) + 1)
        columns = max(2, round(count * width / max(size)) + 1)
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(0.5**octave * 1.4)
    return total


def to_display(image: Field) -> NDArray[np.uint8]:
    """Return linear light as display values (..., 3) uint8."""
    return np.rint(np.sqrt(np.clip(image, 0.0, 1.0)) * 255).astype(np.uint8)
