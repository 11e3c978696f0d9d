"""Every key of `eval.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.config import Section
from configs.schema.shared import Count, DataSection, FaceSection, Positive


class EvalSet(Section):
    """One test set."""

    layout: Literal["folder", "realocc", "prepared"] = Field(
        "folder",
        description="folder: images and masks of equal stems; realocc: its published layout; prepared: ours",
    )
    root: Path
    images: str = Field("images", description="layout folder: sub-folder of photos")
    masks: str = Field("masks", description="layout folder: sub-folder of visible-face masks")
    ignore: str | None = Field(None, description="layout folder: sub-folder of pixels not to score")
    split: str | None = Field(None, description="layout prepared: split to take; null: all")
    crop: Literal["detect", "landmarks", "resize"] = Field(
        "resize",
        description="detect: find the face (YuNet) and align it; landmarks: align by files; resize: it is a crop",
    )
    landmarks: Path | None = Field(None, description="crop landmarks: folder of {stem}.npy")
    limit: Positive | None = None

    @model_validator(mode="after")
    def _landmarks_given(self) -> EvalSet:
        if self.crop == "landmarks" and self.landmarks is None:
            raise ValueError("crop: landmarks needs the folder in `landmarks`")
        return self


class EvalJob(Section):
    """`eval.py`."""

    data: DataSection
    face: FaceSection = FaceSection()
    weights: Path | None = Field(None, description="a .safetensors file of train.py")
    sets: Annotated[dict[str, EvalSet], Field(min_length=1)]
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = Field(None, description="null: the one in the weights")
    output: Path | None = Field(None, description="null: the folder eval/ of the run that the weights belong to")
    batch_size: Positive = 8
    device: str = Field("auto", description="auto, cpu, cuda or cuda:1")
    worst_cases: Count = Field(24, description="rows of the contact sheet of worst images")
