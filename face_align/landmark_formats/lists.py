"""Lists of a whole set as text: the Hsu-lab mask generator's CSV, CelebA's five points, WFLW's 98.

Each reader returns photo id -> faces, or the error that the photo gets; only a file that is no such list is an error
of its own.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from common.errors import UserError
from face_align.landmark_formats.record import LandmarkError, LandmarkRecord, bad, record_of

Faces = dict[str, list[LandmarkRecord] | LandmarkError]

HSU_COLUMNS = ["sub_folder", "image_name", "face_type", *(f"part_{i}_{axis}" for i in range(68) for axis in "xy")]
CELEBA_COLUMNS = ["lefteye_x", "lefteye_y", "righteye_x", "righteye_y", "nose_x", "nose_y",
                  "leftmouth_x", "leftmouth_y", "rightmouth_x", "rightmouth_y"]  # fmt: skip
CELEBA_ALIGNED_SIZE = (218, 178)
WFLW_POINTS, WFLW_FIELDS = 98, 98 * 2 + 4 + 6 + 1  # points, box, attributes, name


def add_face(faces: Faces, photo_id: str, record: LandmarkRecord | LandmarkError) -> None:
    """Add a face to its photo; one that cannot be used spoils the photo."""
    known = faces.setdefault(photo_id, [])
    if isinstance(known, LandmarkError):
        return
    if isinstance(record, LandmarkError):
        faces[photo_id] = record
    else:
        known.append(record)


def without_suffix(name: str) -> str:
    """Return the path of a photo without suffix and in the notation of this project: no leading slash."""
    path = name.replace("\\", "/").strip("/")
    stem, dot, suffix = path.rpartition(".")
    return stem if dot and "/" not in suffix else path


def read_hsu_csv(path: Path) -> Faces:
    """Return the faces of a list with 139 columns: sub_folder (a leading backslash), image_name, face_type, 68 points.

    Raises:
        UserError: the header is another one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = [*csv.reader(stream)] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a CSV table ({error}); export it again") from error
    if [name.strip() for name in header] != HSU_COLUMNS:
        raise UserError(
            f"{path}: expected the 139 columns {', '.join(HSU_COLUMNS[:5])} ... {HSU_COLUMNS[-1]}, found "
            f"{len(header)}: {', '.join(header[:5])} ...; other landmarks go into landmarks.jsonl"
        )
    faces: Faces = {}
    for number, row in enumerate(rows, 2):
        if len(row) < 2:
            continue  # an empty last line
        photo_id = without_suffix(f"{row[0]}/{row[1]}")
        add_face(faces, photo_id, _hsu_face(f"{path}:{number}", photo_id, row))
    return faces


def _hsu_face(where: str, photo_id: str, row: list[str]) -> LandmarkRecord | LandmarkError:
    if len(row) != len(HSU_COLUMNS):
        return bad(where, f"expected 139 columns, found {len(row)}")
    return _checked(where, photo_id, row[3:], face_type=row[2].strip())


def read_celeba_list(path: Path, lines: list[str]) -> Faces:
    """Return the faces of `list_landmarks_align_celeba.txt` or `list_landmarks_celeba.txt`: count, header, rows."""
    size = CELEBA_ALIGNED_SIZE if "align" in path.name else None
    faces: Faces = {}
    for number, line in enumerate(lines[2:], 3):
        name, *values = line.split()
        where = f"{path}:{number}"
        face = (
            _checked(where, without_suffix(name), values, image_size=size)
            if len(values) == len(CELEBA_COLUMNS)
            else bad(where, f"expected a name and 10 numbers, found {len(values)}")
        )
        add_face(faces, without_suffix(name), face)
    return faces


def read_wflw_list(path: Path, lines: list[str]) -> Faces:
    """Return the faces of a list with 98 points, box (two corners), six attributes and name in each line."""
    faces: Faces = {}
    for number, line in enumerate(lines, 1):
        *values, name = line.split()
        where = f"{path}:{number}"
        if len(values) + 1 != WFLW_FIELDS:
            add_face(faces, without_suffix(name), bad(where, f"expected {WFLW_FIELDS} fields, found {len(values) + 1}"))
            continue
        found = _checked(where, without_suffix(name), values[: WFLW_POINTS * 2])
        if isinstance(found, LandmarkRecord):
            found = _with_box(where, found, values[WFLW_POINTS * 2 : WFLW_POINTS * 2 + 4])
        add_face(faces, without_suffix(name), found)
    return faces


def _with_box(where: str, face: LandmarkRecord, corners: list[str]) -> LandmarkRecord | LandmarkError:
    try:
        left, top, right, bottom = map(float, corners)
    except ValueError as error:
        return bad(where, f"expected numbers as corners of the box ({error})")
    return face._replace(box=(left, top, right - left, bottom - top))


def _checked(
    where: str,
    photo_id: str,
    values: list[str],
    *,
    image_size: tuple[int, int] | None = None,
    face_type: str | None = None,
) -> LandmarkRecord | LandmarkError:
    try:
        points = np.array(values, dtype=np.float64).reshape(-1, 2)
        return record_of(where, photo_id, points, image_size=image_size, face_type=face_type)
    except LandmarkError as error:
        return error
    except ValueError as error:
        return bad(where, f"expected numbers ({error})")
