"""The output folder of `infer.py`: which settings it belongs to, which photos are done, one row a photo."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import DISK_FULL, UserError
from common.folder_lock import hold_folder
from common.image_io import write_bytes
from common.journal import remove_partials
from common.manifest import Row, is_whole, seal_row, sha256, unseal_row
from common.photo_list import Photo

SETTINGS_NAME = "infer.json"
FACES_NAME = "faces.jsonl"
DONE = ("ok", "no_face")


class Rows(Mapping[str, Row]):
    """Rows by photo id, kept as text: a tenth of the memory that their numbers would take as objects."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    def __getitem__(self, name: str) -> Row:
        row = unseal_row(self._lines[name])
        assert row is not None  # sealed by `add`
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, row: Row) -> str:
        """Keep a row, in place of an earlier one of the same photo, and return its line."""
        line = seal_row(row)
        self._lines[row["id"]] = line
        return line

    def to_text(self) -> str:
        """Return all rows in the order of their ids, one a line."""
        return "".join(f"{self._lines[name]}\n" for name in sorted(self._lines))


class MaskFolder:
    """A folder of masks, claimed by the settings that made them; an interrupted run goes on in it.

    Args:
        path: new, empty, or written by a run of the same settings.
        settings: whatever decides the results; plain JSON values.
        kinds: names of the sub-folders that results go into.

    Attributes:
        rows: photo id -> row, of this run and of earlier ones.

    Raises:
        UserError: the folder cannot be written, or holds results of other settings or of another program.
    """

    def __init__(self, path: Path, *, settings: Mapping[str, Any], kinds: Sequence[str]) -> None:
        self.path = path
        with told_if_not_writable(path):
            _claim(path, settings, taken=(*kinds, FACES_NAME))
        self.rows = _read_rows(path / FACES_NAME)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs out, and remove what a killed run left half-written.

        Raises:
            UserError: another run is at work in the folder.
        """
        with contextlib.ExitStack() as stack:
            with told_if_not_writable(self.path):
                if stack.enter_context(hold_folder(self.path, None)):
                    remove_partials(self.path)
            yield

    def is_done(self, photo: Photo) -> bool:
        """Return whether all results are there, as they were written, made from the photo as it is now."""
        row = self.rows.get(photo.id)
        if row is None or row.get("outcome") not in DONE or not is_whole(self.path, row):
            return False
        return photo.path.is_file() and sha256(photo.path) == row.get("source_sha256")

    def record(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows as they come, each written down at once; at the end the file is put in order of ids."""
        path = self.path / FACES_NAME
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        with path.open("a", encoding="utf-8") as journal:
            journal.write("\n" if torn else "")  # a kill may have left half a line, which must not swallow the next
            for row in rows:
                journal.write(self.rows.add(row) + "\n")
                journal.flush()
                yield row
        write_bytes(path, self.rows.to_text().encode())


@contextlib.contextmanager
def told_if_not_writable(folder: Path) -> Iterator[None]:
    """Turn the error of a folder that must not be written to into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        place = error.filename or folder
        raise UserError(f"{place}: cannot be written ({error.strerror}); choose another output folder") from error


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
        text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
        write_bytes(path, text.encode(errors="backslashreplace"))
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


def _read_rows(path: Path) -> Rows:
    rows = Rows()
    # Not `splitlines`: it also splits at line separators that JSON leaves inside texts.
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []:
        row = unseal_row(line)  # a crash may leave half a line; that photo is done again
        if row is not None:
            rows.add(row)
    return rows
