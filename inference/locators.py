"""What says where the faces of a photo are, by the name of a detector."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.geometry import scale_of
from face_align.detect import YuNetDetector, find_yunet, require_yunet, yunet_folders
from face_align.landmarks import five_points
from face_align.locate import CropRule, Location, Locator, by_detector, by_landmarks, whole_photo
from face_align.mediapipe import PRESENCE_THRESHOLD, FaceMesh, require_runtime, require_task
from inference.self_detector import by_segmenter
from models.predictor import CropModel

DETECTORS = ("auto", "yunet", "self", "mediapipe")
NEEDS_MESH = "bbox"  # crops by this method are cut around all landmarks of a face


class FaceFinder(NamedTuple):
    """How faces are found.

    Attributes:
        name: for the settings of a run.
        why: one sentence for the reader.
        new_locator: makes a locator; one for each thread, since detectors keep state.
    """

    name: str
    why: str
    new_locator: Callable[[], Locator]


def build_finder(
    model: CropModel,
    *,
    detector: str = "auto",
    aligned: bool = False,
    landmarks: Path | None = None,
    max_faces: int | None = None,
    min_size_px: float = 0.0,
) -> FaceFinder:
    """Return how faces are found.

    Args:
        model: whose crops are wanted.
        detector: of `DETECTORS`; auto: YuNet where its file is, else the model itself.
        aligned: photos are crops already.
        landmarks: file or folder with the landmarks of the photos, instead of a detector.
        max_faces: keep so many of the largest; None keeps all.
        min_size_px: leave out faces whose box is narrower or lower.

    Raises:
        UserError: a file or a package is missing, or the detector does not give what the model's crops need.
    """
    rule = CropRule.of(model)
    if aligned:
        locate = whole_photo(size=model.size)
        return FaceFinder("aligned", "each image is taken for a face crop", lambda: locate)
    if landmarks is not None:
        if not landmarks.exists():
            raise UserError(f"{landmarks}: expected a file or folder with landmarks, found nothing")
        of_files = _largest(by_landmarks(landmarks, rule), max_faces, min_size_px)
        return FaceFinder(f"landmarks in {landmarks.resolve()}", f"landmarks from {landmarks}", lambda: of_files)
    name, why = choose_detector(detector)
    if model.method == NEEDS_MESH and name != "mediapipe":
        raise UserError(
            f"these weights want crops around all landmarks of a face, and the detector {name} does not give them; "
            "take --detector mediapipe, or --landmarks"
        )
    new_locator = _NEW_LOCATORS[name](model, rule)
    return FaceFinder(name, why, lambda: _largest(new_locator(), max_faces, min_size_px))


def choose_detector(name: str) -> tuple[str, str]:
    """Return the detector's name and a sentence that says why it was taken; "auto" takes the best one that is there.

    Raises:
        UserError: an unknown name.
    """
    if name not in DETECTORS:
        raise UserError(f"detector {name!r} is unknown; known: {', '.join(DETECTORS)}")
    if name != "auto":
        return name, f"faces are found by {name}, as asked"
    path = find_yunet()
    if path is not None:
        return "yunet", f"faces are found by YuNet ({path})"
    folders = " or ".join(str(folder) for folder in yunet_folders())
    return "self", f"no YuNet file in {folders}: faces are found by the model itself (--detector self)"


def by_mesh(detector: YuNetDetector, mesh: FaceMesh, rule: CropRule) -> Locator:
    """Return a locator of faces that YuNet finds and MediaPipe's mesh places; those that it does not see are left out.

    Args:
        detector: finds the faces.
        mesh: gives 478 points of a face.
        rule: how points become a crop.
    """

    def locate(photo: NDArray[np.uint8], name: str) -> list[Location]:
        locations = []
        for face in detector.detect(photo):
            found = mesh.find(photo, face)
            if found.score < PRESENCE_THRESHOLD:
                continue
            points = five_points(found.points, "mediapipe478")
            try:
                matrix = rule.photo_to_crop(points, photo.shape[:2], landmarks=found.points, box=face.box)
            except ValueError:
                continue  # points that coincide
            locations.append(Location(matrix, points, face._replace(score=found.score)))
        return locations

    return locate


def _new_yunet(model: CropModel, rule: CropRule) -> Callable[[], Locator]:
    path = require_yunet()
    YuNetDetector(path)  # a damaged file is told before any work
    return lambda: by_detector(YuNetDetector(path), rule)


def _new_self(model: CropModel, rule: CropRule) -> Callable[[], Locator]:
    return functools.partial(by_segmenter, model, rule)


def _new_mediapipe(model: CropModel, rule: CropRule) -> Callable[[], Locator]:
    require_runtime()
    yunet, task = require_yunet(), require_task()
    return lambda: by_mesh(YuNetDetector(yunet), FaceMesh(task), rule)


_NEW_LOCATORS = {"yunet": _new_yunet, "self": _new_self, "mediapipe": _new_mediapipe}


def _largest(locate: Locator, max_faces: int | None, min_size_px: float) -> Locator:
    """Return the locator without small faces, of the rest the largest, by their box or else by their crop."""

    def size_px(location: Location) -> float:
        return min(location.face.box[2:]) if location.face else 1.0 / scale_of(location.photo_to_crop)

    def largest(photo: NDArray[np.uint8], name: str) -> list[Location]:
        found = [one for one in locate(photo, name) if not one.face or size_px(one) >= min_size_px]
        return sorted(found, key=size_px, reverse=True)[:max_faces] if max_faces is not None else found

    return largest
