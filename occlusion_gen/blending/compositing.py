"""Putting a patch on a face: alpha, blend, soft edge."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np

from common.geometry import Affine, apply_to_points, shrink_by_area
from common.padded_warp import margins_px, pad, warp_rgb_padded
from occlusion_gen.face import Image8, Mask, Patch, Points

Edge = Literal["scaled", "published", "hard"]
PUBLISHED_SIDE_PX = 1024  # edge widths of the published code are meant for images of this side
EDGE_BAND_PX = 4
EDGE_SIGMA_PX = 1.1
MIN_SIGMA_PX = 0.5
REACH_PX = 8  # what filters and the warp's own neighbours need around an occluder, besides the edge band
SPARSE_SHARE, SPARSE_FROM_PX = 0.1, 1 << 16  # above this share, or below this size, it is faster to mix all pixels
SUBPIXEL_BITS = 4


def warp_to_patch(rgba: Image8, matrix: Affine, *, crop_size: tuple[int, int]) -> Patch:
    """Return a cut-out as it lies on the crop. Only the region that it can touch is worked on.

    Args:
        rgba: (h, w, 4) uint8, straight alpha, with the occluder's colours reaching beyond its opaque part (as
            `occlusion_gen.occluders.library` gives it), so that no dark fringe can enter the composite.
        matrix: occluder pixels to crop pixels.
        crop_size: (height, width).
    """
    rows, columns = region_of(matrix, rgba.shape[:2], crop_size)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    if 0 in size:
        return empty_patch(rows, columns)
    # Transparent beyond its edge, one warp does for colour, which goes on there, and alpha, which ends.
    rgba, matrix = shrink_by_area(rgba, matrix)
    to_region = matrix - _shift(rows, columns)
    top, bottom, left, right = margins = margins_px(to_region, rgba.shape, size)
    padded, to_region = pad(rgba, to_region, margins, border=cv2.BORDER_REPLICATE)
    padded[:top, :, 3], padded[-bottom:, :, 3], padded[:, :left, 3], padded[:, -right:, 3] = 0, 0, 0, 0
    warped = cv2.warpAffine(padded, to_region, (size[1], size[0]), flags=cv2.INTER_LINEAR)
    alpha = cv2.extractChannel(warped, 3)
    return Patch(rows, columns, cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), alpha, binary(alpha))


def fill_to_patch(outline: Points, texture: Image8, matrix: Affine, *, crop_size: tuple[int, int]) -> Patch:
    """Return a textured shape as it lies on the crop.

    Args:
        outline: (N, 2) closed polygon, pixels of the texture.
        texture: (h, w, 3) uint8 RGB; mirrored where the shape reaches beyond it.
        matrix: texture pixels to crop pixels.
        crop_size: (height, width).
    """
    points = apply_to_points(matrix, outline)
    rows, columns = region_around(points, crop_size)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    if 0 in size:
        return empty_patch(rows, columns)
    alpha = np.zeros(size, np.uint8)
    fixed = np.rint((points - (columns.start, rows.start)) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(alpha, [fixed], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    to_region = matrix - _shift(rows, columns)
    colour = warp_rgb_padded(texture, to_region, size=size, border=cv2.BORDER_REFLECT_101)
    return Patch(rows, columns, colour, alpha, binary(alpha))


def see_through(patch: Patch, *, opacity: float, label: Literal["occluded", "threshold", "soft"]) -> Patch:
    """Return the patch with its alpha multiplied by `opacity`, and what the labels say of it then.

    Args:
        label: `occluded`: still hidden; `threshold`: hidden if the opacity is at least a half; `soft`: hidden by the
            share `opacity`.
    """
    share = np.rint(np.arange(256) * opacity).astype(np.uint8)
    hidden = {"occluded": 255, "threshold": 255 * (opacity >= 0.5), "soft": round(255 * opacity)}[label]
    return patch._replace(alpha=cv2.LUT(patch.alpha, share), hides=cv2.min(patch.hides, int(hidden)))


def binary(alpha: Image8) -> Image8:
    """Return 255 where alpha is above a half, else 0."""
    return cv2.threshold(alpha, 127, 255, cv2.THRESH_BINARY)[1]


def empty_patch(rows: slice, columns: slice) -> Patch:
    """Return the patch of an occluder that does not touch the crop."""
    size = (rows.stop - rows.start, columns.stop - columns.start)
    nothing = np.zeros(size, np.uint8)
    return Patch(rows, columns, np.zeros((*size, 3), np.uint8), nothing, nothing)


def lay(patch: Patch, below: Image8, *, edge: Edge, side_px: int) -> tuple[Image8, Image8]:
    """Return the composite of the region (h, w, 3) and the alpha (h, w) that it was mixed with, both uint8.

    Args:
        patch: the occluder.
        below: (h, w, 3) uint8 RGB, the crop in the patch's region.
        edge: see `configs.schema.OccluderSection`.
        side_px: longer side of the whole crop.
    """
    if edge == "hard":
        return blend(below, patch.colour, patch.alpha), patch.alpha
    scale = _edge_scale(edge, side_px)
    alpha = soften_alpha(patch.alpha, scale=scale)
    band = 2 * max(1, round(EDGE_BAND_PX * scale)) + 1
    inside = patch.alpha > int(patch.alpha.max(initial=0)) // 2
    return soften_edge(blend(below, patch.colour, alpha), inside, band_px=band, scale=scale), alpha


def edge_reach_px(edge: Edge, *, side_px: int) -> int:
    """Return how far beyond an occluder pixels matter to `lay`: the band along its edge and the blur in it."""
    return 1 if edge == "hard" else math.ceil((EDGE_BAND_PX + 2) * _edge_scale(edge, side_px)) + 1


def _edge_scale(edge: Edge, side_px: int) -> float:
    return 1.0 if edge == "published" else side_px / PUBLISHED_SIDE_PX


def blend(face: Image8, colour: Image8, alpha: Image8) -> Image8:
    """Return (1 - a) * face + a * colour with a = alpha / 255, rounded; every value lies between the two layers."""
    rim = None if alpha.size < SPARSE_FROM_PX else cv2.inRange(alpha, 1, 254)
    if rim is None or cv2.countNonZero(rim) > SPARSE_SHARE * rim.size:
        share = cv2.merge([alpha] * 3).astype(np.uint16)
        above, below = colour.astype(np.uint16), face.astype(np.uint16)
        above *= share  # 255 * 255 and so the sum of both still fit into 16 bits
        below *= 255 - share
        above += below
        return cv2.convertScaleAbs(above, alpha=1 / 255)
    mixed = face.copy()
    cv2.copyTo(colour, alpha, mixed)
    at = cv2.findNonZero(rim)  # an opaque occluder is mixed along its rim alone
    if at is not None:
        columns, rows = at.reshape(-1, 2).T
        weight = alpha[rows, columns, None] * np.float32(1 / 255)
        mixed[rows, columns] = np.rint(face[rows, columns] * (1 - weight) + colour[rows, columns] * weight)
    return mixed


def soften_alpha(alpha: Image8, *, scale: float) -> Image8:
    """Return the alpha drawn in and blurred, so that the occluder has no cut-out rim.

    Source: NatOcc release: 3x3 erosion once, then a 5x5 Gaussian of sigma 1.1, both at scale 1.
    """
    radius_px = round(scale)
    if radius_px > 0:
        alpha = cv2.erode(alpha, np.ones((2 * radius_px + 1,) * 2, np.uint8))
    return _gaussian(alpha, scale)


def soften_edge(image: Image8, occluder: Mask, *, band_px: int, scale: float) -> Image8:
    """Return `image` with a band along the occluder's edge replaced by its Gaussian (5x5, sigma 1.1 at scale 1).

    Args:
        image: (H, W, 3) uint8 RGB, the whole crop or a region of it.
        occluder: (H, W) bool.
        band_px: width of the band over both sides of the edge.
    """
    band = cv2.morphologyEx(occluder.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((band_px, band_px), np.uint8))
    softened = image.copy()
    cv2.copyTo(_gaussian(image, scale), band, softened)
    return softened


def _gaussian(image: Image8, scale: float) -> Image8:
    sigma_px = max(MIN_SIGMA_PX, EDGE_SIGMA_PX * scale)
    width_px = 2 * max(1, round(2 * scale)) + 1
    return cv2.GaussianBlur(image, (width_px, width_px), sigma_px)


def region_of(matrix: Affine, occluder_size: tuple[int, int], crop_size: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns of the crop that the occluder and its softened edge can touch.

    Args:
        matrix: occluder pixels to crop pixels.
        occluder_size: (height, width).
        crop_size: (height, width).
    """
    height, width = occluder_size
    edge = np.array([[-1, -1], [width, -1], [width, height], [-1, height]], dtype=np.float64)
    return region_around(apply_to_points(matrix, edge), crop_size)


def region_around(points: Points, crop_size: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns of the crop around `points` (N, 2), with room for a softened edge, cut to the crop."""
    margin_px = REACH_PX + max(EDGE_BAND_PX, round(EDGE_BAND_PX * max(crop_size) / PUBLISHED_SIDE_PX))
    (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return (
        _widened(math.floor(top), math.ceil(bottom) + 1, margin_px, crop_size[0]),
        _widened(math.floor(left), math.ceil(right) + 1, margin_px, crop_size[1]),
    )


def _widened(start: int, stop: int, margin_px: int, limit: int) -> slice:
    """Return the slice with a margin on both sides, within 0 and `limit`; empty if it lies outside."""
    first = min(max(start - margin_px, 0), limit)
    return slice(first, min(max(stop + margin_px, first), limit))


def _shift(rows: slice, columns: slice) -> Affine:
    return np.array([[0.0, 0.0, columns.start], [0.0, 0.0, rows.start]])
