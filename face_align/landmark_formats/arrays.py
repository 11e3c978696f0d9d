"""NumPy files: `.npy`, `.npz` and the pickles of older code, told by the shape of the array.

3DDFA_V2 writes (3, 68), or (68, 3) and (68, 2); dlib and face-mesh scripts (68, 2); MediaPipe (478, 3) in shares of the
photo. A pickle is read through an unpickler that admits nothing but numbers in arrays.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.array_pickle import read_array_pickle
from face_align.landmark_formats.record import SCHEMES, LandmarkRecord, bad, record_of

KNOWN_SHAPES = "(68, 2), (68, 3), (3, 68), (2, 68), (5, 2), (29, 2), (29, 3), (98, 2), (468, 3) or (478, 3)"
MAX_BYTES = 64_000_000  # far above any landmarks, far below what would fill the memory
PREFERRED_KEYS = ("landmarks", "points", "pts", "lm", "pts68", "lm68")


def read_npy(path: Path, photo_id: str) -> list[LandmarkRecord]:
    """Return the face of a `.npy` file. Unlike `numpy.load`, this never opens an archive or a pickle."""
    try:
        _check_size(path)
        with path.open("rb") as stream:
            values = np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:  # NumPy's reader of headers raises many kinds for damaged files
        raise bad(
            path, f"expected a NumPy array of numbers, found something else ({error}); save it with numpy.save"
        ) from error
    return [from_array(path, photo_id, values)]


def read_npz(path: Path, photo_id: str) -> list[LandmarkRecord]:
    """Return the face of a `.npz` file: its only array of a known shape, or the one with a usual name."""
    try:
        _check_size(path)
        with zipfile.ZipFile(path) as members:
            if sum(member.file_size for member in members.infolist()) > MAX_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # of zipfile, zlib and NumPy, which raise many kinds for damaged files
        raise bad(path, f"expected an archive of numpy.savez, found something else ({error})") from error
    usable = {name: values for name, values in arrays.items() if _oriented(values) is not None}
    chosen = [name for name in PREFERRED_KEYS if name in usable][:1] or list(usable)
    if len(chosen) != 1:
        found = {name: values.shape for name, values in arrays.items()}
        raise bad(path, f"expected one array of shape {KNOWN_SHAPES}, found {found}")
    return [from_array(path, photo_id, usable[chosen[0]])]


def read_pickle(path: Path, photo_id: str) -> list[LandmarkRecord]:
    """Return the faces of a pickle: an array, or a list or dictionary of such arrays."""
    try:
        content = read_array_pickle(path, max_bytes=MAX_BYTES)
    except (OSError, ValueError) as error:
        raise bad(path, f"{error}; save the landmarks with numpy.save") from error
    values = list(content.values()) if isinstance(content, dict) else content
    arrays = list(values) if isinstance(values, list | tuple) else [values]
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays):
        raise bad(path, f"expected arrays of shape {KNOWN_SHAPES}, found {type(content).__name__}")
    return [from_array(path, photo_id, array) for array in arrays]


def from_array(path: Path, photo_id: str, values: NDArray[Any]) -> LandmarkRecord:
    """Return the face of one array.

    Raises:
        LandmarkError: its shape or type is unknown, or a coordinate is not finite.
    """
    points = _oriented(values)
    if points is None:
        raise bad(path, f"expected landmarks of shape {KNOWN_SHAPES}, found {values.dtype} {values.shape}")
    flags = points[:, 2] > 0 if points.shape == (29, 3) else None  # COFW's third column: hidden or not
    return record_of(path, photo_id, points[:, :2].astype(np.float64), occluded=flags)


def _check_size(path: Path) -> None:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES} bytes")


def _oriented(values: NDArray[Any]) -> NDArray[Any] | None:
    """Return the array as (L, 2) or (L, 3), None where it is no landmarks."""
    numeric = np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)
    if not numeric or values.ndim != 2:
        return None
    points = values.T if values.shape[0] in (2, 3) else values
    allowed = (2,) if len(points) == 5 else (2, 3)
    return points if len(points) in SCHEMES and points.shape[1] in allowed else None
