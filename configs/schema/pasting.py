"""Keys of the generators `paste` and `hand_paste`, and of really occluded photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from common.config import Section
from configs.schema.harmony import HarmonySection
from configs.schema.occluder import OccluderSection
from configs.schema.shared import Positive, Range, Share

Angle = Annotated[float, Field(ge=0, lt=90)]
HidesFrom = Annotated[int, Field(ge=1, le=255)]
HIDES_FROM = (
    "least alpha, 0 to 255, that hides the face in the labels; published: 255, half-transparent pixels are face"
)


def positive_range(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return `bounds`; raise ValueError where the first is not above 0."""
    if bounds[0] <= 0:
        raise ValueError(f"expected two numbers above 0, found {list(bounds)}")
    return bounds


class PoolSection(Section):
    """A folder of occluders."""

    folder: Path = Field(description="RGBA files, or images/ and masks/ of equal stems")
    repeat: Positive = Field(1, description="how often each file counts when one is drawn")
    kind: Literal["mask", "other"] = Field("other", description="masks move less and change their texture more often")


class PasteTransformSection(Section):
    """How far an occluder moves, uniformly to both sides, about the middle of the canvas."""

    rotation_deg: Angle
    translation: tuple[Share, Share] = Field(description="share of the canvas's width and height")
    scale: Annotated[Range, AfterValidator(positive_range)]
    shear_deg: Angle = Field(description="along x")


class PlainOccluderSection(OccluderSection):
    """Occluders that are blended in as they are unless told otherwise, as published."""

    blur_share: Share = Field(0.0, description="share of occluders that are blurred")
    jpeg_share: Share = Field(0.0, description="share of occluders that went through JPEG")
    brightness_contrast_share: Share = Field(0.0, description="share of occluders made brighter or darker, +-10 %")
    edge: Literal["scaled", "published", "hard"] = Field("hard", description="as in the other generators")
    harmony: HarmonySection | None = Field(None, description="as in the other generators; null: none of it")


class PasteSection(PlainOccluderSection):
    """Occluders pasted over aligned faces, as FaceOcc makes its training samples."""

    kind: Literal["paste"] = "paste"
    pools: Annotated[tuple[PoolSection, ...], Field(min_length=1)]
    part: Literal["mask", "hand", "object"] = Field("object", description="class of the occluder in the label map")
    placement: Literal["canvas", "box"] = Field(
        "canvas",
        description="canvas: files are as large as an aligned crop, with the occluder where it belongs on the face; "
        "box: files are tight cut-outs, placed on the box of the face at random",
    )
    area: Range = Field((0.5, 1.0), description="of `box`: occluder box area / face box area")
    affine_share: Share = Field(0.7, description="of `box`: share of occluders that are stretched, turned and sheared")
    masks: PasteTransformSection = PasteTransformSection(
        rotation_deg=5, translation=(0, 0.1), scale=(0.8, 1), shear_deg=5
    )
    others: PasteTransformSection = PasteTransformSection(
        rotation_deg=10, translation=(0.1, 0.1), scale=(0.8, 1.2), shear_deg=10
    )
    flip_share: Share = Field(0.5, description="share of occluders that are mirrored")
    textures: Path | None = Field(None, description="folder of texture images; null: colours stay as they are")
    mask_texture_share: Share = Field(0.9, description="share of masks whose colours become a texture")
    other_texture_share: Share = Field(0.1, description="share of other occluders whose colours become a texture")
    jitter: Share = Field(0.5, description="of the occluder's brightness, contrast and saturation, each +- this share")
    hides_from_alpha: HidesFrom = Field(128, description=HIDES_FROM)


class HandPasteSection(PlainOccluderSection):
    """Other people's hands, small and in front of the face's lower half, without any matching to the photo."""

    kind: Literal["hand_paste"] = "hand_paste"
    occluders: Path = Field(description="folder of RGBA cut-outs of hands, e.g. imported from EgoHands")
    placement: Literal["generic", "centred"] = Field(
        "generic",
        description="where the middle of the hand lies, as shares of the crop: x 1/4 to 3/4; y 1/2 to 1 (generic) or "
        "1/4 to 3/4 (centred)",
    )
    area_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.0384, description="area of the hand / area of the crop; published: 2400 px of 250 x 250"
    )
    rotations_deg: Annotated[tuple[float, ...], Field(min_length=1)] = Field(
        (135, 180, 225), description="turns, clockwise, of which one is drawn"
    )


class RealSection(Section):
    """Really occluded, aligned photos that take the place of synthetic samples."""

    share: Share = Field(0.3, description="share of samples that are such a photo")
    images: Path = Field(description="folder of RGBA photos whose alpha is the occluder, cut out by hand")
    labels: Path = Field(description="folder of PNG files of equal stems: the face without the occluder")
    labels_hold: Literal["parts", "mask"] = Field(
        "parts", description="what the label files hold: parts: class ids as in prepared sets; mask: the face in white"
    )
    part: Literal["mask", "hand", "object"] = Field("object", description="class of the occluders in the label map")
    hides_from_alpha: HidesFrom = Field(128, description=HIDES_FROM)
    holdout_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="share of the photos kept for validation, never used in training"
    )
