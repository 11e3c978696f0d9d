"""Every key of `python -m face_align`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.config import Section
from configs.schema.engine import EngineSection
from configs.schema.shared import DataSection, FaceSection, Positive, Share


class SourceSection(Section):
    """How to read the raw data set."""

    layout: Literal["celebamask_hq", "folder", "ffhq", "lfw", "cofw"] = Field(
        "celebamask_hq", description="published tree of the set; folder: any photos, see face_align/photo_folders.py"
    )
    landmarks: Path | None = Field(
        None, description="a file for the whole set or a folder with one a photo, see docs/alignment.md; null: "
        "landmarks/ or landmarks.jsonl in root"
    )  # fmt: skip
    labels: Path | None = Field(
        None,
        description="folder, ffhq, lfw: masks or label maps of equal names, null: root/masks if it is there; cofw: "
        "folder of mask_1.png, ..., and only photos with a mask are taken, null: all, without labels",
    )
    label_kind: Literal["mask", "parts"] = Field(
        "mask", description="labels hold mask: white is visible face; parts: class ids of common/labels.py"
    )
    faces: Literal["largest", "centre", "all"] = Field(
        "largest", description="of several landmarks of one photo; all: ids get #0, #1, ..."
    )
    split: str = Field("official", description="`official` (the set's own) or a CSV in root with id,split")
    only: Path | None = Field(
        None, description="take only the photos that have a file in this folder, or a line NAME.jpg in this list; not "
        "for cofw"
    )  # fmt: skip
    leave_out: Path | None = Field(None, description="folder or list of the photos not to take; not for cofw")
    limit: Positive | None = Field(None, description="take only the first N records; null: all")

    @model_validator(mode="after")
    def _names_are_known(self) -> SourceSection:
        if self.layout == "cofw" and (self.only or self.leave_out):
            raise ValueError("only and leave_out are not for layout cofw, whose photos have numbers and no files")
        return self


class AlignSection(Section):
    """How a photo becomes a crop."""

    method: Literal["pos3d", "similarity5", "bbox", "box", "none"] = Field(
        "pos3d",
        description="pos3d: scale and translation by the 3-D template, roll stays; similarity5: roll removed; "
        "bbox: square around all landmarks (Nirkin et al.); box: square of the face's box; none: the photo is a crop",
    )
    template: Literal["faceocc256", "arcface112", "ffhq"] = Field(
        "faceocc256", description="target points of similarity5; ffhq: the rule that CelebA-HQ and FFHQ were cut by"
    )
    size: Annotated[int, Field(ge=16, le=4096)] = Field(256, description="side of the crop, pixels")
    fill: Literal["reflect_blur", "reflect", "black", "legacy"] = Field(
        "reflect_blur",
        description="what stands outside the photo; legacy: mirrored under a box blur, as in FaceOcc's code",
    )
    photos_cut_by: Literal["ffhq"] | None = Field(
        None, description="none: the rule that the photos were cut by, ffhq for CelebA-HQ and FFHQ, so that other "
        "photos are cut alike for the trained network; null: it gets whole photos"
    )  # fmt: skip
    box_scale: Annotated[float, Field(gt=0, le=10)] = Field(1.3, description="box: side of the crop / side of the box")
    mark_sunglasses: bool = Field(
        False, description="dark glasses become class `object`; CelebAMask-HQ has one class for dark and clear ones"
    )
    legacy_offsets: bool = Field(False, description="pos3d: one pixel of a 512 px photo higher, as in FaceOcc's code")
    legacy_clip: bool = Field(False, description="bbox: cut at the photo's edges and stretch, as published, not pad")

    @model_validator(mode="after")
    def _only_whole_photos_were_cut(self) -> AlignSection:
        if self.photos_cut_by is not None and self.method != "none":
            raise ValueError(f"photos_cut_by is for method: none, found method: {self.method}")
        return self


class AlignJob(EngineSection):
    """`python -m face_align`: photos and landmarks to crops, label maps and a manifest."""

    data: DataSection
    source: SourceSection = SourceSection()
    align: AlignSection = AlignSection()
    face: FaceSection = FaceSection()
    faults: Literal["drop", "keep"] = Field(
        "drop", description="known bad photos of CelebAMask-HQ (official split): record as known_fault, or use all"
    )
    output: Path
    image_format: Literal["jpg", "png"] = "jpg"
    max_failed_share: Share = Field(0.05, description="exit 2 when more records than this share have no crop")
