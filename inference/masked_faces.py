"""What the job of masked-face recognition writes: files and rows of photos, pictures of pairs, lists of both."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.image_io import read_image, write_bytes, write_grey, write_image
from common.manifest import Row
from common.photo_list import Photo
from common.visualize import contact_sheet
from datasets.test_sets import Pair
from inference.faces import PhotoMasks
from inference.medical_mask import LOWER_FACE, black_on_white, find_mask, three_columns, without_mask
from inference.photo_masks import Image8
from models.predictor import CropModel

KINDS = {"region": "png", "result": "png", "columns": "jpg"}
COLUMNS = ("id", "outcome", "masked", "lower_face_hidden", *LOWER_FACE, "mask_pixels", "truth")
PAIR_PX = 224  # a column in the picture of a pair


def write_photo(
    folder: Path, model: CropModel, photo: Photo, image: Image8, masks: PhotoMasks, *, masked_from: float
) -> Row:
    """Write the three files of a photo and return what its row says about them.

    Args:
        folder: to write into.
        model: that made the masks.
        photo: which it is.
        image: (H, W, 3) uint8 RGB.
        masks: of the photo.
        masked_from: see `inference.medical_mask.find_mask`.
    """
    mask = find_mask(model, masks, masked_from=masked_from)
    files = {kind: f"{kind}/{photo.name}.{suffix}" for kind, suffix in KINDS.items()}
    digests = {
        "region": write_grey(folder / files["region"], black_on_white(mask.region)),
        "result": write_image(folder / files["result"], without_mask(image, mask.region)),
        "columns": write_image(folder / files["columns"], three_columns(image, mask.region), quality=90),
    }
    return {
        "files": files,
        "sha256": digests,
        "masked": mask.masked,
        "lower_face_hidden": None if mask.share is None else round(mask.share, 4),
        "mask_pixels": int(mask.region.sum()),
    }


def write_pairs(folder: Path, pairs: Sequence[Pair], rows: Mapping[str, Row]) -> None:
    """Write a picture a pair and `pairs.csv`; the number in the name keeps pairs of the same photos apart.

    Args:
        folder: to write into.
        pairs: in the order of the set's list.
        rows: photo name -> row.
    """
    if not pairs:
        return
    lines = []
    for number, pair in enumerate(tqdm(pairs, desc="pairs", unit="pair"), 1):
        first, second = (name.replace("/", "-") for name in (pair.first, pair.second))
        path = folder / "pairs" / f"{number:05d}_{first}__{second}.jpg"
        sides = [rows[pair.first], rows[pair.second]]
        usable = all("files" in row for row in sides)
        if usable:
            strips = [np.hsplit(read_image(folder / row["files"]["columns"]), 3) for row in sides]
            write_image(path, contact_sheet(strips, captions=[pair.first, pair.second], tile_px=PAIR_PX), quality=90)
        masked = ["" if "files" not in row else str(int(row["masked"])) for row in sides]
        picture = path.relative_to(folder).as_posix() if usable else ""
        lines.append([str(number), pair.first, pair.second, str(int(pair.same)), *masked, picture])
    head = ["pair", "name_1", "name_2", "same", "masked_1", "masked_2", "picture"]
    write_bytes(folder / "pairs.csv", _csv([head, *lines]).encode())


def judge(rows: Mapping[str, Row], truth: Mapping[str, bool]) -> Row:
    """Return how many photos have a mask and, where it is known, how often that was right.

    A photo without a found face counts as one without a mask. Shares over nothing are None.

    Args:
        rows: photo name -> row.
        truth: photo name -> whether a mask is worn.
    """
    found = {name: bool(row.get("masked")) for name, row in rows.items() if "reason" not in row}
    known = {name: there for name, there in truth.items() if name in found}
    masked = [found[name] for name, there in known.items() if there]
    bare = [not found[name] for name, there in known.items() if not there]
    return {
        "masked": sum(found.values()),
        "masked_share": _mean(list(found.values())),
        "no_face": sum(row["outcome"] == "no_face" for row in rows.values()),
        "not_used": sum("reason" in row for row in rows.values()),
        "mask_check_n": len(known),
        "mask_check_accuracy": _mean([*masked, *bare]),
        "mask_check_found": _mean(masked),
        "mask_check_left_alone": _mean(bare),
    }


def to_csv(rows: Mapping[str, Row], truth: Mapping[str, bool]) -> str:
    """Return one line a photo; what is not known is empty."""
    lines = []
    for name, row in rows.items():
        coverage = (row.get("faces") or [{}])[0].get("coverage", {})
        cells = [row["id"], row["outcome"], _flag(row.get("masked")), row.get("lower_face_hidden")]
        cells += [coverage.get(region) for region in LOWER_FACE] + [row.get("mask_pixels"), _flag(truth.get(name))]
        lines.append(["" if cell is None else str(cell) for cell in cells])
    return _csv([list(COLUMNS), *lines])


def _csv(lines: Sequence[Sequence[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue()


def _mean(right: Sequence[bool]) -> float | None:
    return sum(right) / len(right) if right else None


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)
