"""RandOcc: random shapes filled with textures.

Source: Voo et al., "Delving into high-quality synthetic face occlusion segmentation datasets", 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.geometry import apply_to_points, compose, enlarging, invert
from common.labels import PART_ID
from configs.schema import RandOccSection
from occlusion_gen.blending.compositing import fill_to_patch, see_through
from occlusion_gen.face import Box, Face, Params, Patch
from occlusion_gen.generators.placement import draw_placement, occluder_to_crop
from occlusion_gen.generators.shapes import SHAPE_SIDE_PX, draw_shape, shape_on_canvas
from occlusion_gen.occluders.library import Split, TextureLibrary, open_textures

EDGE_SAMPLES = 32  # points an edge; the next pixel is never far, at 4,000 px neither
SMALLEST_TEXTURE_PX = 64


@dataclass(frozen=True)
class RandOcc:
    """Textured shapes. Attributes as in `configs.schema.RandOccSection`."""

    library: TextureLibrary
    area: tuple[float, float]
    affine_share: float
    translucent_share: float
    translucent_label: Literal["occluded", "threshold", "soft"]
    part: int = PART_ID["shape"]
    worn: bool = False
    needs_landmarks: bool = False

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision for a face."""
        assert face.box is not None
        classes = self.library.classes
        texture_class = classes[int(rng.integers(len(classes)))]
        files = self.library.files[texture_class]
        index = int(rng.integers(len(files)))
        translucent, opacity = rng.random() < self.translucent_share, round(float(rng.uniform(0.4, 0.7)), 4)
        return {
            "occluder": files[index].name,
            "texture_class": texture_class,
            "texture_index": index,
            "shape": draw_shape(rng),
            "box": list(face.box),
            "opacity": opacity if translucent else 1.0,
            "placement": draw_placement(rng, face.box, area=self.area, affine_share=self.affine_share),
        }

    def patch(self, params: Params, face: Face) -> Patch:
        """Return the occluder in the frame of the face; equal parameters give equal bytes."""
        texture = self.library.read(self.library.files[params["texture_class"]][params["texture_index"]])
        outline = shape_on_canvas(params["shape"], samples=EDGE_SAMPLES)
        width, height = (int(side) + 1 for side in np.ceil(outline.max(axis=0)))
        matrix = occluder_to_crop(
            params["placement"], occluder_size=(height, width), box=Box(*params["box"]), rotate_toward_face=False
        )
        texture_to_canvas = enlarging(len(texture) / SHAPE_SIDE_PX)
        patch = fill_to_patch(
            apply_to_points(invert(texture_to_canvas), outline),
            texture,
            compose(matrix, texture_to_canvas),
            crop_size=face.label.shape,
        )
        opacity = params["opacity"]
        return patch if opacity == 1 else see_through(patch, opacity=opacity, label=self.translucent_label)


def build_randocc(section: RandOccSection, *, split: Split, max_side_px: int) -> RandOcc:
    """Return the generator that the configuration describes; textures are kept no larger than the crops.

    Raises:
        UserError: the textures cannot be read.
    """
    side_px = min(SHAPE_SIDE_PX, max(max_side_px, SMALLEST_TEXTURE_PX))
    library = open_textures(section.textures, split=split, holdout_share=section.holdout_share, side_px=side_px)
    return RandOcc(
        library=library,
        area=section.area,
        affine_share=section.affine_share,
        translucent_share=section.translucent_share,
        translucent_label=section.translucent_label,
    )
