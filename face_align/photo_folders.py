"""Readers of photos beside CelebAMask-HQ: plain folders, FFHQ, LFW.

folder  ROOT/images/**/{name}.jpg, or ROOT/**/{name}.jpg;   ROOT/masks/**/{name}.png where there are masks
ffhq    ROOT/images1024x1024/{00000}/{00000}.png, without the folders of 1000 or flat in ROOT, too
lfw     ROOT/{Person}/{Person}_{0001}.jpg, or the same in ROOT/lfw;   ROOT/peopleDevTrain.txt, peopleDevTest.txt

The id of a photo is its path below the folder of photos, without suffix. Labels are optional: masks of the visible
face, or label maps of part ids, in a folder of the same names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError, UserError
from common.image_io import ImageSource, list_images, read_label, read_mask
from common.labels import PART_ID, PART_NAMES
from common.photo_list import Photo, find_photos
from face_align.photo_choice import EVERY_PHOTO, PhotoChoice

LabelKind = Literal["mask", "parts"]
FFHQ_FIRST_VALIDATION = 60_000  # the last 10,000 photos are for validation. Source: FFHQ's own metadata
LFW_SPLITS = {"peopleDevTrain.txt": "train", "peopleDevTest.txt": "test"}
NO_SPLIT = "all"


@dataclass(frozen=True)
class PhotoFace:
    """One face of one photo.

    Attributes:
        id: the photo's id, followed by "#0", "#1", ... where all faces of a photo are taken.
        photo_id: what landmarks and labels of the photo are looked up by.
        image: path of the photo.
        label: path of its mask or label map, None where there is none.
        label_kind: "mask": white is visible face; "parts": class ids of `common.labels`.
        face: number of the face among the landmarks of the photo; None: chosen when they are read.
        split: "train", "val", "test", or "all" where the set has no split.
        subject: person where known; the photo's own id otherwise.
    """

    id: str
    photo_id: str
    image: Path
    label: Path | None
    label_kind: LabelKind
    face: int | None
    split: str
    subject: str

    def read_label(self, file: ImageSource | None = None) -> NDArray[np.uint8] | None:
        """Return the label map (H, W) uint8 of part ids at its own size; a mask counts as skin; None without label.

        Args:
            file: the record's label, where it has been read already.

        Raises:
            RecordError: the file cannot be read, or holds unknown ids (outcome "bad_label").
        """
        file = self.label if file is None else file
        if file is None:
            return None
        if self.label_kind == "mask":
            return read_mask(file).view(np.uint8) * np.uint8(PART_ID["skin"])
        label = read_label(file)
        if label.max(initial=0) >= len(PART_NAMES):
            raise RecordError(
                f"{self.label}: expected part ids 0..{len(PART_NAMES) - 1} (common/labels.py), found "
                f"{int(label.max())}; map the ids of your set to these by name, or set source.label_kind=mask",
                outcome="bad_label",
            )
        return label


def read_photo_folder(
    root: Path,
    *,
    layout: Literal["folder", "ffhq", "lfw"],
    labels: Path | None = None,
    label_kind: LabelKind = "mask",
    split: str = "official",
    limit: int | None = None,
    choice: PhotoChoice = EVERY_PHOTO,
) -> list[PhotoFace]:
    """Return one record a photo, in the order of the ids.

    Args:
        root: where the set lies.
        layout: see the module.
        labels: folder with files of the same names; None: `root/masks` where that exists, else photos without labels.
        label_kind: what `labels` holds.
        split: "official" (the set's own where it has one, else all photos are "all"), or a CSV in `root` with id,split.
        limit: take only the first so many.
        choice: which of the photos.

    Raises:
        UserError: photos or labels are missing, or two would write the same files; tells all at once.
    """
    if not root.is_dir():
        raise UserError(f"{root}: expected a folder with photos, found nothing; set data.root")
    labels = labels if labels is not None else _existing(root / "masks")
    found = _PHOTOS[layout](root, labels)
    choice.check({photo.name for photo in found}, told=root)
    photos = [photo for photo in found if choice.takes(photo.name)][:limit]
    splits = (
        _splits(root, layout, photos)
        if split == "official"
        else read_split_csv(root / split, [photo.name for photo in photos])
    )
    label_of = {} if labels is None else _labels_by_name(labels, photos)
    return [
        PhotoFace(
            id=photo.name,
            photo_id=photo.name,
            image=photo.path,
            label=label_of.get(photo.name),
            label_kind=label_kind,
            face=None,
            split=splits[photo.name],
            subject=photo.path.parent.name if layout == "lfw" else photo.name,
        )
        for photo in photos
    ]


def _folder(root: Path, labels: Path | None) -> list[Photo]:
    base = _existing(root / "images") or root
    inside = labels is not None and labels.resolve() != base.resolve()
    return find_photos(str(base), leave_out=labels if inside else None).photos


def _ffhq(root: Path, labels: Path | None) -> list[Photo]:
    base = next((root / name for name in ("images1024x1024", "thumbnails128x128") if (root / name).is_dir()), root)
    found = _folder(base, labels)
    _refuse_odd(found, r"(.*/)?\d+", f"{base}: expected FFHQ, photos named by number as in 00000/00000.png")
    return found


def _lfw(root: Path, labels: Path | None) -> list[Photo]:
    base = _existing(root / "lfw") or root
    found = _folder(base, labels)
    _refuse_odd(found, r"([^/]+)/\1_\d+", f"{base}: expected LFW, photos named as Some_Person/Some_Person_0001.jpg")
    return found


_PHOTOS: dict[str, Callable[[Path, Path | None], list[Photo]]] = {
    "folder": _folder,
    "ffhq": _ffhq,
    "lfw": _lfw,
}


def _existing(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


def _refuse_odd(photos: Sequence[Photo], pattern: str, expectation: str) -> None:
    odd = [photo.id for photo in photos if not re.fullmatch(pattern, photo.name)]
    if odd:
        raise UserError(f"{expectation}; {len(odd)} of {len(photos)} are not, e.g. {odd[:3]}. Use source.layout=folder")


def _labels_by_name(labels: Path, photos: Sequence[Photo]) -> dict[str, Path]:
    """Return photo name -> file of the same name in the folder of labels.

    Raises:
        UserError: there is no file for some photos, or two for one.
    """
    found: dict[str, list[Path]] = {}
    for path in list_images(labels, recursive=True):
        found.setdefault(path.relative_to(labels).with_suffix("").as_posix(), []).append(path)
    missing = [photo.id for photo in photos if photo.name not in found]
    twice = [" and ".join(map(str, found[photo.name])) for photo in photos if len(found.get(photo.name, ())) > 1]
    problems = []
    if missing:
        problems.append(f"no file of the same name for {len(missing)} of {len(photos)} photos, e.g. {missing[:3]}")
    if twice:
        problems.append(f"two files for one photo: {'; '.join(twice[:3])}")
    if problems:
        raise UserError(f"{labels}: {', and '.join(problems)}; add or remove files, or leave source.labels out")
    return {name: paths[0] for name, paths in found.items()}


def _splits(root: Path, layout: str, photos: Sequence[Photo]) -> Mapping[str, str]:
    if layout == "ffhq":
        number_of = {photo.name: int(Path(photo.name).name) for photo in photos}
        return {name: "train" if number < FFHQ_FIRST_VALIDATION else "val" for name, number in number_of.items()}
    lists = {split: root / name for name, split in LFW_SPLITS.items()}
    if layout == "lfw" and all(path.exists() for path in lists.values()):
        split_of = {name: split for split, path in lists.items() for name in _read_people(path)}
        return {photo.name: split_of.get(photo.path.parent.name, NO_SPLIT) for photo in photos}
    return {photo.name: NO_SPLIT for photo in photos}


def _read_people(path: Path) -> list[str]:
    """Return the names of LFW's lists of people: a count, then lines "name, tab, number of photos"."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [fields[0] for fields in lines if len(fields) == 2]


def read_split_csv(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Return photo name -> split.

    Raises:
        UserError: there is no such file, or it lacks a photo.
    """
    if not path.is_file():
        raise UserError(f"{path}: expected a CSV with the columns id and split, found nothing; set source.split")
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if not {"id", "split"} <= set(reader.fieldnames or ()):
            raise UserError(f"{path}: expected a CSV with the columns id and split, found {reader.fieldnames}")
        splits = {row["id"]: row["split"] for row in reader}
    unknown = [name for name in names if name not in splits]
    if unknown:
        raise UserError(f"{path}: has no row for {len(unknown)} photos, e.g. {unknown[:5]}; ids have no suffix")
    return splits
