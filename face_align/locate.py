"""Where the crops of a photo lie: found by a detector, read from landmarks, or the photo itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError
from common.geometry import Affine, scaling
from face_align.crop import Method, photo_to_crop
from face_align.detect import Face, YuNetDetector
from face_align.landmarks import check_frame, five_points, read_landmarks


class Location(NamedTuple):
    """One crop of a photo.

    Attributes:
        photo_to_crop: (2, 3), photo pixels to crop pixels.
        points: (5, 2) in photo pixels, None where the crop needed none.
        face: what the detector said, None without a detector.
    """

    photo_to_crop: Affine
    points: NDArray[np.float64] | None = None
    face: Face | None = None


# Takes the photo (H, W, 3) uint8 RGB and its name without suffix, relative to the folder of photos.
Locator = Callable[[NDArray[np.uint8], str], list[Location]]


def by_detector(
    detector: YuNetDetector, *, method: Method, template: str, size: int, max_faces: int | None = None
) -> Locator:
    """Return a locator of detected faces, the largest first; it gives an empty list where there is no face.

    Args:
        size: side of the crop in pixels.
        max_faces: keep so many of the largest; None keeps all.
    """

    def locate(photo: NDArray[np.uint8], name: str) -> list[Location]:
        locations = []
        for face in detector.detect(photo)[:max_faces]:
            try:
                matrix = photo_to_crop(
                    face.points, photo_size=photo.shape[:2], method=method, size=size, template=template
                )
            except ValueError:
                continue  # points that coincide: no face that could be aligned
            locations.append(Location(matrix, face.points, face))
        return locations

    return locate


def by_landmarks(folder: Path, *, method: Method, template: str, size: int) -> Locator:
    """Return a locator that reads `folder/{name}.npy`; it raises `RecordError` where they cannot be used.

    Args:
        folder: landmarks, with the sub-folders of the photos.
        size: side of the crop in pixels.
    """

    def locate(photo: NDArray[np.uint8], name: str) -> list[Location]:
        path = folder / f"{name}.npy"
        landmarks = read_landmarks(path)
        check_frame(path, landmarks, photo.shape[:2])
        points = five_points(landmarks)
        try:
            matrix = photo_to_crop(points, photo_size=photo.shape[:2], method=method, size=size, template=template)
        except ValueError as error:
            raise RecordError(f"{path}: {error}", outcome="bad_landmarks") from error
        return [Location(matrix, points)]

    return locate


def whole_photo(*, size: int) -> Locator:
    """Return a locator for photos that are crops already: the photo is stretched to `size` x `size`."""

    def locate(photo: NDArray[np.uint8], name: str) -> list[Location]:
        return [Location(scaling(photo.shape[:2], (size, size)))]

    return locate


def centred_square(photo_size: tuple[int, int], *, size: int) -> Affine:
    """Return the transform of the smallest centred square that holds the whole photo to a crop of side `size`.

    Args:
        photo_size: (height, width).
    """
    height, width = photo_size
    ratio = size / max(height, width)
    shift_x, shift_y = ((size - 1 - ratio * (side - 1)) / 2 for side in (width, height))
    return np.array([[ratio, 0.0, shift_x], [0.0, ratio, shift_y]])
