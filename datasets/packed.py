"""Prepared folders packed into memory-mapped arrays, so that loading decodes nothing.

OUT/index.json       what the arrays hold and their SHA-256; written last: a folder without it is not finished
OUT/manifest.jsonl   the rows of the samples, in the order of the arrays
OUT/images.npy       (N, H, W, 3) uint8 RGB
OUT/labels.npy       (N, H, W) uint8 class ids   [OUT/parts.npy   OUT/hidden.npy]

The arrays are plain .npy files. A set of 256 px takes 0.26 MB a face; the operating system keeps in memory what fits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.manifest import FILE_NAME, read_manifest, sha256

Image8 = NDArray[np.uint8]
INDEX_NAME = "index.json"
FORMAT = 1
ARRAY_NAMES = {"image": "images", "label": "labels", "parts": "parts", "hidden": "hidden"}  # of the manifest's files


@dataclass(frozen=True)
class PackedArray:
    """One array on disk.

    Attributes:
        path: a .npy file.
        shape: (N, H, W) or (N, H, W, 3).
        file_bytes: length of the file.
        sha256: of the whole file.
    """

    path: Path
    shape: tuple[int, ...]
    file_bytes: int
    sha256: str

    @cached_property
    def pixels(self) -> Image8:
        """The array, mapped into memory when first used; each process maps it for itself."""
        return open_array(self)

    def __getstate__(self) -> dict[str, Any]:
        # A mapped array would be copied whole into another process.
        return {name: value for name, value in self.__dict__.items() if name != "pixels"}


@dataclass(frozen=True)
class Packed:
    """A packed folder, opened.

    Attributes:
        folder: where it lies.
        arrays: by name: images, labels, and where the set has them parts and hidden.
        rows: id -> place in the arrays.
    """

    folder: Path
    arrays: dict[str, PackedArray]
    rows: dict[str, int] = field(repr=False)

    def read(self, name: str, row: int) -> Image8:
        """Return one image or label map, copied out of the array `name`."""
        return np.array(self.arrays[name].pixels[row])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of all images."""
        return self.arrays["images"].shape[1], self.arrays["images"].shape[2]


def is_packed(folder: Path) -> bool:
    """Return whether `folder` was written by `python -m datasets pack`."""
    return (folder / INDEX_NAME).is_file()


def open_packed(folder: Path) -> Packed:
    """Return the packed set in `folder`; index, manifest, headers and lengths of the arrays are checked.

    Raises:
        UserError: something of it is missing, damaged, or of another version.
    """
    index = read_index(folder)
    if sha256(folder / FILE_NAME) != index["manifest_sha256"]:
        raise UserError(f"{folder / FILE_NAME}: is not the manifest that was packed; {_again(folder)}")
    arrays = {
        name: PackedArray(folder / entry["file"], tuple(entry["shape"]), entry["bytes"], entry["sha256"])
        for name, entry in index["arrays"].items()
    }
    for array in arrays.values():
        open_array(array)
    return Packed(folder, arrays, {row["id"]: place for place, row in enumerate(read_manifest(folder))})


def open_array(array: PackedArray) -> Image8:
    """Return the array mapped into memory, read-only.

    Raises:
        UserError: the file is missing, cut short, or has another header than the index says.
    """
    try:
        found = array.path.stat().st_size
        if found != array.file_bytes:
            raise ValueError(f"it has {found} bytes, {array.file_bytes} are expected")
        pixels: Image8 = np.load(array.path, mmap_mode="r", allow_pickle=False)
        if pixels.shape != array.shape or pixels.dtype != np.uint8:
            raise ValueError(f"it holds {pixels.dtype} {pixels.shape}, uint8 {array.shape} is expected")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{array.path}: is no whole array ({reason}); {_again(array.path.parent)}") from error
    return pixels


def verify_packed(folder: Path, *, tell: Callable[[str], object] = print) -> None:
    """Read every array in `folder` and compare its SHA-256 with the index.

    Raises:
        UserError: names every array that differs.
    """
    arrays = open_packed(folder).arrays
    damaged = [str(array.path) for array in arrays.values() if sha256(array.path) != array.sha256]
    if damaged:
        raise UserError(f"{', '.join(damaged)}: not what was packed (SHA-256); {_again(folder)}")
    tell(f"{folder}: {len(arrays)} arrays are whole")


def read_index(folder: Path) -> dict[str, Any]:
    """Return the content of `index.json`.

    Raises:
        UserError: it cannot be read, or is of another version.
    """
    path = folder / INDEX_NAME
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = index["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error!r}); {_again(folder)}") from error
    if version != FORMAT:
        raise UserError(f"{path}: is of format {version}, this version reads {FORMAT}; {_again(folder)}")
    return index


def _again(folder: Path) -> str:
    return f"remove {folder} and run `python -m datasets pack PREPARED {folder}` again"
