"""Reader of COFW: photos and landmarks straight from its MATLAB 7.3 files, which are HDF5.

ROOT/COFW_train_color.mat, COFW_test_color.mat   or the grey COFW_train.mat, COFW_test.mat
    IsTr, IsT       references to the photos; HDF5 shows them transposed: (W, H) or (3, W, H) uint8
    phisTr, phisT   29 points, see `face_align.landmark_formats.matlab`
LABELS/mask_{i}.png, i = 1..500                  mask of the train photo 845 + i: those before come from LFPW

Ids are the file and the number in it, from 1: train_0001, test_0507. The split is the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.cofw import PHOTOS_OF_LFPW, cofw_files, count_cofw_photos, read_cofw_photo
from common.errors import UserError
from face_align.landmark_formats import LandmarkRecord, LandmarkSource
from face_align.landmark_formats.source import LandmarkList
from face_align.photo_folders import LabelKind, PhotoFace, read_split_csv


@dataclass(frozen=True)
class CofwFace(PhotoFace):
    """A face whose photo is the `number`-th, from 1, of its part in the file `image`."""

    part: str
    number: int

    def read_photo(self) -> NDArray[np.uint8]:
        """Return the photo (H, W, 3) uint8 RGB.

        Raises:
            UnreadableImageError: the file, or what it holds for this photo, is damaged.
        """
        return read_cofw_photo(self.image, self.part, self.number)


class CofwLandmarks:
    """The 29 points of all files of a root, by id."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lists = {part: LandmarkList(path) for part, path in cofw_files(root).items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return CofwLandmarks, (self.root,)  # another process reads the files itself

    def get(self, photo_id: str) -> list[LandmarkRecord]:
        """Return the face of a photo. Raises: see `LandmarkSource`."""
        part, _, number = photo_id.partition("_")
        return self._lists[part].get(number.lstrip("0"))


def open_cofw_landmarks(root: Path) -> LandmarkSource:
    """Return the published points of COFW.

    Raises:
        UserError: the files are missing, or are others.
    """
    return CofwLandmarks(root)


def read_cofw_photos(
    root: Path,
    *,
    labels: Path | None = None,
    label_kind: LabelKind = "mask",
    split: str = "official",
    limit: int | None = None,
) -> list[PhotoFace]:
    """Return one record a photo, train before test; with `labels`, only the train photos that have a mask.

    Args:
        root: folder of the files.
        labels: folder of mask_{i}.png; None: all photos, without labels.
        label_kind: what `labels` holds.
        split: "official" (by file), or a CSV in `root` with id,split.
        limit: take only the first so many.

    Raises:
        UserError: files are missing or damaged, or there is a mask but no photo for it.
    """
    files = cofw_files(root)
    counts = {part: count_cofw_photos(path, part) for part, path in files.items()}
    keys = [(part, number) for part, count in counts.items() for number in range(1, count + 1)]
    label_of = {} if labels is None else _masks(labels, counts.get("train", 0))
    keys = [key for key in keys if labels is None or key in label_of][:limit]
    names = {key: f"{key[0]}_{key[1]:04d}" for key in keys}
    splits = None if split == "official" else read_split_csv(root / split, list(names.values()))
    return [
        CofwFace(
            id=name,
            photo_id=name,
            image=files[part],
            label=label_of.get((part, number)),
            label_kind=label_kind,
            face=None,
            split=part if splits is None else splits[name],
            subject=name,
            part=part,
            number=number,
        )
        for (part, number), name in names.items()
    ]


def _masks(labels: Path, train_count: int) -> dict[tuple[str, int], Path]:
    """Return part and number of the photo -> its mask."""
    found = {int(path.stem[5:]): path for path in labels.glob("mask_*.png") if path.stem[5:].isdecimal()}
    if not found:
        raise UserError(f"{labels}: expected mask_1.png, mask_2.png, ..., found none; set or leave out source.labels")
    alone = [path.name for index, path in sorted(found.items()) if not 0 < index <= train_count - PHOTOS_OF_LFPW]
    if alone:
        raise UserError(
            f"{labels}: mask_i.png belongs to train photo {PHOTOS_OF_LFPW} + i, but the train file has {train_count} "
            f"photos; there is none for {len(alone)} masks, e.g. {alone[:3]}"
        )
    return {("train", PHOTOS_OF_LFPW + index): path for index, path in found.items()}
