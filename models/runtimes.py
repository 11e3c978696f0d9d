"""The same model under PyTorch or ONNX Runtime, told by its file, as fast as the machine allows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch

from common.errors import UserError
from models.card import Card
from models.device import pick_device, pick_precision, use_threads
from models.folding import fold_batch_norm
from models.onnx_predictor import ONNX, OnnxPredictor
from models.packing import pack_convolutions
from models.predictor import CropModel, CropPredictor
from models.weights import load_weights

Runtime = Literal["auto", "torch", "onnx"]
Precision = Literal["auto", "32", "bf16"]


def open_predictor(
    path: Path,
    *,
    runtime: Runtime = "auto",
    device: str = "auto",
    threads: int | None = None,
    precision: Precision = "32",
    compiled: bool = False,
) -> CropModel:
    """Return what answers on crops with the model of a file.

    Args:
        path: a .safetensors file or a published one, for PyTorch; an .onnx file of `python -m models export`.
        runtime: auto is told by the file.
        device: auto, cpu, cuda or cuda:1.
        threads: cores that one call uses on a CPU; None leaves it to the runtime.
        precision: of PyTorch: 32 bits, or bf16, where probabilities move by up to some hundredths; auto is bf16 where
            the device multiplies in it. A file for ONNX Runtime has its precision inside.
        compiled: let PyTorch compile the network: a minute at the first batch of each size, then faster on a GPU.

    Raises:
        UserError: the file, a package, the runtime or the device cannot be used, or they do not go together.
    """
    _check_choice("runtime", runtime, get_args(Runtime))
    _check_choice("precision", precision, get_args(Precision))
    is_onnx = path.suffix == ONNX
    if runtime == "torch" and is_onnx:
        raise UserError(f"{path}: is a file for ONNX Runtime; give the .safetensors file it came from to PyTorch")
    if runtime == "onnx" and not is_onnx:
        raise UserError(
            f"{path}: ONNX Runtime wants an .onnx file; `python -m models export {path} {path.with_suffix(ONNX)}` "
            "writes one"
        )
    if is_onnx:
        return OnnxPredictor(path, device=device, threads=threads)
    if threads is not None:
        use_threads(threads)
    network, card = load_weights(path)
    network = prepare_network(network, card, device=device, precision=precision, compiled=compiled)
    return CropPredictor(network, card, device=device)


def prepare_network(
    network: torch.nn.Module, card: Card, *, device: str, precision: Precision, compiled: bool = False
) -> torch.nn.Module:
    """Return the network as it predicts fastest: normalisation within convolutions, channels last, bf16 if wanted.

    In 32 bits on a CPU convolutions are packed, unless PyTorch compiles the network, which does the same.
    """
    place = pick_device(device)
    side = card.preprocessing.size
    fast = fold_batch_norm(network, torch.zeros(1, 3, side, side)).to(place).to(memory_format=torch.channels_last)
    if precision == "bf16" or (precision == "auto" and pick_precision("auto", place.type) == "bf16-mixed"):
        fast = _HalfPrecision(fast, place.type)
    elif place.type == "cpu" and not compiled:
        images = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        fast = pack_convolutions(fast, images.contiguous(memory_format=torch.channels_last))
    if compiled:
        fast.compile()
    return fast


class _HalfPrecision(torch.nn.Module):
    """Computes in bfloat16 and answers in 32 bits.

    Args:
        network: to ask; the weights of its layers that compute in bfloat16 are kept so, as each call would round them.
        device_type: "cpu" or "cuda".
    """

    def __init__(self, network: torch.nn.Module, device_type: str) -> None:
        super().__init__()
        self.network = network
        self._device_type = device_type
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear):
                module.to(torch.bfloat16)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self._device_type, torch.bfloat16):
            return self.network(images).float()


def _check_choice(what: str, choice: str, known: tuple[str, ...]) -> None:
    if choice not in known:
        raise UserError(f"{what} {choice!r} is unknown; known: {', '.join(known)}")
