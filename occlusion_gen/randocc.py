"""RandOcc: random shapes filled with textures.

Source: Voo et al., "Delving into high-quality synthetic face occlusion segmentation datasets", 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from common.labels import PART_ID
from configs.schema import RandOccSection
from occlusion_gen.compositing import lay_over
from occlusion_gen.degrade import draw_degradation
from occlusion_gen.face import Box, Face, Layer, Params
from occlusion_gen.library import Split, TextureLibrary, open_textures
from occlusion_gen.placement import draw_placement, occluder_to_crop
from occlusion_gen.shapes import SHAPE_SIDE_PX, draw_shape, fill_shape


@dataclass(frozen=True)
class RandOcc:
    """One textured shape a face. Attributes as in `configs.schema.RandOccSection`."""

    library: TextureLibrary
    area: tuple[float, float]
    affine_share: float
    translucent_share: float
    translucent_label: Literal["occluded", "threshold"]
    blur_share: float
    jpeg_share: float
    brightness_contrast_share: float

    def draw_params(self, rng: np.random.Generator, box: Box) -> Params:
        """Return every random decision for a face whose mask has the bounding box `box`."""
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
            "box": list(box),
            "opacity": opacity if translucent else 1.0,
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
        texture = self.library.read(self.library.files[params["texture_class"]][params["texture_index"]])
        shape = fill_shape(params["shape"])
        height, width = shape.shape
        occluder = np.dstack([texture[:height, :width], shape])
        matrix = occluder_to_crop(
            params["placement"], occluder_size=shape.shape, box=Box(*params["box"]), rotate_toward_face=False
        )
        layer = lay_over(
            face.image,
            rgba=occluder,
            matrix=matrix,
            degradation=params["degradation"],
            part=PART_ID["shape"],
            opacity=params["opacity"],
        )
        seen_through = self.translucent_label == "threshold" and params["opacity"] < 0.5
        return layer._replace(occluded=np.zeros_like(layer.occluded)) if seen_through else layer


def build_randocc(section: RandOccSection, *, split: Split) -> RandOcc:
    """Return the generator that the configuration describes.

    Raises:
        UserError: the textures cannot be read.
    """
    library = open_textures(section.textures, split=split, holdout_share=section.holdout_share, side_px=SHAPE_SIDE_PX)
    return RandOcc(
        library=library,
        area=section.area,
        affine_share=section.affine_share,
        translucent_share=section.translucent_share,
        translucent_label=section.translucent_label,
        blur_share=section.blur_share,
        jpeg_share=section.jpeg_share,
        brightness_contrast_share=section.brightness_contrast_share,
    )
