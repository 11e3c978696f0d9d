"""Types and sections that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from common.config import Section
from common.labels import FACE_PARTS, PART_NAMES, FacePolicy

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= bounds[0] <= bounds[1]:
        raise ValueError(f"expected two numbers in order, both at least 0, found {list(bounds)}")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


def _known_parts(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(names) - set(PART_NAMES))
    if unknown:
        raise ValueError(f"unknown parts {unknown}; known: {', '.join(PART_NAMES)}")
    return names


class DataSection(Section):
    """Where the data lies. All commands of one experiment share it."""

    root: Path = Field(description="the raw data set, in its published layout")
    prepared: Path = Field(description="the aligned crops: written by face_align, read by the others")


class FaceSection(Section):
    """What counts as visible face; applied when labels are read, never baked into the stored label maps."""

    face: Annotated[tuple[str, ...], AfterValidator(_known_parts)] = FACE_PARTS
    eyeglasses: Literal["occluder", "face", "lenses_are_face", "ignore"] = "occluder"
    ears: bool = False
    neck: bool = False

    def policy(self) -> FacePolicy:
        """Return the policy object that `common.labels` works with."""
        return FacePolicy(face=self.face, eyeglasses=self.eyeglasses, ears=self.ears, neck=self.neck)


class PreparedSet(Section):
    """Samples of a prepared folder (face_align, occlusion_gen)."""

    prepared: Path
    split: str | None = Field(None, description="split to take; null: all")
    occlude: bool = Field(True, description="put occluders on while loading; false for sets of occlusion_gen")
    limit: Positive | None = None
