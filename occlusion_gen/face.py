"""What goes into a generator and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError
from common.labels import FacePolicy, face_masks

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Params = dict[str, Any]
Found = TypeVar("Found")
Sources = tuple[Image8, Image8, Mask]

# Measured once for the occluders of a sample, and not kept for the next: pixels and places, not numbers.
AS_LARGE_AS_THE_FACE = frozenset({"window", "visible places"})


class Box(NamedTuple):
    """A box in pixels: (x, y) of its first pixel, width and height."""

    x: int
    y: int
    width: int
    height: int


class Face(NamedTuple):
    """A face before occlusion.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 class ids.
        visible: (H, W) bool, what of the face can be seen.
        full: (H, W) bool, the face as if nothing stood in front of it.
        box: bounding box of `visible`; None where nothing is.
        landmarks: (68, 2) float, (x, y) in pixels of the crop, in the order of iBUG 300-W; None where unknown.
        measured: what `measure_once` found out about this face, for the next occluder.
    """

    image: Image8
    label: Image8
    visible: Mask
    full: Mask
    box: Box | None
    landmarks: Points | None = None
    measured: dict[str, Any] | None = None

    @property
    def side_px(self) -> int:
        """Longer side of the crop."""
        return max(self.image.shape[:2])


class Patch(NamedTuple):
    """An occluder in the frame of the crop, cut to the region that it can touch.

    Attributes:
        rows: rows of the crop that the region covers.
        columns: columns of the crop that the region covers.
        colour: (h, w, 3) uint8 RGB, straight (not multiplied by alpha); beyond the occluder it carries on smoothly.
        alpha: (h, w) uint8, how much of each pixel the occluder hides in the picture.
        hides: (h, w) uint8, how much of the face below counts as hidden in the labels: 0 or 255, save for translucent
            occluders with soft labels.
    """

    rows: slice
    columns: slice
    colour: Image8
    alpha: Image8
    hides: Image8


class OccludedFace(NamedTuple):
    """A face after occlusion.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 class ids, parts kept, each occluder with its own id where it hides at least half.
        parts: (H, W) uint8 class ids before occlusion.
        visible: (H, W) uint8, share of the pixel that is visible face, 0 or 255 save under soft labels.
        hidden: (H, W) uint8, how much of what lies there the occluders hide in the labels, face or not.
        full: (H, W) bool, the face as if nothing stood in front of it.
        full_known: False for real photos, where nobody knows what is behind the occluder.
        alpha: (H, W) uint8, how much all occluders together hide; 0 where there is none.
        coverage: share of `full` that is not visible, 0..1.
        params: every drawn parameter, in plain numbers, texts and lists.
    """

    image: Image8
    label: Image8
    parts: Image8
    visible: Image8
    hidden: Image8
    full: Mask
    full_known: bool
    alpha: Image8
    coverage: float
    params: Params


class Generator(Protocol):
    """A kind of occluder.

    Attributes:
        part: class id of its occluders.
        worn: whether it lies on the face itself (mask, glasses): it then goes below all others, at most once a kind.
        needs_landmarks: whether it can only occlude faces with landmarks.
    """

    @property
    def part(self) -> int: ...  # noqa: D102
    @property
    def worn(self) -> bool: ...  # noqa: D102
    @property
    def needs_landmarks(self) -> bool: ...  # noqa: D102

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision for `face`, in plain numbers, texts and lists; `face.box` is not None."""
        ...

    def patch(self, params: Params, face: Face) -> Patch:
        """Return the occluder in the frame of `face`; equal parameters give equal bytes."""
        ...


def make_face(image: Image8, label: Image8, policy: FacePolicy, *, landmarks: Points | None = None) -> Face:
    """Return the face that generators work on; see `Face` for shapes."""
    visible, full = face_masks(label, policy)
    return Face(image, label, visible, full, bounding_box(visible), landmarks, {})


def recall(face: Face, memory: Mapping[str, Any]) -> None:
    """Let `measure_once` find on `face` what `remember` kept of the same image, label and policy."""
    if face.measured is not None:
        sources = _sources(face)
        face.measured.update({name: (sources, value) for name, value in memory.items()})


def remember(face: Face, memory: dict[str, Any]) -> None:
    """Keep what was measured on the bare face, a few numbers each, for when the same face comes again."""
    for name, (sources, value) in (face.measured or {}).items():
        if name not in memory and name not in AS_LARGE_AS_THE_FACE and _same(sources, _sources(face)):
            memory[name] = value


def landmarks_of_face(face: Face) -> Points:
    """Return the 68 points (68, 2) of a face.

    Raises:
        RecordError: it has none (outcome "no_landmarks").
    """
    if face.landmarks is None:
        raise RecordError(
            "what is worn needs the 68 landmarks of the face, found none; align with landmarks, or leave this face out",
            outcome="no_landmarks",
        )
    return face.landmarks


def measure_once(name: str, measure: Callable[[Face], Found], face: Face) -> Found:
    """Return `measure(face)`, which is taken once for all occluders of a face.

    Args:
        name: of what is measured, unique.
        measure: a pure function of image, label and visible pixels.
    """
    if face.measured is None:
        return measure(face)
    sources = _sources(face)
    found = face.measured.get(name)
    if found is None or not _same(found[0], sources):
        found = face.measured[name] = (sources, measure(face))
    value: Found = found[1]
    return value


def _sources(face: Face) -> Sources:
    return face.image, face.label, face.visible


def _same(some: Sources, others: Sources) -> bool:
    return all(one is other for one, other in zip(some, others, strict=True))


def bounding_box(mask: Mask) -> Box | None:
    """Return the bounding box of a mask, None where it is empty."""
    box = Box(*cv2.boundingRect(mask.view(np.uint8)))
    return box if box.width else None
