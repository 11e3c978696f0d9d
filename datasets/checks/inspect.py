"""Every file of a set, read whole: what is damaged, what is odd, and a few figures."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.errors import RecordError
from common.image_io import list_images, read_rgba
from common.labels import FacePolicy
from datasets.parallel import each
from datasets.test_sets import TestImage, read_photo, read_truth

POLICY = FacePolicy()


class Finding(NamedTuple):
    """What reading one record, or one file, showed.

    Attributes:
        name: id of the record, or path of the file.
        faults: why it cannot be used.
        size: (height, width) of the photo in pixels; None where it cannot be read.
        face_share: share of the photo that is visible face; None without a truth.
        digest: of the photo's pixels, to tell equal photos.
    """

    name: str
    faults: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    face_share: float | None = None
    digest: str = ""


def inspect_records(records: Sequence[TestImage], *, processes: int, title: str) -> list[Finding]:
    """Return what reading photo and truth of each record showed, in order."""
    return list(each(_inspect_record, records, processes=processes, title=title))


def inspect_folder(folder: Path, *, processes: int, title: str) -> list[Finding]:
    """Return what reading every image below `folder` showed, in order; a folder without images is one fault.

    Raises:
        UserError: there is no such folder.
    """
    files = list_images(folder, recursive=True)
    if not files:
        return [Finding(str(folder), (f"{folder}: no image in it",))]
    return list(each(_inspect_file, files, processes=processes, title=title))


def _inspect_record(record: TestImage) -> Finding:
    faults: list[str] = []
    size, share, digest = None, None, ""
    try:
        photo = read_photo(record)
        size = (photo.shape[0], photo.shape[1])
        digest = hashlib.blake2b(photo.tobytes() + str(size).encode(), digest_size=16).hexdigest()
    except RecordError as error:
        faults.append(str(error))
    if record.truth is not None:
        try:
            share = float(read_truth(record, POLICY)[0].mean())
        except RecordError as error:
            faults.append(str(error))
    return Finding(record.id, tuple(faults), size, share, digest)


def _inspect_file(path: Path) -> Finding:
    try:
        rgba = read_rgba(path)
    except RecordError as error:
        return Finding(str(path), (str(error),))
    height, width = rgba.shape[:2]
    empty = (f"{path}: nothing in it is opaque",) if not np.any(rgba[..., 3]) else ()
    return Finding(str(path), empty, (height, width))
