"""Masks as polygons between landmarks, as the Hsu lab's generator draws them; at any size and place, with labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from common.labels import PART_ID
from configs.schema.masks import MaskPolygonSection
from occlusion_gen.face import Face, Image8, Params, Patch, Points, landmarks_of_face
from occlusion_gen.occluders.library import Split, TextureLibrary, open_textures
from occlusion_gen.templates.colours import BODIES, draw_colour
from occlusion_gen.templates.fit import read_head

FRONTAL = (*range(1, 16), 28)
LEFT_PROFILE = (*range(7, 16), 28, 29, 30)  # the face looks to image-left
RIGHT_PROFILE = (*range(9, 0, -1), 28, 29, 30)
PROFILE_FROM_DEG = 55.0  # below, the polygon of a profile would leave half of the mouth free
MARGIN_PX = 2
_BLACK = (0, 0, 0)


@dataclass(frozen=True)
class MaskPolygon:
    """One polygon a face. Attributes as in `configs.schema.masks.MaskPolygonSection`, folder read."""

    profile: Literal["auto", "frontal", "profile"] = "auto"
    blurred_share: float = 0.5
    colour: Literal["black", "random", "texture"] = "black"
    textures: TextureLibrary | None = None
    worn: bool = True
    needs_landmarks: bool = True

    @property
    def part(self) -> int:
        """Class id of masks."""
        return PART_ID["mask"]

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision; none depends on the face."""
        params: Params = {"blurred": bool(rng.random() < self.blurred_share), "colour": list(_BLACK), "texture": None}
        if self.colour == "random":
            params["colour"] = list(draw_colour(rng, BODIES["cloth"], jitter=1.0))
        elif self.textures is not None:
            name = self.textures.classes[int(rng.integers(len(self.textures.classes)))]
            index = int(rng.integers(len(self.textures.files[name])))
            params["texture"] = {"class": name, "index": index, "file": self.textures.files[name][index].name}
        return params

    def patch(self, params: Params, face: Face) -> Patch:
        """Return the mask in the frame of `face`; equal parameters give equal bytes.

        Raises:
            RecordError: the face has no landmarks (`no_landmarks`), or none that span a face (`bad_landmarks`).
        """
        landmarks = landmarks_of_face(face)
        corners = np.rint(outline(landmarks, profile=self.profile)).astype(np.int32)
        (left, top), (right, bottom) = corners.min(axis=0) - MARGIN_PX, corners.max(axis=0) + MARGIN_PX + 1
        height, width = face.label.shape
        rows = slice(int(min(max(top, 0), height)), int(min(max(bottom, 0), height)))
        columns = slice(int(min(max(left, 0), width)), int(min(max(right, 0), width)))
        size = (rows.stop - rows.start, columns.stop - columns.start)
        alpha = np.zeros(size, np.uint8)
        if alpha.size:
            cv2.fillPoly(alpha, [corners - (columns.start, rows.start)], 255)
        hides = alpha
        if params["blurred"] and alpha.size:
            alpha = cv2.GaussianBlur(alpha, (3, 3), 0.5, borderType=cv2.BORDER_REPLICATE)
        return Patch(rows, columns, self._surface(params, size), alpha, hides)

    def _surface(self, params: Params, size: tuple[int, int]) -> Image8:
        drawn = params["texture"]
        if drawn is None or self.textures is None or 0 in size:
            colour = np.zeros((*size, 3), np.uint8)
            if any(params["colour"]):
                colour[:] = params["colour"]
            return colour
        texture = self.textures.read(self.textures.files[drawn["class"]][drawn["index"]])
        side_px = max(size)
        filter_ = cv2.INTER_AREA if side_px < texture.shape[0] else cv2.INTER_LINEAR
        square = cv2.resize(texture, (side_px, side_px), interpolation=filter_)
        return np.ascontiguousarray(square[: size[0], : size[1]])


def outline(landmarks: Points, *, profile: Literal["auto", "frontal", "profile"]) -> Points:
    """Return the corners of the mask, (L, 2) pixels of the crop.

    Args:
        landmarks: (68, 2), numbered from 0.
        profile: auto: told by the turn of the head; which side a profile shows always is.

    Raises:
        RecordError: the points cannot be those of a face (`bad_landmarks`).

    Source: Hsu lab's mask generator, which draws profiles that look to image-left only.
    """
    turn_deg = read_head(landmarks).turn_deg
    if profile == "frontal" or (profile == "auto" and abs(turn_deg) < PROFILE_FROM_DEG):
        return landmarks[list(FRONTAL)]
    return landmarks[list(LEFT_PROFILE if turn_deg < 0 else RIGHT_PROFILE)]


def build_mask_polygon(section: MaskPolygonSection, *, split: Split, max_side_px: int) -> MaskPolygon:
    """Return the generator that the configuration describes.

    Raises:
        UserError: the textures cannot be read.
    """
    textures = None
    if section.colour == "texture" and section.textures is not None:
        textures = open_textures(
            section.textures, split=split, holdout_share=section.holdout_share, side_px=max(48, min(512, max_side_px))
        )
    return MaskPolygon(
        profile=section.profile, blurred_share=section.blurred_share, colour=section.colour, textures=textures
    )
