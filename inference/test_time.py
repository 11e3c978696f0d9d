"""More than one look at a face: mirrored, at other scales, and in tiles where the photo shows more than a crop.

`with_flip` and `with_scales` wrap a model of crops and have its interface, so that they can be nested. What each of
them gains and costs stands in docs/inference.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_image, apply_to_map, compose, invert, scale_of, scaling
from face_align.locate import Location
from inference.faces import Refiner
from inference.photo_masks import Patch, to_patch
from models.predictor import CropModel

Image8 = NDArray[np.uint8]
Probabilities = NDArray[np.float32]

SCALES = (0.85, 1.0, 1.2)  # within what augmentation shows a network in training
TILED_FROM = 1.3  # pixels of the photo to one of the crop, above which tiles show more than the crop did
LARGEST_ZOOM = 1.7  # of tiles: beyond it the network sees too little of the face; 2 was measured, and worse
TILE_OVERLAP = 0.25  # of neighbouring tiles, in sides of a tile
BAND_WIDTH = 0.06  # of the strip along the mask's edge that tiles decide, in sides of the crop


class _Wrapper:
    """A model of crops that asks another one; see `models.predictor.CropModel` for the attributes."""

    def __init__(self, model: CropModel) -> None:
        self._model = model
        self.size = model.size
        self.method = model.method
        self.template = model.template
        self.cut_options = model.cut_options
        self.outputs = model.outputs
        self.threshold = model.threshold


class _Flipped(_Wrapper):
    def predict_crops(self, crops: Image8) -> Probabilities:
        """Return the mean answer (N, K, S, S) on the crops (N, S, S, 3) and on their mirror images."""
        mirrored = self._model.predict_crops(np.ascontiguousarray(crops[:, :, ::-1]))
        return (self._model.predict_crops(crops) + mirrored[..., ::-1]) * np.float32(0.5)


class _Scaled(_Wrapper):
    def __init__(self, model: CropModel, scales: Sequence[float]) -> None:
        super().__init__(model)
        self._scales = tuple(scales)

    def predict_crops(self, crops: Image8) -> Probabilities:
        """Return the mean answer (N, K, S, S) on the crops (N, S, S, 3) at all scales that reach a pixel."""
        shape = (len(crops), len(self.outputs), self.size, self.size)
        total, weight = np.zeros(shape, np.float32), np.zeros(shape[2:], np.float32)
        for scale in self._scales:
            if scale == 1.0:
                total, weight = total + self._model.predict_crops(crops), weight + 1
                continue
            zoom = about_centre(scale, self.size)
            total += self._zoomed(crops, zoom)
            weight += apply_to_map(invert(zoom), np.ones(shape[2:], np.float32), size=shape[2:])
        total /= weight
        return total

    def _zoomed(self, crops: Image8, zoom: Affine) -> Probabilities:
        """Return the answer on crops moved by `zoom`, moved back; 0 where it does not reach."""
        size, back = (self.size, self.size), invert(zoom)
        moved = [apply_to_image(zoom, crop, size=size) for crop in crops]
        answers = self._model.predict_crops(np.array(moved, np.uint8).reshape(crops.shape))
        shape = (len(crops), len(self.outputs), *size)
        restored = [apply_to_map(back, channel, size=size) for answer in answers for channel in answer]
        return np.array(restored, np.float32).reshape(shape)


def with_flip(model: CropModel) -> CropModel:
    """Return the model that gives the mean of its answers on a crop and on its mirror image; twice the time."""
    return _Flipped(model)


def with_scales(model: CropModel, scales: Sequence[float] = SCALES) -> CropModel:
    """Return the model that gives the mean of its answers at several scales; so many times the time.

    Args:
        model: to ask.
        scales: of the face, about the crop's centre; 1 must be among them, so that every pixel gets an answer.

    Raises:
        ValueError: 1 is missing, or a scale is not positive.
    """
    if 1.0 not in scales or min(scales) <= 0:
        raise ValueError(f"expected positive scales with 1 among them, found {list(scales)}")
    return _Scaled(model, scales)


def about_centre(scale: float, size: int) -> Affine:
    """Return the transform that enlarges a picture (size, size) by `scale` about its centre."""
    shift = (1 - scale) * (size - 1) / 2
    return np.array([[scale, 0.0, shift], [0.0, scale, shift]])


def sliding_refiner(model: CropModel) -> Refiner:
    """Return what looks again, in tiles of a higher resolution, at the edge of faces that are larger than a crop.

    A face that is not larger is brought back to the photo as it is. Near the edge of a mask the answer of the tiles
    and that of the crop are averaged; elsewhere the crop decides, which shows the whole face.
    """

    def refine(photo: Image8, location: Location, probabilities: Probabilities) -> Patch:
        photo_size = (photo.shape[0], photo.shape[1])
        zoom = min(1 / scale_of(location.photo_to_crop), LARGEST_ZOOM)
        if zoom < TILED_FROM:
            return to_patch(probabilities, location.photo_to_crop, photo_size)
        fine = round(model.size * zoom)
        crop_to_fine = scaling((model.size, model.size), (fine, fine))
        photo_to_fine = compose(crop_to_fine, location.photo_to_crop)
        coarse = np.stack([apply_to_map(crop_to_fine, channel, size=(fine, fine)) for channel in probabilities])
        share = np.stack([edge_share(channel, model.threshold) for channel in coarse])  # (K, F, F)
        picture = apply_to_image(photo_to_fine, photo, size=(fine, fine))
        tiled = _predict_tiles(model, picture, where=share.max(axis=0) > 0)
        merged = coarse + share / 2 * (tiled - coarse)
        return to_patch(merged, photo_to_fine, photo_size)

    return refine


def edge_share(probability: Probabilities, threshold: float) -> Probabilities:
    """Return how near the edge of its mask each pixel of a map (H, W) lies: 1 at the edge, 0 from a band's width on."""
    mask = (probability > threshold).astype(np.uint8)
    width_px = BAND_WIDTH * len(probability)
    inwards, outwards = (cv2.distanceTransform(part, cv2.DIST_L2, 5) for part in (mask, 1 - mask))
    if not mask.any() or mask.all():
        return np.zeros_like(probability)
    return np.clip(1 - (inwards + outwards - 0.5) / width_px, 0, 1).astype(np.float32)


def _predict_tiles(model: CropModel, picture: Image8, *, where: NDArray[np.bool_]) -> Probabilities:
    """Return the answers (K, F, F) of tiles that cover `where`, each the more heeded the nearer its middle."""
    side, fine = model.size, len(picture)
    count = math.ceil((fine - TILE_OVERLAP * side) / (side * (1 - TILE_OVERLAP)) - 1e-9)
    starts = np.linspace(0, fine - side, count).round().astype(int)
    places = [np.s_[top : top + side, left : left + side] for top in starts for left in starts]
    places = [place for place in places if where[place].any()]
    total = np.zeros((len(model.outputs), fine, fine), np.float32)
    weight = np.full((fine, fine), 1e-6, np.float32)
    ramp = np.sin((np.arange(side) + 0.5) * np.pi / side).astype(np.float32)
    heed = ramp[:, None] * ramp
    crops = np.array([picture[place] for place in places], np.uint8).reshape(-1, side, side, 3)
    for place, answer in zip(places, model.predict_crops(crops), strict=True):
        total[(slice(None), *place)] += heed * answer
        weight[place] += heed
    return total / weight
