"""CelebAMask-HQ's published files: names, the official split, and one label map out of the masks of a photo's parts.

ROOT/CelebA-HQ-img/{i}.jpg                                  photos, i = 0 .. 29999
ROOT/CelebAMask-HQ-mask-anno/{i//2000}/{i:05d}_{part}.png   one mask a part, only if the part exists
ROOT/CelebA-HQ-to-CelebA-mapping.txt                        "idx orig_idx orig_file", for the official split
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import RecordError, UserError
from common.image_decoding import ImageSource, path_of
from common.labels import CELEBAMASK_PARTS, PART_ID
from common.mask_reading import read_white

IMAGES = "CelebA-HQ-img"
MASKS = "CelebAMask-HQ-mask-anno"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"

# First index of CelebA's own validation and test partition.
FIRST_VALIDATION, FIRST_TEST = 162771, 182638


def list_parts(folder: Path) -> dict[int, dict[str, Path]]:
    """Return photo number -> name of each part that exists -> its mask, below the folder of all masks."""
    parts: dict[int, dict[str, Path]] = {}
    for path in sorted(folder.glob("*/*.png")):
        number, _, part = path.stem.partition("_")
        if number.isdecimal() and part in PART_ID:
            parts.setdefault(int(number), {})[part] = path
    return parts


def merge_parts(parts: Mapping[str, ImageSource], *, photo: Path) -> NDArray[np.uint8]:
    """Return the label map (H, W) uint8 of ids of `common.labels`, at the size of the part masks.

    Parts are painted in the data set's own order, so that later ones overwrite earlier ones.

    Args:
        parts: name of each part that exists -> its mask, as a path or read already.
        photo: that they belong to, for messages.

    Raises:
        RecordError: `skin` is missing or empty, or the masks of one photo differ in size (outcome "bad_label").
    """
    label: NDArray[np.uint8] | None = None
    for part_name in CELEBAMASK_PARTS:
        if part_name not in parts:
            continue
        part = read_white(parts[part_name])
        if label is None:
            label = np.zeros(part.shape, np.uint8)
        if part.shape != label.shape:
            raise RecordError(
                f"{path_of(parts[part_name])}: mask is {part.shape} but the other parts are {label.shape} "
                "(height, width)",
                outcome="bad_label",
            )
        if part_name == "skin" and not part.any():
            raise RecordError(f"{path_of(parts[part_name])}: the skin mask is empty", outcome="bad_label")
        # Ids rise in the order of painting, so that the larger of two is the later one.
        painted = np.bitwise_and(part, np.uint8(PART_ID[part_name]), out=part)
        np.maximum(label, painted, out=label)
    if label is None or "skin" not in parts:
        raise RecordError(
            f"{photo}: has no skin mask; expected {photo.stem.zfill(5)}_skin.png under {MASKS}", outcome="bad_label"
        )
    return label


def read_official_split(mapping: Path) -> dict[int, str]:
    """Return photo number -> "train", "val" or "test", by CelebA's partition of the original photos.

    Raises:
        UserError: a row is not "idx orig_idx orig_file".
    """
    splits: dict[int, str] = {}
    for number, line in enumerate(mapping.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split()
        if not fields or (number == 1 and fields[0] == "idx"):
            continue
        if len(fields) != 3 or not (fields[0].isdecimal() and fields[1].isdecimal()):
            raise UserError(f"{mapping}:{number}: expected 'idx orig_idx orig_file', found {line!r}")
        splits[int(fields[0])] = official_split(int(fields[1]))
    return splits


def official_split(original_index: int) -> str:
    """Return the split of a photo by its index in CelebA."""
    if original_index >= FIRST_TEST:
        return "test"
    return "val" if original_index >= FIRST_VALIDATION else "train"
