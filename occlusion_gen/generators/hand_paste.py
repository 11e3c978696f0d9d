"""Hands of other people pasted on faces as they are.

Source: Nirkin et al., "On face segmentation, face swapping, and face perception", 2018 (hands of EgoHands).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.geometry import Affine, compose
from common.labels import PART_ID
from configs.schema.pasting import HandPasteSection
from occlusion_gen.blending.compositing import warp_to_patch
from occlusion_gen.face import Face, Params, Patch
from occlusion_gen.occluders.library import OccluderLibrary, Split, open_occluders

# Where the middle of the hand may lie: ((least x, largest x), (least y, largest y)), shares of the crop.
PLACEMENTS = {"generic": ((0.25, 0.75), (0.5, 1.0)), "centred": ((0.25, 0.75), (0.25, 0.75))}


@dataclass(frozen=True)
class HandPaste:
    """Cut-outs of hands. Attributes as in `configs.schema.HandPasteSection`."""

    library: OccluderLibrary
    placement: Literal["generic", "centred"]
    area_share: float
    rotations_deg: tuple[float, ...]
    part: int = PART_ID["hand"]
    worn: bool = False
    needs_landmarks: bool = False

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision; it depends on the size of the crop alone."""
        index = int(rng.integers(len(self.library)))
        rotation = self.rotations_deg[int(rng.integers(len(self.rotations_deg)))]
        height, width = face.label.shape
        across, down = (rng.uniform(*bounds) for bounds in PLACEMENTS[self.placement])
        return {
            "occluder": self.library.name(index),
            "occluder_index": index,
            "rotation_deg": float(rotation),
            "centre_px": [round(across * width - 0.5, 2), round(down * height - 0.5, 2)],
        }

    def patch(self, params: Params, face: Face) -> Patch:
        """Return the hand in the frame of the crop; equal parameters give equal bytes."""
        hand = self.library[params["occluder_index"]]
        area_px = np.count_nonzero(hand[..., 3] > 127)
        scale = math.sqrt(self.area_share * face.label.size / area_px)
        turn = turn_about_middle(hand.shape[:2], angle_deg=params["rotation_deg"], scale=scale)
        matrix = turn + np.array([[0, 0, params["centre_px"][0]], [0, 0, params["centre_px"][1]]])
        return warp_to_patch(hand, matrix, crop_size=face.label.shape)


def turn_about_middle(size: tuple[int, int], *, angle_deg: float, scale: float) -> Affine:
    """Return the transform that scales an image, turns it clockwise and puts its middle at (0, 0).

    Args:
        size: (height, width) of the image.
    """
    height, width = size
    cosine, sine = scale * math.cos(math.radians(angle_deg)), scale * math.sin(math.radians(angle_deg))
    to_middle = np.array([[1.0, 0.0, -(width - 1) / 2], [0.0, 1.0, -(height - 1) / 2]])
    return compose(np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0]]), to_middle)


def build_hand_paste(section: HandPasteSection, *, split: Split, max_side_px: int) -> HandPaste:
    """Return the generator that the configuration describes.

    Raises:
        UserError: the hands cannot be read.
    """
    library = open_occluders(
        section.occluders, split=split, holdout_share=section.holdout_share, max_side_px=max_side_px
    )
    return HandPaste(
        library=library,
        placement=section.placement,
        area_share=section.area_share,
        rotations_deg=section.rotations_deg,
    )
