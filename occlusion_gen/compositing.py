"""Putting an occluder on a face: warp, alpha, blend, soften the edge."""

from __future__ import annotations

import cv2
import numpy as np

from common.geometry import Affine, apply_to_image
from occlusion_gen.face import Image8, Mask

PUBLISHED_SIDE_PX = 1024  # edge widths of the published code are meant for images of this side
EDGE_BAND_PX = 4


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
    share = alpha[..., None].astype(np.float32) / 255
    base = face.astype(np.float32)
    return np.rint(base + share * (colour.astype(np.float32) - base)).astype(np.uint8)


def soften_alpha(alpha: Image8) -> Image8:
    """Return the alpha drawn in by a pixel and blurred, so that the occluder has no cut-out rim.

    Source: NatOcc release: 3x3 erosion once, then a 5x5 Gaussian of sigma 1.1.
    """
    eroded = cv2.erode(alpha, np.ones((3, 3), np.uint8))
    return cv2.GaussianBlur(eroded, (5, 5), 1.1)


def soften_edge(image: Image8, occluder: Mask) -> Image8:
    """Return `image` with a band along the occluder's edge replaced by its 5x5 Gaussian.

    The band is 4 px to each side for 1024 px images, as published, and proportionally narrower below.
    """
    half_width_px = max(1, round(EDGE_BAND_PX * max(image.shape[:2]) / PUBLISHED_SIDE_PX))
    kernel = np.ones((2 * half_width_px + 1,) * 2, np.uint8)
    band = cv2.morphologyEx(occluder.astype(np.uint8), cv2.MORPH_GRADIENT, kernel).astype(bool)
    return np.where(band[..., None], cv2.GaussianBlur(image, (5, 5), 1.1), image)
