"""CelebAMask-HQ with occluded photos whose labels overlook the occluder, and the sets that were made to mend that.

CelebA-HQ-img/{i}.jpg   CelebAMask-HQ-mask-anno/0/{i:05d}_{part}.png
CelebA-HQ-to-CelebA-mapping.txt   landmarks/{i}.npy
CelebAMask-HQ-WO-Train_img/{i}.jpg   CelebAMask-HQ-WO-Train_mask/{i}.png   CelebAMask-HQ-WO-Train.txt
CelebAMask-HQ-O_img/{i}.jpg          CelebAMask-HQ-O_mask/{i}.png          CelebAMask-HQ-O.txt
CelebAMask-HQ-masks_corrected/{i}.png

Of the faces, every fifth is in neither set and of the official validation split, and every fourth of the others is
occluded: its part masks and its mask in O show the face without the occluder, the corrected mask shows what is seen.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.image_io import write_bytes, write_image
from common.labels import FacePolicy, visible_mask
from datasets.sample_world.files import mapping_text, part_masks, split_of
from datasets.sample_world.published.draw import JPEG_QUALITY, Drawn, Plan, draw, write_landmarks

OCCLUDERS = ("hand", "phone", "mask", "cup")


def write_celebamask_hq(plan: Plan) -> None:
    """Write all of the tree above."""
    ids: dict[str, list[int]] = {"WO-Train": [], "O": []}
    trained = 0
    for index in range(plan.faces):
        name, kind = None, "none"
        if split_of(index) == "train":
            name = "O" if trained % 4 == 3 else "WO-Train"
            kind = OCCLUDERS[trained // 4 % len(OCCLUDERS)] if name == "O" else "none"
            ids[name].append(index)
            trained += 1
        drawn = draw(plan, "CelebAMask-HQ", index, kind=kind)
        _write_face(plan, index, drawn)
        if name is not None:
            _write_pair(plan, index, drawn, name=name)
    write_bytes(plan.out / "CelebA-HQ-to-CelebA-mapping.txt", mapping_text(plan.faces).encode())
    for name, listed in ids.items():
        lines = "".join(f"{index}.jpg\n" for index in listed)
        write_bytes(plan.out / f"CelebAMask-HQ-{name}.txt", lines.encode())


def _write_face(plan: Plan, index: int, drawn: Drawn) -> None:
    write_image(plan.out / "CelebA-HQ-img" / f"{index}.jpg", drawn.image, quality=JPEG_QUALITY)
    folder = plan.out / "CelebAMask-HQ-mask-anno" / str(index // 2000)
    for part, mask in part_masks(drawn.before).items():
        _write_three(folder / f"{index:05d}_{part}.png", mask)
    write_landmarks(plan.out, str(index), drawn)


def _write_pair(plan: Plan, index: int, drawn: Drawn, *, name: str) -> None:
    write_image(plan.out / f"CelebAMask-HQ-{name}_img" / f"{index}.jpg", drawn.image, quality=JPEG_QUALITY)
    original = visible_mask(drawn.before, FacePolicy())
    _write_three(plan.out / f"CelebAMask-HQ-{name}_mask" / f"{index}.png", original)
    _write_three(plan.out / "CelebAMask-HQ-masks_corrected" / f"{index}.png", drawn.visible)


def _write_three(path: Path, mask: NDArray[np.bool_]) -> None:
    write_image(path, np.dstack([mask.astype(np.uint8) * np.uint8(255)] * 3))
