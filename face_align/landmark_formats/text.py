"""Text files of one face: lines "x y", as dlib and 3DDFA_V2 scripts write them, and the `.pts` files of 300-W."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from face_align.landmark_formats.record import SCHEMES, LandmarkRecord, bad, record_of


def read_text(path: Path, photo_id: str) -> list[LandmarkRecord]:
    """Return the face of a file of lines "x y" in pixels counted from 0, or of a `.pts` under another name."""
    lines = read_lines(path)
    if lines and lines[0].lower().startswith("version"):
        return read_pts(path, photo_id)
    return [record_of(path, photo_id, _numbers(path, lines))]


def read_pts(path: Path, photo_id: str) -> list[LandmarkRecord]:
    """Return the face of a `.pts` file: version, n_points, and pixels counted from 1 in braces.

    Source: 300-W, Sagonas et al. 2013.
    """
    lines = read_lines(path)
    header = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines) if value}
    if "{" not in lines or "}" not in lines or not re.fullmatch(r"\d{1,9}", header.get("n_points", "")):
        raise bad(path, "expected 'version: 1', 'n_points: 68' and points in braces, as 300-W has them")
    points = _numbers(path, lines[lines.index("{") + 1 : lines.index("}")])
    if len(points) != int(header["n_points"]):
        raise bad(path, f"says n_points: {header['n_points']}, but has {len(points)} points")
    return [record_of(path, photo_id, points - 1)]


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file without blanks at their ends and without empty ones.

    Raises:
        LandmarkError: the file is no text or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise bad(path, f"expected text, found something else ({error})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _numbers(path: Path, lines: list[str]) -> np.ndarray:
    rows = [line.replace(",", " ").split() for line in lines]
    try:
        values = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise bad(path, f"expected a line 'x y' a point, found others, e.g. {lines[0][:60]!r} ({error})") from error
    if values.ndim != 2 or values.shape[1] != 2 or len(values) not in SCHEMES:
        raise bad(path, f"expected a line 'x y' for each of {sorted(SCHEMES)} points, found shape {values.shape}")
    return values
