"""Readers of sets for recognition: photos by person, pairs, kinds of medical masks; they have no masks of the face.

lfw   [lfw/]{Name}/{Name}_{0001}.jpg (250 px)   [pairs.txt: name n m | name n name2 m]
mlfw  aligned/{name}.jpg (112 px)               pairs.txt: "name1 name2 label", label 1 for the same person
mfr2  [mfr2/]{Name}/{Name}_{0001}.png (160 px)  mfr2_labels.txt: "Name, number, mask-type"   pairs.txt as LFW's
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from common.errors import UserError
from datasets.test_sets.listing import by_name, first_folder
from datasets.test_sets.record import Problem, Problems, Request, TestImage, note, without_suffix

NO_MASK = "no-mask"


class Pair(NamedTuple):
    """Two photos, by id, and whether they show the same person."""

    first: str
    second: str
    same: bool


class FacePairs(NamedTuple):
    """Photos of a recognition set with its pairs.

    Attributes:
        photos: in the order of their ids; `occlusion_types` is ("mask",) where the set says that one is worn.
        pairs: in the order of the file; () without one.
    """

    photos: list[TestImage]
    pairs: tuple[Pair, ...]


def read_face_pairs(root: Path, *, layout: str) -> FacePairs:
    """Return the photos and pairs of a set in the layout "lfw", "mlfw" or "mfr2".

    Raises:
        UserError: tells everything that is wrong at once.
    """
    readers = {"lfw": read_lfw, "mlfw": read_mlfw, "mfr2": read_mfr2}
    if layout not in readers:
        raise UserError(f"unknown layout {layout!r} of pairs; known: {', '.join(readers)}")
    problems: Problems = []
    photos = readers[layout](Request(root), problems)
    pairs = _read_pairs(root / "pairs.txt", {photo.id for photo in photos}, problems)
    if not photos and not problems:
        problems.append(Problem("no photo found"))
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(f"{root}: this set (layout {layout}) is not whole; mend these and run again:\n{listed}")
    return FacePairs(photos, pairs)


def read_lfw(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos of LFW; an id is `Name/Name_0001`."""
    return _by_person(first_folder(request.root, ("lfw", ".")), problems)


def read_mfr2(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos of MFR2 with the kind of mask that its list tells."""
    folder = first_folder(request.root, ("mfr2", "."))
    photos = _by_person(folder, problems)
    listed = next((path for path in (request.root / "mfr2_labels.txt", folder / "mfr2_labels.txt") if path.is_file()),
                  None)  # fmt: skip
    if listed is None:
        problems.append(Problem(f"{request.root / 'mfr2_labels.txt'} is missing"))
        return photos
    kinds: dict[str, str] = {}
    for number, line in enumerate(listed.read_text(encoding="utf-8").splitlines(), 1):
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3 and fields[1].isdecimal():
            kinds[f"{fields[0]}/{fields[0]}_{int(fields[1]):04d}"] = fields[2]
        elif number > 1 and line.strip():  # the first line may be a header
            problems.append(Problem(f"{listed}:{number}: expected 'Name, number, mask-type', found {line!r}"))
    ids = {photo.id for photo in photos}
    note(problems, f"entries of {listed} without a photo in {folder}", kinds.keys() - ids)
    note(problems, f"photos that {listed} does not list", ids - kinds.keys())
    return [
        photo._replace(occlusion_types=() if kinds.get(photo.id, NO_MASK).lower() == NO_MASK else ("mask",))
        for photo in photos
    ]


def read_mlfw(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos of MLFW, all in one folder; an id is the file's name."""
    folder = first_folder(request.root, ("aligned", "."))
    return [TestImage(name, path, subject=_person(name)) for name, path in by_name(folder, problems).items()]


def _by_person(folder: Path, problems: Problems) -> list[TestImage]:
    found = {name: path for name, path in by_name(folder, problems).items() if "/" in name}
    odd = [name for name in found if not name.rpartition("/")[2].startswith(f"{name.partition('/')[0]}_")]
    note(problems, f"photos in {folder} that are not named Name/Name_0001", odd)
    return [TestImage(name, path, subject=name.partition("/")[0]) for name, path in found.items() if name not in odd]


def _read_pairs(path: Path, ids: set[str], problems: Problems) -> tuple[Pair, ...]:
    """Return the pairs of a file; LFW's has a line of counts first, which has no letters."""
    if not path.is_file():
        return ()
    pairs, odd, absent = [], [], set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if not fields or all(field.isdecimal() for field in fields):
            continue
        pair = _pair(fields)
        if pair is None:
            odd.append(f"line {number} {line[:40]!r}")
            continue
        absent |= {name for name in pair[:2] if name not in ids}
        pairs.append(pair)
    note(problems, f"lines of {path} that are neither 'name1 name2 label' nor LFW's 'Name n m'", odd)
    note(problems, f"photos named in {path} that are not there", absent)
    return tuple(pairs)


def _pair(fields: list[str]) -> Pair | None:
    match fields:
        case [name, first, second] if first.isdecimal() and second.isdecimal():
            return Pair(_numbered(name, first), _numbered(name, second), same=True)
        case [first, second, "0" | "1" | "-1" as label]:
            return Pair(without_suffix(first), without_suffix(second), same=label == "1")
        case [name, number, other, other_number] if number.isdecimal() and other_number.isdecimal():
            return Pair(_numbered(name, number), _numbered(other, other_number), same=False)
    return None


def _numbered(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}"


def _person(name: str) -> str:
    """Return the person of `Name_Surname_0001_0002`: words before the first number."""
    words = name.split("_")
    return "_".join(words[: next((place for place, word in enumerate(words) if word.isdecimal()), len(words))])
