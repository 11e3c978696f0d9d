"""From a patch to a believable part of the photo: colours, light and shadow, degradation, blending."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from common.lockstep import Steps
from configs.schema.occluder import OccluderSection
from occlusion_gen.blending.colour_transfer import transfer_colours
from occlusion_gen.blending.compositing import Edge, edge_reach_px, lay
from occlusion_gen.blending.degrade import degrade, draw_degradation
from occlusion_gen.blending.harmonise import cast_shadow, draw_harmony, harmonise
from occlusion_gen.blending.poisson import poisson_blend
from occlusion_gen.blending.region import trim, within
from occlusion_gen.face import Face, Image8, Params, Patch


class Finished(NamedTuple):
    """A patch that has become part of the photo.

    Attributes:
        region: rows and columns of the crop.
        image: (h, w, 3) uint8 RGB, the composite of the region.
        alpha: (h, w) uint8, with what alpha it was mixed.
        hides: (h, w) uint8, see `Patch`.
    """

    region: tuple[slice, slice]
    image: Image8
    alpha: Image8
    hides: Image8


@dataclass(frozen=True)
class Finish:
    """How the occluders of a generator are blended in. Attributes as in `configs.schema.OccluderSection`.

    Attributes:
        part: class id of the occluders.
        harmony: the keys of `configs.schema.HarmonySection`; None leaves colours, light and noise alone.
    """

    part: int
    blur_share: float = 0.0
    jpeg_share: float = 0.0
    brightness_contrast_share: float = 0.0
    edge: Edge = "scaled"
    harmony: Mapping[str, Any] | None = None

    def draw_params(self, rng: np.random.Generator) -> Params:
        """Return every random decision."""
        degradation = draw_degradation(
            rng,
            blur_share=self.blur_share,
            jpeg_share=self.jpeg_share,
            brightness_contrast_share=self.brightness_contrast_share,
            limit=0.1,
        )
        harmony = None if self.harmony is None else draw_harmony(rng, part=self.part, **self.harmony)
        return {"degradation": degradation, "harmony": harmony}

    def apply(self, params: Params, patch: Patch, *, face: Face, below: Image8) -> Steps[Finished]:
        """Return what becomes of the patch, step by step (see `common.lockstep`); equal parameters give equal bytes.

        Args:
            face: without any occluder: colours, light and noise are taken from it, not from what lies between.
            below: (H, W, 3) uint8 RGB, the crop with the occluders that lie below.
        """
        harmony = params["harmony"]
        patch = trim(patch, edge_reach_px(self.edge, side_px=face.side_px))
        if harmony is not None:
            if harmony["color_transfer"] is not None:
                patch = transfer_colours(**harmony["color_transfer"], patch=patch, face=face)
                yield
            patch = harmonise(harmony, patch, face=face)
            yield
        patch = patch._replace(colour=degrade(params["degradation"], patch.colour))
        yield
        if harmony is None or harmony["shadow"] is None:
            return self._mixed(patch, below[patch.rows, patch.columns].copy(), face=face, harmony=harmony)
        region, shaded = cast_shadow(harmony, below, patch, face=face)
        inner = within(region, patch)
        mixed = self._mixed(patch, np.ascontiguousarray(shaded[inner]), face=face, harmony=harmony)
        shaded[inner] = mixed.image
        alpha, hides = np.zeros((2, *shaded.shape[:2]), np.uint8)
        alpha[inner], hides[inner] = mixed.alpha, mixed.hides
        return Finished(region, shaded, alpha, hides)

    def _mixed(self, patch: Patch, under: Image8, *, face: Face, harmony: Params | None) -> Finished:
        """Return the patch laid on `under` (h, w, 3), its own region of what lies below."""
        image, alpha = lay(patch, under, edge=self.edge, side_px=face.side_px)
        if harmony is not None and harmony["poisson"] is not None:
            image = poisson_blend(under, patch._replace(alpha=alpha), strength=harmony["poisson"])
        return Finished((patch.rows, patch.columns), image, alpha, patch.hides)

    @classmethod
    def of(cls, section: OccluderSection, *, part: int, worn: bool = False) -> Finish:
        """Return the finish that a generator's section describes; what is worn does not move on the face."""
        harmony = None if section.harmony is None else section.harmony.model_dump()
        if harmony is not None and worn:
            harmony["motion_blur_share"] = 0.0
        return cls(
            part=part,
            blur_share=section.blur_share,
            jpeg_share=section.jpeg_share,
            brightness_contrast_share=section.brightness_contrast_share,
            edge=section.edge,
            harmony=harmony,
        )
