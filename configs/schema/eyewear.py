"""Keys of the generator `eyewear`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from configs.schema.occluder import OccluderSection
from configs.schema.shared import Range, Share

ShapeName = Literal["aviator", "wayfarer", "round", "rectangular", "cat_eye", "sport", "rimless"]


def _share_range(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[1] > 1:
        raise ValueError(f"expected two shares in order, both at most 1, found {list(bounds)}")
    return bounds


class EyewearSection(OccluderSection):
    """Glasses on the eyes, drawn by code or from files. Faces need landmarks; who wears glasses gets no second pair."""

    kind: Literal["eyewear"] = "eyewear"
    style: Literal["sunglasses", "clear"] = Field(
        description="sunglasses: class `object`, never face; clear: class `eye_g`, face or not by `face.eyeglasses`"
    )
    shapes: Annotated[tuple[ShapeName, ...], Field(min_length=1)] = Field(
        ("aviator", "wayfarer", "round", "rectangular", "cat_eye", "sport", "rimless"), description="which are drawn"
    )
    lens_label: Literal["occluded", "threshold", "soft"] = Field(
        "occluded",
        description="what the label says under lenses: occluded: hidden; threshold: hidden from alpha 0.5, so that "
        "clear lenses stay face and only their frames do not; soft: hidden by the share alpha",
    )
    opacity: Annotated[Range, AfterValidator(_share_range)] = Field((0.75, 1.0), description="of dark lenses")
    tinted_share: Share = Field(0.2, description="share of sunglasses with tinted lenses, opacity 0.3 to 0.7")
    gradient_share: Share = Field(0.35, description="share of sunglasses whose lenses grow lighter downwards")
    mirror_share: Share = Field(0.1, description="share of sunglasses with coloured reflections")
    under_hair_share: Share = Field(
        0.5, description="share of glasses that labelled hair falls over; on the others it lies behind the front"
    )
    occluders: Path | None = Field(
        None, description="folder of frontal RGBA cut-outs of glasses, used in place of drawn ones; null: draw"
    )
