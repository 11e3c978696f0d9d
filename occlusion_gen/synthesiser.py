"""One object that occludes faces: chooses generators, draws, applies. The same online and offline."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from common.errors import RecordError
from common.labels import PART_ID, FacePolicy, mirror
from common.lockstep import Steps, at_once
from configs.schema import OccluderSection, OcclusionSection
from occlusion_gen.blending.compositing import binary
from occlusion_gen.blending.degrade import degrade, draw_degradation
from occlusion_gen.blending.finish import Finish
from occlusion_gen.coverage import Aim, hidden_share
from occlusion_gen.face import Face, Generator, Image8, OccludedFace, Params, Points, make_face, recall, remember
from occlusion_gen.generators import build_generator
from occlusion_gen.occluders.library import Split
from occlusion_gen.occluders.real import RealFaces, open_real


@dataclass(frozen=True)
class Source:
    """A generator in the mix.

    Attributes:
        generator: what is put on.
        finish: how it is blended in.
        weight: how often it is chosen, relative to the others.
    """

    generator: Generator
    finish: Finish
    weight: float


@dataclass(frozen=True)
class WholeImage:
    """Shares of changes of the finished composite; see `configs.schema.WholeImageSection`."""

    blur_share: float = 0.0
    flip_share: float = 0.0
    brightness_contrast_share: float = 0.0


@dataclass(frozen=True)
class Synthesiser:
    """Puts occluders on faces.

    Attributes:
        sources: name -> generator.
        policy: what counts as face.
        clean_share: share of faces that get no occluder.
        count: least and largest number of occluders on the others.
        aim: how much of a face shall be hidden.
        whole_image: changes of the finished composite.
        real: really occluded faces that take the place of some.
    """

    sources: Mapping[str, Source]
    policy: FacePolicy
    clean_share: float = 0.0
    count: tuple[int, int] = (1, 1)
    aim: Aim = field(default_factory=Aim)
    whole_image: WholeImage = field(default_factory=WholeImage)
    real: RealFaces | None = None

    def steps(
        self,
        rng: np.random.Generator,
        *,
        image: Image8,
        label: Image8,
        landmarks: Points | None = None,
        memory: dict[str, Any] | None = None,
    ) -> Steps[OccludedFace]:
        """Return the face after occlusion, step by step, see `common.lockstep`; equal states of `rng` give equal bytes.

        Args:
            image: (H, W, 3) uint8 RGB.
            label: (H, W) uint8 class ids of `common.labels`.
            landmarks: (68, 2) float, (x, y) in pixels of the image, where they are known.
            memory: what was measured on this very face before, which saves time and changes no byte; what is measured
                now is added. Empty at first.

        Raises:
            RecordError: every generator needs landmarks, and there are none; or a generator cannot use them.
        """
        face = make_face(image, label, self.policy, landmarks=landmarks)
        if memory is not None:
            recall(face, memory)
        yield
        params = self.draw_params(rng, face)
        yield
        sample = yield from self.composed(params, face)
        yield
        if memory is not None:
            remember(face, memory)
        return sample

    __call__ = at_once(steps)

    def draw_params(self, rng: np.random.Generator, face: Face) -> Params:
        """Return every random decision for `face`."""
        clean = rng.random() < self.clean_share
        after = draw_degradation(
            rng,
            blur_share=self.whole_image.blur_share,
            jpeg_share=0.0,
            brightness_contrast_share=self.whole_image.brightness_contrast_share,
            limit=0.2,
        )
        flip = bool(rng.random() < self.whole_image.flip_share)
        params: Params = {"layers": [], "after": after, "flip": flip}
        if self.real is not None and rng.random() < self.real.share:
            index = int(rng.integers(len(self.real)))
            return {**params, "real": {"file": self.real.name(index), "index": index}}
        if clean or face.box is None:
            return params
        usable = self._usable(face)
        without = sorted(set(self.sources) - set(usable))
        layers, tries = self.aim.draw(
            rng, lambda: self._draw_layers(rng, face, usable), lambda drawn: self._hidden_by(drawn, face)
        )
        return {
            **params,
            "layers": layers,
            **({"tries": tries} if tries > 1 else {}),
            **({"without_landmarks": without} if without else {}),
        }

    def composed(self, params: Params, face: Face) -> Steps[OccludedFace]:
        """Return the composite with its labels, step by step; equal parameters give equal bytes."""
        if "real" in params:
            return self._real(params, size=face.label.shape)
        image, label = face.image.copy(), face.label.copy()
        alpha, hidden = np.zeros((2, *label.shape), np.uint8)
        for layer in params["layers"]:
            source = self.sources[layer["generator"]]
            patch = source.generator.patch(layer["drawn"], face)
            if patch.alpha.size == 0:
                continue
            yield
            finished = yield from source.finish.apply(layer["finish"], patch, face=face, below=image)
            region, image[region], mixed, hides = finished
            alpha[region] = _over(alpha[region], mixed)
            cv2.copyTo(np.full(hides.shape, source.generator.part, np.uint8), binary(hides), label[region])
            if self._hides(source.generator):
                hidden[region] = cv2.max(hidden[region], hides)
            yield
        visible = cv2.bitwise_and(255 - hidden, face.visible.view(np.uint8) * np.uint8(255))
        sample = OccludedFace(
            image=degrade(params["after"], image),
            label=label,
            parts=face.label,
            visible=visible,
            hidden=hidden,
            full=face.full,
            full_known=True,
            alpha=alpha,
            coverage=hidden_share(visible, face.full),
            params=params,
        )
        return _flipped(sample) if params["flip"] else sample

    apply = at_once(composed)

    def _real(self, params: Params, *, size: tuple[int, ...]) -> OccludedFace:
        assert self.real is not None
        image, label, visible, alpha = self.real.at_size(params["real"]["index"], (size[0], size[1]))
        sample = OccludedFace(
            image=degrade(params["after"], image),
            label=label,
            parts=label,
            visible=visible,
            hidden=np.zeros_like(visible),
            full=visible > 0,
            full_known=False,
            alpha=alpha,
            coverage=0.0,
            params=params,
        )
        return _flipped(sample) if params["flip"] else sample

    def _usable(self, face: Face) -> list[str]:
        """Return the names of the generators that can work on `face`."""
        usable = [
            name
            for name, source in sorted(self.sources.items())
            if face.landmarks is not None or not source.generator.needs_landmarks
        ]
        if not usable:
            raise RecordError(
                f"every generator ({', '.join(sorted(self.sources))}) needs 68 landmarks, and this face has none; "
                "align the set with landmarks of 68 points, or add a generator that works without",
                outcome="no_landmarks",
            )
        return usable

    def _draw_layers(self, rng: np.random.Generator, face: Face, usable: Sequence[str]) -> list[Params]:
        """Return one to several occluders: no worn one twice, worn ones first."""
        candidates = list(usable)
        names: list[str] = []
        for _ in range(int(rng.integers(self.count[0], self.count[1] + 1))):
            ends = list(itertools.accumulate(self.sources[name].weight for name in candidates))
            name = candidates[bisect.bisect_right(ends[:-1], rng.random() * ends[-1])]
            names.append(name)
            if self.sources[name].generator.worn:
                worn = type(self.sources[name].generator)
                candidates = [other for other in candidates if not isinstance(self.sources[other].generator, worn)]
            if not candidates:
                break
        names.sort(key=lambda name: not self.sources[name].generator.worn)  # stable: pasted ones keep their order
        return [
            {
                "generator": name,
                "drawn": self.sources[name].generator.draw_params(rng, face),
                "finish": self.sources[name].finish.draw_params(rng),
            }
            for name in names
        ]

    def hidden_by(self, params: Params, face: Face) -> float:
        """Return the share of the full face that occluders hide, without blending any; see `draw_params`."""
        return self._hidden_by(params["layers"], face)

    def _hidden_by(self, layers: Sequence[Params], face: Face) -> float:
        seen = face.visible.view(np.uint8) * np.uint8(255)
        for layer in layers:
            generator = self.sources[layer["generator"]].generator
            patch = generator.patch(layer["drawn"], face)
            if patch.alpha.size and self._hides(generator):
                region = np.s_[patch.rows, patch.columns]
                seen[region] = cv2.min(seen[region], 255 - patch.hides)
        return hidden_share(seen, face.full)

    def _hides(self, generator: Generator) -> bool:
        """Return whether the generator's occluders hide the face: clear glasses are a matter of the policy."""
        return generator.part != PART_ID["eye_g"] or self.policy.eyeglasses in ("occluder", "lenses_are_face")


def _over(below: Image8, above: Image8) -> Image8:
    """Return the alpha of two layers together, 1 - (1 - a)(1 - b)."""
    return 255 - cv2.multiply(255 - below, 255 - above, scale=1 / 255)


def _flipped(sample: OccludedFace) -> OccludedFace:
    """Return the mirror image; left and right parts change their names with it."""
    return sample._replace(
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        label=mirror(sample.label),
        parts=mirror(sample.parts),
        visible=np.ascontiguousarray(sample.visible[:, ::-1]),
        hidden=np.ascontiguousarray(sample.hidden[:, ::-1]),
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
    coverage = section.coverage
    return Synthesiser(
        sources={
            name: _build_source(generator, split=split, max_side_px=max_side_px)
            for name, generator in section.generators.items()
        },
        policy=policy,
        clean_share=section.clean_share,
        count=section.count,
        aim=Aim(bounds=coverage.bounds, target=coverage.target, tries=coverage.tries),
        whole_image=WholeImage(**section.whole_image.model_dump()),
        real=None if section.real is None else open_real(section.real, policy=policy, split=split),
    )


def _build_source(section: OccluderSection, *, split: Split, max_side_px: int) -> Source:
    generator = build_generator(section, split=split, max_side_px=max_side_px)
    return Source(generator, Finish.of(section, part=generator.part, worn=generator.worn), section.weight)
