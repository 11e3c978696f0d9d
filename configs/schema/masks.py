"""Keys of the generators `mask_template` and `mask_polygon`: medical masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from configs.schema.occluder import OccluderSection
from configs.schema.shared import Share

MaskKind = Literal["surgical", "cloth", "kn95", "n95", "respirator"]
Wearing = Literal["proper", "nose_out", "chin"]
Frequency = Annotated[float, Field(ge=0)]
Channel = Annotated[int, Field(ge=0, le=255)]
Rgb = tuple[Channel, Channel, Channel]


def _some_positive(frequencies: dict[str, float]) -> dict[str, float]:
    if not any(value > 0 for value in frequencies.values()):
        raise ValueError("at least one frequency must be above 0")
    return frequencies


class MaskTemplateSection(OccluderSection):
    """Masks of cloth and fleece that follow nose, cheeks and jaw; drawn by code, or from a folder of RGBA templates."""

    kind: Literal["mask_template"] = "mask_template"
    kinds: Annotated[dict[MaskKind, Frequency], AfterValidator(_some_positive)] = Field(
        {"surgical": 4.0, "cloth": 3.0, "kn95": 2.0, "n95": 1.0, "respirator": 0.3},
        description="drawn kinds and how often each is worn, relative",
    )
    wearing: Annotated[dict[Wearing, Frequency], AfterValidator(_some_positive)] = Field(
        {"proper": 0.85, "nose_out": 0.1, "chin": 0.05},
        description="how it is worn, relative frequencies; nose_out: below the nose; chin: pulled under the chin",
    )
    fit: Share = Field(1.0, description="spread of height, tightness and tilt; 0: every mask sits the same")
    colours: tuple[Rgb, ...] | None = Field(None, description="RGB of the fabric, each as often; null: those of shops")
    colour_jitter: Share = Field(1.0, description="spread around these colours; 0: exactly these")
    textures: Path | None = Field(None, description="folder of fabric patterns, as for `randocc`; null: no prints")
    print_share: Share = Field(0.25, description="share of surgical, cloth and KN95 masks with a print, if `textures`")
    valve_share: Share = Field(0.15, description="share of cloth, N95 and KN95 masks with an exhalation valve")
    loops_share: Share = Field(0.97, description="share of masks with visible ear loops or straps")
    templates: Path | None = Field(
        None, description="folder of RGBA templates, see occlusion_gen/templates/user_folder.py; null: drawn ones only"
    )
    templates_share: Share = Field(1.0, description="share of masks from `templates`, the others are drawn")
    exclude: tuple[str, ...] = Field((), description="files of `templates` to leave out, as patterns: `sunglasses*`")
    tint_share: Share = Field(0.0, description="share of masks from `templates` that are tinted with a drawn colour")
    warp: Literal["spline", "homography"] = Field(
        "spline", description="spline: follows nose, cheeks and jaw; homography: one for six key points, as published"
    )
    hair_in_front: bool = Field(True, description="labelled hair at the cheeks lies over mask and loops")


class MaskPolygonSection(OccluderSection):
    """Masks as one-coloured polygons between landmarks, as of the Hsu lab's generator."""

    kind: Literal["mask_polygon"] = "mask_polygon"
    profile: Literal["auto", "frontal", "profile"] = Field(
        "auto", description="which landmarks are joined; auto: told from them; the side of a profile always is"
    )
    blurred_share: Share = Field(0.5, description="share of masks with a blurred outline (3x3 Gaussian, sigma 0.5)")
    colour: Literal["black", "random", "texture"] = Field(
        "black", description="black: as published; random: colours of masks; texture: from `textures`"
    )
    textures: Path | None = Field(None, description="folder of textures, needed by `colour: texture`")

    @model_validator(mode="after")
    def _textures_given(self) -> MaskPolygonSection:
        if self.colour == "texture" and self.textures is None:
            raise ValueError("colour: texture needs a folder in `textures`")
        return self
