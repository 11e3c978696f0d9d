"""Small pictures of each scored image, which the page of an evaluation shows and thresholds anew.

| file                    | values                                                                          |
|-------------------------|---------------------------------------------------------------------------------|
| `{id}.photo.jpg`        | RGB                                                                             |
| `{id}.truth.png`        | 0 background, 255 visible face, 128 not scored                                  |
| `{id}.probability.png`  | 0..255 for a probability of 0..1                                                |
| `{id}.errors.png`       | a sum of 64 where face was missed and 128 where face was invented; 0: right     |

Photo, truth and probability are averaged over the pixels that fall together. The errors are not: a cell tells of every
wrong pixel in it, so that ten of them in a photo of ten million are still seen.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.errors import RecordError
from common.image_io import write_bytes, write_grey, write_image

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

VIEW_SIDE_PX = 256
JPEG_QUALITY = 80  # two thirds of a page are photos
FACE, NOT_SCORED = 255, 128
MISSED, INVENTED = 64, 128
LONGEST_NAME = 220  # bytes of an id's last part that stand in the names of its pictures
JPEG_END = b"\xff\xd9"
# Soft values differ little from their neighbours: what this filter leaves of them is the smallest of all, and runs are
# found many times faster than what higher levels search for.
SOFT_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # since OpenCV 4.12
    SOFT_PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH]


class View(NamedTuple):
    """The files of one image, undecoded, and their common size (height, width)."""

    photo: bytes
    truth: bytes
    probability: bytes
    errors: bytes
    size: tuple[int, int]


def view_paths(folder: Path, id: str) -> dict[str, Path]:
    """Return where the pictures of the image `id` lie, by the names of `View`.

    Raises:
        RecordError: the id leads out of the folder.
    """
    if not (folder / f"{id}.").resolve().is_relative_to(folder.resolve()):
        raise RecordError(f"{id!r}: the id of an image names a file, and this one lies outside {folder}; rename it")
    pictures = {"photo": "jpg", "truth": "png", "probability": "png", "errors": "png"}
    place = folder / id
    return {name: place.with_name(f"{_short(place.name)}.{name}.{suffix}") for name, suffix in pictures.items()}


def _short(name: str) -> str:
    """Return a name that leaves room for what is put behind it; the names of files have at most 255 bytes."""
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_NAME:
        return name
    return f"{encoded[: LONGEST_NAME - 20].decode(errors='ignore')}~{hashlib.sha256(encoded).hexdigest()[:16]}"


def write_view(
    folder: Path,
    id: str,
    *,
    photo: Image8,
    probability: NDArray[np.float32],
    truth: Mask,
    valid: Mask | None,
    threshold: float,
) -> None:
    """Write the four pictures of one image, at most `VIEW_SIDE_PX` wide and high.

    Args:
        folder: `views/` of the set; made where needed.
        id: name in the test set; may hold slashes.
        photo: (H, W, 3) uint8 RGB.
        probability: (H, W) float, of visible face, 0..1.
        truth: (H, W) bool, True is visible face.
        valid: (H, W) bool, pixels to score; None scores all.
        threshold: probability above which a pixel was called face; decides the errors.

    Raises:
        ValueError: the shapes differ.
        RecordError: the id leads out of the folder.
    """
    valid = np.ones_like(truth) if valid is None else valid
    if not photo.shape[:2] == probability.shape == truth.shape == valid.shape:
        raise ValueError(
            f"{id}: photo, probability, truth and valid must be of one size (height, width), found "
            f"{photo.shape[:2]}, {probability.shape}, {truth.shape} and {valid.shape}"
        )
    paths = view_paths(folder, id)
    size = view_size(truth.shape)
    write_image(paths["photo"], _averaged(photo, size), quality=JPEG_QUALITY)
    write_grey(paths["truth"], reduce_truth(truth, valid, size=size))
    written, stream = cv2.imencode(".png", reduce_probability(probability, size=size), SOFT_PNG)
    assert written
    write_bytes(paths["probability"], stream.tobytes())
    write_grey(paths["errors"], reduce_errors(probability > threshold, truth, valid, size=size))


def view_size(size: tuple[int, ...]) -> tuple[int, int]:
    """Return (height, width) of the view of a photo of `size`; small photos keep theirs."""
    ratio = min(1.0, VIEW_SIDE_PX / max(size))
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def reduce_probability(probability: NDArray[np.float32], *, size: tuple[int, int]) -> Image8:
    """Return the mean probability of each cell as 0..255, (h, w)."""
    grey = _averaged(probability.astype(np.float32), size) * 255
    # Halves go down, such that 0.5 itself is no face at the threshold 0.5, as when it was scored.
    return np.ceil(np.clip(grey, 0, 255) - 0.5).astype(np.uint8)


def reduce_truth(truth: Mask, valid: Mask, *, size: tuple[int, int]) -> Image8:
    """Return `FACE` where most scored pixels of a cell are face, `NOT_SCORED` where most are not scored, else 0."""
    scored = _averaged(valid.astype(np.float32), size)
    face = _averaged((truth & valid).astype(np.float32), size)
    reduced = np.where(face > scored / 2, FACE, 0)
    return np.where(scored < 0.5, NOT_SCORED, reduced).astype(np.uint8)


def reduce_errors(prediction: Mask, truth: Mask, valid: Mask, *, size: tuple[int, int]) -> Image8:
    """Return what is wrong anywhere in each cell, (h, w): `MISSED`, `INVENTED`, their sum, or 0."""
    missed, invented = truth & ~prediction & valid, prediction & ~truth & valid
    errors = missed * np.uint8(MISSED) | invented * np.uint8(INVENTED)
    for axis, cells in enumerate(size):
        starts = np.arange(cells) * errors.shape[axis] // cells
        errors = np.bitwise_or.reduceat(errors, starts, axis=axis)
    return errors


def read_view(folder: Path, id: str) -> View:
    """Return the files of one image after a look for truncated and mixed-up ones.

    Raises:
        RecordError: a file is missing or damaged, or is not of the size of the others; names it.
    """
    paths = view_paths(folder, id)
    contents, sizes = {}, {}
    for name, path in paths.items():
        try:
            contents[name] = path.read_bytes()
            sizes[name] = _checked_size(contents[name])
        except FileNotFoundError as error:
            raise RecordError(f"{path}: no such file", outcome="missing_view") from error
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise RecordError(f"{path}: cannot be read ({error})", outcome="damaged_view") from error
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {height} x {width}" for name, (height, width) in sizes.items())
        raise RecordError(f"{paths['photo']}: the views of an image must be of one size, found {found}")
    return View(**contents, size=sizes["photo"])


def _checked_size(content: bytes) -> tuple[int, int]:
    """Return (height, width) of a whole JPEG or PNG; without decoding it, which would take minutes for large sets."""
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
        width, height = image.size
        if image.format == "JPEG" and not content.endswith(JPEG_END):
            raise ValueError("the file ends too early")
        image.verify()  # the checksums of a PNG
    return height, width


def _averaged(values: NDArray, size: tuple[int, int]) -> NDArray:
    """Return `values` (H, W) or (H, W, 3) averaged over cells, (h, w) or (h, w, 3)."""
    if values.shape[:2] == size:
        return values
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA))
