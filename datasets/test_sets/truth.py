"""The photo of a record and what is true of it: read by meaning, at the photo's own size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from common.array_pickle import read_array_pickle
from common.celebamask_hq import merge_parts
from common.cofw import read_cofw_photo
from common.errors import RecordError
from common.image_io import image_size, read_image, read_label, read_mask, read_rgba
from common.labels import (
    CELEBAMASK_PARTS,
    PART_ID,
    PART_NAMES,
    FacePolicy,
    full_mask,
    known_mask,
    still_visible_mask,
    visible_mask,
)
from common.manifest import read_checked
from datasets.packed import ARRAY_NAMES
from datasets.test_sets.record import TestImage

Image8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

MAX_PICKLE_BYTES = 64_000_000  # FaceOcc's label maps have 65 kB
# Names of the ids 0, 1, 2, ... of other sets.
LAPA_NAMES = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "nose", "u_lip", "mouth", "l_lip", "hair",
)  # fmt: skip
LFW_PL_NAMES = ("background", "skin", "hair")
FACEOCC_NAMES = (
    "background", "skin", "l_brow", "r_brow", "eye_g", "l_eye", "r_eye", "nose", "mouth", "u_lip", "l_lip", "hair",
    "hat",
)  # fmt: skip
HALF = 128  # of 255: from here on a translucent occluder hides the face
LFW_PL_CHANNELS = (1, 0)  # green is face, red is hair, blue is background


def read_photo(record: TestImage) -> Image8:
    """Return the photo of a record, (H, W, 3) uint8 RGB.

    Raises:
        RecordError: the file is damaged, or is not the one that its manifest tells of.
    """
    if record.cofw is not None:
        return read_cofw_photo(record.image, *record.cofw)
    if record.packed is not None:
        return record.packed[0].read("images", record.packed[1])
    return read_image(read_checked(record.image, record.sha256.get("image")))


def read_truth(record: TestImage, policy: FacePolicy) -> tuple[Mask, Mask | None]:
    """Return where the face is visible and which pixels are scored (None: all), both (H, W) bool.

    Args:
        record: one image of a test set.
        policy: what counts as face, where the truth is a label map.

    Raises:
        RecordError: a file is damaged, holds values that mean nothing here (they are named), or is missing.
    """
    if record.truth is None:
        raise RecordError(f"{record.image}: has no mask; only photos with a mask can be scored", outcome="no_truth")
    if not record.truth_is_label:
        visible = read_mask(record.truth, strict=True)
        valid = None
    else:
        label = read_parts(record)
        before = _before(record)
        visible = visible_mask(label, policy) if before is None else still_visible_mask(label, before, policy)
        valid = known_mask(label, label if before is None else before, policy)
    hidden = _stored(record, "hidden", record.hidden)
    if hidden is not None:
        visible &= _of_size(hidden < HALF, visible, record.hidden)
    if record.occluder is not None:
        visible &= _of_size(read_rgba(record.occluder)[..., 3] < HALF, visible, record.occluder)
    visible = _at_photo_size(record, visible)
    if record.ignore is not None:
        scored = _of_size(~read_mask(record.ignore, strict=True), visible, record.ignore)
        valid = scored if valid is None else valid & scored
    return visible, valid


def read_full(record: TestImage, policy: FacePolicy) -> Mask | None:
    """Return the face as if nothing were in front of it, (H, W) bool; None where nobody knows.

    It is known where we put the occluder on: prepared sets keep the label map from before. In other sets, hair and
    hands that were photographed leave holes that nobody can fill.

    Raises:
        RecordError: as `read_truth`.
    """
    before = _before(record) if record.full_known else None
    return None if before is None else full_mask(before, policy)


def read_parts(record: TestImage) -> Image8:
    """Return the label map of a record in the ids of `common.labels`, (H, W) uint8, at its own size.

    Raises:
        RecordError: a file is damaged, or holds ids that the set does not have (they are named).
    """
    assert record.truth is not None
    match record.coding:
        case "parts":
            label = _stored(record, "label", record.truth)
            assert label is not None
            return _named(label, PART_NAMES, record.truth)
        case "celebamask_hq":
            label = merge_parts(_siblings(record.truth), photo=record.image)
            return _enlarged(label, photo_size(record)) if record.truth_scaled else label
        case "lapa":
            return _named(read_label(record.truth), LAPA_NAMES, record.truth)
        case "lfw_pl":
            return _read_lfw_pl(record.truth)
        case "faceocc":
            return _named(_read_pickle(record.truth), FACEOCC_NAMES, record.truth)
        case "mask":
            raise ValueError(f"{record.truth} is a mask, not a label map")


def photo_size(record: TestImage) -> tuple[int, int]:
    """Return (height, width) of the photo, of its header alone where that is possible.

    Raises:
        UnreadableImageError: the file is damaged.
    """
    if record.packed is not None:
        return record.packed[0].size
    return read_photo(record).shape[:2] if record.cofw is not None else image_size(record.image)


def _siblings(skin: Path) -> dict[str, Path]:
    """Return the masks of all parts beside that of the skin."""
    number = skin.name.partition("_")[0]
    paths = {part: skin.with_name(f"{number}_{part}.png") for part in CELEBAMASK_PARTS}
    return {part: path for part, path in paths.items() if path.is_file()}


def _before(record: TestImage) -> Image8 | None:
    return _stored(record, "parts", record.before)


def _stored(record: TestImage, kind: str, path: Path | None) -> Image8 | None:
    if path is None:
        return None
    if record.packed is not None:
        return record.packed[0].read(ARRAY_NAMES[kind], record.packed[1])
    return read_label(read_checked(path, record.sha256.get(kind)))


def _named(label: Image8, names: tuple[str, ...], path: Path) -> Image8:
    """Return the label map with the ids of `common.labels` for those that stand for `names`."""
    largest = int(label.max(initial=0))
    if largest >= len(names):
        values = np.unique(label)
        raise RecordError(
            f"{path}: expected class ids 0..{len(names) - 1} ({', '.join(names)}), found the values "
            f"{values[:16].tolist()}; if it is a mask of the face, take a layout of masks",
            outcome="bad_label",
        )
    table = np.zeros(256, np.uint8)
    table[: len(names)] = [PART_ID[name] for name in names]
    return np.asarray(cv2.LUT(label, table), np.uint8)


def _read_lfw_pl(path: Path) -> Image8:
    try:
        return _named(read_label(path), LFW_PL_NAMES, path)
    except RecordError:  # not ids: then it is the published colours
        colours = read_image(path)
    found = np.unique(colours.reshape(-1, 3), axis=0)
    if not (np.isin(found, (0, 255)).all() and (found.sum(axis=1) <= 255).all()):
        raise RecordError(
            f"{path}: expected the class ids 0 background, 1 face, 2 hair, or blue, green, red for them; found "
            f"{found[:8].tolist()}",
            outcome="bad_label",
        )
    face, hair = (colours[..., channel] > 0 for channel in LFW_PL_CHANNELS)
    return np.select([face, hair], [PART_ID["skin"], PART_ID["hair"]]).astype(np.uint8)


def _read_pickle(path: Path) -> Image8:
    try:
        label = np.asarray(read_array_pickle(path, max_bytes=MAX_PICKLE_BYTES))
        if label.ndim != 2 or label.size == 0 or not np.issubdtype(label.dtype, np.number):
            raise ValueError(f"holds {label.dtype} {label.shape}")
        whole = np.rint(label).astype(np.int64)
        if (whole != label).any() or whole.min() < 0 or whole.max() > 255:
            raise ValueError(f"holds values from {label.min()} to {label.max()}")
    except (OSError, ValueError, TypeError) as error:
        raise RecordError(
            f"{path}: expected a label map (H, W) of whole numbers as in FaceOcc; it {error}", outcome="bad_label"
        ) from error
    return whole.astype(np.uint8)


def _of_size(mask: Mask, other: Mask, path: Path | None) -> Mask:
    if mask.shape != other.shape:
        raise RecordError(f"{path}: is {mask.shape}, the mask of the face {other.shape} (height, width)")
    return mask


def _at_photo_size(record: TestImage, visible: Mask) -> Mask:
    if not record.truth_scaled:
        return visible
    return _enlarged(visible.view(np.uint8), photo_size(record)).view(np.bool_)


def _enlarged(label: Image8, size: tuple[int, int]) -> Image8:
    """Return the label map at `size` (height, width), by the nearest pixel centre."""
    if label.shape == size:
        return label
    return np.asarray(cv2.resize(label, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
