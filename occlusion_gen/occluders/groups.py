"""Which occluder files belong together, so that no subject or source photo stands on both sides of a split.

What a table in the folder (or in the one above) says comes first:

    groups.csv, index.csv    columns file, group
    HandInfo.csv             of 11k Hands: columns imageName, id

Other files are grouped by their names:

    {category}_{imageId}_{k}            COCO cut-outs: by imageId
    {video}_frame_{nnnn}...             EgoHands: by video
    Hand_{nnnnnnn}                      11k Hands without its table: by runs of numbers
    anything else                       each file for itself
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

from common.errors import UserError

Split = Literal["train", "validation"]

# table -> its columns of file and group; a table may stand beside the files or one folder above.
TABLES = {"groups.csv": ("file", "group"), "index.csv": ("file", "group"), "HandInfo.csv": ("imageName", "id")}
OPTIONAL = ("index.csv",)  # indexes without a column for groups are common
COCO_NAME = re.compile(r"[A-Za-z][A-Za-z_ ]*_(?P<image>(?:train|val|test)?\d+)_\d+")
EGOHANDS_NAME = re.compile(r"(?P<video>.+)_frame_\d{4}(?:\D.*)?")
HAND_NAME = re.compile(r"Hand_(?P<number>\d{7})")
HAND_GAP = 40  # a subject's photos are numbered in a row with small gaps


def group_of(path: Path) -> str:
    """Return the group that the name of a file tells: its COCO image, its video, or the file alone."""
    if match := COCO_NAME.fullmatch(path.stem):
        return f"image {match['image']}"
    if match := EGOHANDS_NAME.fullmatch(path.stem):
        return f"video {match['video']}"
    return path.name


def groups_of(folder: Path, files: Sequence[Path]) -> list[str]:
    """Return the group of each of `files`, which lie in `folder` or its sub-folders.

    Raises:
        UserError: a table lacks its columns or puts one file into two groups.
    """
    table = read_groups(folder)
    hands = _runs_of_hands([path.stem for path in files])

    def group(path: Path) -> str:
        inside = path.relative_to(folder).as_posix()
        return table.get(inside) or table.get(path.name) or hands.get(path.stem) or group_of(path)

    return [group(path) for path in files]


def held_out(names: Sequence[str], holdout_share: float) -> set[str]:
    """Return the names on the held-out side: told by a hash of the name, at least one if the share is above 0.

    New files therefore do not move old ones between the sides, save where chance would have held out none.
    """
    if holdout_share == 0:
        return set()
    places = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64 for name in names}
    return {name for name, place in places.items() if place < holdout_share} or {min(places, key=places.__getitem__)}


def one_side(folder: Path, files: Sequence[Path], *, split: Split, holdout_share: float) -> list[Path]:
    """Return the files of one side; no group is on both, and new files do not move old ones.

    Args:
        files: in `folder` or its sub-folders.
        holdout_share: share of the groups on the side "validation".

    Raises:
        UserError: there is no file, or none on the chosen side.
    """
    if not files:
        raise UserError(f"{folder}: holds no image; expected RGBA cut-outs, images/ + masks/, or textures")
    groups = groups_of(folder, files)
    held = held_out(sorted(set(groups)), holdout_share)
    chosen = [file for file, group in zip(files, groups, strict=True) if (group in held) == (split == "validation")]
    if not chosen:
        together = "" if len(set(groups)) == len(files) else f", as they show {len(set(groups))} subjects or photos"
        raise UserError(
            f"{folder}: none of its {len(files)} files belongs to the {split} side at holdout_share "
            f"{holdout_share:g}{together}; add files or change holdout_share"
        )
    return chosen


def digest_of_files(paths: Sequence[Path]) -> str:
    """Return a SHA-256 over names and sizes of files: equal on every machine that has the same folder."""
    lines = [f"{path.parent.name}/{path.name}\t{path.stat().st_size}\n" for path in paths]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def read_groups(folder: Path) -> dict[str, str]:
    """Return file name -> group from the tables in `folder` and above it; the first in the list of `TABLES` wins.

    Raises:
        UserError: a table lacks its columns or puts one file into two groups.
    """
    found: dict[str, str] = {}
    for name, columns in reversed(TABLES.items()):
        for path in (folder.parent / name, folder / "images" / name, folder / name):
            # Above the folder only the subjects of a data set are of use; another index describes other files.
            if path.is_file() and (path.parent != folder.parent or name == "HandInfo.csv"):
                found |= dict(_rows(path, *columns))
    return found


def _rows(path: Path, file_column: str, group_column: str) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            header = reader.fieldnames or []
            if group_column not in header and path.name in OPTIONAL:
                return
            lacking = [column for column in (file_column, group_column) if column not in header]
            if lacking:
                raise UserError(f"{path}: has no column {' and '.join(lacking)}; its columns: {', '.join(header)}")
            rows = [(row[file_column] or "", row[group_column] or "") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a CSV table ({error}); mend or remove it") from error
    seen: dict[str, str] = {}
    for file, group in rows:
        if seen.setdefault(file, group) != group:
            raise UserError(f"{path}: puts {file} into the groups {seen[file]!r} and {group!r}; mend the table")
        if file and group:
            yield file, group


def _runs_of_hands(stems: Sequence[str]) -> dict[str, str]:
    """Return stem -> run for photos of 11k Hands: numbers that are near each other may show one subject."""
    numbers = {stem: int(match["number"]) for stem in stems if (match := HAND_NAME.fullmatch(stem))}
    ordered = sorted(numbers, key=numbers.__getitem__)
    runs: dict[str, str] = {stem: f"run {stem}" for stem in ordered[:1]}
    for before, stem in pairwise(ordered):
        near = numbers[stem] - numbers[before] <= HAND_GAP
        runs[stem] = runs[before] if near else f"run {stem}"
    return runs
