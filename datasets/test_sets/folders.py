"""Readers of trees with a folder of photos and one of masks of equal names.

folder        {images}/**/{name}.jpg   [{masks}/**/{name}.png]   [{ignore}/**/{name}.png: pixels not to score]
realocc       {image or img}/val_{n}.jpg   mask/val_{n}.png (0/1)   split/val.txt (one name a line; without it: all)
realocc_wild  {image or img}/failed_aligned_{n}.jpg   mask/{same}.png (0/255 or 0/1)   [split/*.txt]
faceocc_cofw  COFW_test/img/{name}.jpg   COFW_test/mask/{name}.png   (256 px crops; FaceOcc's one test set)
occluded_dev  images/ masks/ ignore/ occluders/ (class map, `OCCLUDER_CLASSES`)   index.csv (id, source_file,
              occluded_frac_of_outline where it is known)

RealOcc and RealOcc-Wild: Voo et al. 2022; 550 and 270 pairs. The photos of RealOcc-Wild are up to about 8192 x 8688 px,
and the face is about a third of them: it needs `crop: detect`. FaceOcc: Yin and Chen 2022.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from common.image_io import UnreadableImageError, read_label
from datasets.test_sets.listing import by_name, chosen_names, first_folder, note_alone, pair_up
from datasets.test_sets.record import Problem, Problems, Request, TestImage, note

# Ids of `occluders/` in the development set. Clear glasses and hair are listed, too, though the first count as face.
OCCLUDER_CLASSES = {
    1: "hand", 2: "object", 3: "sunglasses", 4: "glasses", 5: "hair", 7: "cloth", 8: "mask",
}  # fmt: skip
HIDDEN_SHARE = "occluded_frac_of_outline"
PHOTO_FOLDERS = ("image", "img", "images")
MASK_FOLDERS = ("mask", "masks")


def read_folder(request: Request, problems: Problems) -> list[TestImage]:
    """Return photos with their masks; all without masks where the set has no folder of them."""
    root = request.root
    photos = root / (request.images or "images")
    masks = root / (request.masks or "masks")
    if request.masks is None and not masks.is_dir() and photos.is_dir():
        return [TestImage(name, path) for name, path in by_name(photos, problems).items()]
    photo_of, mask_of = by_name(photos, problems), by_name(masks, problems)
    note_alone(problems, photos=photos, photo_names=photo_of, masks=masks, mask_names=mask_of)
    ignore_of = {}
    if request.ignore is not None:
        ignore_of = by_name(root / request.ignore, problems)
        alone = photo_of.keys() - ignore_of.keys()
        note(problems, f"photos without an ignore mask in {root / request.ignore}", alone)
    return [
        TestImage(name, path, mask_of[name], ignore=ignore_of.get(name))
        for name, path in photo_of.items()
        if name in mask_of
    ]


def read_realocc(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos of RealOcc or RealOcc-Wild that the split file lists, or all."""
    root = request.root
    photos = first_folder(root, PHOTO_FOLDERS if request.images is None else (request.images,))
    masks = first_folder(root, MASK_FOLDERS if request.masks is None else (request.masks,))
    photo_of, mask_of = by_name(photos, problems), by_name(masks, problems)
    note(problems, f"masks without a photo in {photos}", mask_of.keys() - photo_of.keys())
    listed = root / (request.split or "split/val.txt")
    wanted = request.split is not None or listed.exists()
    names = chosen_names(listed, photo_of, problems, photos=photos) if wanted else list(photo_of)
    note(problems, f"photos without a mask in {masks}", set(names) - mask_of.keys())
    return [TestImage(name, photo_of[name], mask_of[name]) for name in names if name in mask_of]


def read_faceocc_cofw(request: Request, problems: Problems) -> list[TestImage]:
    """Return the test set of FaceOcc's release; `root` is the release or its folder COFW_test."""
    root = request.root / "COFW_test" if (request.root / "COFW_test").is_dir() else request.root
    pairs = pair_up(root / (request.images or "img"), root / (request.masks or "mask"), problems)
    return [TestImage(name, photo, mask) for name, (photo, mask) in pairs.items()]


def read_occluded_dev(request: Request, problems: Problems) -> list[TestImage]:
    """Return photos with real occlusions, the kinds of which the class map of each tells."""
    root = request.root
    records = read_folder(request._replace(ignore=request.ignore or "ignore"), problems)
    classes = by_name(root / "occluders", problems)
    note(
        problems,
        f"photos without a class map in {root / 'occluders'}",
        {record.id for record in records} - classes.keys(),
    )
    index = _index(root / "index.csv", problems)
    return [
        record._replace(
            occlusion_types=_types(classes[record.id], problems) if record.id in classes else (),
            subject=index.get(record.id, {}).get("source_file"),
            coverage=_share(index.get(record.id, {}).get(HIDDEN_SHARE)),
        )
        for record in records
    ]


def _types(path: Path, problems: Problems) -> tuple[str, ...]:
    try:
        found = set(np.unique(read_label(path)).tolist()) - {0}
    except UnreadableImageError as error:
        problems.append(Problem(str(error)))
        return ()
    unknown = sorted(found - OCCLUDER_CLASSES.keys())
    if unknown:
        problems.append(Problem(f"{path}: unknown classes {unknown}; known: {OCCLUDER_CLASSES}"))
    return tuple(name for number, name in OCCLUDER_CLASSES.items() if number in found)


def _index(path: Path, problems: Problems) -> dict[str, dict[str, str]]:
    """Return id -> row, of which `source_file` is the photo that it was cut from; {} without the table."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        if not {"id", "source_file"} <= set(rows.fieldnames or ()):
            problems.append(Problem(f"{path}: expected the columns id and source_file, found {rows.fieldnames}"))
            return {}
        return {row["id"]: row for row in rows}


def _share(text: str | None) -> float | None:
    """Return a share as a number; None where the table leaves it open."""
    try:
        share = float(text or "")
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None
