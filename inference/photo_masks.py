"""From the network's answers on crops back to the photo: merged probabilities and what they tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_image, apply_to_map, apply_to_points, invert
from models.predictor import CropModel

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Probabilities = NDArray[np.float32]


class Patch(NamedTuple):
    """The part of a photo that a crop covers.

    Attributes:
        rows: rows of the photo.
        columns: columns of the photo.
        probabilities: (K, h, w) float32 at the photo's resolution, 0 outside the crop.
    """

    rows: slice
    columns: slice
    probabilities: Probabilities


def to_patch(probabilities: Probabilities, photo_to_crop: Affine, photo_size: tuple[int, int]) -> Patch:
    """Return the answer on a crop, brought back to the photo's pixels that the crop covers.

    Only that part is sampled, since a face is often small in its photo. A pixel of the photo belongs to the crop
    if its centre lies within the crop's outer edge; values there are bilinear, never mixed with the outside.

    Args:
        probabilities: (K, S, S) float32.
        photo_to_crop: (2, 3).
        photo_size: (height, width).
    """
    side = probabilities.shape[-1]
    crop_to_photo = invert(photo_to_crop)
    edge = np.array([[-0.5, -0.5], [side - 0.5, -0.5], [side - 0.5, side - 0.5], [-0.5, side - 0.5]])
    corners = apply_to_points(crop_to_photo, edge)
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (photo_size[1], photo_size[0])).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, (photo_size[1], photo_size[0])).astype(int)
    height, width = max(0, int(bottom - top)), max(0, int(right - left))
    rows, columns = slice(int(top), int(top) + height), slice(int(left), int(left) + width)
    if height == 0 or width == 0:
        return Patch(rows, columns, np.zeros((len(probabilities), height, width), np.float32))
    crop_to_patch = crop_to_photo - np.array([[0.0, 0.0, left], [0.0, 0.0, top]])
    warped = [apply_to_map(crop_to_patch, channel, size=(height, width)) for channel in probabilities]
    return Patch(rows, columns, np.stack(warped))


def to_photo(patches: Iterable[Patch], photo_size: tuple[int, int], *, outputs: int) -> Probabilities:
    """Return the probabilities (K, H, W) float32 of a photo: the highest of its patches, 0 where there is none.

    Args:
        patches: of the photo's crops.
        photo_size: (height, width).
        outputs: K.
    """
    merged = np.zeros((outputs, *photo_size), np.float32)
    for patch in patches:
        region = merged[:, patch.rows, patch.columns]
        np.maximum(region, patch.probabilities, out=region)
    return merged


def predict_photo(predictor: CropModel, photo: Image8, photo_to_crop: Affine) -> Probabilities:
    """Return probabilities (K, H, W) float32 in the frame of the photo, 0 outside the crop.

    Args:
        predictor: of crops.
        photo: (H, W, 3) uint8 RGB.
        photo_to_crop: (2, 3), from the alignment that `predictor.method` names.
    """
    size = (photo.shape[0], photo.shape[1])
    crop = apply_to_image(photo_to_crop, photo, size=(predictor.size, predictor.size))
    answer = predictor.predict_crops(crop[None])[0]
    return to_photo([to_patch(answer, photo_to_crop, size)], size, outputs=len(answer))


def occlusion_ratio(probabilities: Probabilities, *, threshold: float) -> float | None:
    """Return the share of the full face that is hidden, 0..1; None where no full face is seen or predicted.

    The visible face counts where it lies within the full face, so that the ratio never is negative.

    Args:
        probabilities: (K, H, W), `visible` first, then `full` where the model has it.
        threshold: above it a pixel belongs to the mask.
    """
    if len(probabilities) < 2:
        return None
    visible, full = probabilities[0] > threshold, probabilities[1] > threshold
    pixels = int(full.sum())
    return 1.0 - int((visible & full).sum()) / pixels if pixels else None
