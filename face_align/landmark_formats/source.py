"""Landmarks of many photos, from a folder with a file a photo or from one file for the whole set."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.errors import UserError
from face_align.landmark_formats.arrays import read_npy, read_npz, read_pickle
from face_align.landmark_formats.jsonl import read_landmarks_jsonl
from face_align.landmark_formats.lists import (
    CELEBA_COLUMNS,
    WFLW_FIELDS,
    Faces,
    read_celeba_list,
    read_hsu_csv,
    read_wflw_list,
)
from face_align.landmark_formats.matlab import is_hdf5, read_cofw, read_cofw68
from face_align.landmark_formats.record import LandmarkError, LandmarkRecord, LandmarkSource, bad, missing
from face_align.landmark_formats.text import read_lines, read_pts, read_text

FileReader = Callable[[Path, str], list[LandmarkRecord]]

# Suffix of a file of one photo -> its reader.
FILE_READERS: dict[str, FileReader] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".pkl": read_pickle,
    ".txt": read_text,
    ".pts": read_pts,
    "_points.mat": read_cofw68,
    ".mat": read_cofw68,
}
SET_FORMATS = (
    "landmarks.jsonl, the Hsu-lab CSV, CelebA's list_landmarks_align_celeba.txt, WFLW's list of 98 points, COFW's .mat"
)


def read_landmark_file(path: Path, photo_id: str | None = None) -> list[LandmarkRecord]:
    """Return the faces of a file that belongs to one photo, told by its suffix and the shape of what it holds.

    Args:
        path: of the kinds in `FILE_READERS`.
        photo_id: of the photo; None: the name of the file.

    Raises:
        LandmarkError: there is no file (outcome "no_landmarks"), or its content is something else ("bad_landmarks").
    """
    suffix = next((suffix for suffix in FILE_READERS if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise bad(path, f"landmarks of one photo end with {', '.join(FILE_READERS)}")
    if not path.is_file():
        raise missing(path)
    return FILE_READERS[suffix](path, path.name[: -len(suffix)] if photo_id is None else photo_id)


def open_landmarks(source: Path) -> LandmarkSource:
    """Return the landmarks of a set.

    Args:
        source: a folder of files named as the photos, in the same sub-folders, or one file for all.

    Raises:
        UserError: there is no such file or folder, or the file is none of the known kinds.
    """
    if source.is_dir():
        return LandmarkFolder(source)
    if not source.exists():
        raise UserError(f"{source}: expected landmarks, a folder of files a photo or one file, found nothing")
    return LandmarkList(source)


class LandmarkFolder:
    """A folder with a file a photo: {id}.npy, .npz, .pkl, .txt, .pts, .mat or {id}_points.mat."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, photo_id: str) -> list[LandmarkRecord]:
        """Return the faces of a photo. Raises: see `LandmarkSource`."""
        candidates = [self.folder / f"{photo_id}{suffix}" for suffix in FILE_READERS]
        # Unlike `Path.is_file`, this is False for a name that the suffix makes longer than a file's may be.
        found = [path for path in candidates if os.path.isfile(path)]  # noqa: PTH113
        if not found:
            kinds = ", ".join(FILE_READERS)
            raise missing(candidates[0], f"no landmarks for this photo, nor with {kinds}; detect them, or leave it out")
        if len(found) > 1:
            raise bad(self.folder, f"two files for one photo: {' and '.join(path.name for path in found)}; remove one")
        return read_landmark_file(found[0], photo_id)


class LandmarkList:
    """One file for the whole set, read when it is opened and once in each process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._faces = _read_list(path)
        self._numbered: dict[str, list[str]] = {}
        for key in self._faces:
            numbered = re.fullmatch(r"(.+)#(\d+)", key, re.DOTALL)
            if numbered:
                self._numbered.setdefault(numbered[1], []).append(key)
        for keys in self._numbered.values():
            keys.sort(key=lambda key: int(key.rpartition("#")[2]))

    def __reduce__(self) -> tuple[Any, ...]:
        return LandmarkList, (self.path,)  # another process reads the file itself

    def __len__(self) -> int:
        return len(self._faces)

    def get(self, photo_id: str) -> list[LandmarkRecord]:
        """Return the faces of a photo; those named {id}#0, #1, ... together. Raises: see `LandmarkSource`."""
        keys = [photo_id] if photo_id in self._faces else self._numbered.get(photo_id, [])
        if not keys:
            known = ", ".join(list(self._faces)[:3])
            raise missing(self.path, f"no landmarks for photo {photo_id!r}; its ids are like {known}")
        records: list[LandmarkRecord] = []
        for key in keys:
            found = self._faces[key]
            if isinstance(found, LandmarkError):
                # A new object each time: an error that was raised before carries its old traceback.
                raise LandmarkError(*found.args, outcome=found.outcome)
            records += found
        return records


def _read_list(path: Path) -> Faces:
    match path.suffix.lower():
        case ".jsonl":
            return read_landmarks_jsonl(path)
        case ".csv":
            return read_hsu_csv(path)
        case ".txt":
            return _read_text_list(path)
        case ".mat" if is_hdf5(path):
            return read_cofw(path)
    raise UserError(f"{path}: expected landmarks of a whole set ({SET_FORMATS}), or a folder with a file a photo")


def _read_text_list(path: Path) -> Faces:
    lines = read_lines(path)
    if len(lines) > 1 and lines[0].isdecimal() and lines[1].split() == CELEBA_COLUMNS:
        return read_celeba_list(path, lines)
    if lines and len(lines[0].split()) == WFLW_FIELDS:
        return read_wflw_list(path, lines)
    raise UserError(
        f"{path}: expected CelebA's list (a count, then {' '.join(CELEBA_COLUMNS[:2])} ...) or WFLW's ({WFLW_FIELDS} "
        f"fields a line), found {lines[0][:60] if lines else 'an empty file'!r}"
    )
