"""Scenes: a training face made small and put somewhere into a background, or a background without any face.

A network that only ever sees aligned crops answers with a face wherever it looks. One that shall also find faces, as
`infer.py --detector self` asks of it, has to see them at other sizes and places, and to see that there are none.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.image_io import list_images, read_image, read_rgba
from configs.schema import ScenesSection

Image8 = NDArray[np.uint8]

TWICE_SHARE = 0.3  # of the scenes show the face twice: several faces in one window
BESIDE_SHARE, TEXTURE_SHARE = 0.4, 0.45  # of the backgrounds; the others are smooth colours
SOFT_FRAME_SHARE = 0.5  # the frame of a pasted photo would give the face away: half of them have a soft one
OUTSIDE_SHARE = 1 / 7  # at most so much of a pasted face stands outside
MOST_CUT_OUTS = 3
CUT_OUT_SIDE = (0.15, 0.9)  # longer side of a scattered object / side of the scene
SMALLEST_STRIP_PX = 12
SMALLEST_FACE_PX = 8
# Pictures of each kind stay in the memory of each loader process: reading them is half the time of a scene.
KEPT, KEPT_SIDE_PX = 128, 512


@dataclass(frozen=True)
class Scenes:
    """Puts samples into scenes; every decision comes from the generator that is handed in.

    Attributes:
        textures: pictures without faces.
        cut_outs: RGBA pictures of objects, scattered over the background.
        share: of samples that become one or two smaller faces in a scene.
        empty_share: of samples that lose their face: only a background stays.
        scale: range of the side of the face's crop / side of the scene, drawn evenly on a logarithmic scale.
    """

    textures: Sequence[Path]
    cut_outs: Sequence[Path]
    share: float
    empty_share: float
    scale: tuple[float, float]

    def __call__(
        self, rng: np.random.Generator, *, image: Image8, masks: Image8, known: slice
    ) -> tuple[Image8, Image8]:
        """Return image (H, W, 3) and masks (H, W, C) of a scene, or the sample as it was.

        Args:
            image: (H, W, 3) uint8 RGB.
            masks: (H, W, C) uint8: visible, full, and others.
            known: channels that say what is known (255): of a background, everything.

        Raises:
            RecordError: a background or an object cannot be read.
        """
        draw = rng.random()
        if draw >= self.share + self.empty_share:
            return image, masks
        scene = self._background(rng, image, masks[..., 1])
        scene_masks = np.zeros_like(masks)
        scene_masks[..., known] = 255
        if draw >= self.empty_share:
            for _ in range(1 + int(rng.random() < TWICE_SHARE)):
                scale = _log_uniform(rng, self.scale)
                _paste(rng, scene, scene_masks, image=image, masks=masks, scale=scale)
        return scene, scene_masks

    def _background(self, rng: np.random.Generator, image: Image8, full: Image8) -> Image8:
        height, width = image.shape[:2]
        kind = rng.random()
        if kind < BESIDE_SHARE:
            window = _beside_the_face(rng, image, full)
        elif kind < BESIDE_SHARE + TEXTURE_SHARE and self.textures:
            window = _random_window(rng, _texture(self.textures[int(rng.integers(len(self.textures)))]))
        else:
            rows, columns = rng.integers(1, 6, 2)
            window = rng.integers(0, 256, (rows, columns, 3)).astype(np.uint8)
        scene = np.ascontiguousarray(cv2.resize(window, (width, height), interpolation=cv2.INTER_CUBIC))
        for _ in range(int(rng.integers(0, MOST_CUT_OUTS + 1)) if self.cut_outs else 0):
            cut_out = _cut_out(self.cut_outs[int(rng.integers(len(self.cut_outs)))])
            ratio = min(height, width) * _log_uniform(rng, CUT_OUT_SIDE) / max(cut_out.shape[:2])
            size = (max(1, round(cut_out.shape[1] * ratio)), max(1, round(cut_out.shape[0] * ratio)))
            small = cv2.resize(cut_out, size, interpolation=cv2.INTER_AREA)
            _scatter(rng, scene, small)
        return scene


def build_scenes(section: ScenesSection | None) -> Scenes | None:
    """Return the scenes that the section describes, None without one.

    Raises:
        UserError: a folder holds no picture.
    """
    if section is None:
        return None
    return Scenes(
        textures=_training_files(section.textures, section.holdout_share),
        cut_outs=_training_files(section.cut_outs, section.holdout_share),
        share=section.share,
        empty_share=section.empty_share,
        scale=section.scale,
    )


def is_held_out(name: str, share: float) -> bool:
    """Return whether the file `name` never becomes a background, told by a hash of the name.

    Args:
        share: of the files that are held out, 0..1.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) < share * 2**64


def _training_files(folder: Path | None, holdout_share: float) -> tuple[Path, ...]:
    if folder is None:
        return ()
    if not folder.is_dir():
        raise UserError(
            f"{folder}: expected a folder of pictures for scenes, found nothing; set scenes to null or mend"
        )
    files = tuple(path for path in list_images(folder, recursive=True) if not is_held_out(path.name, holdout_share))
    if not files:
        raise UserError(f"{folder}: holds no picture that a scene could use")
    return files


def _paste(
    rng: np.random.Generator, scene: Image8, scene_masks: Image8, *, image: Image8, masks: Image8, scale: float
) -> None:
    """Draw the smaller sample into the scene, at a random place."""
    height, width = image.shape[:2]
    size = (max(SMALLEST_FACE_PX, round(height * scale)), max(SMALLEST_FACE_PX, round(width * scale)))
    small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    small_masks = cv2.resize(masks, size[::-1], interpolation=cv2.INTER_NEAREST).reshape(*size, -1)
    top, left = (
        int(rng.integers(-round(side * OUTSIDE_SHARE), length - round(side * (1 - OUTSIDE_SHARE)) + 1))
        for side, length in zip(size, (height, width), strict=True)
    )
    soft = rng.random() < SOFT_FRAME_SHARE
    target, inner = _overlap((top, left), size, (height, width))
    if not soft:
        scene[target], scene_masks[target] = small[inner], small_masks[inner]
        return
    alpha = _soft_frame(small_masks[..., 1])[inner]
    scene[target] = _mixed(small[inner], scene[target], alpha)
    whole = alpha > 127
    scene_masks[target][whole] = small_masks[inner][whole]


def _soft_frame(full: Image8) -> Image8:
    """Return an alpha (H, W) that fades out toward the edges and is whole on the face."""
    height, width = full.shape
    alpha = np.zeros_like(full)
    axes = (int(width * 0.47), int(height * 0.47))
    cv2.ellipse(alpha, (width // 2, height // 2), axes, 0, 0, 360, 255, -1)
    blurred = cv2.GaussianBlur(cv2.max(alpha, full), (0, 0), max(1.0, 0.02 * width))
    return cv2.max(blurred, full)


def _scatter(rng: np.random.Generator, scene: Image8, cut_out: Image8) -> None:
    """Draw an RGBA cut-out into the scene, its middle at a random place."""
    size = (cut_out.shape[0], cut_out.shape[1])
    middle = [int(rng.integers(0, length)) for length in scene.shape[:2]]
    corner = (middle[0] - size[0] // 2, middle[1] - size[1] // 2)
    target, inner = _overlap(corner, size, (scene.shape[0], scene.shape[1]))
    piece = cut_out[inner]
    if piece.size:
        colour = cv2.cvtColor(piece, cv2.COLOR_RGBA2RGB)
        scene[target] = _mixed(colour, scene[target], cv2.extractChannel(piece, 3))


def _mixed(above: Image8, below: Image8, alpha: Image8) -> Image8:
    """Return (h, w, 3) of two layers, to a grey level, in the whole numbers that OpenCV is fast with."""
    share = cv2.merge([alpha] * 3)
    return cv2.add(cv2.multiply(above, share, scale=1 / 255), cv2.multiply(below, 255 - share, scale=1 / 255))


@functools.lru_cache(maxsize=KEPT)
def _texture(path: Path) -> Image8:
    """Return the picture (H, W, 3) at `path`, its shorter side at most `KEPT_SIDE_PX`; read-only."""
    return _kept(read_image(path))


@functools.lru_cache(maxsize=KEPT)
def _cut_out(path: Path) -> Image8:
    """Return the RGBA picture (H, W, 4) at `path`, its shorter side at most `KEPT_SIDE_PX`; read-only."""
    return _kept(read_rgba(path))


def _kept(picture: Image8) -> Image8:
    ratio = KEPT_SIDE_PX / min(picture.shape[:2])
    if ratio < 1:
        size = round(picture.shape[1] * ratio), round(picture.shape[0] * ratio)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    picture.flags.writeable = False
    return picture


def _overlap(
    corner: tuple[int, int], size: tuple[int, int], canvas: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return where a piece with its top left at `corner` lies on the canvas, and which part of it that is."""
    target, inner = [], []
    for start, length, limit in zip(corner, size, canvas, strict=True):
        first, last = max(start, 0), max(0, min(start + length, limit))
        target.append(slice(first, max(first, last)))
        inner.append(slice(first - start, max(first, last) - start))
    return (target[0], target[1]), (inner[0], inner[1])


def _beside_the_face(rng: np.random.Generator, image: Image8, full: Image8) -> Image8:
    """Return a strip of the image without face: hair, neck, cloth or wall, continued to a square by its mirror."""
    rows, columns = np.flatnonzero(full.any(axis=1)), np.flatnonzero(full.any(axis=0))
    if not len(rows):
        return image
    strips = [image[: rows[0]], image[rows[-1] + 1 :], image[:, : columns[0]], image[:, columns[-1] + 1 :]]
    strips = [strip for strip in strips if min(strip.shape[:2]) >= SMALLEST_STRIP_PX]
    if not strips:
        return np.full((1, 1, 3), image.reshape(-1, 3).mean(axis=0), np.uint8)
    strip = strips[rng.integers(len(strips))]
    missing = max(strip.shape[:2]) - min(strip.shape[:2])
    down, right = (missing, 0) if strip.shape[0] < strip.shape[1] else (0, missing)
    return cv2.copyMakeBorder(strip, 0, down, 0, right, cv2.BORDER_REFLECT)


def _random_window(rng: np.random.Generator, picture: Image8) -> Image8:
    side = max(1, int(min(picture.shape[:2]) * rng.uniform(0.4, 1.0)))
    top, left = (int(rng.integers(0, length - side + 1)) for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
