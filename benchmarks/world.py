"""The files that are timed: a folder of real data, or a drawn world."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.errors import UserError
from common.image_io import read_image, write_image, write_label
from datasets.sample_world import write_sample_world
from face_align.celebamask_hq import PhotoRecord, read_celebamask_hq, read_parts, resize_label


@dataclass(frozen=True)
class World:
    """Where photos, occluders and textures lie."""

    faces: Path
    split: str
    hands: Path
    objects: Path
    textures: Path

    def records(self, count: int) -> list[PhotoRecord]:
        """Return the first `count` photos."""
        return read_celebamask_hq(self.faces, split=self.split, limit=count)


def open_world(folder: Path | None, *, scratch: Path) -> World:
    """Return the data in `folder`, or a world drawn into `scratch`.

    Args:
        folder: holds celebamask_hq_mini/, occluders/ and textures/dtd_subset/, or a world of
            `python -m datasets sample`; None draws one.
        scratch: an empty folder.

    Raises:
        UserError: the folder holds neither.
    """
    if folder is None:
        write_sample_world(scratch / "world", faces=40, test_faces=4, processes=1)
        folder = scratch / "world"
    occluders = folder / "occluders"
    if (folder / "celebamask_hq_mini").is_dir():
        faces, split, textures = folder / "celebamask_hq_mini", "split.csv", folder / "textures" / "dtd_subset"
    else:
        faces, split, textures = folder / "CelebAMask-HQ", "official", folder / "textures"
    missing = [str(path) for path in (faces, occluders, textures) if not path.is_dir()]
    if missing:
        raise UserError(f"{folder}: these folders are missing: {', '.join(missing)}; leave out --data to draw a world")
    return World(faces, split, occluders / "hands", occluders / "objects", textures)


def write_crops(records: list[PhotoRecord], folder: Path, *, side_px: int) -> list[tuple[Path, Path]]:
    """Return the paths of (image, label map) at `side_px`, written from whole photos."""
    pairs = []
    for record in records:
        image = cv2.resize(read_image(record.image), (side_px, side_px), interpolation=cv2.INTER_CUBIC)
        pair = folder / f"{record.id}.jpg", folder / f"{record.id}.png"
        write_image(pair[0], image.astype(np.uint8))
        write_label(pair[1], resize_label(read_parts(record), (side_px, side_px)))
        pairs.append(pair)
    return pairs
