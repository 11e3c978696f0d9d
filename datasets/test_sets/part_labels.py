"""Readers of sets for face parsing: a photo and a label map of parts.

lapa     [{train,val,test}/]images/{name}.jpg   [...]labels/{name}.png   11 classes (Liu et al. 2020)
helen    images/{name}.jpg   labels/{name}.png                           the same 11 classes (Smith et al. 2013)
lfw_pl   images/**/{name}.jpg   labels/**/{name}.png                     background, face, hair (Kae et al. 2013)

Ids of LaPa and Helen: 0 background, 1 skin, 2 left and 3 right brow, 4 left and 5 right eye, 6 nose, 7 upper lip,
8 inner mouth, 9 lower lip, 10 hair. LFW-PL: 0, 1, 2, or blue, green, red as published; its face includes the neck.
"""

from __future__ import annotations

from pathlib import Path

from datasets.test_sets.listing import pair_up
from datasets.test_sets.record import Coding, Problem, Problems, Request, TestImage

LAPA_SPLITS = ("train", "val", "test")


def read_lapa(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos of one split, or of all splits that are there."""
    root = request.root
    splits = [split for split in LAPA_SPLITS if (root / split).is_dir() and request.split in (None, split)]
    if request.split is not None and not splits:
        problems.append(Problem(f"the folder {root / request.split} is missing"))
        return []
    if not splits:
        return _read(root, request, problems, coding="lapa")
    return [
        record._replace(id=f"{split}/{record.id}", split=split)
        for split in splits
        for record in _read(root / split, request, problems, coding="lapa")
    ]


def read_lfw_pl(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos with the three classes of LFW-PL."""
    records = _read(request.root, request, problems, coding="lfw_pl")
    return [record._replace(subject=_person(record.id)) for record in records]


def _read(root: Path, request: Request, problems: Problems, *, coding: Coding) -> list[TestImage]:
    pairs = pair_up(root / (request.images or "images"), root / (request.masks or "labels"), problems)
    return [TestImage(name, photo, label, coding=coding, subject=name) for name, (photo, label) in pairs.items()]


def _person(name: str) -> str:
    """Return the person of `Name_Surname_0001`."""
    return name.rpartition("/")[2].rpartition("_")[0]
