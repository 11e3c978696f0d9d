"""The network and its loss: keys of `train.py` that `models` alone understands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from common.config import Section
from common.plugins import known_name
from configs.schema.shared import Count, Positive

Normalisation = Literal["imagenet", "none", "caffe"]

PARTS = 20  # channels of the output `parts`: ids 0..18 of CelebAMask-HQ and the worn mask, 19
OUTPUTS = (("visible",), ("visible", "full"), ("parts",), ("visible", "parts"), ("visible", "full", "parts"))
DEFAULT_DECODER: dict[str, tuple[int, ...]] = {
    "unet": (256, 128, 64, 32, 16),
    "deeplabv3plus": (256,),
    "pspnet": (512,),
    "segformer": (256,),
    "fcn8s": (),
    "scanet": (128,),
}
DEFAULT_STRIDE = {"deeplabv3plus": 16, "pspnet": 8, "scanet": 8}
# The others: their output stride. Between multiples of 32, the U-Net's decoder mends its one uneven stage, the deepest.
SIZE_MULTIPLE = {"unet": 16, "segformer": 32, "scanet": 8, "fcn8s": 1}
SMALLEST_SIZE_PX = 32

# One of `DEFAULT_DECODER`, to which `models.network.register_network` adds.
Architecture = Annotated[str, AfterValidator(lambda name: known_name(name, DEFAULT_DECODER, what="architecture"))]


def size_multiple(architecture: str, output_stride: int | None = None) -> int:
    """Return the number that the side of a network's input must be a multiple of."""
    return SIZE_MULTIPLE.get(architecture) or output_stride or DEFAULT_STRIDE[architecture]


def size_problem(architecture: str, size: int, output_stride: int | None = None) -> str | None:
    """Return what is wrong with inputs of side `size` for a network and which sizes would do; None: nothing."""
    step = size_multiple(architecture, output_stride)
    if size >= SMALLEST_SIZE_PX and size % step == 0:
        return None
    below = size // step * step
    near = [str(side) for side in (below, below + step) if side >= SMALLEST_SIZE_PX] or [str(SMALLEST_SIZE_PX)]
    return (
        f"size: {architecture} takes multiples of {step} from {SMALLEST_SIZE_PX} px on, found {size}; "
        f"nearest: {' and '.join(near)}"
    )


class ModelSection(Section):
    """The network, by the names of segmentation-models-pytorch; `fcn8s` and `scanet` are written here."""

    architecture: Architecture = Field(
        "unet",
        description="fcn8s: FCN-8s on VGG-16 (encoder: vgg16); scanet: parser with spatial and channel attention",
    )
    encoder: str = Field("mobilenet_v2", description="encoder name of segmentation-models-pytorch; vgg16 for fcn8s")
    encoder_weights: str | None = Field(
        None, description="null (random), `hub:imagenet` (library's hub), or a file with the encoder's state dict"
    )
    initial_weights: Path | None = Field(
        None, description="a .safetensors file of train.py with the same network, to go on from; null: from the encoder"
    )
    decoder_channels: tuple[Positive, ...] | None = Field(
        None, description="widths: five for unet, deepest first; one for the others, none for fcn8s; null: the usual"
    )
    output_stride: Literal[8, 16] | None = Field(
        None, description="deeplabv3plus, pspnet: input / deepest features; null: 16 and 8"
    )
    outputs: tuple[Literal["visible", "full", "parts"], ...] = Field(
        ("visible", "full"), description=f"parts: softmax over {PARTS} classes of the label map"
    )
    classes: Literal[1, 2, 21] = Field(
        1, description="channels of `visible`: 1 sigmoid; 2 softmax of background and face; 21 the classes of VOC"
    )
    face_class: Count = Field(1, description="which of the classes is face: 1 of 2, 15 (person) of 21")
    auxiliary: bool = Field(False, description="deeplabv3plus, pspnet: second head on the last but one stage, training")
    normalisation: Normalisation = Field(
        "imagenet", description="none: RGB in [0, 1] as it is; caffe: BGR in 0..255 minus the mean of Caffe's models"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> ModelSection:
        problems = [*_output_problems(self), *_architecture_problems(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def size_problem(self, size: int) -> str | None:
        """Return why the network takes no inputs of side `size`, None if it does."""
        return size_problem(self.architecture, size, self.output_stride)


def _output_problems(section: ModelSection) -> list[str]:
    problems = []
    if section.outputs not in OUTPUTS:
        problems.append(
            "outputs must be [visible] or [visible, full], or with parts: [parts], [visible, parts] or "
            "[visible, full, parts]"
        )
    if section.classes > 1 and section.outputs != ("visible",):
        problems.append(f"classes: {section.classes} needs outputs: [visible]")
    if section.classes > 1 and not 1 <= section.face_class < section.classes:
        problems.append(f"face_class must be 1 to {section.classes - 1}, since class 0 is the background")
    return problems


def _architecture_problems(section: ModelSection) -> list[str]:
    problems, name = [], section.architecture
    wanted = len(DEFAULT_DECODER[name])
    if section.decoder_channels is not None and len(section.decoder_channels) != wanted:
        problems.append(f"decoder_channels: {name} takes {wanted} widths, found {len(section.decoder_channels)}")
    if name == "fcn8s" and section.encoder != "vgg16":
        problems.append(f"fcn8s stands on encoder: vgg16, found {section.encoder!r}")
    if section.output_stride is not None and name not in ("deeplabv3plus", "pspnet"):
        problems.append(f"output_stride is for deeplabv3plus and pspnet, not for {name}")
    if section.auxiliary and name not in ("deeplabv3plus", "pspnet"):
        problems.append(f"auxiliary is for deeplabv3plus and pspnet, not for {name}")
    return problems


Weight = Annotated[float, Field(ge=0)]
PIXEL_TERMS = ("bce", "dice", "ohem_bce", "lovasz", "boundary_bce")  # of one output, face or not
CLASS_TERMS = ("ce", "ohem_ce")  # of a softmax


class LossSection(Section):
    """Weights of the loss terms; 0 leaves a term out.

    bce, dice, ohem_bce, lovasz and boundary_bce judge `visible` and `full`; ce and ohem_ce judge softmaxes: `parts`,
    and `visible` with classes above 1; edge_bce judges the edge branch of scanet.
    """

    bce: Weight = 1.0
    dice: Weight = 1.0
    ohem_bce: Weight = 0.0
    lovasz: Weight = Field(0.0, description="hinge of Berman et al., one image one vote; soft labels are rounded")
    boundary_bce: Weight = Field(0.0, description="bce with more weight near the outline")
    ce: Weight = Field(0.0, description="cross-entropy of softmaxes")
    ohem_ce: Weight = Field(0.0, description="cross-entropy of the hard pixels")
    edge_bce: Weight = 0.0
    ohem_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(0.7, description="hard: probability of the truth below")
    ohem_min_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.0625, description="at least this share of the batch's pixels counts (0.0625: 65,536 of 16 crops of 256 px)"
    )
    ohem_min_pixels: Count = Field(
        0, description="at least so many pixels an image, instead of the share; 0: the share"
    )
    boundary_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.02, description="boundary_bce: how far from the outline a pixel is near, as a share of the side"
    )
    boundary_weight: Weight = Field(4.0, description="boundary_bce: what is added to the weight 1 of near pixels")
    class_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(
        None, description="ce: one weight a class of the softmax; null: all equal"
    )
    full_weight: Weight = Field(0.5, description="weight of the `full` channel beside `visible`")
    parts_weight: Weight = Field(1.0, description="weight of `parts` beside `visible`")
    auxiliary_weight: Weight = Field(0.4, description="weight of the auxiliary head beside the main one")

    @model_validator(mode="after")
    def _some_term(self) -> LossSection:
        if not any(getattr(self, term) for term in (*PIXEL_TERMS, *CLASS_TERMS)):
            raise ValueError(f"at least one of {', '.join((*PIXEL_TERMS, *CLASS_TERMS))} must be above 0")
        return self


def loss_problem(model: ModelSection, loss: LossSection) -> str | None:
    """Return what of the loss the network has no output for, or which output no term judges; None: they fit."""
    softmax = {"visible": model.classes, "parts": PARTS}
    judged = [name for name in model.outputs if name in softmax and softmax[name] > 1]
    by_class = [term for term in CLASS_TERMS if getattr(loss, term)]
    if by_class and not judged:
        return (
            f"loss.{by_class[0]} judges softmaxes; set model.outputs to [parts] or model.classes to 2, or the term to 0"
        )
    if "parts" in model.outputs and not by_class:
        return "model.outputs names parts, but loss.ce and loss.ohem_ce are 0: nothing would teach them"
    if loss.edge_bce and model.architecture != "scanet":
        return f"loss.edge_bce needs the edge branch of model.architecture scanet, found {model.architecture}"
    widths = [softmax[name] for name in judged]
    if loss.class_weights is not None and widths != [len(loss.class_weights)]:
        return f"loss.class_weights has {len(loss.class_weights)} weights, the softmax has {widths or 'no'} classes"
    return None
