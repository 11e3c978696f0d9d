"""MATLAB files: COFW (version 7.3, which is HDF5) and COFW68 (version 5). Both are taken to count pixels from 1.

COFW: `phisTr` or `phisT` 87 x N (29 x, 29 y, 29 hidden), `IsTr` or `IsT` references to the images, `bboxesTr` or
`bboxesT` 4 x N. HDF5 shows MATLAB's arrays transposed. The id of a face is its number in the file, from 1.

COFW68: {number}_points.mat with `Points` 68 x 2 and `Occ` 1 x 68, where the number counts COFW's test photos from 1.
Whether its points count from 1 is not told; see docs/alignment.md for what speaks for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.cofw import optional_module
from common.errors import UserError
from face_align.landmark_formats.lists import Faces
from face_align.landmark_formats.record import LandmarkRecord, bad, record_of

COFW_POINTS = 29
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Return whether a MATLAB file is of version 7.3; its HDF5 part begins at byte 512, after MATLAB's own header."""
    try:
        with path.open("rb") as stream:
            head = stream.read(520)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    return head.startswith(HDF5_MAGIC) or head[512:] == HDF5_MAGIC or head.startswith(b"MATLAB 7.3")


def read_cofw68(path: Path, photo_id: str) -> list[LandmarkRecord]:
    """Return the face of a COFW68 file.

    Raises:
        LandmarkError: the file is another one.
    """
    if is_hdf5(path):
        raise bad(path, "is one MATLAB 7.3 file for many photos; name the file itself as the landmarks")
    loadmat = optional_module("scipy.io", "scipy").loadmat
    try:
        content = loadmat(path, variable_names=("Points", "Occ"))
    except Exception as error:  # scipy raises many kinds for damaged files
        raise bad(path, f"expected a MATLAB file with Points, found something else ({error})") from error
    points = np.asarray(content.get("Points", np.empty(0)))
    if points.shape not in ((68, 2), (2, 68)) or not np.issubdtype(points.dtype, np.number):
        raise bad(path, f"expected Points 68 x 2 as in COFW68, found {points.dtype} {points.shape}")
    points = points if points.shape == (68, 2) else points.T
    flags = np.asarray(content.get("Occ", np.empty(0))).ravel()
    occluded = flags > 0 if len(flags) == len(points) else None
    return [record_of(path, photo_id, points.astype(np.float64) - 1, occluded=occluded)]


def read_cofw(path: Path) -> Faces:
    """Return the faces of COFW_train.mat or COFW_test.mat (or their `_color` versions), by number from "1".

    Raises:
        UserError: h5py is not installed, or the file is another one.
    """
    h5py = optional_module("h5py", "h5py")
    try:
        with h5py.File(path, "r") as content:
            suffix = next((suffix for suffix in ("Tr", "T") if f"phis{suffix}" in content), None)
            if suffix is None:
                raise UserError(f"{path}: expected phisTr or phisT as in COFW, found {sorted(content)[:8]}")
            phis = np.asarray(content[f"phis{suffix}"], dtype=np.float64)
            boxes = np.asarray(content[f"bboxes{suffix}"], dtype=np.float64) if f"bboxes{suffix}" in content else None
            sizes = _image_sizes(content, f"Is{suffix}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: expected COFW's MATLAB 7.3 file, found something else ({error})") from error
    columns = _columns(path, phis, 3 * COFW_POINTS)
    box_columns = None if boxes is None else _columns(path, boxes, 4)
    return {
        str(index + 1): _cofw_face(
            path, index, column, sizes[index] if index < len(sizes) else None,
            None if box_columns is None else box_columns[index],
        )
        for index, column in enumerate(columns)
    }  # fmt: skip


def _cofw_face(
    path: Path,
    index: int,
    column: NDArray[np.float64],
    image_size: tuple[int, int] | None,
    box: NDArray[np.float64] | None,
) -> list[LandmarkRecord]:
    x, y, hidden = column.reshape(3, COFW_POINTS)
    corner_box = None if box is None else (float(box[0] - 1), float(box[1] - 1), float(box[2]), float(box[3]))
    return [
        record_of(
            f"{path}: photo {index + 1}",
            str(index + 1),
            np.column_stack([x, y]) - 1,
            image_size=image_size,
            occluded=hidden > 0.5,
            box=corner_box,
        )
    ]


def _columns(path: Path, values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return one row a face; the file may show either order of the axes."""
    if values.ndim == 2 and values.shape[0] == length:
        return values.T
    if values.ndim == 2 and values.shape[1] == length:
        return values
    raise UserError(f"{path}: expected an array of {length} x N as in COFW, found {values.shape}")


def _image_sizes(content: Any, name: str) -> list[tuple[int, int]]:
    """Return (height, width) of the photos behind the references; (W, H) and (3, W, H) in HDF5's order."""
    if name not in content:
        return []
    shapes = [content[reference].shape for reference in np.asarray(content[name]).ravel()]
    return [(int(shape[-1]), int(shape[-2])) for shape in shapes]
