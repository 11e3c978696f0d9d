"""Every published layout by name, and one function that writes any of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from common.errors import UserError
from common.image_io import write_bytes
from datasets.sample_world.published.celebamask_hq import write_celebamask_hq
from datasets.sample_world.published.cofw import write_cofw
from datasets.sample_world.published.draw import Plan
from datasets.sample_world.published.faceocc import write_faceocc
from datasets.sample_world.published.identities import write_egohands, write_lfw, write_mfr2, write_mlfw
from datasets.sample_world.published.photos import (
    write_helen,
    write_lapa,
    write_lfw_pl,
    write_occluded_dev,
    write_realocc,
    write_realocc_wild,
)

# Folder that a set is written into -> what writes it.
PUBLISHED_SETS: dict[str, Callable[[Plan], None]] = {
    "CelebAMask-HQ": write_celebamask_hq,
    "RealOcc": write_realocc,
    "RealOcc-Wild": write_realocc_wild,
    "COFW": write_cofw,
    "FaceOcc": write_faceocc,
    "LFW-PL": write_lfw_pl,
    "LaPa": write_lapa,
    "Helen": write_helen,
    "LFW": write_lfw,
    "MLFW": write_mlfw,
    "MFR2": write_mfr2,
    "occluded_dev": write_occluded_dev,
    "EgoHands": write_egohands,
}
RECORD = "sample_data.json"  # written last, into the set's folder: what it is, and that it is whole
LEAST_PX = 64


def write_published_set(name: str, out: Path, *, faces: int = 8, photo_size: int = 128, seed: int = 0) -> Path:
    """Return the folder `out`/`name` of a drawn set in its published layout; one that is there already is left alone.

    Args:
        name: one of `PUBLISHED_SETS`.
        out: folder of all sets.
        faces: photos, about; sets of pairs and of several parts round it.
        photo_size: width and height of the photos in pixels, even, where the set does not prescribe it.
        seed: of all draws; equal seeds give equal bytes.

    Raises:
        UserError: an unknown name, a size out of range, or `out`/`name` holds something else.
    """
    if name not in PUBLISHED_SETS:
        raise UserError(f"no drawn set is called {name!r}; known: {', '.join(PUBLISHED_SETS)}")
    if faces < 1 or photo_size < LEAST_PX or photo_size % 2:
        raise UserError(
            f"drawn sets need at least 1 face and an even photo size of at least {LEAST_PX}, found {faces} "
            f"and {photo_size}"
        )
    folder = Path(out) / name
    record = {"drawn": name, "faces": faces, "photo_size": photo_size, "seed": seed}
    if folder.is_dir() and any(folder.iterdir()):
        if _read_record(folder) != record | {"whole": True} and _read_record(folder) != record | {"whole": False}:
            raise UserError(f"{folder}: holds something else than the drawn set {record}; give another folder")
        if _read_record(folder)["whole"]:
            return folder
    _write_record(folder, record | {"whole": False})
    PUBLISHED_SETS[name](Plan(folder, faces, photo_size, seed))
    _write_record(folder, record | {"whole": True})
    return folder


def _write_record(folder: Path, record: dict[str, object]) -> None:
    write_bytes(folder / RECORD, (json.dumps(record, indent=2) + "\n").encode())


def _read_record(folder: Path) -> dict[str, object]:
    try:
        record: dict[str, object] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record
