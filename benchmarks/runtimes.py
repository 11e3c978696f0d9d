"""The bare network in each runtime, against plain PyTorch in 32 bits on the same crops, in turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Measurement, measure
from benchmarks.world import World
from common.image_io import write_image
from models.card import Card, make_preprocessing
from models.export import CropNetwork, make_onnx, parity_crops
from models.export_int8 import quantise
from models.network import make_network
from models.onnx_predictor import OnnxPredictor
from models.predictor import CropModel, CropPredictor
from models.runtimes import prepare_network
from models.spec import NetworkSpec

SIZE = 256
SPEC = NetworkSpec("unet", "mobilenet_v2", (128, 64, 32, 24, 16), ("visible", "full"))  # configs/mobile.yaml
CARD = Card(SPEC, make_preprocessing("imagenet", size=SIZE, method="pos3d", template="faceocc256"))
BATCHES = (1, 8)
THREADS = (1, 2)


def run(world: World, scratch: Path, *, n: int) -> list[Measurement]:
    """Return the speed of a random U-Net with MobileNetV2 in each runtime; the world is not needed.

    Args:
        world: of the other benchmarks.
        scratch: for files in passing.
        n: batches a round.
    """
    torch.manual_seed(0)
    network = make_network(SPEC).eval()
    floats = make_onnx(CropNetwork(network, CARD).eval(), CARD)
    contents = {"onnx": floats.SerializeToString(), "onnx int8": quantise(floats, CARD, _calibration(scratch))}
    found = []
    for threads in THREADS:
        torch.set_num_threads(threads)
        plain = CropPredictor(network, CARD, device="cpu")
        models: dict[str, CropModel] = {
            f"torch {precision}": CropPredictor(
                prepare_network(network, CARD, device="cpu", precision=precision), CARD, device="cpu"
            )
            for precision in ("32", "bf16")
        }
        models |= {name: OnnxPredictor(file, device="cpu", threads=threads) for name, file in contents.items()}
        for batch in BATCHES:
            crops = np.random.default_rng(0).integers(0, 256, (batch, SIZE, SIZE, 3), dtype=np.uint8)
            for name, model in models.items():
                made = measure(
                    bench="runtimes",
                    case=f"{name}, {SIZE} px, batch {batch}",
                    job=_asking(model, crops),
                    floor=_asking(plain, crops),
                    n=n,
                    threads=threads,
                )
                found.append(_per_image(made, batch))
    return found


def _asking(model: CropModel, crops: np.ndarray) -> Callable[[int], object]:
    return lambda index: model.predict_crops(crops)


def _per_image(made: Measurement, batch: int) -> Measurement:
    return replace(
        made,
        images_per_s=batch * made.images_per_s,
        floor_images_per_s=batch * made.floor_images_per_s,
        n=batch * made.n,
    )


def _calibration(scratch: Path) -> list[Path]:
    folder = Path(tempfile.mkdtemp(dir=scratch))
    paths = []
    for index, crop in enumerate(parity_crops(SIZE)):
        paths.append(folder / f"{index}.png")
        write_image(paths[-1], crop)
    return paths
