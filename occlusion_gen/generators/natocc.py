"""NatOcc: cut-outs of hands or objects, placed on the face at random.

Source: Voo et al., "Delving into high-quality synthetic face occlusion segmentation datasets", 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.geometry import compose, enlarging, scale_of
from common.labels import PART_ID
from configs.schema import NatOccSection
from occlusion_gen.blending.compositing import warp_to_patch
from occlusion_gen.face import Box, Face, Params, Patch
from occlusion_gen.generators.bending import bend, draw_bend
from occlusion_gen.generators.placement import draw_placement, occluder_to_crop
from occlusion_gen.occluders.library import OccluderLibrary, Split, open_occluders


@dataclass(frozen=True)
class NatOcc:
    """Cut-outs from a folder. Attributes as in `configs.schema.NatOccSection`."""

    library: OccluderLibrary
    part: int
    area: tuple[float, float]
    affine_share: float
    rotate_toward_face: bool
    from_outside: bool = False
    bend: tuple[float, float] | None = None
    worn: bool = False
    needs_landmarks: bool = False

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision for a face."""
        assert face.box is not None
        index = int(rng.integers(len(self.library)))
        return {
            "occluder": self.library.name(index),
            "occluder_index": index,
            "box": list(face.box),
            "placement": draw_placement(rng, face.box, area=self.area, affine_share=self.affine_share),
            **({} if self.bend is None else {"bend": draw_bend(rng, self.bend)}),
        }

    def patch(self, params: Params, face: Face) -> Patch:
        """Return the occluder in the frame of the face; equal parameters give equal bytes."""
        index = params["occluder_index"]
        matrix = occluder_to_crop(
            params["placement"],
            occluder_size=self.library[index].shape[:2],
            box=Box(*params["box"]),
            rotate_toward_face=self.rotate_toward_face,
            from_outside=self.from_outside,
        )
        smaller, factor = self.library.level(index, scale_of(matrix))
        patch = warp_to_patch(smaller, compose(matrix, enlarging(factor)), crop_size=face.label.shape)
        return bend(params["bend"], patch) if "bend" in params else patch


def build_natocc(section: NatOccSection, *, split: Split, max_side_px: int) -> NatOcc:
    """Return the generator that the configuration describes.

    Raises:
        UserError: the occluders cannot be read.
    """
    library = open_occluders(
        section.occluders,
        split=split,
        holdout_share=section.holdout_share,
        max_side_px=max_side_px,
        rectangles_allowed=section.rectangles_allowed,
    )
    return NatOcc(
        library=library,
        part=PART_ID[section.part],
        area=section.area,
        affine_share=section.affine_share,
        rotate_toward_face=section.rotate_toward_face,
        from_outside=section.from_outside,
        bend=section.bend,
    )
