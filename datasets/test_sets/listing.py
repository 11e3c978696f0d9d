"""What readers of trees of photos and masks share: files by name, split files, and pairs of both."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from common.image_io import list_images
from datasets.test_sets.record import Problem, Problems, note, without_suffix


def by_name(folder: Path, problems: Problems, *, fix: str = "") -> dict[str, Path]:
    """Return the images below `folder` by their path without suffix, sorted; note what is wrong.

    Args:
        fix: what to do where the folder is missing.
    """
    if not folder.is_dir():
        problems.append(Problem(f"the folder {folder} is missing", fix=fix))
        return {}
    found: dict[str, Path] = {}
    repeated = set()
    for path in list_images(folder, recursive=True):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            repeated.add(name)
        found[name] = path
    note(problems, f"names that more than one file has in {folder}", repeated, fix="remove or rename one of each")
    return found


def first_folder(root: Path, names: Iterable[str]) -> Path:
    """Return the first of the folders `names` in `root` that exists, or what the first would be."""
    folders = [root / name for name in names]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def pair_up(photos: Path, masks: Path, problems: Problems) -> dict[str, tuple[Path, Path]]:
    """Return name -> (photo, mask) of two folders of equal names; note all that stand alone."""
    photo_of, mask_of = by_name(photos, problems), by_name(masks, problems)
    note_alone(problems, photos=photos, photo_names=photo_of.keys(), masks=masks, mask_names=mask_of.keys())
    return {name: (path, mask_of[name]) for name, path in photo_of.items() if name in mask_of}


def note_alone(
    problems: Problems, *, photos: Path, photo_names: Iterable[str], masks: Path, mask_names: Iterable[str]
) -> None:
    """Note photos without a mask and masks without a photo, and where the two lists look shifted by one."""
    photo_set, mask_set = set(photo_names), set(mask_names)
    note(problems, f"photos without a mask in {masks}", photo_set - mask_set)
    note(problems, f"masks without a photo in {photos}", mask_set - photo_set)
    shifted = {name for name in photo_set if name.isdecimal()} - mask_set
    if shifted and len(photo_set) == len(mask_set) and {_next(name) for name in photo_set} == mask_set:
        problems.append(Problem(f"the masks in {masks} are numbered one higher than the photos", fix="renumber one"))


def read_names(path: Path, problems: Problems) -> list[str]:
    """Return the names that a split file lists, one a line, with or without suffix, repeated ones once."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"the split file {path} cannot be read ({getattr(error, 'strerror', None) or error})"))
        return []
    lines = [line.strip() for line in text.splitlines()]
    return list(dict.fromkeys(without_suffix(line) for line in lines if line))


def chosen_names(listed: Path, available: Iterable[str], problems: Problems, *, photos: Path) -> list[str]:
    """Return the names in the split file `listed` that there are photos of; note the others."""
    known = set(available)
    names = read_names(listed, problems)
    note(
        problems,
        f"entries of {listed} without a photo in {photos}",
        set(names) - known,
        fix="copy the photos, or take another split file",
    )
    return [name for name in names if name in known]


def _next(name: str) -> str:
    return str(int(name) + 1).zfill(len(name)) if name.isdecimal() else name
