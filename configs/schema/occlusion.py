"""Every key of `python -m occlusion_gen`, and of `occlusion` in `train.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from common.config import Section
from configs.schema.shared import Count, DataSection, FaceSection, Positive, Range, Share


class OccluderSection(Section):
    """What all generators with occluders from files share."""

    weight: Annotated[float, Field(gt=0)] = Field(1.0, description="how often this generator is chosen, relative")
    area: Range = Field((0.5, 1.0), description="occluder box area / face box area, before `affine`")
    affine_share: Share = Field(0.7, description="share of occluders that are stretched, turned and sheared")
    blur_share: Share = 0.5
    jpeg_share: Share = 0.5
    brightness_contrast_share: Share = 0.5
    holdout_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="share of the occluder files kept for validation, never used in training"
    )


class NatOccSection(OccluderSection):
    """Naturalistic occlusion: cut-outs of hands or objects."""

    kind: Literal["natocc"] = "natocc"
    occluders: Path = Field(description="folder of RGBA cut-outs, or with images/ and masks/ of equal stems")
    part: Literal["mask", "hand", "object"] = Field(description="class of the occluder in the label map")
    rotate_toward_face: bool = Field(False, description="turn the file's downward direction to the face's centre")


class RandOccSection(OccluderSection):
    """Random shapes filled with textures."""

    kind: Literal["randocc"] = "randocc"
    textures: Path = Field(description="folder of textures: {class}/{name}.jpg or {class}_{name}.jpg")
    translucent_share: Share = Field(0.3, description="share of shapes that let the face shine through")
    translucent_label: Literal["occluded", "threshold"] = Field(
        "occluded", description="label under a translucent shape: always occluded, or only from alpha 0.5"
    )


Generator = Annotated[NatOccSection | RandOccSection, Field(discriminator="kind")]


class WholeImageSection(Section):
    """Published augmentation of the finished composite (offline sets); training has its own in `augment`."""

    blur_share: Share = 0.0
    flip_share: Share = 0.0
    brightness_contrast_share: Share = 0.0


class OcclusionSection(Section):
    """Which occluders stand in front of faces, and how often."""

    clean_share: Share = Field(0.0, description="share of faces that get no occluder")
    generators: Annotated[dict[str, Generator], Field(min_length=1)]
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
    max_failed_share: Share = 0.05
