"""Faces in photos: YuNet, a small detector that also gives the five points that alignment needs."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.geometry import apply_to_points, invert, scaling

WEIGHTS_VARIABLE = "OCCFACE_WEIGHTS"
YUNET_NAMES = ("yunet_n_640_640.onnx", "face_detection_yunet_2023mar.onnx")
REPOSITORY_WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
_ONLY_ERRORS = threading.Lock()  # OpenCV's level of messages belongs to all threads

# The network was trained at 640 px and finds faces from about 10 px on; a crowd in a large photo needs a second look.
DETECTION_SIDES_PX = (640, 1280)
SMALLEST_SIDE_PX = 96  # smaller photos are enlarged: a face of 10 px and less is not found
# Points are most accurate on faces of 180 to 290 px and fall apart above 350 (on 254 photos with points set by hand:
# 6.3 % of the outer-eye distance at 234 px, 15 % at 517 px). Portraits are therefore looked at again, smaller.
LARGE_FACE_PX = 290
BEST_FACE_PX = 230
PORTRAIT_SIDE_PX = 256  # where nothing was found, a noisy or hidden face that fills the photo may be found this small


class Face(NamedTuple):
    """A face in a photo, in the photo's own pixels.

    Attributes:
        box: (x, y, width, height); it may reach outside the photo.
        points: (5, 2) float64, (x, y): image-left eye, image-right eye, nose tip, image-left mouth corner,
            image-right mouth corner.
        score: confidence, 0..1.
    """

    box: tuple[float, float, float, float]
    points: NDArray[np.float64]
    score: float

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return self.box[2] * self.box[3]

    def is_within(self, other: Face) -> bool:
        """Return whether the centre of this box lies in the other's."""
        x, y = self.box[0] + self.box[2] / 2, self.box[1] + self.box[3] / 2
        left, top, width, height = other.box
        return left <= x <= left + width and top <= y <= top + height


class YuNetDetector:
    """YuNet behind the conventions of this project: RGB in, faces in the photo's own pixels out.

    Args:
        path: the ONNX file, see `require_yunet`.
        score_threshold: faces below this confidence are dropped, 0..1.
        overlap_threshold: of two boxes that overlap by more than this IoU only the surer one stays.

    Raises:
        UserError: the file is missing or is no YuNet model.

    Source: Wu, Peng and Yu, "YuNet: a tiny millisecond-level face detector", 2023.
    """

    def __init__(self, path: Path, *, score_threshold: float = 0.6, overlap_threshold: float = 0.3) -> None:
        if not path.is_file():
            raise UserError(f"{path}: there is no YuNet model; {where_weights_lie(YUNET_NAMES)}")
        # OpenCV 5 warns at each construction that its new graph engine ignores the choice of a target (there is only
        # one on the CPU); nothing that a reader of the terminal could act on.
        with _ONLY_ERRORS:
            level = cv2.utils.logging.getLogLevel()
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
            try:
                self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), score_threshold, overlap_threshold)
            except cv2.error as error:
                raise UserError(
                    f"{path}: OpenCV cannot read this as a YuNet model; {where_weights_lie(YUNET_NAMES)}"
                ) from error
            finally:
                cv2.utils.logging.setLogLevel(level)

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """Return the faces in `image`, the one with the largest box first; empty when there is none.

        Photos are shrunk to 640 px on the long side, to 1280 px where nothing was found, and further where a face
        fills the picture.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        longest_px = max(image.shape[:2])
        for limit_px in DETECTION_SIDES_PX:
            side_px = max(min(longest_px, limit_px), SMALLEST_SIDE_PX)
            faces = self._detect_at(image, side_px)
            if faces or longest_px <= limit_px:
                break
        if not faces:
            return self._detect_at(image, PORTRAIT_SIDE_PX) if longest_px > PORTRAIT_SIDE_PX else []
        face_px = faces[0].box[2] * side_px / longest_px
        if face_px <= LARGE_FACE_PX:
            return faces
        again = self._detect_at(image, max(round(side_px * BEST_FACE_PX / face_px), SMALLEST_SIDE_PX))
        return _largest_first([*again, *(face for face in faces if not any(map(face.is_within, again)))])

    def _detect_at(self, image: NDArray[np.uint8], longest_px: int) -> list[Face]:
        """Return the faces found in `image` resized such that its long side is `longest_px`."""
        height, width = image.shape[:2]
        ratio = longest_px / max(height, width)
        size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
        if size != (height, width):
            filter_kind = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, (size[1], size[0]), interpolation=filter_kind)
        self._network.setInputSize((size[1], size[0]))
        # Colour order is BGR. The second value is None, not an empty array, where there is no face.
        _, rows = self._network.detect(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        to_photo = invert(scaling((height, width), size))
        faces = [_face(row, to_photo) for row in ([] if rows is None else rows.astype(np.float64))]
        return _largest_first(faces)


def find_yunet() -> Path | None:
    """Return the YuNet file in the folder $OCCFACE_WEIGHTS, else in `weights/` of this repository, else None."""
    return find_weights(YUNET_NAMES)


def require_yunet() -> Path:
    """Return the YuNet file that `find_yunet` finds.

    Raises:
        UserError: there is none; the message names the places and the next step.
    """
    return require_weights(YUNET_NAMES, "YuNet face detector")


def require_weights(names: Sequence[str], what: str) -> Path:
    """Return the first of `names` that lies where weights lie.

    Args:
        names: file names, the preferred one first.
        what: the file is, for the message.

    Raises:
        UserError: there is none.
    """
    path = find_weights(names)
    if path is None:
        raise UserError(f"no {what} was found. {where_weights_lie(names)}")
    return path


def yunet_folders() -> list[Path]:
    """Return the folders that are searched for YuNet, the preferred one first."""
    chosen = os.environ.get(WEIGHTS_VARIABLE)
    return [*([Path(chosen)] if chosen else []), REPOSITORY_WEIGHTS]


def find_weights(names: Sequence[str]) -> Path | None:
    """Return the first file of one of these names in the folders of `yunet_folders`, None where there is none."""
    candidates = (folder / name for folder in yunet_folders() for name in names)
    return next((path for path in candidates if path.is_file()), None)


def where_weights_lie(names: Sequence[str]) -> str:
    """Return, for a message, where files of these names were looked for and how to get one."""
    variable = os.environ.get(WEIGHTS_VARIABLE) or "not set"
    return (
        f"Looked for {' or '.join(names)} in the folder ${WEIGHTS_VARIABLE} ({variable}) and in "
        f"{REPOSITORY_WEIGHTS}. Run `bash scripts/download_weights.sh`, or put the file into one of the two"
    )


def _largest_first(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: (-face.area, face.box))


def _face(row: NDArray[np.float64], to_photo: NDArray[np.float64]) -> Face:
    """Return the face of one output row: box (4), five points (10), score (1).

    YuNet names its points from the person's view (right eye first), which is the image's left one: our own order.
    """
    corners = apply_to_points(to_photo, np.array([row[:2], row[:2] + row[2:4]]))
    (left, top), (right, bottom) = corners.tolist()
    points = apply_to_points(to_photo, row[4:14].reshape(5, 2))
    return Face((left, top, right - left, bottom - top), points, float(row[14]))
