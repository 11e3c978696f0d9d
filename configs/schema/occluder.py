"""Keys that all generators share, and those of `natocc` and `randocc`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from common.config import Section
from configs.schema.harmony import HarmonySection
from configs.schema.shared import Range, Share


class OccluderSection(Section):
    """What all generators share: how often they are chosen, and how their occluders are blended in."""

    weight: Annotated[float, Field(gt=0)] = Field(1.0, description="how often this generator is chosen, relative")
    holdout_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1,
        description="share of the occluders kept for validation, never used in training: whole subjects, source "
        "photos or videos where they are known, else files",
    )
    blur_share: Share = Field(0.5, description="share of occluders that are blurred")
    jpeg_share: Share = Field(0.5, description="share of occluders that went through JPEG")
    brightness_contrast_share: Share = Field(0.5, description="share of occluders made brighter or darker, +-10 %")
    edge: Literal["scaled", "published", "hard"] = Field(
        "scaled",
        description="width of the soft edge: scaled: by the crop side / 1024 px; published: the same pixels at any "
        "size; hard: none",
    )
    harmony: HarmonySection | None = Field(
        HarmonySection(), description="colours, light, sharpness, noise and shadow made to fit; null: none of it"
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
    rectangles_allowed: bool = Field(False, description="take files without transparency, which float as rectangles")
    rotate_toward_face: bool = Field(False, description="turn the file's downward direction to the face's centre")
    from_outside: bool = Field(
        False, description="move it back until its upper end leaves the face: no wrist ends on a cheek"
    )
    bend: Range | None = Field(
        None, description="bend the cut-out smoothly by at most this share of its longer side; null: leave it as it is"
    )


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
