"""Readers of CelebAMask-HQ and of the sets of Voo et al. 2022 that were made of it.

celebamask_hq     CelebA-HQ-img/{i}.jpg                                  1024 px
                  CelebAMask-HQ-mask-anno/{i//2000}/{i:05d}_{part}.png   512 px, see `common.celebamask_hq`
                  CelebA-HQ-to-CelebA-mapping.txt, or a CSV with id,split
celebamask_hq_wo  CelebAMask-HQ-WO-Train_img/{id}.jpg   CelebAMask-HQ-WO-Train_mask/{id}.png (3-channel 0/255)
celebamask_hq_o   the same with O for WO: photos with occlusions
                  any *.txt with one {id}.jpg a line, named by `split`
masks_corrected   CelebAMask-HQ-masks_corrected/{id}.png (C-CM): name it in `masks` of either of the two

WO has 24,602 photos for training, the corrected masks are 29,200.
"""

from __future__ import annotations

import csv
from pathlib import Path

from common.celebamask_hq import IMAGES, MAPPING, MASKS, list_parts, read_official_split
from common.errors import UserError
from datasets.test_sets.listing import by_name, chosen_names, note_alone
from datasets.test_sets.record import Problem, Problems, Request, TestImage, note

SPLIT_CSV = "split.csv"


def read_celebamask_hq(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos of one split, or all; those without a skin mask are noted."""
    root = request.root
    photo_of = by_name(root / (request.images or IMAGES), problems)
    odd = [name for name in photo_of if not name.isdecimal()]
    note(problems, f"photos that are not named by number in {root / IMAGES}", odd)
    masks = root / (request.masks or MASKS)
    if not masks.is_dir():
        problems.append(Problem(f"the folder {masks} is missing"))
    parts = list_parts(masks) if masks.is_dir() else {}
    numbers = sorted(int(name) for name in photo_of.keys() - set(odd))
    bare = [str(number) for number in numbers if "skin" not in parts.get(number, {})]
    note(problems, f"photos without a skin mask in {masks}", bare)
    note(problems, f"masks without a photo in {root / IMAGES}", (str(number) for number in parts.keys() - set(numbers)))
    splits = _splits(root, problems)
    if splits:
        note(problems, "photos that the split does not list", (str(n) for n in numbers if n not in splits))
    return [
        TestImage(
            str(number),
            photo_of[str(number)],
            parts[number]["skin"],
            coding="celebamask_hq",
            truth_scaled=True,
            subject=str(number),
            split=splits.get(number),
        )
        for number in numbers
        if "skin" in parts.get(number, {}) and (request.split is None or splits.get(number) == request.split)
    ]


def _splits(root: Path, problems: Problems) -> dict[int, str]:
    """Return number -> split by a CSV of the user, or the official one; {} where there is neither."""
    path = root / SPLIT_CSV if (root / SPLIT_CSV).is_file() else root / MAPPING
    if not path.is_file():
        problems.append(Problem(f"neither {root / MAPPING} nor {SPLIT_CSV} is there", fix="copy one of them"))
        return {}
    if path.name == MAPPING:
        try:
            return read_official_split(path)
        except UserError as error:
            problems.append(Problem(str(error)))
            return {}
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        if not {"id", "split"} <= set(rows.fieldnames or ()):
            problems.append(Problem(f"{path}: expected the columns id and split, found {rows.fieldnames}"))
            return {}
        return {int(row["id"]): row["split"] for row in rows if row["id"].isdecimal()}


def read_without_occlusion(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos of CelebAMask-HQ-WO."""
    return _read_voo(request, problems, prefix="CelebAMask-HQ-WO")


def read_with_occlusion(request: Request, problems: Problems) -> list[TestImage]:
    """Return the photos of CelebAMask-HQ-O."""
    return _read_voo(request, problems, prefix="CelebAMask-HQ-O")


def _read_voo(request: Request, problems: Problems, *, prefix: str) -> list[TestImage]:
    """Return photos with black-and-white masks, all or those of the split file; corrected masks may be more."""
    root = request.root
    photos = root / request.images if request.images else _folder(root, prefix, "_img")
    masks = root / request.masks if request.masks else _folder(root, prefix, "_mask")
    photo_of = by_name(photos, problems)
    mask_of = by_name(masks, problems)
    names = list(photo_of)
    if request.split is not None:
        names = chosen_names(root / request.split, photo_of, problems, photos=photos)
    shared = request.masks is not None  # the corrected masks are those of WO and O together
    note_alone(
        problems,
        photos=photos,
        photo_names=names,
        masks=masks,
        mask_names=mask_of.keys() & set(names) if shared or request.split is not None else mask_of,
    )
    return [
        TestImage(name, photo_of[name], mask_of[name], truth_scaled=True, subject=name)
        for name in names
        if name in mask_of
    ]


def _folder(root: Path, prefix: str, suffix: str) -> Path:
    """Return the folder `prefix`*`suffix` in `root`; the published WO has "-Train" between the two."""
    found = [
        path for path in sorted(root.glob(f"{prefix}*{suffix}")) if path.is_dir() and path.name[len(prefix)] in "-_"
    ]
    return found[0] if found else root / f"{prefix}-Train{suffix}"
