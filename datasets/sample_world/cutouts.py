"""Cut-outs on the canvas of the aligned face, each where that face would wear or hold it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.labels import PART_ID
from datasets.sample_world.cutout import CutOut, lay_over
from datasets.sample_world.head import Head, Pose
from datasets.sample_world.lighting import Light, draw_light
from datasets.sample_world.objects import render_object
from datasets.sample_world.wearables import draw_mask, draw_shades, paint_mask, paint_shades

SIZE_PX = 256
# The frontal aligned face: eyes at (91.9, 94.3) and (163.9, 94.4), mouth corners at height 172.2.
ALIGNED_POSE = Pose(scale=0.3125, centre=(0.5016, 0.5227))


class Stage(NamedTuple):
    """What a cut-out is painted with: an empty canvas, the head that would wear it, a light, random numbers."""

    canvas: CutOut
    head: Head
    light: Light
    rng: np.random.Generator


def _held(stage: Stage, category: str) -> None:
    """Lay a thing over the mouth, turned and scaled a little."""
    drawn_px = 320
    picture = render_object(category, stage.light, size_px=drawn_px, rng=stage.rng)
    angle = float(stage.rng.normal(0.0, 0.25))
    anchor = {"cup": (0.46, 0.22), "microphone": (0.5, 0.18), "cigarette": (0.5, 0.14)}[category]
    tall = {
        "cup": stage.rng.uniform(1.2, 1.7),
        "microphone": stage.rng.uniform(1.6, 2.2),
        "cigarette": stage.rng.uniform(1.0, 1.4),
    }[category]
    if category == "cigarette":
        angle = float(stage.rng.choice([-1, 1]) * stage.rng.uniform(0.5, 1.2))
    scale = tall * stage.head.unit_px / drawn_px
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    at = stage.head.landmarks[66] + stage.rng.normal(0, 4, 2)
    matrix = np.column_stack([turn, at - turn @ (np.array(anchor) * drawn_px)])
    covered = lay_over(
        stage.canvas,
        picture.image,
        alpha=picture.alpha,
        to_canvas=matrix,
        part=PART_ID["object"],
        shadow=(0.0, 0.0, 1.0),
    )
    stage.canvas.alpha = np.maximum(stage.canvas.alpha, covered)


def _cup_cigarette(stage: Stage) -> None:
    _held(stage, "cup" if stage.rng.random() < 0.6 else "cigarette")


def _glasses(stage: Stage) -> None:
    paint_shades(stage.canvas, stage.head, shades=draw_shades(stage.rng), light=stage.light)


def _mask(stage: Stage) -> None:
    paint_mask(stage.canvas, stage.head, look=draw_mask(stage.rng), light=stage.light, rng=stage.rng)


def _mask_face(stage: Stage) -> None:
    paint_mask(stage.canvas, stage.head, look=draw_mask(stage.rng, kind="domino"), light=stage.light, rng=stage.rng)


def _microphone(stage: Stage) -> None:
    _held(stage, "microphone")


FOLDERS: dict[str, Callable[[Stage], None]] = {
    "cup_cigarette": _cup_cigarette, "glasses": _glasses, "mask": _mask,
    "mask_face": _mask_face, "microphone": _microphone,
}  # fmt: skip


def aligned_cutout(folder: str, *, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a cut-out of the kind that `folder` holds, RGBA (256, 256, 4) uint8."""
    canvas, head = CutOut(SIZE_PX), Head(SIZE_PX, pose=ALIGNED_POSE)
    FOLDERS[folder](Stage(canvas, head, draw_light(rng), rng))
    rgba = canvas.rgba()
    if not rgba[..., 3].any():
        raise AssertionError(f"the {folder} cut-out is empty")
    rgba[..., :3] = cv2.bitwise_and(rgba[..., :3], rgba[..., :3], mask=(rgba[..., 3] > 0).astype(np.uint8))
    return rgba
