"""Whether a face wears a medical mask, and which pixels of the photo are the mask.

A segmenter that knows only "visible" and "full" cannot tell a mask from a hand. What tells them apart here is how much
of nose, mouth and jaw is hidden: a mask hides nearly all of it, a hand, a cup or a microphone a part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np

from common.geometry import apply_to_points, scale_of
from inference.faces import FaceResult, PhotoMasks
from inference.photo_masks import Image8, Mask, to_patch
from inference.regions import draw_regions, expected_points
from models.predictor import CropModel

LOWER_FACE = ("nose", "mouth", "jaw")
MASK_REACHES = ("mouth", "jaw")  # one of them, however a mask is worn; glasses neither
MASKED_FROM = 0.5  # hidden share of nose, mouth and jaw, see docs/tables.md for what was measured
COLUMN_PX = 1024  # longest side of one column of the picture
# Share of the crop's side: thinner things than this, where visible and full face disagree at the outline, are no mask.
THINNEST = 0.03


class FoundMask(NamedTuple):
    """The medical masks of a photo.

    Attributes:
        share: hidden share of the largest face's nose, mouth and jaw, 0..1; None without a face, or where the model
            says that nothing of it belongs to a face.
        masked: whether the largest face wears a mask.
        region: (H, W) bool, the masks of all faces that wear one.
    """

    share: float | None
    masked: bool
    region: Mask


def lower_face_share(coverage: Mapping[str, float | None]) -> float | None:
    """Return the mean hidden share of nose, mouth and jaw, 0..1; None where one of them is not known.

    Args:
        coverage: region -> hidden share, see `inference.regions.hidden_shares`.
    """
    shares = [coverage.get(name) for name in LOWER_FACE]
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if len(known) == len(LOWER_FACE) else None


def find_mask(model: CropModel, masks: PhotoMasks, *, masked_from: float = MASKED_FROM) -> FoundMask:
    """Return the masks that the faces of a photo wear.

    Args:
        model: that made `masks`; it predicts `full`.
        masks: of the photo.
        masked_from: least hidden share of nose, mouth and jaw of a face that wears a mask.

    Raises:
        ValueError: the model does not predict `full`.
    """
    if masks.full is None:
        raise ValueError(f"a mask needs a model that predicts the full face, this one has {', '.join(model.outputs)}")
    region = np.zeros(masks.visible.shape, np.bool_)
    shares = [lower_face_share(face.coverage) for face in masks.faces]
    for face, share in zip(masks.faces, shares, strict=True):
        if share is not None and share >= masked_from:
            region[face.patch.rows, face.patch.columns] |= mask_of_face(model, face, masks.visible.shape)
    largest = shares[0] if shares else None
    return FoundMask(largest, largest is not None and largest >= masked_from, region)


def mask_of_face(model: CropModel, face: FaceResult, photo_size: tuple[int, ...]) -> Mask:
    """Return the pixels of the mask in the face's patch, (h, w) bool.

    They are what hides the face below the line of the eyes, in pieces that reach mouth or jaw and are no mere seams at
    the face's outline: glasses, and hair above that line, stay.

    Args:
        model: that answered on the face.
        face: of the photo.
        photo_size: (height, width).
    """
    visible, full = (channel > model.threshold for channel in face.patch.probabilities[:2])
    lower, below_eyes = _places(model, face, photo_size)
    radius_px = round(THINNEST / 2 * model.size / scale_of(face.location.photo_to_crop))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    hidden = cv2.morphologyEx((full & ~visible & below_eyes).view(np.uint8), cv2.MORPH_OPEN, disc)
    count, pieces = cv2.connectedComponents(hidden, connectivity=8)
    wanted = np.zeros(count, np.bool_)
    wanted[np.unique(pieces[lower & (hidden > 0)])] = True
    wanted[0] = False  # the background
    return wanted[pieces]


def black_on_white(region: Mask) -> Image8:
    """Return the region as a picture (H, W) uint8: black where it is, else white."""
    return np.where(region, np.uint8(0), np.uint8(255))


def without_mask(photo: Image8, region: Mask) -> Image8:
    """Return the photo (H, W, 3) uint8 RGB with the region's pixels set to zero."""
    return np.where(region[..., None], np.uint8(0), photo)


def three_columns(photo: Image8, region: Mask) -> Image8:
    """Return photo, region black on white, and photo without it, side by side: (h, 3 w, 3) uint8, h and w <= 1024."""
    columns = [photo, np.dstack([black_on_white(region)] * 3), without_mask(photo, region)]
    ratio = min(1.0, COLUMN_PX / max(photo.shape[:2]))
    if ratio < 1:
        size = (max(1, round(photo.shape[1] * ratio)), max(1, round(photo.shape[0] * ratio)))
        columns = [cv2.resize(column, size, interpolation=cv2.INTER_AREA) for column in columns]
    return np.hstack(columns)


def _places(model: CropModel, face: FaceResult, photo_size: tuple[int, ...]) -> tuple[Mask, Mask]:
    """Return mouth and jaw together, and all that lies below the line of the eyes, in the face's patch."""
    size, matrix = model.size, face.location.photo_to_crop
    known = face.location.points
    points = expected_points(model.template, size=size) if known is None else apply_to_points(matrix, known)
    regions = draw_regions(points, size=size) or {}
    lower = np.zeros((size, size), np.bool_)
    for name in MASK_REACHES:
        lower |= regions.get(name, False)
    left, right = points[0], points[1]
    y, x = np.mgrid[:size, :size]
    # Which side of the line through both eyes: the cross product grows towards the mouth.
    below = (right[0] - left[0]) * (y - left[1]) - (right[1] - left[1]) * (x - left[0]) > 0
    stacked = np.stack([lower, below]).astype(np.float32)
    patch = to_patch(stacked, matrix, (photo_size[0], photo_size[1]))
    return patch.probabilities[0] > 0.5, patch.probabilities[1] > 0.5
