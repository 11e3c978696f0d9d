"""COFW's photos in its MATLAB 7.3 files, which are HDF5.

ROOT/COFW_train_color.mat, COFW_test_color.mat   or the grey COFW_train.mat, COFW_test.mat
    IsTr, IsT   references to the photos; HDF5 shows them transposed: (W, H) or (3, W, H) uint8
LABELS/mask_{i}.png, i = 1..500                  mask of the train photo 845 + i: those before come from LFPW

Photos are counted from 1, as in MATLAB.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.image_io import MAX_PIXELS, UnreadableImageError

# Split -> MATLAB's name of the photos.
PHOTOS = {"train": "IsTr", "test": "IsT"}
PHOTOS_OF_LFPW = 845  # the first photos of the train file; they have no masks
DAMAGED = (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError)  # what h5py raises


def cofw_files(root: Path) -> dict[str, Path]:
    """Return "train" and "test" -> file, those that are there; colour before grey.

    Raises:
        UserError: none is there.
    """
    candidates = [(part, root / f"COFW_{part}{kind}.mat") for part in PHOTOS for kind in ("", "_color")]
    found = {part: path for part, path in candidates if path.is_file()}  # the later, colour, stays
    if not found:
        names = " or ".join(path.name for _, path in candidates)
        raise UserError(f"{root}: expected {names}, found none; set data.root")
    return found


def count_cofw_photos(path: Path, part: str) -> int:
    """Return how many photos the file of "train" or "test" holds.

    Raises:
        UserError: the file is another one.
    """
    try:
        with _photos(path, PHOTOS[part]) as (_, references):
            return len(references)
    except DAMAGED as error:
        raise UserError(
            f"{path}: expected COFW's MATLAB 7.3 file with {PHOTOS[part]}, found something else ({error})"
        ) from error


def cofw_photo_sizes(path: Path, part: str) -> list[tuple[int, int]]:
    """Return (height, width) of every photo; headers alone are read.

    Raises:
        UserError: the file is another one.
    """
    try:
        with _photos(path, PHOTOS[part]) as (content, references):
            shapes = [content[reference].shape for reference in references]
            return [(int(shape[-1]), int(shape[-2])) for shape in shapes]
    except (*DAMAGED, IndexError) as error:
        raise UserError(
            f"{path}: expected COFW's MATLAB 7.3 file with {PHOTOS[part]}, found something else ({error})"
        ) from error


def read_cofw_photo(path: Path, part: str, number: int) -> NDArray[np.uint8]:
    """Return photo `number`, from 1, of the file of "train" or "test", (H, W, 3) uint8 RGB.

    Raises:
        UnreadableImageError: the file, or what it holds for this photo, is damaged.
    """
    try:
        with _photos(path, PHOTOS[part]) as (content, references):
            stored = content[references[number - 1]]
            if stored.size > 3 * MAX_PIXELS:
                raise ValueError(f"{stored.shape} is above the limit of {MAX_PIXELS} pixels")
            photo = np.asarray(stored).T  # (H, W) or (H, W, 3)
    except (*DAMAGED, IndexError) as error:
        raise UnreadableImageError(f"{path}: photo {number} cannot be read ({error})") from error
    if photo.dtype != np.uint8 or photo.size == 0 or photo.ndim < 2 or photo.shape[2:] not in ((), (3,)):
        raise UnreadableImageError(
            f"{path}: photo {number}: expected H x W or H x W x 3 uint8 as in COFW, found {photo.dtype} {photo.shape}"
        )
    return np.ascontiguousarray(photo if photo.ndim == 3 else np.dstack([photo] * 3))


def optional_module(name: str, package: str) -> Any:
    """Return an installed module.

    Raises:
        UserError: it is not installed; names the package.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"MATLAB files of this version need the package {package}: pip install {package}") from error


@contextmanager
def _photos(path: Path, name: str) -> Iterator[tuple[Any, NDArray[Any]]]:
    """Yield the open file and the references to its photos."""
    with optional_module("h5py", "h5py").File(path, "r") as content:
        yield content, np.asarray(content[name]).ravel()
