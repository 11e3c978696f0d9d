"""What every reader of landmarks gives, and the checks that all of them share."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError

# Number of points -> name of the scheme. MediaPipe's 478 are its 468 and ten of the irises.
SCHEMES = {5: "five", 29: "cofw29", 68: "ibug68", 98: "wflw98", 468: "mediapipe478", 478: "mediapipe478"}
NORMALISED_SIZE = (1, 1)  # of landmarks in shares of the photo: a frame of one pixel
NORMALISED_BELOW = 4.0  # shares of a face that hangs out of its photo; no face has 468 points within 4 px


class LandmarkError(RecordError):
    """Landmarks that are missing, unreadable, or of another photo."""


class LandmarkRecord(NamedTuple):
    """The landmarks of one face.

    Attributes:
        id: of the photo, as its path below the folder of photos, without suffix.
        points: (L, 2) float64 (x, y) in pixels of a photo of `image_size`, an integer is the centre of a pixel.
        scheme: "ibug68", "five", "cofw29", "wflw98" or "mediapipe478": the order of the points.
        image_size: (height, width) that the points were found at; (1, 1): they are shares of the photo, less a half;
            None: not known, taken for that of the photo.
        occluded: (L,) bool, which points are hidden; None: not known.
        detector: who found them; "file" where the format does not tell.
        score: of the detector, None where the format does not tell.
        box: (x, y, width, height) of the face in the same pixels, None where the format does not tell.
        face_type: "P_B" of the Hsu-lab lists, P 0 frontal or 1 profile, B 0 clear or 1 blurred; None elsewhere.
    """

    id: str
    points: NDArray[np.float64]
    scheme: str
    image_size: tuple[int, int] | None = None
    occluded: NDArray[np.bool_] | None = None
    detector: str = "file"
    score: float | None = None
    box: tuple[float, float, float, float] | None = None
    face_type: str | None = None


class LandmarkSource(Protocol):
    """Landmarks of many photos, looked up one by one. Picklable."""

    def get(self, photo_id: str) -> list[LandmarkRecord]:
        """Return the faces of a photo, at least one.

        Raises:
            LandmarkError: there are none (outcome "no_landmarks"), or they cannot be used ("bad_landmarks").
        """
        ...


def bad(where: Path | str, message: str) -> LandmarkError:
    """Return the error of landmarks that cannot be used."""
    return LandmarkError(f"{where}: {message}", outcome="bad_landmarks")


def missing(where: Path | str, message: str = "no landmarks for this photo; detect them, or leave the photo out") -> (
    LandmarkError
):  # fmt: skip
    """Return the error of a photo without landmarks."""
    return LandmarkError(f"{where}: {message}", outcome="no_landmarks")


def record_of(
    where: Path | str,
    photo_id: str,
    points: NDArray[np.float64],
    *,
    image_size: tuple[int, int] | None = None,
    occluded: NDArray[np.bool_] | None = None,
    detector: str = "file",
    score: float | None = None,
    box: tuple[float, float, float, float] | None = None,
    face_type: str | None = None,
) -> LandmarkRecord:
    """Return a checked record of (L, 2) points, its scheme told from L.

    Raises:
        LandmarkError: L is unknown, or a coordinate is not finite.
    """
    if points.ndim != 2 or points.shape[1] != 2 or len(points) not in SCHEMES:
        raise bad(where, f"found landmarks of shape {points.shape}; known: L x 2 with L one of {sorted(SCHEMES)}")
    if not np.isfinite(points).all():
        raise bad(where, "a coordinate is not a finite number")
    points = points.astype(np.float64)
    scheme = SCHEMES[len(points)]
    if scheme == "mediapipe478" and image_size is None and np.abs(points).max() < NORMALISED_BELOW:
        points, image_size = points - 0.5, NORMALISED_SIZE
    return LandmarkRecord(photo_id, points, scheme, image_size, occluded, detector, score, box, face_type)
