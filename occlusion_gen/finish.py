"""From a patch to a believable part of the photo: degraded, harmonised and blended in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from configs.schema.occlusion import OccluderSection
from occlusion_gen.compositing import Edge, lay
from occlusion_gen.degrade import degrade, draw_degradation
from occlusion_gen.face import Face, Image8, Params, Patch


@dataclass(frozen=True)
class Finish:
    """How the occluders of a generator are blended in. Attributes as in `configs.schema.OccluderSection`."""

    blur_share: float = 0.0
    jpeg_share: float = 0.0
    brightness_contrast_share: float = 0.0
    edge: Edge = "scaled"

    def draw_params(self, rng: np.random.Generator) -> Params:
        """Return every random decision."""
        return draw_degradation(
            rng,
            blur_share=self.blur_share,
            jpeg_share=self.jpeg_share,
            brightness_contrast_share=self.brightness_contrast_share,
            limit=0.1,
        )

    def apply(self, params: Params, patch: Patch, *, face: Face) -> tuple[Image8, Image8]:
        """Return the composite (h, w, 3) of the patch's region and the alpha (h, w) that it was mixed with."""
        patch = patch._replace(colour=degrade(params, patch.colour))
        below = np.ascontiguousarray(face.image[patch.rows, patch.columns])
        return lay(patch, below, edge=self.edge, side_px=face.side_px)

    @classmethod
    def of(cls, section: OccluderSection) -> Finish:
        """Return the finish that a generator's section describes."""
        return cls(
            blur_share=section.blur_share,
            jpeg_share=section.jpeg_share,
            brightness_contrast_share=section.brightness_contrast_share,
            edge=section.edge,
        )
