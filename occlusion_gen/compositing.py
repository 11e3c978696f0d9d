"""Putting a patch on a face: alpha, blend, soft edge."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from common.geometry import Affine, apply_to_image, apply_to_points
from occlusion_gen.face import Image8, Mask, Patch

Edge = Literal["scaled", "published", "hard"]
PUBLISHED_SIDE_PX = 1024  # edge widths of the published code are meant for images of this side
EDGE_BAND_PX = 4
EDGE_SIGMA_PX = 1.1
MIN_SIGMA_PX = 0.5
REACH_PX = 8  # what filters and the warp's own neighbours need around an occluder, besides the edge band


def warp_to_patch(
    rgba: Image8, matrix: Affine, *, crop_size: tuple[int, int], opacity: float = 1.0, hides: str = "occluded"
) -> Patch:
    """Return a cut-out as it lies on the crop. Only the region that it can touch is worked on.

    Args:
        rgba: (h, w, 4) uint8, straight alpha, with the occluder's colours reaching beyond its opaque part (as
            `occlusion_gen.library` gives it), so that no dark fringe can enter the composite.
        matrix: occluder pixels to crop pixels.
        crop_size: (height, width).
        opacity: share of the occluder in the mixture, 1 hides all.
        hides: what the label says under a translucent occluder, see `configs.schema.RandOccSection`.
    """
    margin_px = REACH_PX + band_px(max(crop_size))
    rows, columns = region_of(matrix, rgba.shape[:2], crop_size, margin_px=margin_px)
    size = (rows.stop - rows.start, columns.stop - columns.start)
    if 0 in size:
        nothing = np.zeros(size, np.uint8)
        return Patch(rows, columns, np.zeros((*size, 3), np.uint8), nothing, nothing)
    to_region = matrix - np.array([[0.0, 0.0, columns.start], [0.0, 0.0, rows.start]])
    alpha = apply_to_image(to_region, np.ascontiguousarray(rgba[..., 3]), size=size, fill="black")
    colour = apply_to_image(to_region, np.ascontiguousarray(rgba[..., :3]), size=size, fill="reflect")
    support = cv2.threshold(alpha, 127, 255, cv2.THRESH_BINARY)[1]
    if opacity == 1:
        return Patch(rows, columns, colour, alpha, support)
    share = np.rint(np.arange(256) * opacity).astype(np.uint8)
    seen_through = hides == "threshold" and opacity < 0.5
    hidden = 0 if seen_through else round(255 * opacity) if hides == "soft" else 255
    return Patch(rows, columns, colour, cv2.LUT(alpha, share), cv2.min(support, hidden))


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
    scale = 1.0 if edge == "published" else side_px / PUBLISHED_SIDE_PX
    alpha = soften_alpha(patch.alpha, scale=scale)
    band = 2 * (max(1, round(EDGE_BAND_PX * scale)) if edge == "scaled" else EDGE_BAND_PX) + 1
    inside = patch.alpha > int(patch.alpha.max(initial=0)) // 2
    return soften_edge(blend(below, patch.colour, alpha), inside, band_px=band, scale=scale), alpha


def blend(face: Image8, colour: Image8, alpha: Image8) -> Image8:
    """Return (1 - a) * face + a * colour with a = alpha / 255, rounded; every value lies between the two layers."""
    share = alpha.astype(np.float32) * np.float32(1 / 255)
    return cv2.blendLinear(face, colour, 1 - share, share)


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


def band_px(side_px: int) -> int:
    """Return half the width of the softened band for crops of `side_px`: never more than needed at any `edge`."""
    return max(EDGE_BAND_PX, round(EDGE_BAND_PX * side_px / PUBLISHED_SIDE_PX))


def region_of(
    matrix: Affine, occluder_size: tuple[int, int], crop_size: tuple[int, int], *, margin_px: int
) -> tuple[slice, slice]:
    """Return rows and columns of the crop that the occluder can touch, `margin_px` wider on each side.

    Args:
        matrix: occluder pixels to crop pixels.
        occluder_size: (height, width).
        crop_size: (height, width).
    """
    height, width = occluder_size
    edge = np.array([[-1, -1], [width, -1], [width, height], [-1, height]], dtype=np.float64)
    return region_around(apply_to_points(matrix, edge), crop_size, margin_px=margin_px)


def region_around(points: np.ndarray, crop_size: tuple[int, int], *, margin_px: int) -> tuple[slice, slice]:
    """Return rows and columns of the crop around `points` (N, 2), `margin_px` wider, cut to the crop."""
    limit = np.array([crop_size[1], crop_size[0]])
    low = np.clip(np.floor(points.min(axis=0)).astype(int) - margin_px, 0, limit)
    high = np.clip(np.ceil(points.max(axis=0)).astype(int) + margin_px + 1, 0, limit)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
