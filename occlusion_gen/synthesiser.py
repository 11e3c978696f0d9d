"""One object that occludes faces: chooses a generator, draws, applies. The same online and offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from common.labels import FacePolicy, full_mask, mirror, visible_mask
from configs.schema import NatOccSection, OcclusionSection
from occlusion_gen.degrade import degrade, draw_degradation
from occlusion_gen.face import Face, Generator, Image8, Layer, OccludedFace, Params, bounding_box
from occlusion_gen.library import Split
from occlusion_gen.natocc import build_natocc
from occlusion_gen.randocc import build_randocc


@dataclass(frozen=True)
class Synthesiser:
    """Puts occluders on faces.

    Attributes:
        generators: name -> (generator, relative frequency).
        policy: what counts as face.
        clean_share: share of faces that get no occluder.
        whole_image: shares of blur, flip and brightness/contrast of the finished composite.
    """

    generators: Mapping[str, tuple[Generator, float]]
    policy: FacePolicy
    clean_share: float = 0.0
    whole_image: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, rng: np.random.Generator, *, image: Image8, label: Image8) -> OccludedFace:
        """Return the face after occlusion; equal generators `rng` give equal bytes.

        Args:
            image: (H, W, 3) uint8 RGB.
            label: (H, W) uint8 class ids of `common.labels`.
        """
        face = Face(image, label, visible_mask(label, self.policy))
        return self.apply(self.draw_params(rng, face), face)

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision for `face`."""
        clean = rng.random() < self.clean_share
        names = sorted(self.generators)
        weights = np.array([self.generators[name][1] for name in names])
        name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        box = bounding_box(face.visible)
        after = draw_degradation(
            rng,
            blur_share=self.whole_image.get("blur_share", 0.0),
            jpeg_share=0.0,
            brightness_contrast_share=self.whole_image.get("brightness_contrast_share", 0.0),
            limit=0.2,
        )
        flip = bool(rng.random() < self.whole_image.get("flip_share", 0.0))
        if clean or box is None:
            return {"generator": None, "drawn": {}, "after": after, "flip": flip}
        drawn = self.generators[name][0].draw_params(rng, box)
        return {"generator": name, "drawn": drawn, "after": after, "flip": flip}

    def apply(self, params: Params, face: Face) -> OccludedFace:
        """Return the composite with its labels; equal parameters give equal bytes."""
        layer = self._layer(params, face)
        full = full_mask(face.label, self.policy)
        visible = face.visible & ~layer.occluded
        label = np.where(layer.occluded, np.uint8(layer.part), face.label)
        image = degrade(params["after"], layer.image)
        hidden = int((full & ~visible).sum())
        coverage = hidden / int(full.sum()) if full.any() else 0.0
        sample = OccludedFace(image, label, visible, full, layer.alpha, coverage, params)
        return _flipped(sample) if params["flip"] else sample

    def _layer(self, params: Params, face: Face) -> Layer:
        if params["generator"] is None:
            nothing = np.zeros(face.label.shape, np.uint8)
            return Layer(face.image, nothing, nothing.astype(bool), 0)
        return self.generators[params["generator"]][0].apply(params["drawn"], face)


def _flipped(sample: OccludedFace) -> OccludedFace:
    """Return the mirror image; left and right parts change their names with it."""
    return sample._replace(
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        label=mirror(sample.label),
        visible=np.ascontiguousarray(sample.visible[:, ::-1]),
        full=np.ascontiguousarray(sample.full[:, ::-1]),
        alpha=np.ascontiguousarray(sample.alpha[:, ::-1]),
    )


def build_synthesiser(section: OcclusionSection, *, policy: FacePolicy, split: Split, max_side_px: int) -> Synthesiser:
    """Return the synthesiser that the configuration describes.

    Args:
        split: which side of the held-out occluders to use.
        max_side_px: side of the crops; occluders are kept no larger.

    Raises:
        UserError: occluders or textures cannot be read.
    """
    generators: dict[str, tuple[Generator, float]] = {}
    for name, generator in section.generators.items():
        if isinstance(generator, NatOccSection):
            built: Generator = build_natocc(generator, split=split, max_side_px=max_side_px)
        else:
            built = build_randocc(generator, split=split)
        generators[name] = (built, generator.weight)
    return Synthesiser(
        generators=generators,
        policy=policy,
        clean_share=section.clean_share,
        whole_image=section.whole_image.model_dump(),
    )
