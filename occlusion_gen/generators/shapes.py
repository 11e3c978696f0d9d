"""Random closed shapes from cubic Bezier curves.

Source: the shape generator of RandOcc (Voo et al. 2022): random points sorted by angle, smooth tangents.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from occlusion_gen.face import Image8, Params

SHAPE_SIDE_PX = 512
SAMPLES_PER_EDGE = 100
MAX_TRIES = 200
MIN_DISTANCE = 0.7  # of 1/n, between consecutive points in the unit square
_SUBPIXEL_BITS = 4

Points = NDArray[np.float64]


def draw_shape(rng: np.random.Generator) -> Params:
    """Return vertices, roughness and edginess of a shape.

    Consecutive points, sorted by angle about their mean, are at least 0.7/n apart by the sum of their coordinate
    differences, as published; the try with the largest gap is kept when 200 tries find none.
    """
    count = int(rng.integers(3, 16))
    roughness, edginess = rng.random(2)
    best, best_gap = _sort_by_angle(rng.random((count, 2))), -1.0
    for _ in range(MAX_TRIES):
        points = _sort_by_angle(rng.random((count, 2)))
        gap = float(np.abs(np.diff(points, axis=0, append=points[:1]).sum(axis=1)).min())
        if gap > best_gap:
            best, best_gap = points, gap
        if gap >= MIN_DISTANCE / count:
            break
    return {
        "vertices": np.round(best, 5).tolist(),
        "roughness": round(float(roughness), 5),
        "edginess": round(float(edginess), 5),
    }


def shape_outline(params: Params, *, samples: int = SAMPLES_PER_EDGE) -> Points:
    """Return the closed outline (samples * n, 2) in the unit square's coordinates (x, y); it may reach beyond it."""
    vertices = np.array(params["vertices"])  # (n, 2)
    edges = np.roll(vertices, -1, axis=0) - vertices
    angles = np.arctan2(edges[:, 1], edges[:, 0]) % (2 * math.pi)
    before = np.roll(angles, 1)
    share = math.atan(params["edginess"]) / math.pi + 0.5
    tangents = share * angles + (1 - share) * before + math.pi * (np.abs(angles - before) > math.pi)
    reach = params["roughness"] * np.linalg.norm(edges, axis=1)[:, None]
    directions = np.column_stack([np.cos(tangents), np.sin(tangents)])
    first, last = vertices, np.roll(vertices, -1, axis=0)
    second = first + reach * directions
    third = last - reach * np.roll(directions, -1, axis=0)
    return _bezier(first, second, third, last, samples)


def shape_on_canvas(params: Params, *, samples: int = SAMPLES_PER_EDGE) -> Points:
    """Return the outline (samples * n, 2) in pixels of a canvas of 512 px, which cuts it, moved to begin at (0, 0)."""
    pixels = np.clip(shape_outline(params, samples=samples), 0, 1) * (SHAPE_SIDE_PX - 1)
    return pixels - np.floor(pixels.min(axis=0))


def fill_shape(params: Params) -> Image8:
    """Return the shape as alpha (h, w) uint8 0/255, cut to its bounding box, drawn on a canvas of 512 px."""
    pixels = shape_on_canvas(params)
    fixed = np.rint(pixels * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    canvas = np.zeros((SHAPE_SIDE_PX, SHAPE_SIDE_PX), np.uint8)
    cv2.fillPoly(canvas, [fixed], 255, cv2.LINE_8, _SUBPIXEL_BITS)
    rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    if rows.size == 0:  # all vertices on one line: a single pixel stands for the shape
        return np.full((1, 1), 255, np.uint8)
    return np.ascontiguousarray(canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def _sort_by_angle(points: Points) -> Points:
    offsets = points - points.mean(axis=0)
    return points[np.argsort(np.arctan2(offsets[:, 1], offsets[:, 0]))]


def _bezier(first: Points, second: Points, third: Points, last: Points, samples: int) -> Points:
    """Return cubic Bezier curves between n pairs of points, (samples * n, 2)."""
    t = np.linspace(0, 1, samples)[None, :, None]
    a, b, c, d = (points[:, None] for points in (first, second, third, last))
    curves = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
    return curves.reshape(-1, 2)
