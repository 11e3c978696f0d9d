"""Putting an occluder on a face: warp, alpha, blend, soften the edge."""

from __future__ import annotations

import cv2
import numpy as np

from common.geometry import Affine, apply_to_image, apply_to_points
from occlusion_gen.degrade import degrade
from occlusion_gen.face import Image8, Layer, Mask, Params

PUBLISHED_SIDE_PX = 1024  # edge widths of the published code are meant for images of this side
EDGE_BAND_PX = 4
FILTER_REACH_PX = 8  # erosion, two Gaussians and the warp's own neighbours stay within this


def lay_over(
    image: Image8, *, rgba: Image8, matrix: Affine, degradation: Params, part: int, opacity: float = 1.0
) -> Layer:
    """Return `image` with the occluder on it. Only the region that the occluder can touch is worked on.

    Args:
        image: (H, W, 3) uint8 RGB.
        rgba: (h, w, 4) uint8, see `warp_occluder`.
        matrix: occluder pixels to crop pixels.
        degradation: of the occluder, from `draw_degradation`.
        part: class id of the occluder.
        opacity: share of the occluder in the mixture, 1 hides all.
    """
    side_px = max(image.shape[:2])
    rows, columns = _region(matrix, rgba.shape[:2], image.shape[:2], margin_px=FILTER_REACH_PX + _band_px(side_px))
    composite, alpha = image.copy(), np.zeros(image.shape[:2], np.uint8)
    occluded = np.zeros(image.shape[:2], bool)
    below = np.ascontiguousarray(image[rows, columns])
    if below.size == 0:
        return Layer(composite, alpha, occluded, part)
    to_region = matrix - np.array([[0.0, 0.0, columns.start], [0.0, 0.0, rows.start]])
    colour, sharp = warp_occluder(to_region, rgba, size=below.shape[:2])
    softened = soften_alpha(sharp)
    if opacity < 1:
        softened = cv2.LUT(softened, np.rint(np.arange(256) * opacity).astype(np.uint8))
    occluded[rows, columns] = sharp > 127
    mixed = blend(below, degrade(degradation, colour), softened)
    composite[rows, columns] = soften_edge(mixed, sharp > 127, side_px=side_px)
    alpha[rows, columns] = softened
    return Layer(composite, alpha, occluded, part)


def warp_occluder(matrix: Affine, rgba: Image8, *, size: tuple[int, int]) -> tuple[Image8, Image8]:
    """Return colour (H, W, 3) and alpha (H, W), both uint8, of the occluder in the frame of the crop.

    Args:
        matrix: occluder pixels to crop pixels.
        rgba: (h, w, 4) uint8, straight alpha, with the occluder's colours reaching beyond its opaque part (as
            `occlusion_gen.library` gives it), so that no dark fringe can enter the composite.
        size: (height, width) of the crop.
    """
    alpha = apply_to_image(matrix, np.ascontiguousarray(rgba[..., 3]), size=size, fill="black")
    colour = apply_to_image(matrix, np.ascontiguousarray(rgba[..., :3]), size=size, fill="reflect")
    return colour, alpha


def blend(face: Image8, colour: Image8, alpha: Image8) -> Image8:
    """Return (1 - a) * face + a * colour with a = alpha / 255, rounded; every value lies between the two layers."""
    share = alpha.astype(np.float32) * np.float32(1 / 255)
    return cv2.blendLinear(face, colour, 1 - share, share)


def soften_alpha(alpha: Image8) -> Image8:
    """Return the alpha drawn in by a pixel and blurred, so that the occluder has no cut-out rim.

    Source: NatOcc release: 3x3 erosion once, then a 5x5 Gaussian of sigma 1.1.
    """
    eroded = cv2.erode(alpha, np.ones((3, 3), np.uint8))
    return cv2.GaussianBlur(eroded, (5, 5), 1.1)


def soften_edge(image: Image8, occluder: Mask, *, side_px: int) -> Image8:
    """Return `image` with a band along the occluder's edge replaced by its 5x5 Gaussian.

    The band is 4 px to each side for 1024 px images, as published, and proportionally narrower below.

    Args:
        image: (H, W, 3) uint8 RGB, the whole crop or a region of it.
        occluder: (H, W) bool.
        side_px: side of the whole crop.
    """
    kernel = np.ones((2 * _band_px(side_px) + 1,) * 2, np.uint8)
    band = cv2.morphologyEx(occluder.astype(np.uint8), cv2.MORPH_GRADIENT, kernel)
    softened = image.copy()
    cv2.copyTo(cv2.GaussianBlur(image, (5, 5), 1.1), band, softened)
    return softened


def _band_px(side_px: int) -> int:
    return max(1, round(EDGE_BAND_PX * side_px / PUBLISHED_SIDE_PX))


def _region(
    matrix: Affine, occluder_size: tuple[int, int], crop_size: tuple[int, int], *, margin_px: int
) -> tuple[slice, slice]:
    """Return rows and columns of the crop that the occluder can touch, `margin_px` wider on each side."""
    height, width = occluder_size
    edge = np.array([[-1, -1], [width, -1], [width, height], [-1, height]], dtype=np.float64)
    corners = apply_to_points(matrix, edge)
    limit = np.array([crop_size[1], crop_size[0]])
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - margin_px, 0, limit)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + margin_px + 1, 0, limit)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
