"""How much of the eyes, the nose, the mouth and the jaw is hidden.

The regions are drawn once, on the frontal face of the template `faceocc256`, and laid onto a face by its five points:

| region | outline                                                           |
|--------|-------------------------------------------------------------------|
| eyes   | both, from the brows to the lower lids and a little below         |
| nose   | from the eyes' line to the nostrils                               |
| mouth  | the outer lips and a narrow seam                                  |
| jaw    | the face below the tip of the nose, without nose and mouth        |

The outlines follow the mean of 254 faces with 68 points set by hand, moved onto the template by their five points.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_points, fit_similarity
from face_align.crop import TEMPLATES

REGIONS = ("eyes", "nose", "mouth", "jaw")
FRONTAL = "faceocc256"
SMALLEST_FACE_PX = 1.0  # of the five points, in the crop: anything smaller is a fault of the detector

# Pixels of the template at 256 px. The image-right eye is the mirror image of the other about x = 128.
EYE = [(62, 81), (72, 71), (86, 68), (101, 69), (114, 75), (112, 100), (97, 108), (80, 107), (66, 99)]
NOSE = [(119, 93), (137, 93), (146, 142), (138, 150), (118, 150), (110, 142)]
MOUTH = [(93, 170), (108, 162), (128, 161), (148, 162), (163, 170), (148, 183), (128, 189), (108, 183)]
JAW = [
    (51, 139), (54, 160), (62, 180), (74, 198), (91, 211), (108, 223), (128, 226),
    (148, 223), (165, 211), (182, 198), (194, 180), (202, 160), (205, 139),
]  # fmt: skip
OUTLINES: dict[str, list[list[tuple[int, int]]]] = {
    "eyes": [EYE, [(256 - x, y) for x, y in EYE]],
    "nose": [NOSE],
    "mouth": [MOUTH],
    "jaw": [JAW],
}


def expected_points(template: str, *, size: int) -> NDArray[np.float64]:
    """Return where the five points of a frontal face lie in a crop: (5, 2) pixels.

    Args:
        template: of the alignment; of crops that are aligned to no points, the usual one.
        size: side of the crop in pixels.
    """
    template_size, points = TEMPLATES.get(template, TEMPLATES[FRONTAL])
    return points * (size / template_size)


def draw_regions(points_crop: NDArray[np.float64], *, size: int) -> dict[str, NDArray[np.bool_]] | None:
    """Return the mask (size, size) bool of each region; None where the points are no face.

    Args:
        points_crop: (5, 2) eyes, nose tip and mouth corners in pixels of the crop.
        size: side of the crop in pixels.
    """
    if np.ptp(points_crop, axis=0).max() < SMALLEST_FACE_PX:
        return None
    to_crop = fit_similarity(TEMPLATES[FRONTAL][1], points_crop)
    masks = {name: _filled(OUTLINES[name], to_crop, size) for name in REGIONS}
    masks["jaw"] &= ~(masks["nose"] | masks["mouth"])
    return masks


def hidden_shares(
    probabilities: NDArray[np.float32], points_crop: NDArray[np.float64], *, threshold: float
) -> dict[str, float | None]:
    """Return the share of each region that is hidden, 0..1; None where nothing of the region belongs to the face.

    Of a model that predicts the full face only its pixels count; so the far eye of a profile is not hidden but absent.

    Args:
        probabilities: (K, S, S) of a crop, `visible` first, then `full` where the model has it.
        points_crop: (5, 2) pixels of the crop.
        threshold: above it a pixel belongs to the mask.
    """
    masks = draw_regions(points_crop, size=probabilities.shape[-1])
    if masks is None:
        return dict.fromkeys(REGIONS)
    visible = probabilities[0] > threshold
    face = probabilities[1] > threshold if len(probabilities) > 1 else np.ones_like(visible)
    shares: dict[str, float | None] = {}
    for name, region in masks.items():
        pixels = int(np.count_nonzero(region & face))
        shares[name] = int(np.count_nonzero(region & face & ~visible)) / pixels if pixels else None
    return shares


def _filled(outlines: list[list[tuple[int, int]]], to_crop: Affine, size: int) -> NDArray[np.bool_]:
    canvas = np.zeros((size, size), np.uint8)
    for outline in outlines:
        corners = np.rint(apply_to_points(to_crop, np.array(outline, np.float64)))
        # Far points, of a wrong detection, would overflow OpenCV's integers.
        cv2.fillPoly(canvas, [np.clip(corners, -size, 2 * size).astype(np.int32)], 1)
    return canvas > 0
