"""NatOcc: cut-outs of hands or objects, placed, degraded and blended into the face.

Source: Voo et al., "Delving into high-quality synthetic face occlusion segmentation datasets", 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.labels import PART_ID
from configs.schema import NatOccSection
from occlusion_gen.compositing import lay_over
from occlusion_gen.degrade import draw_degradation
from occlusion_gen.face import Box, Face, Layer, Params
from occlusion_gen.library import OccluderLibrary, Split, open_occluders
from occlusion_gen.placement import draw_placement, occluder_to_crop


@dataclass(frozen=True)
class NatOcc:
    """One cut-out a face. Attributes as in `configs.schema.NatOccSection`."""

    library: OccluderLibrary
    part: str
    area: tuple[float, float]
    affine_share: float
    rotate_toward_face: bool
    blur_share: float
    jpeg_share: float
    brightness_contrast_share: float

    def draw_params(self, rng: np.random.Generator, box: Box) -> Params:
        """Return every random decision for a face whose mask has the bounding box `box`."""
        index = int(rng.integers(len(self.library)))
        return {
            "occluder": self.library.name(index),
            "occluder_index": index,
            "box": list(box),
            "placement": draw_placement(rng, box, area=self.area, affine_share=self.affine_share),
            "degradation": draw_degradation(
                rng,
                blur_share=self.blur_share,
                jpeg_share=self.jpeg_share,
                brightness_contrast_share=self.brightness_contrast_share,
                limit=0.1,
            ),
        }

    def apply(self, params: Params, face: Face) -> Layer:
        """Return the composite; equal parameters give equal bytes."""
        occluder = self.library[params["occluder_index"]]
        matrix = occluder_to_crop(
            params["placement"],
            occluder_size=occluder.shape[:2],
            box=Box(*params["box"]),
            rotate_toward_face=self.rotate_toward_face,
        )
        return lay_over(
            face.image, rgba=occluder, matrix=matrix, degradation=params["degradation"], part=PART_ID[self.part]
        )


def build_natocc(section: NatOccSection, *, split: Split, max_side_px: int) -> NatOcc:
    """Return the generator that the configuration describes.

    Raises:
        UserError: the occluders cannot be read.
    """
    library = open_occluders(
        section.occluders, split=split, holdout_share=section.holdout_share, max_side_px=max_side_px
    )
    return NatOcc(
        library=library,
        part=section.part,
        area=section.area,
        affine_share=section.affine_share,
        rotate_toward_face=section.rotate_toward_face,
        blur_share=section.blur_share,
        jpeg_share=section.jpeg_share,
        brightness_contrast_share=section.brightness_contrast_share,
    )
