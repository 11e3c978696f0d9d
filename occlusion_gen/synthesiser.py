"""One object that occludes faces: chooses generators, draws, applies. The same online and offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from common.errors import RecordError
from common.labels import PART_ID, FacePolicy, mirror
from configs.schema import OcclusionSection
from occlusion_gen.coverage import Aim, hidden_share
from occlusion_gen.degrade import degrade, draw_degradation
from occlusion_gen.face import Face, Generator, Image8, OccludedFace, Params, Patch, Points, make_face
from occlusion_gen.finish import Finish
from occlusion_gen.generators import build_generator
from occlusion_gen.library import Split


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
    """

    sources: Mapping[str, Source]
    policy: FacePolicy
    clean_share: float = 0.0
    count: tuple[int, int] = (1, 1)
    aim: Aim = field(default_factory=Aim)
    whole_image: WholeImage = field(default_factory=WholeImage)

    def __call__(
        self, rng: np.random.Generator, *, image: Image8, label: Image8, landmarks: Points | None = None
    ) -> OccludedFace:
        """Return the face after occlusion; equal states of `rng` give equal bytes.

        Args:
            image: (H, W, 3) uint8 RGB.
            label: (H, W) uint8 class ids of `common.labels`.
            landmarks: (68, 2) float, (x, y) in pixels of the image, where they are known.

        Raises:
            RecordError: every generator needs landmarks, and there are none; or a generator cannot use them.
        """
        face = make_face(image, label, self.policy, landmarks=landmarks)
        return self.apply(self.draw_params(rng, face), face)

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
        if clean or face.box is None:
            return params
        usable = self._usable(face)
        without = sorted(set(self.sources) - set(usable))
        layers, tries = self.aim.draw(rng, lambda: self._draw_layers(rng, face, usable), self._measure(face))
        return {
            **params,
            "layers": layers,
            **({"tries": tries} if tries > 1 else {}),
            **({"without_landmarks": without} if without else {}),
        }

    def apply(self, params: Params, face: Face) -> OccludedFace:
        """Return the composite with its labels; equal parameters give equal bytes."""
        image, label = face.image.copy(), face.label.copy()
        alpha, hidden = np.zeros((2, *label.shape), np.uint8)
        for layer in params["layers"]:
            source = self.sources[layer["generator"]]
            face_so_far = face._replace(image=image)
            patch = source.generator.patch(layer["drawn"], face_so_far)
            if patch.alpha.size == 0:
                continue
            region = np.s_[patch.rows, patch.columns]
            image[region], mixed = source.finish.apply(layer["finish"], patch, face=face_so_far)
            alpha[region] = _over(alpha[region], mixed)
            label[region][patch.hides > 127] = source.generator.part
            if self._hides(source.generator):
                hidden[region] = cv2.max(hidden[region], patch.hides)
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
            weights = np.array([self.sources[name].weight for name in candidates])
            name = candidates[int(rng.choice(len(candidates), p=weights / weights.sum()))]
            names.append(name)
            if self.sources[name].generator.worn:
                worn_part = self.sources[name].generator.part
                candidates = [other for other in candidates if not self._worn_as(other, worn_part)]
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

    def _worn_as(self, name: str, part: int) -> bool:
        generator = self.sources[name].generator
        return generator.worn and generator.part == part

    def _measure(self, face: Face) -> Any:
        """Return the function from layers to the share of the face that they hide; it needs no blending."""

        def measure(layers: Sequence[Params]) -> float:
            seen = face.visible.view(np.uint8) * np.uint8(255)
            for layer in layers:
                generator = self.sources[layer["generator"]].generator
                patch: Patch = generator.patch(layer["drawn"], face)
                if patch.alpha.size and self._hides(generator):
                    region = np.s_[patch.rows, patch.columns]
                    seen[region] = cv2.min(seen[region], 255 - patch.hides)
            return hidden_share(seen, face.full)

        return measure

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
            name: Source(
                generator=build_generator(generator, split=split, max_side_px=max_side_px),
                finish=Finish.of(generator),
                weight=generator.weight,
            )
            for name, generator in section.generators.items()
        },
        policy=policy,
        clean_share=section.clean_share,
        count=section.count,
        aim=Aim(bounds=coverage.bounds, target=coverage.target, tries=coverage.tries),
        whole_image=WholeImage(**section.whole_image.model_dump()),
    )
