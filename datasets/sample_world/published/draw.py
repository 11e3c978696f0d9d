"""Drawn people for the published layouts: the same person in several photos, with something in front or not."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_image, apply_to_label, apply_to_points
from common.image_io import write_bytes
from common.labels import FacePolicy, visible_mask
from common.seeding import generator
from datasets.sample_world.face import Portrait, render_face
from datasets.sample_world.person import draw_person
from datasets.sample_world.scenes import ALIGN_SIZE_PX, TEST_ROUND, Scene, occlude, photo_to_aligned

JPEG_QUALITY = 93
# Streams of the generator, beside those of `datasets.sample_world.files`.
STREAMS = {
    name: 7101 + number
    for number, name in enumerate(
        (
            "CelebAMask-HQ", "RealOcc", "RealOcc-Wild", "COFW", "FaceOcc", "LFW-PL", "LaPa", "Helen", "LFW", "MLFW",
            "MFR2", "occluded_dev", "EgoHands",
        )
    )
}  # fmt: skip
Image8 = NDArray[np.uint8]


class Plan(NamedTuple):
    """What to write: `faces` photos of `photo_size` px into `out`, drawn by `seed`."""

    out: Path
    faces: int
    photo_size: int
    seed: int


class Drawn(NamedTuple):
    """A photo and all that is known of it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 class ids of what is seen.
        before: (H, W) uint8 class ids without the occluder.
        landmarks: (68, 2) float32, pixels.
        kind: of the occluder, "none" without.
    """

    image: Image8
    label: Image8
    before: Image8
    landmarks: NDArray[np.float32]
    kind: str

    @property
    def visible(self) -> NDArray[np.bool_]:
        """Where the face is seen, (H, W) bool."""
        return visible_mask(self.label, FacePolicy())

    @property
    def added(self) -> NDArray[np.bool_]:
        """Where the occluder is, (H, W) bool."""
        return self.label != self.before


def draw(
    plan: Plan, name: str, index: int, *, kind: str | None = None, person: int | None = None, scale: float = 1.0
) -> Drawn:
    """Return photo `index` of the set `name`; equal arguments give equal photos.

    Args:
        kind: of the occluder; None: one after the other of `TEST_ROUND`.
        person: number of the person shown; None: a new one in each photo.
        scale: side of the photo / `plan.photo_size`.
    """
    rng = generator(plan.seed, STREAMS[name], index)
    kind = TEST_ROUND[index % len(TEST_ROUND)] if kind is None else kind
    glasses = 0.0 if kind in ("sunglasses", "camera") else 0.1
    who = draw_person(rng, glasses=glasses)
    if person is not None:
        same = draw_person(generator(plan.seed, STREAMS[name], 10_000 + person), glasses=0.0, hats=0.0)
        who = replace(same, pose=who.pose, expression=who.expression, light=who.light)
    portrait = render_face(who, size_px=round(plan.photo_size * scale), rng=rng)
    return _finished(portrait, occlude(portrait, kind, rng=rng), kind)


def _finished(portrait: Portrait, scene: Scene, kind: str) -> Drawn:
    before = np.where(scene.covered, portrait.label, scene.label).astype(np.uint8)
    return Drawn(scene.image, scene.label, before, scene.head.rounded, kind)


def moved(drawn: Drawn, matrix: Affine, size: tuple[int, int]) -> Drawn:
    """Return the photo warped by a 2x3 `matrix` to `size` (height, width)."""
    return Drawn(
        apply_to_image(matrix, drawn.image, size=size),
        apply_to_label(matrix, drawn.label, size=size),
        apply_to_label(matrix, drawn.before, size=size),
        apply_to_points(matrix, drawn.landmarks).astype(np.float32),
        drawn.kind,
    )


def aligned(drawn: Drawn) -> Drawn:
    """Return the 256 px crop that FaceOcc's release holds."""
    return moved(drawn, photo_to_aligned(drawn.landmarks.astype(np.float64)), (ALIGN_SIZE_PX, ALIGN_SIZE_PX))


def resized(drawn: Drawn, side_px: int) -> Drawn:
    """Return the photo at another side length."""
    factor = side_px / drawn.image.shape[0]
    shift = (factor - 1) / 2  # pixel centres
    return moved(drawn, np.array([[factor, 0, shift], [0, factor, shift]]), (side_px, side_px))


def soft_edge(mask: NDArray[np.bool_], width_px: int) -> NDArray[np.bool_]:
    """Return a band of `width_px` to either side of the mask's outline."""
    kernel = np.ones((2 * width_px + 1,) * 2, np.uint8)
    grey = mask.astype(np.uint8)
    return (cv2.dilate(grey, kernel) - cv2.erode(grey, kernel)).astype(bool)


def write_landmarks(folder: Path, name: str, drawn: Drawn) -> None:
    """Write `landmarks/{name}.npy` in `folder`."""
    write_array(folder / "landmarks" / f"{name}.npy", drawn.landmarks)


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write a `.npy` file, whole or not at all."""
    stream = io.BytesIO()
    np.save(stream, array)
    write_bytes(path, stream.getvalue())
