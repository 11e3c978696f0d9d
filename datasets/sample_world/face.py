"""A portrait with exact labels and landmarks: everything is painted from one geometry, back to front."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.labels import PART_ID
from datasets.sample_world.attire import paint_cloth, paint_neck, paint_necklace
from datasets.sample_world.backdrop import backdrop
from datasets.sample_world.canvas import Canvas, Field, cover
from datasets.sample_world.ears import paint_ears
from datasets.sample_world.features import paint_brows, paint_eyes, paint_mouth, paint_nose
from datasets.sample_world.hair import hair_layers, paint_before, paint_behind, shadow_on_skin
from datasets.sample_world.head import Head
from datasets.sample_world.headwear import paint_glasses, paint_hat
from datasets.sample_world.person import Person
from datasets.sample_world.skin import grow_beard, paint_skin


class Portrait(NamedTuple):
    """One drawn photo.

    Attributes:
        image: (S, S, 3) float32, linear light, without grain.
        label: (S, S) uint8 class ids of `common.labels.PART_NAMES`: what is seen at each pixel.
        head: the geometry, which knows the landmarks.
        person: the parameters.
    """

    image: Field
    label: NDArray[np.uint8]
    head: Head
    person: Person


def render_face(person: Person, *, size_px: int, rng: np.random.Generator) -> Portrait:
    """Return the portrait of `person` on a square photo of `size_px`.

    Args:
        person: all parameters.
        size_px: width and height of the photo.
        rng: feeds the textures (strands, pores, surroundings).
    """
    head = Head(size_px, person.shape, person.expression, person.pose)
    canvas = Canvas(size_px)
    canvas.image[:] = backdrop(size_px, rng=rng)
    light, depth, attire = person.light, person.complexion.depth, person.attire
    hair = hair_layers(head, person.hair, light=light, rng=rng)
    if hair is not None:
        paint_behind(canvas, hair, style=person.hair)
    paint_neck(canvas, head, attire=attire, depth=depth, light=light)
    paint_cloth(canvas, head, attire=attire, light=light, rng=rng)
    if attire.necklace:
        paint_necklace(canvas, head, attire=attire, light=light)
    paint_ears(canvas, head, attire=attire, depth=depth, light=light)
    _paint_face(canvas, head, person=person, rng=rng)
    if hair is not None:
        canvas.shade(shadow_on_skin(hair, head, light=light), (0.62, 0.52, 0.50))
    if attire.glasses != "none":
        paint_glasses(canvas, head, attire=attire, light=light)
    if hair is not None:
        paint_before(canvas, hair)
    if attire.hat != "none":
        paint_hat(canvas, head, attire=attire, light=light, rng=rng)
    return Portrait(canvas.image, canvas.label, head, person)


def _paint_face(canvas: Canvas, head: Head, *, person: Person, rng: np.random.Generator) -> None:
    skin, _ = paint_skin(head, person.complexion, light=person.light, rng=rng)
    if person.complexion.beard > 0:
        skin = grow_beard(head, person.complexion, colour=skin, rng=rng)
    canvas.paint(cover(head.outline, head.size_px), skin, part=PART_ID["skin"])
    paint_nose(canvas, head, light=person.light)
    paint_brows(canvas, head, look=person.makeup, rng=rng)
    paint_eyes(canvas, head, look=person.makeup, light=person.light)
    paint_mouth(canvas, head, look=person.makeup, light=person.light, skin=skin, rng=rng)


def develop(image: Field, *, grain: float, soft_px: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return what the camera makes of linear light (S, S, 3): lens softness, sensor noise, display values uint8."""
    size = image.shape[0]
    blurred = cv2.GaussianBlur(image, (0, 0), soft_px * size / 512) if soft_px * size / 512 > 0.25 else image
    display = cv2.sqrt(np.clip(blurred, 0.0, 1.0))
    # A gentle shoulder keeps bright skin from clipping.
    display = display - 0.06 * np.clip(display - 0.8, 0, 1) * display
    noisy = display + np.float32(grain) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
