"""Readers of COFW (Burgos-Artizzu et al. 2013) and of COFW68's photos.

cofw    COFW_{train,test}[_color].mat      MATLAB 7.3 = HDF5: photos, see `common.cofw`
        {masks}/mask_{i}.png               split train: i = 1..500 is the mask of photo 845 + i, those before are LFPW's
                                           split test: i = 1..507
cofw68  {images}/{number}.jpg              photos by the number in COFW68, or by that of all of COFW: 1345 + number
        test_annotations/{number}_points.mat

COFW has no masks of its own: several groups drew some, so name in `masks` whose you take. The published numbers use
different ones. FaceOcc's 256 px crops of the test set are another layout, `faceocc_cofw`.
"""

from __future__ import annotations

import re
from pathlib import Path

from common.cofw import PHOTOS, PHOTOS_OF_LFPW, cofw_files, count_cofw_photos
from common.errors import UserError
from datasets.test_sets.listing import by_name
from datasets.test_sets.record import Problem, Problems, Request, TestImage, note

TRAIN_PHOTOS = 1345  # in COFW's train file; other copies count its test photos on from these


def read_cofw(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos of one split (train, if none is named) that have a mask; all where there are no masks."""
    root, masks = request.root, request.root / (request.masks or "masks")
    counts, files = _count(root, problems)
    if request.masks is None and not masks.is_dir():
        parts = [part for part in files if request.split in (None, part)]
        return [_record(files[part], part, number) for part in parts for number in range(1, counts[part] + 1)]
    part = request.split or "train"
    if part not in PHOTOS:
        problems.append(Problem(f"cofw has the splits {' and '.join(PHOTOS)}, not {part!r}"))
        return []
    before = PHOTOS_OF_LFPW if part == "train" else 0
    mask_of = {_number(name): path for name, path in by_name(masks, problems).items()}
    if part not in files:
        if files:
            problems.append(
                Problem(f"the file of split {part} is missing", fix=f"copy COFW_{part}_color.mat to {root}")
            )
        return []
    numbers = {before + index for index in mask_of if index is not None}
    note(problems, f"masks in {masks} whose name has no number", (str(mask_of[None]),) if None in mask_of else ())
    alone = sorted(number for number in numbers if not before < number <= counts[part])
    note(
        problems,
        f"masks without a photo in {files[part].name} (mask_i belongs to photo {before} + i of {counts[part]})",
        (str(mask_of[number - before]) for number in alone),
    )
    wanted = range(before + 1, counts[part] + 1)
    note(
        problems,
        f"photos of {files[part].name} without a mask in {masks}",
        (str(number) for number in wanted if number not in numbers),
    )
    return [_record(files[part], part, number, mask_of[number - before]) for number in wanted if number in numbers]


def _count(root: Path, problems: Problems) -> tuple[dict[str, int], dict[str, Path]]:
    try:
        files = cofw_files(root)
        return {part: count_cofw_photos(path, part) for part, path in files.items()}, files
    except UserError as error:
        problems.append(Problem(str(error)))
        return {}, {}


def _record(path: Path, part: str, number: int, mask: Path | None = None) -> TestImage:
    name = f"{part}_{number:04d}"
    return TestImage(name, path, mask, cofw=(part, number), subject=name, split=part)


def _number(name: str) -> int | None:
    found = re.search(r"(\d+)$", name)
    return int(found[1]) if found else None


def read_cofw68(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos that have points in COFW68, without truth."""
    root = request.root
    points = root / "test_annotations"
    if not points.is_dir():
        problems.append(Problem(f"the folder {points} is missing"))
        return []
    known = {int(path.name.partition("_")[0]) for path in points.glob("*_points.mat")}
    if request.images is None and not (root / "images").is_dir():
        return []  # COFW68 is published without photos: points alone are whole, but nothing to score
    photo_of = by_name(root / (request.images or "images"), problems)
    number_of = {name: _number(name) or 0 for name in photo_of}
    offset = TRAIN_PHOTOS if any(number > max(known, default=0) for number in number_of.values()) else 0
    note(
        problems,
        f"photos without points in {points}",
        (name for name, number in number_of.items() if number - offset not in known),
    )
    return [
        TestImage(name, photo_of[name], subject=f"test_{number - offset:04d}", split="test")
        for name, number in number_of.items()
        if number - offset in known
    ]
