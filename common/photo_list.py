"""The photos that a command is pointed at: one file, a folder with its sub-folders, a pattern, or a list."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Iterable, Set
from pathlib import Path
from typing import NamedTuple

from common.errors import UserError
from common.image_io import SUFFIXES, list_images

SHOWN = 5
LIST_SUFFIX = ".txt"


class Photo(NamedTuple):
    """A photo to work on.

    Attributes:
        id: path relative to the input's folder, with suffix and "/" between folders.
        path: where it lies.
    """

    id: str
    path: Path

    @property
    def name(self) -> str:
        """The id without its suffix: what results are named after."""
        return Path(self.id).with_suffix("").as_posix()


class PhotoList(NamedTuple):
    """Photos and the folder that their ids are relative to."""

    root: Path
    photos: list[Photo]


def find_photos(pattern: str, *, leave_out: Path | None = None, suffixes: Set[str] = SUFFIXES) -> PhotoList:
    """Return the photos of a file, a folder (with sub-folders), a pattern or a list file, sorted by id.

    Args:
        pattern: "*", "?", "[...]" and "**" as in a shell, unless a file or folder of that very name exists; or a
            .txt file with the path of a photo on each line, relative to the file's own folder.
        leave_out: a folder whose images are results, not photos; it may lie in the input, but not be it.
        suffixes: of the files that are taken from folders and patterns, lower case.

    Raises:
        UserError: there is no photo, or two photos would write the same result files.
    """
    path = Path(pattern)
    if path.is_file():
        root, files = _read_list(path) if path.suffix.lower() == LIST_SUFFIX else (path.parent, [path])
    elif path.is_dir():
        root, files = path, list_images(path, recursive=True, suffixes=suffixes)
    elif glob.has_magic(pattern):
        root, files = _fixed_part(path), _matching(pattern, suffixes)
    else:
        raise UserError(
            f"{pattern}: no such file or folder; give a photo, a folder, a pattern in quotes, or a .txt list of photos"
        )
    if leave_out is not None and not path.is_file():
        files = _outside(leave_out.resolve(), root.resolve(), files)
    if not files:
        raise UserError(f"{pattern}: no image found; images end in {', '.join(sorted(SUFFIXES))}")
    photos = sorted(Photo(file.relative_to(root).as_posix(), file) for file in files)
    _check_names(photos)
    return PhotoList(root, photos)


def _read_list(path: Path) -> tuple[Path, list[Path]]:
    """Return the folder that all photos of a list lie in, and the photos; a missing one is told when it is read."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    names = list(dict.fromkeys(line.rstrip("\r") for line in lines if line.strip()))
    if not names:
        raise UserError(f"{path}: expected the path of a photo on each line, found an empty file")
    files = [Path(os.path.abspath(path.parent / name)) for name in names]  # noqa: PTH100 (links stay as they are)
    wrong = [name for name, file in zip(names, files, strict=True) if "\0" in name or _is_folder(file)]
    if wrong:
        raise UserError(f"{path}: expected the path of a photo on each line, found {wrong[:SHOWN]}; take these out")
    return Path(os.path.commonpath([file.parent for file in files])), files


def _matching(pattern: str, suffixes: Set[str]) -> list[Path]:
    """Return the files that a pattern names, each once: links to a folder above would give them again and again."""
    found = (Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207 (absolute patterns, too)
    files = [file for file in found if file.suffix.lower() in suffixes and file.is_file()]
    first: dict[Path, Path] = {}
    for file in sorted(files, key=lambda file: (len(file.parts), file)):
        first.setdefault(file.resolve(), file)
    return list(first.values())


def _outside(results: Path, root: Path, files: list[Path]) -> list[Path]:
    """Return the files that lie outside the folder of results, where that is a part of the input."""
    if results == root:
        raise UserError(f"{root}: results cannot go into the folder of the photos itself; name another, or one in it")
    if not results.is_relative_to(root):
        return files
    return [file for file in files if not file.resolve().is_relative_to(results)]


def _fixed_part(pattern: Path) -> Path:
    """Return the folders of a pattern before its first wildcard."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


def _check_names(photos: Iterable[Photo]) -> None:
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for photo in photos:
        by_name[photo.name].append(photo.id)
    clashes = [" and ".join(ids) for ids in by_name.values() if len(ids) > 1]
    if clashes:
        more = f"\n  and {len(clashes) - SHOWN} more" if len(clashes) > SHOWN else ""
        listed = "\n  ".join(clashes[:SHOWN])
        raise UserError(
            f"these photos differ in their suffix only and would write the same result files:\n  {listed}{more}\n"
            "rename one of each, or run on each kind alone with a pattern in quotes, e.g. 'photos/*.jpg'"
        )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long for the file system
        return False
