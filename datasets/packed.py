"""Prepared folders packed into memory-mapped arrays, so that loading decodes nothing.

OUT/index.json       what the arrays hold and their SHA-256; written last: a folder without it is not finished
OUT/manifest.jsonl   the rows of the samples, in the order of the arrays
OUT/images.npy       (N, H, W, 3) uint8 RGB
OUT/labels.npy       (N, H, W) uint8 class ids   [OUT/parts.npy   OUT/hidden.npy]
OUT/checksums.npy    (N, arrays) uint32 CRC-32 of each row of each array, checked whenever a row is read

The arrays are plain .npy files. A set of 256 px takes 0.26 MB a face; the operating system keeps in memory what fits.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError, UserError
from common.manifest import FILE_NAME, is_inside, read_manifest, sha256

Image8 = NDArray[np.uint8]
INDEX_NAME, CHECKSUMS_NAME = "index.json", "checksums.npy"
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


class Index(NamedTuple):
    """What `index.json` says.

    Attributes:
        source_manifest_sha256: of the manifest of the folder that was packed.
        manifest_sha256: of the packed folder's own.
        arrays: by name, in the order of the checksums' columns.
        checksums_sha256: of `checksums.npy`; None in folders that older versions wrote.
    """

    source_manifest_sha256: str
    manifest_sha256: str
    arrays: dict[str, PackedArray]
    checksums_sha256: str | None


@dataclass(frozen=True)
class Packed:
    """A packed folder, opened.

    Attributes:
        folder: where it lies.
        arrays: by name: images, labels, and where the set has them parts and hidden.
        rows: id -> place in the arrays.
        checksums: CRC-32 of each row, (N,) by name of the array; none in folders that older versions wrote.
    """

    folder: Path
    arrays: dict[str, PackedArray]
    rows: dict[str, int] = field(repr=False)
    checksums: dict[str, NDArray[np.uint32]] = field(default_factory=dict, repr=False)

    def read(self, name: str, row: int) -> Image8:
        """Return one image or label map, copied out of the array `name`.

        Raises:
            RecordError: it is not what was packed (outcome "damaged_file").
        """
        pixels = np.array(self.arrays[name].pixels[row])
        if name in self.checksums and zlib.crc32(pixels.data) != self.checksums[name][row]:
            path = self.arrays[name].path
            raise RecordError(
                f"{path}: row {row} is not what was packed (CRC-32); {_again(self.folder)}", outcome="damaged_file"
            )
        return pixels

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
    if not (folder / FILE_NAME).is_file() or sha256(folder / FILE_NAME) != index.manifest_sha256:
        raise UserError(f"{folder / FILE_NAME}: is not the manifest that was packed; {_again(folder)}")
    for array in index.arrays.values():
        open_array(array)
    rows = {row["id"]: place for place, row in enumerate(read_manifest(folder))}
    return Packed(folder, index.arrays, rows, _read_checksums(folder, index))


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


def read_index(folder: Path) -> Index:
    """Return the content of `index.json`.

    Raises:
        UserError: it cannot be read, is of another version, or names a file outside the folder.
    """
    path = folder / INDEX_NAME
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = content["format"]
        if version != FORMAT:
            raise UserError(f"{path}: is of format {version}, this version reads {FORMAT}; {_again(folder)}")
        arrays = {str(name): _array_of(folder, entry) for name, entry in content["arrays"].items()}
        if "images" not in arrays or not arrays.keys() <= set(ARRAY_NAMES.values()):
            raise ValueError(f"arrays {', '.join(arrays)}")
        checksums = content.get("checksums_sha256")
        return Index(str(content["source_manifest_sha256"]), str(content["manifest_sha256"]), arrays, checksums)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error!r}); {_again(folder)}") from error


def row_checksums(array: PackedArray) -> NDArray[np.uint32]:
    """Return the CRC-32 of each row of an array, (N,)."""
    return np.array([zlib.crc32(np.ascontiguousarray(row).data) for row in array.pixels], np.uint32)


def _array_of(folder: Path, entry: dict[str, Any]) -> PackedArray:
    name, shape, size, digest = (entry[key] for key in ("file", "shape", "bytes", "sha256"))
    if not isinstance(name, str) or not is_inside(name) or not all(isinstance(side, int) for side in shape):
        raise ValueError(f"file {name!r} of shape {shape!r}")
    return PackedArray(folder / name, tuple(shape), int(size), str(digest))


def _read_checksums(folder: Path, index: Index) -> dict[str, NDArray[np.uint32]]:
    """Return the CRC-32 of each row by name of the array; {} where the folder was written without."""
    path = folder / CHECKSUMS_NAME
    if index.checksums_sha256 is None:
        return {}
    if not path.is_file() or sha256(path) != index.checksums_sha256:
        raise UserError(f"{path}: is missing or not what was written (SHA-256); {_again(folder)}")
    columns = np.load(path, allow_pickle=False)
    return {name: columns[:, number] for number, name in enumerate(index.arrays)}


def _again(folder: Path) -> str:
    return f"remove {folder} and run `python -m datasets pack PREPARED {folder}` again"
