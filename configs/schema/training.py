"""Every key of `train.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.config import Section
from configs.schema.network import LossSection, ModelSection
from configs.schema.occlusion import OcclusionSection
from configs.schema.shared import Count, DataSection, FaceSection, Positive, PreparedSet, Range, Share


class AugmentSection(Section):
    """Random changes of training samples, image and label together. Geometric ones share one warp."""

    flip_share: Share = 0.5
    rotation_deg: Annotated[float, Field(ge=0, le=180)] = Field(20.0, description="uniform in +- this")
    scale: Range = Field((0.8, 1.2), description="uniform")
    translation: Share = Field(0.08, description="uniform in +- this share of the side, each axis")
    photometric_share: Share = Field(0.8, description="share of samples with changed brightness, contrast, colour")
    brightness: Share = 0.3
    contrast: Share = 0.3
    saturation: Share = 0.3
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(0.02, description="share of the colour circle")
    grey_share: Share = 0.05
    blur_share: Share = 0.15
    jpeg_share: Share = 0.2
    noise_share: Share = 0.15


class OptimiserSection(Section):
    """AdamW with linear warm-up and cosine decay. All durations are in images seen."""

    images: Positive = Field(description="length of the training")
    batch_size: Positive = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup_images: Count = 500
    final_share: Share = Field(0.01, description="learning rate at the end / peak")
    gradient_clip: Annotated[float, Field(gt=0)] = Field(1.0, description="norm of the gradient")
    ema_half_life_images: Count = Field(0, description="half-life of the averaged weights; 0: no averaging")
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16-mixed where the device computes in it (H100, AMX), else 32-true"
    )
    workers: Count = Field(1, description="loader processes; the samples do not depend on it")
    threads: Positive | None = Field(None, description="CPU threads of the network; null: all cores")
    max_bad_steps: Positive = Field(10, description="stop after this many steps in a row without a finite loss")

    @model_validator(mode="after")
    def _some_step(self) -> OptimiserSection:
        if self.images < self.batch_size:
            raise ValueError(f"images ({self.images}) must be at least batch_size ({self.batch_size})")
        return self


class ValidationSection(Section):
    """When and how the run is judged. Only this set chooses a checkpoint."""

    every_images: Positive = 4000
    set: PreparedSet
    previews: Count = Field(8, description="pictures a validation")


class TrainJob(Section):
    """`train.py`."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    run_dir: Path | None = Field(None, description="null: runs/{date}_{name}; a folder: made, or resumed")
    seed: Count = 0
    data: DataSection
    face: FaceSection = FaceSection()
    size: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = Field(256, description="side of the input, pixels")
    train_sets: Annotated[dict[str, PreparedSet], Field(min_length=1)]
    validation: ValidationSection
    occlusion: OcclusionSection
    augment: AugmentSection = AugmentSection()
    model: ModelSection = ModelSection()
    loss: LossSection = LossSection()
    train: OptimiserSection

    @model_validator(mode="after")
    def _validation_is_unseen(self) -> TrainJob:
        held_out = self.validation.set
        for name, train_set in self.train_sets.items():
            overlap = train_set.split is None or held_out.split is None or train_set.split == held_out.split
            if train_set.prepared == held_out.prepared and overlap:
                raise ValueError(
                    f"train_sets.{name} and validation.set share samples ({train_set.prepared}, split "
                    f"{train_set.split!r} and {held_out.split!r}); validate on a split that is not trained on"
                )
        return self
