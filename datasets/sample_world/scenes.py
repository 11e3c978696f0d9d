"""Portraits with something in front: the test set, and the aligned photos with hand-labelled occluders."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.geometry import Affine, apply_to_image, apply_to_label
from common.labels import PART_ID, FacePolicy, visible_mask
from datasets.sample_world.canvas import Canvas, Points
from datasets.sample_world.cutout import lay_over
from datasets.sample_world.face import Portrait, develop
from datasets.sample_world.hand_pose import draw_hand
from datasets.sample_world.hands import render_hand
from datasets.sample_world.head import Head
from datasets.sample_world.lighting import Light
from datasets.sample_world.objects import render_object
from datasets.sample_world.wearables import draw_mask, draw_shades, paint_mask, paint_shades

# A fixed round, so that even a small test set shows a mix; about one in eight is free.
TEST_ROUND = (
    "hand", "mask", "cup", "sunglasses", "flower", "none", "hand", "phone",
    "camera", "hand", "microphone", "hand", "icecream", "none", "mask", "hand",
)  # fmt: skip
ALIGNED_ROUND = ("hand", "cup", "mask", "phone", "hand", "microphone", "sunglasses", "book")
# Where a thing is held: the landmark it covers, the point of the thing (shares of its square) that lies there, its
# height in head units, its lean in degrees.
HOLDS: dict[str, tuple[tuple[int, ...], tuple[float, float], tuple[float, float], float]] = {
    "cup": ((62, 57), (0.46, 0.25), (1.25, 1.7), 20.0),
    "phone": ((2, 48, 14, 54), (0.5, 0.35), (2.0, 2.5), 28.0),
    "microphone": ((57, 8), (0.5, 0.16), (1.9, 2.4), 30.0),
    "flower": ((33, 62, 31), (0.5, 0.32), (1.9, 2.6), 35.0),
    "camera": ((28, 39, 42), (0.5, 0.52), (1.7, 2.2), 10.0),
    "icecream": ((62, 57), (0.5, 0.20), (1.5, 2.0), 25.0),
    "book": ((57, 8), (0.5, 0.20), (1.8, 2.3), 12.0),
}
ALIGN_SIZE_PX = 256
ALIGN_UNIT_PX = 116.0
# Eyes, nose tip and mouth corners of the aligned face, y up, in template units (the mean 3D face behind `pos3d`).
ALIGN_TEMPLATE = np.array(
    [
        (-0.31148657, 0.29036078, 0.13377953), (0.30979887, 0.28972036, 0.13179526),
        (0.00325350, -0.04617932, 0.55244243),
        (-0.25216928, -0.38133916, 0.22405732), (0.24846619, -0.38128236, 0.22235769),
    ]
)  # fmt: skip


class Scene(NamedTuple):
    """A finished photo: image (S, S, 3) uint8, label (S, S) uint8 with occluders, coverage (S, S) of what was added."""

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    covered: NDArray[np.bool_]
    head: Head


def occlude(portrait: Portrait, kind: str, *, rng: np.random.Generator) -> Scene:
    """Return the portrait with one occluder of `kind` in front of the face ("none" adds nothing)."""
    canvas = Canvas(portrait.head.size_px)
    canvas.image[:], canvas.label[:] = portrait.image, portrait.label
    head, light = portrait.head, portrait.person.light
    if kind == "hand":
        depth = portrait.person.complexion.depth if rng.random() < 0.7 else None
        _reach_in(canvas, head, light=light, depth=depth, rng=rng)
    elif kind == "mask":
        paint_mask(canvas, head, look=draw_mask(rng), light=light, rng=rng)
    elif kind == "sunglasses":
        paint_shades(canvas, head, shades=draw_shades(rng), light=light)
    elif kind != "none":
        _hold(canvas, portrait, kind=kind, rng=rng)
    covered = canvas.label != portrait.label
    # Parts that kept their id (glasses over glasses) still count as covered where the picture changed.
    covered |= np.isin(canvas.label, [PART_ID["mask"], PART_ID["hand"], PART_ID["object"]])
    image = develop(canvas.image, grain=portrait.person.grain, soft_px=portrait.person.soft_px, rng=rng)
    return Scene(image, canvas.label, covered, head)


def visible_face(scene: Scene) -> NDArray[np.uint8]:
    """Return the values 0 and 1 (S, S) uint8 of the published test masks: 1 where the face is seen."""
    return visible_mask(scene.label, FacePolicy()).astype(np.uint8)


def _placement(*, anchor: Points, at: Points, scale: float, angle: float) -> Affine:
    """Return the 2x3 transform that turns by `angle`, scales, and brings `anchor` to `at`."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear_part = np.array([[cos, -sin], [sin, cos]])
    return np.hstack([linear_part, (at - linear_part @ anchor)[:, None]])


def _seen_from(light: Light, angle: float) -> Light:
    """Return the light in the frame of a picture that will be turned clockwise by `angle`."""
    x, y, z = light.direction
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    return replace(light, direction=(x * cos + y * sin, y * cos - x * sin, z))


def _shadow(head: Head, light: Light, *, share: float) -> tuple[float, float, float]:
    unit = head.unit_px
    return (-light.direction[0] * share * unit, (0.4 - light.direction[1]) * share * unit, 0.7 * share * unit)


def _reach_in(canvas: Canvas, head: Head, *, light: Light, depth: float | None, rng: np.random.Generator) -> None:
    """Paint a hand that comes in from the border and touches the face."""
    target = head.landmarks[int(rng.choice([2, 5, 8, 11, 14, 30, 33, 48, 54, 57, 66, 62, 37, 44, 19, 24]))]
    lean = float(rng.normal(0.0, 0.75))
    side = np.sign(target[0] - head.landmarks[30, 0]) or 1.0
    if abs(lean) > 0.3:
        lean = abs(lean) * -side  # an arm crosses the face less often than it comes from its own side
    angle = float(np.pi + np.clip(lean, -1.9, 1.9))
    look = replace(draw_hand(rng, depth=depth), forearm=2.6)
    unit_px = head.unit_px * float(rng.uniform(0.86, 1.08))
    drawn_px = min(unit_px, 110.0)
    colour, alpha = render_hand(look, _seen_from(light, angle), unit_px=drawn_px, rng=rng)
    reach = float(rng.uniform(0.55, 1.75)) if look.pose in ("open", "relaxed") else float(rng.uniform(0.6, 1.2))
    anchor = np.array([1.25, 0.55 + 0.8 * look.forearm + reach]) * drawn_px
    matrix = _placement(anchor=anchor, at=target, scale=unit_px / drawn_px, angle=angle)
    lay_over(
        canvas,
        colour * alpha[..., None],
        alpha=alpha,
        to_canvas=matrix,
        part=PART_ID["hand"],
        shadow=_shadow(head, light, share=0.09),
    )


def _hold(canvas: Canvas, portrait: Portrait, *, kind: str, rng: np.random.Generator) -> None:
    """Paint a thing held before the face, often with the hand that holds it."""
    head, light = portrait.head, portrait.person.light
    landmarks, anchor, heights, lean = HOLDS[kind]
    target = head.landmarks[int(rng.choice(landmarks))] + rng.normal(0, 0.06, 2) * head.unit_px
    angle = float(np.radians(np.clip(rng.normal(0, lean / 2), -lean, lean)) + 0.6 * head.pose.roll)
    size_px = 320
    picture = render_object(kind, _seen_from(light, angle), size_px=size_px, rng=rng)
    scale = float(rng.uniform(*heights)) * head.unit_px / size_px
    matrix = _placement(anchor=np.array(anchor) * size_px, at=target, scale=scale, angle=angle)
    lay_over(
        canvas,
        picture.image,
        alpha=picture.alpha,
        to_canvas=matrix,
        part=PART_ID["object"],
        shadow=_shadow(head, light, share=0.13),
    )
    if rng.random() < 0.65:
        grip = matrix[:, :2] @ (np.array([0.5, 0.82]) * size_px) + matrix[:, 2]
        look = replace(draw_hand(rng, depth=portrait.person.complexion.depth), pose="fist", forearm=2.6, back=True)
        turn = float(np.pi + angle + rng.normal(0, 0.25))
        unit_px = head.unit_px * 0.95
        colour, alpha = render_hand(look, _seen_from(light, turn), unit_px=min(unit_px, 110.0), rng=rng)
        ratio = unit_px / min(unit_px, 110.0)
        palm = np.array([1.25, 0.55 + 0.8 * look.forearm + 0.8]) * unit_px / ratio
        held = _placement(anchor=palm, at=grip, scale=ratio, angle=turn)
        lay_over(
            canvas,
            colour * alpha[..., None],
            alpha=alpha,
            to_canvas=held,
            part=PART_ID["hand"],
            shadow=_shadow(head, light, share=0.07),
        )


def photo_to_aligned(landmarks: Points) -> Affine:
    """Return the transform (scale and shift only) from a photo to the 256 px aligned crop.

    Args:
        landmarks: (68, 2) pixels of the photo.

    Source: weak-perspective least squares on five points, as in Deng et al., "Accurate 3D Face Reconstruction with
        Weakly-Supervised Learning", 2019; scale such that a template unit spans 116 px.
    """
    five = np.stack(
        [
            landmarks[[36, 39]].mean(axis=0),
            landmarks[[42, 45]].mean(axis=0),
            landmarks[30],
            landmarks[48],
            landmarks[54],
        ]
    )
    known = np.column_stack([ALIGN_TEMPLATE, np.ones(5)])
    # The photo's y runs down: its rows are solved with the sign turned.
    row_x, row_y = np.linalg.lstsq(known, five * [1.0, -1.0], rcond=None)[0].T
    scale = ALIGN_UNIT_PX / ((np.linalg.norm(row_x[:3]) + np.linalg.norm(row_y[:3])) / 2)
    shift = ALIGN_SIZE_PX / 2 - scale * np.array([row_x[3], -row_y[3]])
    return np.column_stack([np.eye(2) * scale, shift])


def aligned_rgba(scene: Scene) -> NDArray[np.uint8]:
    """Return the scene as RGBA (256, 256, 4): the aligned photo, alpha 255 where the occluder is."""
    matrix = photo_to_aligned(scene.head.landmarks)
    size = (ALIGN_SIZE_PX, ALIGN_SIZE_PX)
    image = apply_to_image(matrix, scene.image, size=size)
    covered = apply_to_label(matrix, scene.covered.astype(np.uint8) * np.uint8(255), size=size)
    return np.dstack([image, cv2.medianBlur(covered, 3)])
