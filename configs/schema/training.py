"""Every key of `train.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from common.config import Section
from configs.schema.network import LossSection, ModelSection, loss_problem
from configs.schema.occlusion import OcclusionSection
from configs.schema.shared import Count, DataSection, FaceSection, Positive, PreparedSet, Range, Share

LEAST_GAMMA = 0.01  # albumentations takes whole percents


def _powers(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] < LEAST_GAMMA:
        raise ValueError(f"expected powers of at least {LEAST_GAMMA}, found {list(bounds)}")
    return bounds


class AugmentSection(Section):
    """Random changes of training samples, image and label together. Geometric ones share one warp."""

    flip_share: Share = 0.5
    rotation_deg: Annotated[float, Field(ge=0, le=180)] = Field(20.0, description="uniform in +- this")
    rotation_share: Share = Field(1.0, description="share of samples that are turned")
    scale: Range = Field((0.8, 1.2), description="uniform")
    translation: Share = Field(0.08, description="uniform in +- this share of the side, each axis")
    legacy_translation: bool = Field(
        False, description="as in FaceOcc's code: 0 to `translation` half sides, one number for both axes, always up"
    )
    photometric_share: Share = Field(0.8, description="share of samples with changed brightness, contrast, colour")
    photometric_mode: Literal["together", "each"] = Field(
        "together",
        description="together: all four or none; each: every one of the four by itself in photometric_share of the "
        "samples, brightness added and not multiplied (the photometric distortion of segmentation libraries)",
    )
    brightness: Share = 0.3
    contrast: Share = 0.3
    saturation: Share = 0.3
    hue: Annotated[float, Field(ge=0, le=0.5)] = Field(0.02, description="share of the colour circle")
    gamma_share: Share = Field(0.0, description="share of samples whose values are raised to a power")
    gamma: Annotated[Range, AfterValidator(_powers)] = Field(
        (0.6, 2.2), description="the power, of values 0 to 1, uniform; above 1 is darker, which clips nothing"
    )
    grey_share: Share = 0.05
    blur_share: Share = 0.15
    jpeg_share: Share = 0.2
    noise_share: Share = 0.15
    noise: Range = Field((0.01, 0.06), description="its standard deviation, a share of 255, uniform")


class ScenesSection(Section):
    """Training faces made smaller and put into backgrounds, so that the network can also find faces."""

    share: Share = Field(0.3, description="share of samples that become one or two smaller faces in a scene")
    empty_share: Share = Field(0.08, description="share of samples that become a background without any face")
    scale: Range = Field((0.2, 1.0), description="side of the face's crop / side of the scene, log-uniform")
    textures: Path | None = Field(None, description="folder of pictures without faces, as backgrounds; null: none")
    cut_outs: Path | None = Field(None, description="folder of RGBA objects, scattered over backgrounds; null: none")
    holdout_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="share of both folders' files never used, to count false faces on"
    )

    @model_validator(mode="after")
    def _shares_and_scale(self) -> ScenesSection:
        if self.share + self.empty_share > 1:
            raise ValueError(f"share and empty_share add up to more than 1: {self.share} + {self.empty_share}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale must be two numbers in order, above 0 and at most 1, found {list(self.scale)}")
        return self


class OptimiserSection(Section):
    """What turns gradients into steps."""

    kind: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-3, description="at the peak of the schedule")
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    decay_all: bool = Field(False, description="decay biases and normalisation layers too, as older recipes do")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="sgd")


class ScheduleSection(Section):
    """The learning rate as a function of images seen: linear warm-up, then one of four shapes."""

    kind: Literal["cosine", "poly", "steps", "constant"] = "cosine"
    warmup_images: Count = 500
    final_share: Share = Field(0.01, description="cosine, poly: learning rate at the end / peak")
    power: Annotated[float, Field(gt=0)] = Field(0.9, description="poly: exponent of the share that is left")
    milestones_images: tuple[Positive, ...] = Field((), description="steps: after so many images the rate falls")
    factor: Annotated[float, Field(gt=0, lt=1)] = Field(0.1, description="steps: to this share of what it was")

    @model_validator(mode="after")
    def _milestones_for_steps(self) -> ScheduleSection:
        if (self.kind == "steps") != bool(self.milestones_images):
            raise ValueError("milestones_images must be given for kind: steps, and for no other")
        if list(self.milestones_images) != sorted(set(self.milestones_images)):
            raise ValueError(f"milestones_images must rise, found {list(self.milestones_images)}")
        return self


class TrainSection(Section):
    """The loop. All durations are in images seen; epochs x faces of the training sets gives their number."""

    images: Positive = Field(description="length of the training")
    batch_size: Positive = Field(16, description="images a step, over all processes and accumulation")
    accumulate: Positive = Field(1, description="passes a step, so that a batch fits into a small GPU")
    optimiser: OptimiserSection = OptimiserSection()
    schedule: ScheduleSection = ScheduleSection()
    gradient_clip: Annotated[float, Field(gt=0)] | None = Field(1.0, description="norm of the gradient; null: as it is")
    ema_half_life_images: Count = Field(0, description="half-life of the averaged weights; 0: no averaging")
    save_every_images: Positive | None = Field(None, description="state to resume from; null: at validations alone")
    log_every_images: Positive = 800
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16-mixed where the device computes in it (H100, AMX), else 32-true"
    )
    compile: bool = Field(False, description="torch.compile: minutes at the start, faster steps on GPUs")
    deterministic: bool = Field(
        True, description="equal runs give equal weights; false lets GPUs choose faster kernels"
    )
    sync_batchnorm: bool = Field(True, description="several GPUs: batch statistics over all of them")
    workers: Count = Field(1, description="loader processes a process; the samples do not depend on it")
    threads: Positive | None = Field(None, description="CPU threads of the network; null: all cores")
    max_bad_steps: Positive = Field(10, description="stop after this many steps in a row without a finite loss")

    @model_validator(mode="after")
    def _batches_come_out(self) -> TrainSection:
        if self.images < self.batch_size:
            raise ValueError(f"images ({self.images}) must be at least batch_size ({self.batch_size})")
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size ({self.batch_size}) must be a multiple of accumulate ({self.accumulate})")
        return self


class ValidationSection(Section):
    """When and how the run is judged. Only this set chooses a checkpoint."""

    every_images: Positive = 4000
    set: PreparedSet
    previews: Count = Field(8, description="pictures a validation")

    @model_validator(mode="after")
    def _no_test_set(self) -> ValidationSection:
        if self.set.split == "test":
            raise ValueError(
                "set.split is test: a test set never chooses a checkpoint; validate on another split and leave the "
                "test split to eval.py"
            )
        return self


class TrainJob(Section):
    """`train.py`."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    run_dir: Path | None = Field(None, description="null: runs/{date}_{name}; a folder: made, or resumed")
    seed: Count = 0
    data: DataSection
    face: FaceSection = FaceSection()
    size: Annotated[int, Field(ge=32, le=2048)] = Field(
        256, description="side of the input, pixels; networks take multiples of 8 to 32, fcn8s any"
    )
    train_sets: Annotated[dict[str, PreparedSet], Field(min_length=1)]
    validation: ValidationSection
    occlusion: OcclusionSection
    augment: AugmentSection = AugmentSection()
    scenes: ScenesSection | None = Field(None, description="null: every sample is an aligned face")
    model: ModelSection = ModelSection()
    loss: LossSection = LossSection()
    train: TrainSection

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

    @model_validator(mode="after")
    def _network_and_loss_fit(self) -> TrainJob:
        problems = [self.model.size_problem(self.size), loss_problem(self.model, self.loss)]
        if any(problems):
            raise ValueError("; ".join(problem for problem in problems if problem))
        return self
