"""Every key of every configuration: type, unit, range, default and meaning.

One class a command: `AlignJob` (python -m face_align), `OcclusionJob` (python -m occlusion_gen), `TrainJob`
(train.py) and `EvalJob` (eval.py). Only `build_*` functions and scripts see these classes; everything else takes
plain arguments.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from common.config import Section
from common.labels import FACE_PARTS, PART_NAMES, FacePolicy

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= bounds[0] <= bounds[1]:
        raise ValueError(f"expected two numbers in order, both at least 0, found {list(bounds)}")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


def _known_parts(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(names) - set(PART_NAMES))
    if unknown:
        raise ValueError(f"unknown parts {unknown}; known: {', '.join(PART_NAMES)}")
    return names


class DataSection(Section):
    """Where the data lies. All commands of one experiment share it."""

    root: Path = Field(description="the raw data set, in its published layout")
    prepared: Path = Field(description="the aligned crops: written by face_align, read by the others")


class FaceSection(Section):
    """What counts as visible face; applied when labels are read, never baked into the stored label maps."""

    face: Annotated[tuple[str, ...], AfterValidator(_known_parts)] = FACE_PARTS
    eyeglasses: Literal["occluder", "face", "lenses_are_face"] = "occluder"
    ears: bool = False
    neck: bool = False

    def policy(self) -> FacePolicy:
        """Return the policy object that `common.labels` works with."""
        return FacePolicy(face=self.face, eyeglasses=self.eyeglasses, ears=self.ears, neck=self.neck)


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
    limit: Positive | None = Field(None, description="take only the first N records; null: all")


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
    box_scale: Annotated[float, Field(gt=0, le=10)] = Field(1.3, description="box: side of the crop / side of the box")
    legacy_offsets: bool = Field(False, description="pos3d: one pixel of a 512 px photo higher, as in FaceOcc's code")
    legacy_clip: bool = Field(False, description="bbox: cut at the photo's edges and stretch, as published, not pad")


class AlignJob(Section):
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


class OccluderSection(Section):
    """What all generators with occluders from files share."""

    weight: Annotated[float, Field(gt=0)] = Field(1.0, description="how often this generator is chosen, relative")
    area: Range = Field((0.5, 1.0), description="occluder box area / face box area, before `affine`")
    affine_share: Share = Field(0.7, description="share of occluders that are stretched, turned and sheared")
    blur_share: Share = 0.5
    jpeg_share: Share = 0.5
    brightness_contrast_share: Share = 0.5
    holdout_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="share of the occluder files kept for validation, never used in training"
    )


class NatOccSection(OccluderSection):
    """Naturalistic occlusion: cut-outs of hands or objects."""

    kind: Literal["natocc"] = "natocc"
    occluders: Path = Field(description="folder of RGBA cut-outs, or with images/ and masks/ of equal stems")
    part: Literal["mask", "hand", "object"] = Field(description="class of the occluder in the label map")
    rotate_toward_face: bool = Field(False, description="turn the file's downward direction to the face's centre")


class RandOccSection(OccluderSection):
    """Random shapes filled with textures."""

    kind: Literal["randocc"] = "randocc"
    textures: Path = Field(description="folder of textures: {class}/{name}.jpg or {class}_{name}.jpg")
    translucent_share: Share = Field(0.3, description="share of shapes that let the face shine through")
    translucent_label: Literal["occluded", "threshold"] = Field(
        "occluded", description="label under a translucent shape: always occluded, or only from alpha 0.5"
    )


Generator = Annotated[NatOccSection | RandOccSection, Field(discriminator="kind")]


class WholeImageSection(Section):
    """Published augmentation of the finished composite (offline sets); training has its own in `augment`."""

    blur_share: Share = 0.0
    flip_share: Share = 0.0
    brightness_contrast_share: Share = 0.0


class OcclusionSection(Section):
    """Which occluders stand in front of faces, and how often."""

    clean_share: Share = Field(0.0, description="share of faces that get no occluder")
    generators: Annotated[dict[str, Generator], Field(min_length=1)]
    whole_image: WholeImageSection = WholeImageSection()


class OcclusionJob(Section):
    """`python -m occlusion_gen`: an occluded data set on disk."""

    data: DataSection
    split: str | None = Field("train", description="split of the prepared set to occlude; null: all")
    occluder_split: Literal["train", "validation"] = Field("train", description="which side of the held-out occluders")
    limit: Positive | None = Field(None, description="take only the first N faces; null: all")
    face: FaceSection = FaceSection()
    occlusion: OcclusionSection
    seed: Count = 0
    set: Count = Field(0, description="index of this set: sample i draws from [seed, set, i]")
    output: Path
    image_format: Literal["jpg", "png"] = "jpg"
    max_failed_share: Share = 0.05


class PreparedSet(Section):
    """Samples of a prepared folder (face_align, occlusion_gen)."""

    prepared: Path
    split: str | None = Field(None, description="split to take; null: all")
    occlude: bool = Field(True, description="put occluders on while loading; false for sets of occlusion_gen")
    limit: Positive | None = None


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


class ModelSection(Section):
    """The network, by the names of segmentation-models-pytorch."""

    architecture: Literal["unet"] = "unet"
    encoder: str = Field("mobilenet_v2", description="encoder name of segmentation-models-pytorch")
    encoder_weights: str | None = Field(
        None, description="null (random), `hub:imagenet` (library's hub), or a file with the encoder's state dict"
    )
    decoder_channels: tuple[Positive, Positive, Positive, Positive, Positive] = (256, 128, 64, 32, 16)
    outputs: tuple[Literal["visible", "full"], ...] = ("visible", "full")
    normalisation: Literal["imagenet", "none"] = Field("imagenet", description="none: RGB in [0, 1] as it is")

    @model_validator(mode="after")
    def _visible_first(self) -> ModelSection:
        if self.outputs not in (("visible",), ("visible", "full")):
            raise ValueError("outputs must be [visible] or [visible, full]")
        return self


class LossSection(Section):
    """Weights of the loss terms; 0 leaves a term out."""

    bce: Annotated[float, Field(ge=0)] = 1.0
    dice: Annotated[float, Field(ge=0)] = 1.0
    ohem_bce: Annotated[float, Field(ge=0)] = 0.0
    ohem_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(0.7, description="hard: probability of the truth below")
    ohem_min_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.0625, description="at least this share of the batch's pixels counts (0.0625: 65,536 of 16 crops of 256 px)"
    )
    full_weight: Annotated[float, Field(ge=0)] = Field(0.5, description="weight of the `full` channel beside `visible`")

    @model_validator(mode="after")
    def _some_term(self) -> LossSection:
        if self.bce + self.dice + self.ohem_bce == 0:
            raise ValueError("at least one of bce, dice and ohem_bce must be above 0")
        return self


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
