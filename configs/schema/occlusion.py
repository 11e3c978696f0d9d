"""Every key of `python -m occlusion_gen`, and of `occlusion` in `train.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    SerializeAsAny,
    TypeAdapter,
    model_validator,
)

from common.config import ConfigError, Section, validate
from configs.schema.engine import EngineSection
from configs.schema.eyewear import EyewearSection
from configs.schema.limb import LimbSection
from configs.schema.masks import MaskPolygonSection, MaskTemplateSection
from configs.schema.occluder import NatOccSection, OccluderSection, RandOccSection
from configs.schema.pasting import HandPasteSection, PasteSection, RealSection
from configs.schema.shared import Count, DataSection, FaceSection, Positive, Range, Share

# Sections that `occlusion_gen.generators.register_generator` adds, by their `kind`.
REGISTERED: dict[str, type[OccluderSection]] = {}

_Known = Annotated[
    NatOccSection
    | RandOccSection
    | PasteSection
    | HandPasteSection
    | MaskTemplateSection
    | MaskPolygonSection
    | EyewearSection
    | LimbSection,
    Field(discriminator="kind"),
]


_KNOWN: TypeAdapter[OccluderSection] = TypeAdapter(_Known)


def _of_its_kind(content: Any) -> OccluderSection:
    """Return the section that `kind` names, of the known ones or of those that were registered."""
    if isinstance(content, OccluderSection):
        return content
    kind = content.get("kind") if isinstance(content, Mapping) else None
    section = REGISTERED.get(kind) if isinstance(kind, str) else None
    if section is None:
        return _KNOWN.validate_json(json.dumps(content, default=str))  # as in `common.config.validate`
    try:
        return validate(content, section, source=f"kind: {kind}")
    except ConfigError as error:
        raise ValueError(str(error)) from None


# The known ones stand in the type, too, from which messages take the names of keys.
Generator = SerializeAsAny[Annotated[_Known, PlainValidator(_of_its_kind)]]


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
    real: RealSection | None = Field(None, description="really occluded photos mixed in; null: none")
    whole_image: WholeImageSection = WholeImageSection()


class OcclusionJob(EngineSection):
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
