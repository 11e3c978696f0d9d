"""COFW as published: MATLAB 7.3 files, which are HDF5, with transposed arrays and references to the photos.

COFW_train_color.mat   845 small photos in place of LFPW's, then ours   masks/mask_{i}.png for photo 845 + i
COFW_test_color.mat    ours                                             masks_test/mask_{i}.png
landmarks/{train or test}_{number:04d}.npy
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.cofw import PHOTOS, PHOTOS_OF_LFPW
from common.image_io import write_mask
from datasets.sample_world.published.draw import Drawn, Plan, draw, write_landmarks

# COFW's 29 points as points of the 68: brows, eyes, pupils, nose, mouth, chin. A pupil is the mean of its eye.
POINTS: tuple[tuple[int, ...], ...] = (
    (17,), (26,), (21,), (22,), (19,), (24,), (20,), (23,),
    (36,), (45,), (39,), (42,), (37,), (41,), (44,), (46,), (36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47),
    (31,), (35,), (30,), (33,),
    (48,), (54,), (51,), (62,), (66,), (57,), (8,),
)  # fmt: skip
LFPW_SIDE_PX = 16
USER_BLOCK_BYTES = 512  # MATLAB's own header stands before the HDF5 part


def write_cofw(plan: Plan) -> None:
    """Write half of the faces as COFW's part of the train file, half as the test file."""
    half = max(1, plan.faces // 2)
    for part, offset, masks in (("train", PHOTOS_OF_LFPW, "masks"), ("test", 0, "masks_test")):
        faces = [draw(plan, "COFW", index + (0 if part == "train" else half)) for index in range(half)]
        for number, drawn in enumerate(faces, 1):
            write_mask(plan.out / masks / f"mask_{number}.png", drawn.visible)
            write_landmarks(plan.out, f"{part}_{offset + number:04d}", drawn)
        _write_file(plan.out / f"COFW_{part}_color.mat", faces, name=PHOTOS[part], fillers=offset)


def points29(drawn: Drawn) -> NDArray[np.float64]:
    """Return a column of `phis`: 29 x, 29 y, 29 flags of hidden points; counted from 1, as MATLAB does."""
    points = np.stack([drawn.landmarks[list(members)].mean(axis=0) for members in POINTS])
    height, width = drawn.label.shape
    rows = np.clip(np.rint(points[:, 1]).astype(int), 0, height - 1)
    columns = np.clip(np.rint(points[:, 0]).astype(int), 0, width - 1)
    hidden = drawn.added[rows, columns]
    return np.concatenate([points[:, 0] + 1, points[:, 1] + 1, hidden.astype(float)])


def _write_file(path: Path, faces: Sequence[Drawn], *, name: str, fillers: int) -> None:
    h5py: Any = importlib.import_module("h5py")
    suffix = name.removeprefix("Is")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with h5py.File(partial, "w", userblock_size=USER_BLOCK_BYTES) as content:
        photos = [np.full((LFPW_SIDE_PX, LFPW_SIDE_PX, 3), 128, np.uint8), *(drawn.image for drawn in faces)]
        for number, photo in enumerate(photos):
            content[f"#refs#/{number}"] = photo.T  # (3, W, H)
        order = [0] * fillers + list(range(1, len(photos)))
        references = np.array([[content[f"#refs#/{number}"].ref for number in order]], dtype=object)
        content.create_dataset(name, data=references, dtype=h5py.ref_dtype)
        empty = np.tile(np.r_[np.full(58, LFPW_SIDE_PX / 2), np.zeros(29)][:, None], fillers)
        content[f"phis{suffix}"] = np.column_stack([empty, *(points29(drawn) for drawn in faces)])  # (87, N)
        content[f"bboxes{suffix}"] = np.column_stack([np.ones((4, fillers)), *(_box(drawn) for drawn in faces)])
    partial.replace(path)


def _box(drawn: Drawn) -> NDArray[np.float64]:
    low, high = drawn.landmarks.min(axis=0), drawn.landmarks.max(axis=0)
    return np.concatenate([low + 1, high - low]).astype(np.float64)
