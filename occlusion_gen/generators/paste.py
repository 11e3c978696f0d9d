"""Paste: occluders over aligned faces, moved a little, with exchanged textures and colours.

Source: Yin and Chen, "FaceOcc: a diverse, high-quality face occlusion dataset for human face extraction", 2022, and
its release. Its changes of the whole sample (turn, scale, flip, shift, colour) are training's `augment`; here are
those of the occluder alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np

from common.geometry import Affine, compose
from common.labels import PART_ID
from configs.schema.pasting import PasteSection, PasteTransformSection
from occlusion_gen.blending.colour_jitter import draw_jitter, jitter
from occlusion_gen.blending.compositing import warp_to_patch
from occlusion_gen.face import Box, Face, Image8, Params, Patch
from occlusion_gen.generators.placement import draw_placement, occluder_to_crop
from occlusion_gen.occluders.canvas import CanvasLibrary
from occlusion_gen.occluders.library import Split, TextureLibrary, open_occluders, open_textures

MIRROR = np.array([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


class Movement(NamedTuple):
    """How far an occluder moves; as in `configs.schema.PasteTransformSection`."""

    rotation_deg: float
    translation: tuple[float, float]
    scale: tuple[float, float]
    shear_deg: float


class Pool(NamedTuple):
    """Occluders of a folder.

    Attributes:
        library: the occluders.
        repeat: how often each file counts when one is drawn.
        movement: of each of them.
        texture_share: share of them whose colours become a texture.
    """

    library: CanvasLibrary
    repeat: int
    movement: Movement
    texture_share: float


@dataclass(frozen=True)
class Paste:
    """One occluder of the pools a face. Attributes as in `configs.schema.PasteSection`."""

    pools: Sequence[Pool]
    textures: TextureLibrary | None
    part: int
    placement: Literal["canvas", "box"] = "canvas"
    area: tuple[float, float] = (0.5, 1.0)
    affine_share: float = 0.7
    flip_share: float = 0.5
    jitter: float = 0.5
    hides_from_alpha: int = 128
    worn: bool = False
    needs_landmarks: bool = False

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision for a face."""
        pool_index, index = self._draw_file(rng)
        pool = self.pools[pool_index]
        flip, swap = rng.random(2)
        texture = self._draw_texture(rng)
        if self.placement == "canvas":
            place: Params = {"movement": _draw_movement(rng, pool.movement)}
        else:
            assert face.box is not None
            box_place = draw_placement(rng, face.box, area=self.area, affine_share=self.affine_share)
            place = {"box": list(face.box), "placement": box_place}
        return {
            "occluder": pool.library.name(index),
            "pool": pool_index,
            "occluder_index": index,
            "flip": bool(flip < self.flip_share),
            "texture": texture if swap < pool.texture_share else None,
            **place,
            "jitter": draw_jitter(rng, limit=self.jitter),
        }

    def patch(self, params: Params, face: Face) -> Patch:
        """Return the occluder in the frame of the face; equal parameters give equal bytes."""
        library, index = self.pools[params["pool"]].library, params["occluder_index"]
        rgba = library[index]
        if params["texture"] is not None:
            assert self.textures is not None
            texture = self.textures.read(self.textures.files[params["texture"][0]][params["texture"][1]])
            rgba = np.dstack([_fit(texture, rgba.shape[:2]), rgba[..., 3]])
        patch = warp_to_patch(rgba, self._to_crop(params, rgba, face), crop_size=face.label.shape)
        if patch.alpha.size == 0:
            return patch
        hides = cv2.threshold(patch.alpha, self.hides_from_alpha - 1, 255, cv2.THRESH_BINARY)[1]
        return patch._replace(colour=jitter(params["jitter"], patch.colour, patch.alpha), hides=hides)

    def _to_crop(self, params: Params, rgba: Image8, face: Face) -> Affine:
        """Return the transform from occluder pixels to crop pixels."""
        height, width = rgba.shape[:2]
        mirrored = MIRROR + np.array([[0, 0, width - 1], [0, 0, 0]])
        if self.placement == "box":
            matrix = occluder_to_crop(
                params["placement"], occluder_size=(height, width), box=Box(*params["box"]), rotate_toward_face=False
            )
            return compose(matrix, mirrored) if params["flip"] else matrix
        crop_size = (face.label.shape[0], face.label.shape[1])
        canvas = self.pools[params["pool"]].library.place(params["occluder_index"])
        matrix = canvas.to_crop((height, width), crop_size)
        if params["flip"]:  # of the whole canvas: what lies on the left cheek goes to the right one
            matrix = compose(MIRROR + np.array([[0, 0, crop_size[1] - 1], [0, 0, 0]]), matrix)
        return compose(move_about_middle(params["movement"], crop_size), matrix)

    def _draw_file(self, rng: np.random.Generator) -> tuple[int, int]:
        """Return the number of a pool and of a file in it; files count as often as their pool repeats them."""
        ends = np.cumsum([pool.repeat * len(pool.library) for pool in self.pools])
        ticket = int(rng.integers(ends[-1]))
        pool = int(np.searchsorted(ends, ticket, side="right"))
        return pool, (ticket - int(ends[pool])) % len(self.pools[pool].library)

    def _draw_texture(self, rng: np.random.Generator) -> list[str | int] | None:
        """Return class and number of a texture, each file as likely as the others; None where there are none."""
        if self.textures is None:
            return None
        classes = self.textures.classes
        ends = np.cumsum([len(self.textures.files[name]) for name in classes])
        ticket = int(rng.integers(ends[-1]))
        at = int(np.searchsorted(ends, ticket, side="right"))
        return [classes[at], ticket - int(ends[at]) + len(self.textures.files[classes[at]])]


def move_about_middle(params: Params, size: tuple[int, int]) -> Affine:
    """Return the transform of a canvas of `size` (height, width): shear, turn and scale about its middle, then shift.

    Args:
        params: "rotation_deg", "translation" (x, y, shares of the canvas), "scale", "shear_deg".
    """
    height, width = size
    angle, shear = math.radians(params["rotation_deg"]), math.tan(math.radians(params["shear_deg"]))
    cosine, sine = params["scale"] * math.cos(angle), params["scale"] * math.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = middle - linear @ middle + np.array(params["translation"]) * (width, height)
    return np.column_stack([linear, shift])


def build_paste(section: PasteSection, *, split: Split, max_side_px: int) -> Paste:
    """Return the generator that the configuration describes.

    Raises:
        UserError: occluders or textures cannot be read.
    """
    pools = []
    for pool in section.pools:
        library = open_occluders(pool.folder, split=split, holdout_share=section.holdout_share, max_side_px=max_side_px)
        masks = pool.kind == "mask"
        movement = _movement(section.masks if masks else section.others)
        texture_share = section.mask_texture_share if masks else section.other_texture_share
        pools.append(Pool(CanvasLibrary(library), pool.repeat, movement, texture_share))
    textures = None
    if section.textures is not None:
        textures = open_textures(
            section.textures, split=split, holdout_share=section.holdout_share, side_px=max_side_px
        )
    return Paste(
        pools=pools,
        textures=textures,
        part=PART_ID[section.part],
        placement=section.placement,
        area=section.area,
        affine_share=section.affine_share,
        flip_share=section.flip_share,
        jitter=section.jitter,
        hides_from_alpha=section.hides_from_alpha,
    )


def _movement(section: PasteTransformSection) -> Movement:
    return Movement(section.rotation_deg, section.translation, section.scale, section.shear_deg)


def _draw_movement(rng: np.random.Generator, limits: Movement) -> Params:
    rotation, shear = rng.uniform(-1, 1, 2) * (limits.rotation_deg, limits.shear_deg)
    translation = rng.uniform(-1, 1, 2) * limits.translation
    return {
        "rotation_deg": round(float(rotation), 3),
        "translation": [round(float(value), 5) for value in translation],
        "scale": round(float(rng.uniform(*limits.scale)), 5),
        "shear_deg": round(float(shear), 3),
    }


def _fit(texture: Image8, size: tuple[int, int]) -> Image8:
    """Return as much of a square texture as has the shape of `size` (height, width), at that size."""
    side, longer = texture.shape[0], max(size)
    part = texture[: max(1, round(side * size[0] / longer)), : max(1, round(side * size[1] / longer))]
    shrinks = part.shape[0] > size[0]
    return cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
