"""Test sets on disk: photos with masks of the visible face.

Layouts, below `root`:

`folder`, what most people have; sub-folders of `images` are kept:
    {images}/{name}.jpg    {masks}/{name}.png    {ignore}/{name}.png (optional: pixels not to score)
`realocc`, as published (Voo et al. 2022):
    {img or image}/val_{n}.jpg    mask/val_{n}.png (0/1)    split/val.txt (one name a line; without it: all photos)
`prepared`, as written by `python -m face_align` and `python -m occlusion_gen`:
    manifest.jsonl    images/    labels/

A reader checks the whole set before anything is scored and tells all faults at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.image_io import UnreadableImageError, image_size, list_images, read_label, read_mask
from common.labels import FacePolicy, visible_mask
from common.manifest import read_samples
from configs.schema import EvalSet

Layout = Literal["folder", "realocc", "prepared"]
Mask = NDArray[np.bool_]

SHOWN = 8  # names a problem; the message counts the rest


class TestImage(NamedTuple):
    """One photo of a test set with its truth.

    Attributes:
        id: unique name, relative and without suffix.
        image: the photo.
        truth: a mask of the visible face or, for layout `prepared`, a label map of parts.
        truth_is_label: whether `truth` is a label map, read by the face policy.
        ignore: mask of the pixels not to score.
        landmarks: `.npy` with the landmarks in pixels of the photo.
    """

    id: str
    image: Path
    truth: Path
    truth_is_label: bool = False
    ignore: Path | None = None
    landmarks: Path | None = None


def build_test_set(section: EvalSet) -> list[TestImage]:
    """Return the images of the test set that `section` describes.

    Raises:
        UserError: as `read_test_set`.
    """
    return read_test_set(
        section.root,
        layout=section.layout,
        images=section.images,
        masks=section.masks,
        ignore=section.ignore,
        split=section.split,
        landmarks=section.landmarks if section.crop == "landmarks" else None,
        limit=section.limit,
    )


def read_test_set(
    root: Path,
    *,
    layout: Layout,
    images: str = "images",
    masks: str = "masks",
    ignore: str | None = None,
    split: str | None = None,
    landmarks: Path | None = None,
    limit: int | None = None,
) -> list[TestImage]:
    """Return the images of a test set after checking that every file is there and every mask fits its photo.

    Args:
        root: folder of the test set.
        layout: which of the trees at the top of this file.
        images: sub-folder of the photos, for layout `folder`.
        masks: sub-folder of the masks, for layout `folder`.
        ignore: sub-folder of the masks of pixels not to score, for layout `folder`; None scores all.
        split: which split, for layout `prepared`; None takes all.
        landmarks: folder of {id}.npy; None needs none.
        limit: take only the first so many.

    Raises:
        UserError: the folder is missing or empty, or the set has faults; the message lists all of them.
    """
    problems: list[str] = []
    if layout != "prepared" and not root.is_dir():  # a missing manifest has its own message, which says how to make it
        raise UserError(f"{root}: expected the folder of a test set, found {'a file' if root.exists() else 'nothing'}")
    match layout:
        case "folder":
            records = _read_folder(root, images=images, masks=masks, ignore=ignore, problems=problems)
        case "realocc":
            records = _read_realocc(root, problems)
        case "prepared":
            records = _read_prepared(root, split)
    if landmarks is not None:
        records = [record._replace(landmarks=landmarks / f"{record.id}.npy") for record in records]
    records = records[:limit]
    problems += _missing_files(records) + _unequal_sizes(records)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(f"{root}: this test set (layout {layout}) is not whole; mend these and run again:\n{listed}")
    if not records:
        raise UserError(f"{root}: no photo found for layout {layout}; see datasets/test_sets.py for what is expected")
    return records


def read_truth(record: TestImage, policy: FacePolicy) -> tuple[Mask, Mask | None]:
    """Return where the face is visible and which pixels are scored (None: all), both (H, W) bool.

    Args:
        record: one image of a test set.
        policy: what counts as face, where the truth is a label map.

    Raises:
        UnreadableImageError: a file is damaged.
    """
    visible = visible_mask(read_label(record.truth), policy) if record.truth_is_label else read_mask(record.truth)
    return visible, None if record.ignore is None else ~read_mask(record.ignore)


def _read_folder(root: Path, *, images: str, masks: str, ignore: str | None, problems: list[str]) -> list[TestImage]:
    photo_of = _by_name(root / images, problems)
    mask_of = _by_name(root / masks, problems)
    ignore_of = _by_name(root / ignore, problems) if ignore is not None else {}
    _note(problems, f"photos without a mask in {root / masks}", photo_of.keys() - mask_of.keys())
    _note(problems, f"masks without a photo in {root / images}", mask_of.keys() - photo_of.keys())
    if ignore is not None:
        _note(problems, f"photos without an ignore mask in {root / ignore}", photo_of.keys() - ignore_of.keys())
    return [
        TestImage(name, path, mask_of[name], ignore=ignore_of.get(name))
        for name, path in photo_of.items()
        if name in mask_of
    ]


def _read_realocc(root: Path, problems: list[str]) -> list[TestImage]:
    photos = root / "image" if (root / "image").is_dir() else root / "img"
    photo_of, mask_of = _by_name(photos, problems), _by_name(root / "mask", problems)
    _note(problems, f"masks without a photo in {photos}", mask_of.keys() - photo_of.keys())
    list_path = root / "split" / "val.txt"
    names = list(photo_of)
    if list_path.exists():
        lines = [line.strip() for line in list_path.read_text(encoding="utf-8").splitlines()]
        names = list(dict.fromkeys(_without_suffix(line) for line in lines if line))
        _note(problems, f"entries of {list_path} without a photo in {photos}", set(names) - photo_of.keys())
    _note(problems, f"photos without a mask in {root / 'mask'}", (set(names) & photo_of.keys()) - mask_of.keys())
    return [TestImage(name, photo_of[name], mask_of[name]) for name in names if name in photo_of and name in mask_of]


def _read_prepared(root: Path, split: str | None) -> list[TestImage]:
    return [
        TestImage(row["id"], root / row["files"]["image"], root / row["files"]["label"], truth_is_label=True)
        for row in read_samples(root, split=split)
    ]


def _by_name(folder: Path, problems: list[str]) -> dict[str, Path]:
    """Return the images below `folder` by their path without suffix; note what is wrong."""
    if not folder.is_dir():
        problems.append(f"the folder {folder} is missing")
        return {}
    found: dict[str, Path] = {}
    repeated = set()
    for path in list_images(folder, recursive=True):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            repeated.add(name)
        found[name] = path
    _note(problems, f"names that more than one file has in {folder}", repeated)
    return found


def _missing_files(records: Iterable[TestImage]) -> list[str]:
    problems: list[str] = []
    for kind in ("image", "truth", "landmarks"):
        paths = [getattr(record, kind) for record in records]
        missing = [str(path) for path in paths if path is not None and not path.is_file()]
        _note(
            problems,
            "photos that are missing" if kind == "image" else f"files of {kind} that are missing",
            missing,
        )
    return problems


def _unequal_sizes(records: Iterable[TestImage]) -> list[str]:
    """Return what is wrong with the sizes of masks, and with headers that cannot be read."""
    unequal, unreadable = [], []
    for record in records:
        try:
            size = image_size(record.image)
            others = [path for path in (record.truth, record.ignore) if path is not None]
            unequal += [
                _sizes(record.image, size, path, image_size(path)) for path in others if image_size(path) != size
            ]
        except UnreadableImageError as error:
            if error.outcome != "missing_file":  # told already
                unreadable.append(str(error))
    problems: list[str] = []
    _note(problems, "masks of another size than their photo (height x width)", unequal)
    _note(problems, "files that cannot be read", unreadable)
    return problems


def _sizes(photo: Path, photo_size: tuple[int, int], mask: Path, mask_size: tuple[int, int]) -> str:
    height, width = photo_size
    return f"{mask} is {mask_size[0]} x {mask_size[1]}, {photo} is {height} x {width}"


def _note(problems: list[str], what: str, names: Iterable[str]) -> None:
    """Add one problem for all `names`, if there are any."""
    ordered = sorted(names)
    if not ordered:
        return
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    problems.append(f"{len(ordered)} {what}: {', '.join(ordered[:SHOWN])}{more}")


def _without_suffix(name: str) -> str:
    """Return a split entry as a name: both `val_3` and `val_3.jpg` are in use."""
    return Path(name).with_suffix("").as_posix() if Path(name).suffix.lower() in (".jpg", ".png") else name
