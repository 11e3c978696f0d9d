"""What is done with landmarks once they are read: the five points of alignment, other schemes, checks of the frame.

Point order of the 68 scheme (ibug, dlib): 0-16 jaw, 17-26 brows, 27-35 nose (30 = tip), 36-41 and 42-47 eyes,
48-59 outer lips, 60-67 inner lips. Points are (x, y) in pixels of the photo that they were detected in.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.geometry import apply_to_points, scaling
from face_align.landmark_formats.record import NORMALISED_SIZE, SCHEMES, LandmarkError, LandmarkRecord, bad
from face_align.landmark_formats.source import read_landmark_file
from face_align.mediapipe import MESH_TO_IBUG68

__all__ = [
    "LandmarkError",
    "check_frame",
    "five_points",
    "ibug68_points",
    "points_in_photo",
    "read_landmarks",
]

OUTSIDE_SHARE = 0.5  # landmarks with more points than this outside the photo belong to another photo or frame
FACTORS = (2.0, 4.0, 8.0, 3.0, 1.5)  # between the sizes that photos are usually published at
CENTRE = np.array([0.5, 0.61])  # middle of the five points in photos with a centred face, as a share of the sides
CENTRED_WITHIN = 0.15  # and how far from there it may be. Measured: at most 0.13 in 900 photos of CelebA-HQ

# Sine of the angle from the eyes' line to the way to the mouth. Measured: at least 0.89 in 1661 photos, profiles too.
MIRRORED_BELOW = -0.3

# Image-left eye, image-right eye, nose tip, image-left and image-right mouth corner: each a point or the mean of two.
# An eye is the mean of its two corners.
FIVE_OF: dict[str, tuple[tuple[int, ...], ...]] = {
    "five": ((0,), (1,), (2,), (3,), (4,)),
    "ibug68": ((36, 39), (42, 45), (30,), (48,), (54,)),
    "wflw98": ((60, 64), (68, 72), (54,), (76,), (82,)),
    "mediapipe478": ((33, 133), (362, 263), (1,), (61,), (291,)),
    "cofw29": ((8, 10), (11, 9), (20,), (22,), (23,)),
}


def read_landmarks(path: Path, *, photo_size: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """Return the points (L, 2) of the first face of a file that belongs to one photo.

    Args:
        path: any kind of `landmark_formats.source.FILE_READERS`, e.g. `.npy` of shape (68, 2), (3, 68) or (5, 2).
        photo_size: (height, width), needed for points that are stored as shares of the photo.

    Raises:
        LandmarkError: there is no file (outcome "no_landmarks"), or its content is something else ("bad_landmarks").
    """
    record = read_landmark_file(path)[0]
    if record.image_size == NORMALISED_SIZE and photo_size is None:
        raise bad(path, "the points are shares of the photo, and the size of the photo is not known here")
    return record.points if photo_size is None else points_in_photo(record, photo_size)


def points_in_photo(record: LandmarkRecord, photo_size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the points (L, 2) in pixels of a photo of `photo_size` (height, width), whatever they were found at.

    Raises:
        LandmarkError: the photo has another shape than the one that they were found in (outcome "bad_landmarks").
    """
    size = record.image_size
    if size is None or size == photo_size:
        return record.points
    unequal = abs(size[0] * photo_size[1] - size[1] * photo_size[0]) > max(*size, *photo_size)
    if unequal and size != NORMALISED_SIZE:
        raise bad(
            record.id,
            f"the landmarks were found in a photo of {size} (height, width), this one is {photo_size}, of another "
            "shape; they do not belong together",
        )
    return apply_to_points(scaling(size, photo_size), record.points)


def check_frame(path: Path, points: NDArray[np.float64], photo_size: tuple[int, int], *, centred: bool = False) -> None:
    """Refuse points of another frame: of another size of the photo, or of another photo.

    Args:
        path: named in the error.
        points: (L, 2), pixels.
        photo_size: (height, width).
        centred: the photo is known to show one face in its middle, as in CelebA-HQ and FFHQ, so that points of a
            smaller copy of it can be told, too. In any photo they could be a small face.

    Raises:
        LandmarkError: they are (outcome "bad_landmarks"); the message names the likely factor.
    """
    height, width = photo_size
    frame = f"the photo of {height} x {width} pixels (height x width)"
    if np.abs(points).max() <= 2 < min(photo_size) // 8 and np.ptp(points, axis=0).max() > 0:
        raise bad(
            path, f"all points lie within 2 px of the corner of {frame}; they look like shares: multiply by its size"
        )
    five = five_points(points)
    if _handedness(five) < MIRRORED_BELOW:
        raise bad(
            path,
            "the points are those of a mirrored face; x and y are exchanged, or right comes before left: write (x, y), "
            "of eyes and mouth corners the one on the left of the photo first",
        )
    outside = ~_inside(points, photo_size)
    if outside.mean() > OUTSIDE_SHARE:
        likely = [factor for factor in FACTORS if _inside(points / factor, photo_size).mean() > 0.9]
        hint = f"; the likely factor is {likely[0]:g}: divide by it" if likely else ""
        raise bad(
            path,
            f"{outside.sum()} of {len(points)} points lie outside {frame}; they were detected in a photo of another "
            f"size{hint}, or store image_size with them in landmarks.jsonl",
        )
    off_centre = _off_centre(five, photo_size) if centred else 0.0
    if off_centre > CENTRED_WITHIN:
        ratio = min((*FACTORS, *(1 / factor for factor in FACTORS)), key=lambda r: _off_centre(five * r, photo_size))
        if _off_centre(five * ratio, photo_size) <= min(CENTRED_WITHIN, off_centre / 2):
            step = f"{ratio:g}: multiply by it" if ratio > 1 else f"{1 / ratio:g}: divide by it"
            raise bad(
                path,
                f"the points lie in a corner of {frame}; they were detected in a copy of another size, the likely "
                f"factor is {step}, or store image_size with them in landmarks.jsonl",
            )


def five_points(points: NDArray[np.float64], scheme: str | None = None) -> NDArray[np.float64]:
    """Return image-left eye, image-right eye, nose tip, image-left and image-right mouth corner, (5, 2).

    Args:
        points: (L, 2) in the order of the scheme; five come back as they are.
        scheme: a key of `FIVE_OF`; None: told by the number of points.

    Raises:
        ValueError: another number of points, or an unknown scheme.
    """
    if scheme is None:
        scheme = SCHEMES.get(len(points), "unknown")
    if scheme not in FIVE_OF or SCHEMES.get(len(points)) != scheme:
        known = ", ".join(f"{name} {count}" for count, name in SCHEMES.items())
        raise ValueError(f"expected 68 or 5 points, or another of {known}; found {len(points)} as {scheme!r}")
    if scheme == "five":
        return points
    first, last = ([group[end] for group in FIVE_OF[scheme]] for end in (0, -1))
    return (points[first] + points[last]) / 2


def ibug68_points(points: NDArray[np.float64], scheme: str) -> NDArray[np.float64] | None:
    """Return the points in the 68 scheme, (68, 2); None where the scheme has no counterparts of all 68.

    The jaw of MediaPipe's mesh is that of the 3D head: about a tenth of the distance of the outer eye corners off.
    """
    if scheme == "mediapipe478":
        return points[list(MESH_TO_IBUG68)]
    return points if scheme == "ibug68" else None


def _handedness(five: NDArray[np.float64]) -> float:
    """Return about 1 for the face of a photo, however it is turned, and about -1 for its mirror image."""
    left_eye, right_eye, _, left_mouth, right_mouth = five.tolist()
    across_x, across_y = right_eye[0] - left_eye[0], right_eye[1] - left_eye[1]
    down_x = (left_mouth[0] + right_mouth[0] - left_eye[0] - right_eye[0]) / 2
    down_y = (left_mouth[1] + right_mouth[1] - left_eye[1] - right_eye[1]) / 2
    lengths = math.hypot(across_x, across_y) * math.hypot(down_x, down_y)
    return (across_x * down_y - across_y * down_x) / lengths if lengths > 0 else 1.0


def _inside(points: NDArray[np.float64], photo_size: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = photo_size
    return (points >= -0.5).all(axis=1) & (points[:, 0] <= width - 0.5) & (points[:, 1] <= height - 0.5)


def _off_centre(five: NDArray[np.float64], photo_size: tuple[int, int]) -> float:
    middle = (five.min(axis=0) + five.max(axis=0)) / 2 / np.array(photo_size[::-1], dtype=np.float64)
    return float(np.abs(middle - CENTRE).max())
