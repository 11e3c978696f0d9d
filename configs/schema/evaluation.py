"""Every key of `eval.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from common.config import Section
from common.plugins import known_name
from configs.schema.shared import Count, DataSection, FaceSection, Positive

LAYOUTS = [
    "folder", "realocc", "realocc_wild", "prepared", "celebamask_hq", "celebamask_hq_wo", "celebamask_hq_o", "cofw",
    "cofw68", "faceocc_cofw", "faceocc_ffhq", "faceocc_celebahq", "occluded_dev", "lapa", "helen", "lfw_pl", "lfw",
    "mlfw", "mfr2", "egohands",
]  # fmt: skip
# One of `LAYOUTS`, to which `datasets.test_sets.register_layout` adds.
Layout = Annotated[str, AfterValidator(lambda name: known_name(name, LAYOUTS, what="layout"))]


class EvalSet(Section):
    """One set of photos with masks: to score on, to choose a threshold with, to check or to look at."""

    layout: Layout = Field("folder", description="published tree of the set, see docs/data.md; prepared: ours")
    root: Path
    role: Literal["validation", "test"] = Field(
        "test", description="validation: thresholds and calibration may be chosen on it; test: only scores"
    )
    images: str | None = Field(None, description="sub-folder of photos; null: as the layout has it")
    masks: str | None = Field(None, description="sub-folder of masks, or another folder; null: as the layout has it")
    ignore: str | None = Field(None, description="folder, occluded_dev: sub-folder of pixels not to score")
    split: str | None = Field(
        None,
        description="prepared, celebamask_hq, cofw, lapa: name of the split; realocc, celebamask_hq_wo, _o: file that "
        "lists it; null: all, or the published one",
    )
    leave_out: Path | None = Field(None, description="file of ids not to take, one a line, e.g. damaged photos")
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
    weights: Path | None = Field(
        None, description="a .safetensors file of train.py, or an .onnx file of `python -m models export`"
    )
    predictions: Path | None = Field(
        None, description="instead of weights: masks of other code, DIR/SET/ID.png or .npy; of one set also DIR/ID.png"
    )
    prediction_kind: Literal["mask", "probability"] = Field(
        "mask", description="what `predictions` hold: two values, or probabilities of face (0..255, floats 0..1)"
    )
    sets: Annotated[dict[str, EvalSet], Field(min_length=1)]
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="null: that of the calibration, else the one in the weights"
    )
    calibrate: str | None = Field(
        None, description="name of the set, of role validation, to choose temperature and threshold on"
    )
    calibration: Path | None = Field(None, description="a calibration.json of an earlier `calibrate`")
    output: Path | None = Field(None, description="null: the folder eval/ of the run that the weights belong to")
    batch_size: Positive = 8
    device: str = Field("auto", description="auto, cpu, cuda or cuda:1")
    worst_cases: Count = Field(24, description="rows of the contact sheet of worst images")
    views: Count = Field(2000, description="images of each set that report.html shows")

    @model_validator(mode="after")
    def _one_way(self) -> EvalJob:
        if self.weights is not None and self.predictions is not None:
            raise ValueError("weights and predictions exclude each other: score one of them")
        given = [name for name in ("threshold", "calibrate", "calibration") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: each says which threshold is used")
        return self
