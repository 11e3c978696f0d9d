"""Reader of CelebAMask-HQ in its published layout.

ROOT/CelebA-HQ-img/{i}.jpg                              photos, i = 0 .. 29999
ROOT/CelebAMask-HQ-mask-anno/{i//2000}/{i:05d}_{part}.png   one mask a part, only if the part exists
ROOT/CelebA-HQ-to-CelebA-mapping.txt                    "idx orig_idx orig_file", for the official split
ROOT/landmarks/{i}.npy                                  yours: 68 points in pixels of the photo
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from common.celebamask_hq import (
    IMAGES,
    MAPPING,
    MASKS,
    list_parts,
    merge_parts,
    official_split,
    read_official_split,
)
from common.errors import UserError
from common.image_io import ImageSource, list_images
from face_align.photo_choice import EVERY_PHOTO, PhotoChoice

__all__ = [
    "IMAGES", "MAPPING", "MASKS", "PhotoRecord", "official_split", "read_celebamask_hq", "read_known_faults",
    "read_official_split", "read_parts", "resize_label",
]  # fmt: skip

KNOWN_FAULTS = Path(__file__).with_name("celebamask_hq_faults.yaml")


@dataclass(frozen=True)
class PhotoRecord:
    """One photo with its label source.

    Attributes:
        id: the photo's number as text.
        image: path of the photo.
        parts: name of each part that exists -> path of its mask.
        landmarks: path where the landmarks are expected.
        split: "train", "val" or "test".
        subject: person where known; the photo's own id otherwise.
        fault: why the photo must not be used; None for one without a known fault.
    """

    id: str
    image: Path
    parts: dict[str, Path]
    landmarks: Path
    split: str
    subject: str
    fault: str | None = None


def read_celebamask_hq(
    root: Path,
    *,
    landmarks: Path | None = None,
    split: str = "official",
    limit: int | None = None,
    faults: Literal["drop", "keep"] = "keep",
    choice: PhotoChoice = EVERY_PHOTO,
    landmarks_needed: bool = True,
) -> list[PhotoRecord]:
    """Return the records of the data set in the order of their numbers.

    Args:
        root: the folder that holds `CelebA-HQ-img`.
        landmarks: folder of {i}.npy; None: `root/landmarks`.
        split: "official" by the mapping file, or the name of a CSV in `root` with the columns id and split.
        limit: take only the first so many.
        faults: drop: records of photos with a known fault say so in `fault`. Known are the faults of the official
            30,000 photos, so this does nothing to other splits, whose ids may be their own.
        choice: which of the photos.
        landmarks_needed: whether the folder of landmarks has to be there.

    Raises:
        UserError: tells everything that is missing at once.
    """
    landmarks = landmarks if landmarks is not None else root / "landmarks"
    split_file = root / (MAPPING if split == "official" else split)
    needed = (root / IMAGES, root / MASKS, *([landmarks] if landmarks_needed else []), split_file)
    missing = [str(path) for path in needed if not path.exists()]
    if missing:
        raise UserError(
            f"{root}: expected CelebAMask-HQ as published, but these are missing: {', '.join(missing)}. "
            "Set data.root, source.landmarks or source.split; landmarks are {number}.npy, (68, 2) or (3, 68)"
        )
    photos = {path.stem: path for path in list_images(root / IMAGES)}
    odd = sorted(stem for stem in photos if not stem.isdecimal())
    if not photos or odd:
        raise UserError(f"{root / IMAGES}: expected photos named by number, found {odd[:3] or 'an empty folder'}")
    splits = read_official_split(split_file) if split == "official" else _read_split_csv(split_file)
    choice.check(set(photos), told=root / IMAGES)
    numbers = sorted(int(stem) for stem in photos if choice.takes(stem))[:limit]
    unknown = [number for number in numbers if number not in splits]
    if unknown:
        raise UserError(f"{split_file}: has no row for {len(unknown)} photos, e.g. {unknown[:5]}")
    parts = list_parts(root / MASKS)
    fault_of = read_known_faults() if faults == "drop" and split == "official" else {}
    return [
        PhotoRecord(
            id=str(number),
            image=photos[str(number)],
            parts=parts.get(number, {}),
            landmarks=landmarks / f"{number}.npy",
            split=splits[number],
            subject=str(number),
            fault=fault_of.get(number),
        )
        for number in numbers
    ]


def read_known_faults(path: Path = KNOWN_FAULTS) -> dict[int, str]:
    """Return photo number -> what is wrong with it, of the photos that are left out.

    Of two equal photos the second is left out, so that no photo stands in two splits.
    """
    listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    faults = {number: group["reason"] for group in listed["faults"] for number in group["photos"]}
    return faults | {second: f"the same photo as {first}" for first, second in listed["duplicates"]}


def read_parts(record: PhotoRecord, parts: Mapping[str, ImageSource] | None = None) -> NDArray[np.uint8]:
    """Return the label map (H, W) uint8 of ids of `common.labels`, at the size of the part masks.

    Parts are painted in the data set's own order, so that later ones overwrite earlier ones.

    Args:
        record: whose masks are merged.
        parts: the record's, where they have been read already.

    Raises:
        RecordError: `skin` is missing or empty, or the masks of one photo differ in size (outcome "bad_label").
    """
    return merge_parts(record.parts if parts is None else parts, photo=record.image)


def resize_label(label: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the label map stretched to (height, width) with nearest neighbour at pixel centres."""
    return cv2.resize(label, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)


def _read_split_csv(path: Path) -> dict[int, str]:
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if not {"id", "split"} <= set(reader.fieldnames or ()):
            raise UserError(f"{path}: expected a CSV with the columns id and split, found {reader.fieldnames}")
        return {int(row["id"]): row["split"] for row in reader if row["id"].isdecimal()}
