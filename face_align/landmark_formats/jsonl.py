"""Our own format, `landmarks.jsonl`: one JSON object a line, one line a face. The one format that is written.

{"id": "00001", "image_size": [1024, 1024], "scheme": "ibug68", "points": [[x, y], ...], "occluded": [0, 1, ...],
 "detector": "mediapipe", "score": 0.98, "box": [x, y, width, height]}

`id` is the path of the photo below its folder, without suffix; "#0", "#1", ... follow where a photo has several faces.
`points` are pixels of a photo of `image_size` (height, width), an integer is the centre of a pixel, the first is 0.
`occluded`, `detector`, `score`, `box` and `face_type` may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError
from common.image_io import write_bytes
from face_align.landmark_formats.lists import Faces, add_face
from face_align.landmark_formats.record import SCHEMES, LandmarkError, LandmarkRecord, bad, record_of

DIGITS = 3  # a thousandth of a pixel
OPTIONAL_KEYS = {"occluded", "detector", "score", "box", "face_type"}
REQUIRED_KEYS = {"id", "image_size", "scheme", "points"}


def write_landmarks_jsonl(path: Path, records: Iterable[LandmarkRecord]) -> None:
    """Write one line a face, whole or not at all."""
    lines = [json.dumps(_as_json(record), ensure_ascii=False, separators=(", ", ": ")) for record in records]
    # Names that are no UTF-8 come from Python as lone surrogates, which JSON can hold only escaped.
    write_bytes(path, "".join(line + "\n" for line in lines).encode("utf-8", errors="surrogateescape"))


def read_landmarks_jsonl(path: Path) -> Faces:
    """Return photo id -> faces, or the error that the photo gets; ids with "#0" stand as they are.

    Raises:
        UserError: a line has no id, or an id stands twice.
    """
    faces: Faces = {}
    try:
        lines = path.read_bytes().decode("utf-8", errors="surrogateescape").split("\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        entry = _entry(where, line)
        if entry["id"] in faces:
            raise UserError(
                f"{where}: the id {entry['id']!r} stands twice; several faces are named {entry['id']}#0, #1"
            )
        try:
            add_face(faces, entry["id"], _from_json(where, entry))
        except LandmarkError as error:
            add_face(faces, entry["id"], error)
    return faces


def _entry(where: str, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: expected a JSON object, found {line[:60]!r} ({error})") from error
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not entry["id"]:
        raise UserError(f"{where}: expected a JSON object with a text as `id`, found {line[:60]!r}")
    return entry


def _from_json(where: str, entry: dict[str, Any]) -> LandmarkRecord:
    absent, unknown = REQUIRED_KEYS - entry.keys(), entry.keys() - REQUIRED_KEYS - OPTIONAL_KEYS
    if absent or unknown:
        raise bad(where, f"missing keys {sorted(absent)}, unknown keys {sorted(unknown)}")
    try:
        points = np.array(entry["points"], dtype=np.float64)
        size = None if entry["image_size"] is None else tuple(int(side) for side in entry["image_size"])
        box = None if entry.get("box") is None else tuple(float(value) for value in entry["box"])
        score = None if entry.get("score") is None else float(entry["score"])
        hidden = None if entry.get("occluded") is None else np.array(entry["occluded"], dtype=np.bool_)
    except (TypeError, ValueError, OverflowError) as error:
        raise bad(where, f"expected numbers ({error})") from error
    if points.ndim != 2 or SCHEMES.get(len(points)) != entry["scheme"]:
        known = ", ".join(f"{name} {count}" for count, name in SCHEMES.items())
        raise bad(where, f"scheme {entry['scheme']!r} with points of shape {points.shape}; known: {known}")
    if (size is not None and (len(size) != 2 or min(size) < 1)) or (box is not None and len(box) != 4):
        raise bad(where, f"expected image_size [height, width] and box [x, y, width, height], found {size} and {box}")
    if hidden is not None and hidden.shape != (len(points),):
        raise bad(where, f"expected {len(points)} flags in `occluded`, found {hidden.shape}")
    return record_of(
        where,
        entry["id"],
        points,
        image_size=size,
        occluded=hidden,
        detector=str(entry.get("detector", "file")),
        score=score,
        box=box,
        face_type=entry.get("face_type"),
    )


def _as_json(record: LandmarkRecord) -> dict[str, Any]:
    points = [[round(float(value), DIGITS) for value in point] for point in record.points]
    optional = {
        "occluded": None if record.occluded is None else [int(flag) for flag in record.occluded],
        "detector": record.detector,
        "score": None if record.score is None else round(float(record.score), 6),
        "box": None if record.box is None else [round(float(value), DIGITS) for value in record.box],
        "face_type": record.face_type,
    }
    size = None if record.image_size is None else [int(side) for side in record.image_size]
    return {
        "id": record.id,
        "image_size": size,
        "scheme": record.scheme,
        "points": points,
        **{key: value for key, value in optional.items() if value is not None},
    }
