"""Where the crops of a photo lie: found by a detector, read from landmarks, or the photo itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, cast, get_args

import numpy as np
from numpy.typing import NDArray

from common.cut_options import USUAL, CutOptions
from common.errors import RecordError, UserError
from common.geometry import Affine, scaling
from face_align.cofw import open_cofw_landmarks
from face_align.crop import TEMPLATES, Method, photo_to_crop
from face_align.detect import Face
from face_align.landmark_formats import open_landmarks
from face_align.landmarks import check_frame, five_points, points_in_photo


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


FaceChoice = Literal["largest", "centre", "all"]
Box = tuple[float, float, float, float]

# Takes the photo (H, W, 3) uint8 RGB and its name without suffix, relative to the folder of photos.
Locator = Callable[[NDArray[np.uint8], str], list[Location]]


class Detector(Protocol):
    """Finds faces; see `face_align.detect.YuNetDetector`."""

    def detect(self, image: NDArray[np.uint8]) -> list[Face]: ...  # noqa: D102


class WantsCrops(Protocol):
    """Whatever wants crops cut in one way, such as a model; see `CropRule` for the attributes."""

    size: int
    method: str
    template: str
    cut_options: CutOptions


@dataclass(frozen=True)
class CropRule:
    """How five points become the crop that a model wants.

    Attributes:
        method: see `face_align.crop.photo_to_crop`.
        template: name of the target points, for `similarity5`.
        size: side of the crop in pixels.
        options: the alignment's other settings.

    Raises:
        UserError: this version does not know the method or the template.
    """

    method: str
    template: str
    size: int
    options: CutOptions = USUAL

    @classmethod
    def of(cls, model: WantsCrops) -> CropRule:
        """Return the rule of the crops that a model was trained on."""
        return cls(model.method, model.template, model.size, model.cut_options)

    def __post_init__(self) -> None:
        methods = get_args(Method)
        if self.method not in methods or self.template not in TEMPLATES:
            raise UserError(
                f"the weights want crops of method {self.method!r} and template {self.template!r}; this version knows "
                f"{', '.join(methods)} and {', '.join(TEMPLATES)}: update the code, or take other weights"
            )

    def photo_to_crop(
        self,
        points: NDArray[np.float64],
        photo_size: tuple[int, int],
        *,
        landmarks: NDArray[np.float64] | None = None,
        box: Box | None = None,
    ) -> Affine:
        """Return the transform for a face of a photo of `photo_size` (height, width).

        Args:
            points: (5, 2) pixels of the photo.
            photo_size: (height, width).
            landmarks: (L, 2) of the whole face, where there are more than five.
            box: (x, y, width, height) of the face, where it is known.

        Raises:
            ValueError: the points coincide, or the method needs more than these.
        """
        return photo_to_crop(
            points,
            photo_size=photo_size,
            method=cast(Method, self.method),
            size=self.size,
            template=self.template,
            landmarks=landmarks,
            box=box,
            **asdict(self.options),
        )


def choose_faces(boxes: Sequence[Box], *, choice: FaceChoice, photo_size: tuple[int, int]) -> list[int]:
    """Return the indices of the chosen faces: one, or all with the largest first; none where there is none.

    Args:
        boxes: (x, y, width, height) of each face, photo pixels.
        choice: the face with the largest box, the one nearest the photo's centre, or all.
        photo_size: (height, width).
    """
    order = sorted(range(len(boxes)), key=lambda index: -boxes[index][2] * boxes[index][3])
    if choice == "all" or not order:
        return order
    if choice == "largest":
        return order[:1]
    height, width = photo_size

    def off_centre(index: int) -> float:
        x, y, box_width, box_height = boxes[index]
        return (x + (box_width - width) / 2) ** 2 + (y + (box_height - height) / 2) ** 2

    return [min(order, key=off_centre)]


def by_detector(detector: Detector, rule: CropRule, *, max_faces: int | None = None) -> Locator:
    """Return a locator of detected faces, the largest first; it gives an empty list where there is no face.

    Args:
        detector: finds the faces.
        rule: how points become a crop.
        max_faces: keep so many of the largest; None keeps all.
    """

    def locate(photo: NDArray[np.uint8], name: str) -> list[Location]:
        locations = []
        for face in detector.detect(photo)[:max_faces]:
            try:
                matrix = rule.photo_to_crop(face.points, photo.shape[:2], box=face.box)
            except ValueError:
                continue  # points that coincide: no face that could be aligned
            locations.append(Location(matrix, face.points, face))
        return locations

    return locate


def by_landmarks(source: Path, rule: CropRule) -> Locator:
    """Return a locator of the faces whose landmarks stand in files; it raises `RecordError` where they are no use.

    Args:
        source: a folder with a file a photo, in the sub-folders of the photos, or one file for all; or the folder of
            COFW's own files.
        rule: how points become a crop.
    """
    of_cofw = source.is_dir() and any(source.glob("COFW_*.mat"))
    known = open_cofw_landmarks(source) if of_cofw else open_landmarks(source)

    def locate(photo: NDArray[np.uint8], name: str) -> list[Location]:
        size = (photo.shape[0], photo.shape[1])
        locations = []
        for face in known.get(name):
            landmarks = points_in_photo(face, size)
            check_frame(source / name, landmarks, size)
            points = five_points(landmarks, face.scheme)
            whole = landmarks if face.scheme != "five" else None
            try:
                locations.append(Location(rule.photo_to_crop(points, size, landmarks=whole), points))
            except ValueError as error:
                raise RecordError(f"{source / name}: {error}", outcome="bad_landmarks") from error
        return locations

    return locate


def whole_photo(*, size: int) -> Locator:
    """Return a locator for photos that are crops already: the photo is stretched to `size` x `size`."""

    def locate(photo: NDArray[np.uint8], name: str) -> list[Location]:
        return [Location(scaling(photo.shape[:2], (size, size)))]

    return locate


def by_template(template: str, rule: CropRule) -> Locator:
    """Return a locator for photos that are aligned already, to the five points of another template.

    Args:
        template: name in `face_align.crop.TEMPLATES` that the photos were aligned to, e.g. arcface112.
        rule: how points become a crop.
    """
    size, target = TEMPLATES[template]

    def locate(photo: NDArray[np.uint8], name: str) -> list[Location]:
        height, width = photo.shape[:2]
        points = target * np.array([width / size, height / size])
        try:
            return [Location(rule.photo_to_crop(points, (height, width)), points)]
        except ValueError as error:
            raise RecordError(f"{name}: {error}", outcome="bad_landmarks") from error

    return locate


def centred_square(photo_size: tuple[int, int], *, size: int) -> Affine:
    """Return the transform of the smallest centred square that holds the whole photo to a crop of side `size`.

    Args:
        photo_size: (height, width).
        size: side of the crop in pixels.
    """
    height, width = photo_size
    ratio = size / max(height, width)
    shift_x, shift_y = ((size - 1 - ratio * (side - 1)) / 2 for side in (width, height))
    return np.array([[ratio, 0.0, shift_x], [0.0, ratio, shift_y]])
