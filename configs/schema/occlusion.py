"""Every key of `python -m occlusion_gen`, and of `occlusion` in `train.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from common.config import Section
from configs.schema.shared import Count, DataSection, FaceSection, Positive, Range, Share


class OccluderSection(Section):
    """What all generators share: how often they are chosen, and how their occluders are blended in."""

    weight: Annotated[float, Field(gt=0)] = Field(1.0, description="how often this generator is chosen, relative")
    holdout_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="share of the occluder files kept for validation, never used in training"
    )
    blur_share: Share = Field(0.5, description="share of occluders that are blurred")
    jpeg_share: Share = Field(0.5, description="share of occluders that went through JPEG")
    brightness_contrast_share: Share = Field(0.5, description="share of occluders made brighter or darker, +-10 %")
    edge: Literal["scaled", "published", "hard"] = Field(
        "scaled",
        description="width of the soft edge: scaled: by the crop side / 1024 px; published: the same pixels at any "
        "size; hard: none",
    )


class PlacedSection(OccluderSection):
    """Occluders that are placed on the box of the face at random."""

    area: Range = Field((0.5, 1.0), description="occluder box area / face box area, before `affine`")
    affine_share: Share = Field(0.7, description="share of occluders that are stretched, turned and sheared")


class NatOccSection(PlacedSection):
    """Naturalistic occlusion: cut-outs of hands or objects."""

    kind: Literal["natocc"] = "natocc"
    occluders: Path = Field(description="folder of RGBA cut-outs, or with images/ and masks/ of equal stems")
    part: Literal["mask", "hand", "object"] = Field(description="class of the occluder in the label map")
    rotate_toward_face: bool = Field(False, description="turn the file's downward direction to the face's centre")


class RandOccSection(PlacedSection):
    """Random shapes filled with textures."""

    kind: Literal["randocc"] = "randocc"
    textures: Path = Field(description="folder of textures: {class}/{name}.jpg or {class}_{name}.jpg")
    translucent_share: Share = Field(0.3, description="share of shapes that let the face shine through")
    translucent_label: Literal["occluded", "threshold", "soft"] = Field(
        "occluded",
        description="label under a translucent shape: occluded: always hidden; threshold: hidden from alpha 0.5; soft: "
        "hidden by the share alpha",
    )


Generator = Annotated[NatOccSection | RandOccSection, Field(discriminator="kind")]


class WholeImageSection(Section):
    """Published augmentation of the finished composite (offline sets); training has its own in `augment`."""

    blur_share: Share = 0.0
    flip_share: Share = 0.0
    brightness_contrast_share: Share = 0.0


def _counts(bounds: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= bounds[0] <= bounds[1]:
        raise ValueError(f"expected two numbers in order, both at least 1, found {list(bounds)}")
    return bounds


class CoverageSection(Section):
    """How much of an occluded face may be hidden; draws outside are drawn again."""

    bounds: Range = Field((0.0, 1.0), description="hidden share of the face")
    target: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (), description="weights of equal bins of the hidden share between 0 and 1; empty: as it comes"
    )
    tries: Positive = Field(10, description="draws; the one nearest to what is wanted is kept")

    @model_validator(mode="after")
    def _reachable(self) -> CoverageSection:
        if self.bounds[1] > 1 or self.bounds[0] == self.bounds[1]:
            raise ValueError(f"bounds must be two different shares of at most 1, found {list(self.bounds)}")
        if self.target and sum(self.target) <= 0:
            raise ValueError("target needs at least one weight above 0")
        return self


class OcclusionSection(Section):
    """Which occluders stand in front of faces, and how often."""

    clean_share: Share = Field(0.0, description="share of faces that get no occluder")
    count: Annotated[tuple[int, int], AfterValidator(_counts)] = Field(
        (1, 1), description="occluders a face: uniform from the first to the second; what is worn is put on first"
    )
    generators: Annotated[dict[str, Generator], Field(min_length=1)]
    coverage: CoverageSection = CoverageSection()
    whole_image: WholeImageSection = WholeImageSection()


class OcclusionJob(Section):
    """`python -m occlusion_gen`: an occluded data set on disk."""

    data: DataSection
    split: str | None = Field("train", description="split of the prepared set to occlude; null: all")
    occluder_split: Literal["train", "validation"] = Field("train", description="which side of the held-out occluders")
    limit: Positive | None = Field(None, description="take only the first N faces; null: all")
    face: FaceSection = FaceSection()
    occlusion: OcclusionSection
    seed: Count = 0
    set: Count = Field(0, description="index of this set: sample i draws from [seed, set, i]")
    output: Path
    image_format: Literal["jpg", "png"] = "jpg"
    label_format: Literal["parts", "zero_one"] = Field(
        "parts", description="labels: palette PNG of parts; zero_one: visible face as 0/1, as published (looks black)"
    )
    max_failed_share: Share = 0.05
