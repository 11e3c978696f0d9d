"""From a photo and the places of its faces to masks: crops, the model's answers, and what is known of each face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.geometry import apply_to_image, apply_to_points
from common.manifest import Row
from face_align.locate import Location
from inference.photo_masks import Image8, Mask, Patch, Probabilities, occlusion_ratio, to_patch, to_photo
from inference.regions import expected_points, hidden_shares
from models.predictor import CropModel

# Brings the answer on a crop to the photo in a finer way than `to_patch`: photo, place, (K, S, S) probabilities.
Refiner = Callable[[Image8, Location, Probabilities], Patch]


class FaceResult(NamedTuple):
    """One face of a photo.

    Attributes:
        location: box, points, score and `photo_to_crop`, see `face_align.locate.Location`.
        crop_probabilities: (K, S, S) float32, the model's answer on the crop.
        patch: the same at the photo's resolution, for the part of the photo that the crop covers.
        occlusion_ratio: share of the full face that is hidden, 0..1; None where the model does not predict it.
        coverage: region -> share of it that is hidden, 0..1, see `inference.regions`.
    """

    location: Location
    crop_probabilities: Probabilities
    patch: Patch
    occlusion_ratio: float | None
    coverage: dict[str, float | None]


class PhotoMasks(NamedTuple):
    """What is known of a photo, at its own size; of several faces all are marked.

    Attributes:
        visible: (H, W) bool, where a face can be seen.
        full: (H, W) bool, the faces as if nothing stood in front of them; None where the model does not predict it.
        probability: (H, W) float32 in 0..1, of `visible`.
        faces: the largest first.
    """

    visible: Mask
    full: Mask | None
    probability: Probabilities
    faces: list[FaceResult]

    @property
    def occluder(self) -> Mask | None:
        """(H, W) bool, the part of `full` that is hidden; None where the model does not predict it."""
        return None if self.full is None else self.full & ~self.visible


def cut_crops(photo: Image8, locations: Sequence[Location], *, size: int) -> NDArray[np.uint8]:
    """Return the crops (N, size, size, 3) uint8 RGB of a photo's faces."""
    crops = [apply_to_image(location.photo_to_crop, photo, size=(size, size)) for location in locations]
    return np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8)


def describe_faces(
    model: CropModel,
    photo: Image8,
    locations: Sequence[Location],
    answers: Sequence[Probabilities],
    *,
    refiner: Refiner | None = None,
) -> list[FaceResult]:
    """Return the faces of a photo whose crops the model has answered.

    Args:
        model: that gave the answers.
        photo: (H, W, 3) uint8 RGB.
        locations: of the faces.
        answers: (K, S, S) float32, one a location.
        refiner: brings answers to the photo; None: by `to_patch`.
    """
    size = (photo.shape[0], photo.shape[1])
    faces = []
    for location, answer in zip(locations, answers, strict=True):
        patch = refiner(photo, location, answer) if refiner else to_patch(answer, location.photo_to_crop, size)
        if location.points is None:
            points = expected_points(model.template, size=model.size)
        else:
            points = apply_to_points(location.photo_to_crop, location.points)
        ratio = occlusion_ratio(patch.probabilities, threshold=model.threshold)
        coverage = hidden_shares(answer, points, threshold=model.threshold)
        faces.append(FaceResult(location, answer, patch, ratio, coverage))
    return faces


def read_faces(
    model: CropModel, photo: Image8, locations: Sequence[Location], *, refiner: Refiner | None = None
) -> list[FaceResult]:
    """Return the faces of a photo, predicted one after another.

    Args:
        model: answers on crops.
        photo: (H, W, 3) uint8 RGB.
        locations: of the faces.
        refiner: see `describe_faces`.
    """
    answers = [model.predict_crops(crop[None])[0] for crop in cut_crops(photo, locations, size=model.size)]
    return describe_faces(model, photo, locations, answers, refiner=refiner)


def merge_faces(
    faces: Sequence[FaceResult], photo_size: tuple[int, int], *, outputs: Sequence[str], threshold: float
) -> PhotoMasks:
    """Return the masks of a photo: where faces overlap the highest probability counts.

    Args:
        faces: of the photo.
        photo_size: (height, width).
        outputs: of the model.
        threshold: above it a pixel belongs to the mask.
    """
    merged = to_photo([face.patch for face in faces], photo_size, outputs=len(outputs))
    full = merged[1] > threshold if len(outputs) > 1 else None
    return PhotoMasks(merged[0] > threshold, full, merged[0], list(faces))


def face_row(found: FaceResult) -> Row:
    """Return what is known of a face as plain numbers; what is not known is None."""
    face, points = found.location.face, found.location.points
    return {
        "box": None if face is None else [round(float(value), 2) for value in face.box],
        "score": None if face is None else round(float(face.score), 4),
        "points": None if points is None else points.round(3).tolist(),
        "photo_to_crop": found.location.photo_to_crop.round(8).tolist(),
        "occlusion_ratio": _rounded(found.occlusion_ratio),
        "coverage": {name: _rounded(share) for name, share in found.coverage.items()},
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
