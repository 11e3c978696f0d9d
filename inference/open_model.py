"""The model that answers on crops, from a file and what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast, get_args

from common.errors import UserError
from face_align.locate import Location
from inference.edge_refinement import refine_edges
from inference.faces import Refiner
from inference.photo_masks import Image8, Patch, Probabilities, to_patch
from inference.test_time import sliding_refiner, with_flip, with_scales
from models.predictor import CropModel
from models.runtimes import Precision, Runtime, open_predictor

DEFAULT_WEIGHTS = Path(__file__).resolve().parent.parent / "weights" / "occface_mobile.safetensors"
RUNTIMES: tuple[str, ...] = get_args(Runtime)
PRECISIONS: tuple[str, ...] = get_args(Precision)
REFINEMENTS = ("sliding", "edges")
GPU_BATCH = 32  # crops; on a CPU one at a time is as fast as several and stays in the cache


class OpenModel(NamedTuple):
    """A model and how it is asked.

    Attributes:
        model: answers on crops.
        refiner: brings answers to the photo; None: by the plain inverse warp.
        on_gpu: whether it has a device of its own.
        batch_size: crops at once that suit the device.
    """

    model: CropModel
    refiner: Refiner | None
    on_gpu: bool
    batch_size: int


def default_weights() -> Path:
    """Return the weights that lie in the repository.

    Raises:
        UserError: there are none.
    """
    if not DEFAULT_WEIGHTS.is_file():
        raise UserError(
            f"no weights: {DEFAULT_WEIGHTS} does not exist; give a file with --weights, or train one: "
            "`bash scripts/quickstart.sh` makes a small one in minutes and says where it lies"
        )
    return DEFAULT_WEIGHTS


def open_model(
    path: Path,
    *,
    runtime: str = "auto",
    device: str = "auto",
    threads: int = 1,
    precision: str = "32",
    compiled: bool = False,
    flip: bool = False,
    multi_scale: bool = False,
    refine: tuple[str, ...] = (),
) -> OpenModel:
    """Return the model of a file.

    Args:
        path: a .safetensors file or a published one for PyTorch, an .onnx file of `python -m models export` for ONNX
            Runtime.
        runtime: auto (told by the file), torch or onnx.
        device: auto, cpu, cuda or cuda:1.
        threads: cores that one call of the network uses on a CPU.
        precision: of PyTorch, see `models.runtimes.open_predictor`.
        compiled: let PyTorch compile the network.
        flip: ask about the mirrored crop, too, and take the mean.
        multi_scale: ask at several scales, and take the mean.
        refine: of `REFINEMENTS`: sliding looks at large faces in pieces at their own resolution, edges moves outlines
            to the edges of the photo.

    Raises:
        UserError: the file, the runtime or the device cannot be used.
    """
    model = open_predictor(
        path,
        runtime=cast(Runtime, runtime),
        device=device,
        threads=threads,
        precision=cast(Precision, precision),
        compiled=compiled,
    )
    on_gpu = getattr(model, "device", "cpu") != "cpu"
    if flip:
        model = with_flip(model)
    if multi_scale:
        model = with_scales(model)
    return OpenModel(model, build_refiner(model, refine), on_gpu, GPU_BATCH if on_gpu else 1)


def build_refiner(model: CropModel, steps: tuple[str, ...]) -> Refiner | None:
    """Return what brings answers to the photo in these steps, None where there are none."""
    if not steps:
        return None
    sliding = sliding_refiner(model) if "sliding" in steps else None

    def refine(photo: Image8, location: Location, probabilities: Probabilities) -> Patch:
        size = (photo.shape[0], photo.shape[1])
        if sliding is None:
            patch = to_patch(probabilities, location.photo_to_crop, size)
        else:
            patch = sliding(photo, location, probabilities)
        return refine_edges(photo, patch) if "edges" in steps else patch

    return refine
