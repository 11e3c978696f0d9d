"""The output folder of `infer.py`: which settings it belongs to, which photos are done, one row a photo."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import UserError
from common.image_io import write_bytes
from common.manifest import Row, encode_row, sha256
from common.photo_list import Photo
from inference.photo_masks import saved_paths

SETTINGS_NAME = "infer.json"
FACES_NAME = "faces.jsonl"
DONE = ("ok", "no_face")


class MaskFolder:
    """A folder of masks, claimed by the settings that made them; an interrupted run goes on in it.

    Args:
        path: new, empty, or written by a run of the same settings.
        settings: whatever decides the results; plain JSON values.
        kinds: what is written for each photo.

    Attributes:
        rows: photo id -> row, of this run and of earlier ones.

    Raises:
        UserError: the folder holds results of other settings or of another program.
    """

    def __init__(self, path: Path, *, settings: Mapping[str, Any], kinds: Sequence[str]) -> None:
        self.path = path
        self._kinds = tuple(kinds)
        _claim(path, settings, taken=(*kinds, FACES_NAME))
        self.rows = _read_rows(path / FACES_NAME)

    def paths_of(self, photo: Photo) -> dict[str, Path]:
        """Return where each kind of result of `photo` is written."""
        return saved_paths(self.path, photo.name, self._kinds)

    def is_done(self, photo: Photo) -> bool:
        """Return whether all results are there and were made from the photo as it is now."""
        row = self.rows.get(photo.id)
        if row is None or row["outcome"] not in DONE:
            return False
        return all(path.is_file() for path in self.paths_of(photo).values()) and sha256(photo.path) == row["sha256"]

    def record(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows as they come, each written down at once; at the end the file is put in order of ids."""
        path = self.path / FACES_NAME
        with path.open("a", encoding="utf-8") as journal:
            for row in rows:
                self.rows[row["id"]] = row
                journal.write(encode_row(row) + "\n")
                journal.flush()
                yield row
        write_bytes(path, "".join(encode_row(self.rows[name]) + "\n" for name in sorted(self.rows)).encode())


def _claim(folder: Path, settings: Mapping[str, Any], *, taken: Iterable[str]) -> None:
    path = folder / SETTINGS_NAME
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: expected a folder to write into, found a file; choose another name")
    if not path.exists():
        foreign = [name for name in taken if (folder / name).exists()]
        if foreign:
            raise UserError(
                f"{folder}: holds {', '.join(foreign)} but no {SETTINGS_NAME} that says where they come from; "
                "choose another folder"
            )
        write_bytes(path, (json.dumps(settings, indent=2, ensure_ascii=False) + "\n").encode())
        return
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: is damaged ({error}); choose another folder or remove this one") from error
    changed = [f"  {key}: {saved.get(key)} -> {value}" for key, value in settings.items() if saved.get(key) != value]
    if changed:
        listed = "\n".join(changed)
        raise UserError(
            f"{folder}: holds the masks of other settings; choose another folder or remove it. It differs in:\n{listed}"
        )


def _read_rows(path: Path) -> dict[str, Row]:
    rows = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue  # a crash may leave half a line; that photo is done again
        rows[row["id"]] = row
    return rows
