"""Keys of the generator `limb`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from configs.schema.occluder import OccluderSection
from configs.schema.pasting import positive_range
from configs.schema.shared import Range


class LimbSection(OccluderSection):
    """Arms with fists, palms and fingers, drawn by code in the colour of the face that they hide."""

    kind: Literal["limb"] = "limb"
    width: Annotated[Range, AfterValidator(positive_range)] = Field(
        (0.12, 0.4), description="width of the palm / longer side of the face's box"
    )
    tone: Annotated[Range, AfterValidator(positive_range)] = Field(
        (0.75, 1.2), description="brightness of the limb / brightness of the face's skin, before `harmony`"
    )
