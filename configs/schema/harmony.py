"""How an occluder is made to fit the photo: `harmony` of an occluder's section."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from common.config import Section
from configs.schema.shared import Range, Share


def _at_most_one(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[1] > 1:
        raise ValueError(f"expected fractions between 0 and 1, found {list(bounds)}")
    return bounds


Fractions = Annotated[Range, AfterValidator(_at_most_one)]
OccluderPart = Literal["mask", "hand", "object", "shape", "eye_g"]


class HarmonySection(Section):
    """Colours, light, sharpness and shadow of an occluder, matched to the photo in part, as `harmonise` draws it.

    Every step has a share of occluders that it is done to, and the others are left as they are. The published
    generators do none of this (`HarmonySection.published()`): all shares 0, `color_transfer: none` except for the
    set with colour transfer, which has `color_transfer: sot_published`, `color_transfer_share: 1` and
    `color_transfer_strength: [1, 1]`.
    """

    color_transfer: Literal["none", "sot", "linear_ot", "reinhard", "sot_published"] = Field(
        "linear_ot",
        description="colours of the occluder moved to those of the face: sot: sliced optimal transport; linear_ot: "
        "the linear map between two Gaussians, which takes a fifth of the time; reinhard: mean and deviation in Lab; "
        "sot_published: the transport with its published oddities",
    )
    color_transfer_share: Share = Field(0.6, description="share of occluders whose colours are moved")
    color_transfer_strength: Fractions = Field(
        (0.5, 0.9), description="fraction of the way to the colours of the face; published: 1"
    )
    color_transfer_parts: tuple[OccluderPart, ...] = Field(
        ("hand",), description="kinds of occluder whose colours are moved; anything but skin takes the colour of skin"
    )
    light_share: Share = Field(0.8, description="share of occluders that are shaded and exposed like the face")
    light: Fractions = Field((0.3, 0.8), description="fraction of the face's light that is taken over")
    white_balance_share: Share = Field(0.8, description="share of occluders that take over the photo's cast")
    white_balance: Fractions = Field((0.2, 0.7), description="fraction of the cast that is taken over")
    sharpness_share: Share = Field(0.7, description="share of occluders blurred to the softness of the photo")
    noise_share: Share = Field(0.7, description="share of occluders that get the noise of the photo")
    motion_blur_share: Share = Field(0.08, description="share of occluders that moved during the exposure")
    motion_blur: Fractions = Field((0.01, 0.06), description="way of the occluder, in longer sides of the face's box")
    shadow_share: Share = Field(0.6, description="share of occluders that cast a soft shadow on what is below")
    shadow: Fractions = Field((0.2, 0.6), description="how much of the light the shadow takes, where it is deepest")
    shadow_distance: Fractions = Field(
        (0.01, 0.06), description="how far the shadow falls, in longer sides of the face's box; far ones are softer"
    )
    poisson_share: Share = Field(0.0, description="share of occluders blended by Poisson's equation")
    poisson: Fractions = Field((0.3, 0.9), description="fraction of Poisson's shift of colour")

    @classmethod
    def published(cls) -> HarmonySection:
        """Return the section that leaves occluders as they are, as all published generators do."""
        shares = {name: 0.0 for name in cls.model_fields if name.endswith("_share")}
        return cls.model_validate({"color_transfer": "none", **shares})
