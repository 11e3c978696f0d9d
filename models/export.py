"""Networks for other runtimes: one file that takes crops as they are and answers with probabilities.

Whatever the format, a file holds the network together with its preprocessing, and the card beside it:

    crops (N, S, S, 3) uint8 RGB, aligned  ->  probabilities (N, K, S, S) float32 in 0..1

N is free, S is the size that the weights were trained with, and K stands in the order of `models.spec.map_names`.
Every file is read back and compared with the network that it came from before it is put in its place.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import UserError
from common.image_io import write_bytes
from common.seeding import generator
from models.card import Card, encode_card
from models.onnx_predictor import CROPS, ONNX, PROBABILITIES, OnnxPredictor, require_onnx_packages
from models.predictor import CropPredictor
from models.spec import map_probabilities
from models.weights import HEADER_KEY, load_weights

Format = Literal["onnx", "exported", "torchscript"]
SUFFIXES: dict[Format, str] = {"onnx": ONNX, "exported": ".pt2", "torchscript": ".pt"}
# The lowest set of operators that PyTorch's exporter writes without a conversion; ONNX Runtime reads it since 1.14.
OPSET = 18
# Two right implementations of a network add in different orders; a wrong one is off by far more.
PARITY_TOLERANCE = 1e-3

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class CropNetwork(torch.nn.Module):
    """A network with its preprocessing inside: (N, S, S, 3) uint8 RGB -> (N, K, S, S) float32 in 0..1."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: torch.nn.Module, card: Card) -> None:
        super().__init__()
        made = card.preprocessing
        self.network = network
        self._spec = card.network
        self._is_bgr = made.colour_order == "BGR"
        scale = 255 / made.value_range
        self.register_buffer("mean", torch.tensor(made.mean).view(1, 3, 1, 1) * scale)
        self.register_buffer("std", torch.tensor(made.std).view(1, 3, 1, 1) * scale)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of the crops."""
        images = crops.permute(0, 3, 1, 2).float()  # (N, 3, S, S)
        ordered = images.flip(1) if self._is_bgr else images
        return map_probabilities(self.network((ordered - self.mean) / self.std), self._spec)


def export_file(weights: Path, target: Path, *, file_format: Format) -> float:
    """Write the model of a weights file for another runtime, and return how far its answers are off.

    Args:
        weights: a file that `models.weights.load_weights` reads.
        target: file to write, with the suffix of its format in `SUFFIXES`.
        file_format: onnx, exported (a torch.export.ExportedProgram) or torchscript.

    Returns:
        The largest difference of a probability, on crops that are drawn.

    Raises:
        UserError: the weights cannot be read, the suffix is another, a package is missing, or the answers differ.
    """
    check_target(target, file_format)
    network, card = load_weights(weights)
    written, predict = WRITERS[file_format](CropNetwork(network, card).eval(), card)
    reference = CropPredictor(network, card, device="cpu")
    difference = check_parity(reference.predict_crops, predict, size=card.preprocessing.size, name=str(target))
    write_bytes(target, written)
    return difference


def check_target(target: Path, file_format: Format) -> None:
    """Check that the name of a file tells its format.

    Raises:
        UserError: it does not.
    """
    suffix = SUFFIXES[file_format]
    if target.suffix != suffix:
        raise UserError(f"{target}: files of the format {file_format} end in {suffix}; change the name or --format")


def check_parity(reference: Predict, exported: Predict, *, size: int, name: str) -> float:
    """Return the largest difference between the answers of a network and of its export, in batches of 1 and 3.

    Raises:
        UserError: it is above `PARITY_TOLERANCE`, or the shapes differ.
    """
    crops = parity_crops(size)
    differences = []
    for batch in (crops[:1], crops[1:]):
        wanted, found = reference(batch), exported(batch)
        if wanted.shape != found.shape:
            raise UserError(f"{name}: answers have shape {found.shape}, expected {wanted.shape}; refused")
        differences.append(np.abs(wanted - found).max())
    difference = float(np.max(differences))
    if not difference <= PARITY_TOLERANCE:  # written so that NaN is refused
        raise UserError(
            f"{name}: its probabilities differ from the network's by up to {difference:.2g}, at most "
            f"{PARITY_TOLERANCE:g} is let in; refused, nothing was written. Try another --format"
        )
    return difference


def parity_crops(size: int) -> NDArray[np.uint8]:
    """Return four crops (4, S, S, 3) uint8: something like a face, noise, soft noise and a ramp."""
    rng = generator(0)
    noise = rng.integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    soft = cv2.GaussianBlur(noise[1], (0, 0), size / 16)
    soft = cv2.normalize(soft, np.empty_like(soft), 0, 255, cv2.NORM_MINMAX)
    ramp = np.linspace(0, 255, size, dtype=np.uint8)
    return np.stack([_drawn_face(size), noise[0], soft, np.dstack([np.broadcast_to(ramp, (size, size))] * 3)])


def _drawn_face(size: int) -> NDArray[np.uint8]:
    """Return skin, eyes and mouth where a crop has them, so that a trained network sees some face: (S, S, 3) uint8."""
    image = np.full((size, size, 3), (70, 80, 90), np.uint8)

    def spot(x: float, y: float, width: float, height: float, colour: tuple[int, int, int]) -> None:
        centre, axes = (round(x * size), round(y * size)), (round(width * size), round(height * size))
        cv2.ellipse(image, centre, axes, 0, 0, 360, colour, cv2.FILLED, cv2.LINE_AA)

    spot(0.5, 0.5, 0.3, 0.4, (205, 160, 135))
    for x in (0.38, 0.62):
        spot(x, 0.4, 0.05, 0.025, (50, 40, 40))
    spot(0.5, 0.68, 0.1, 0.03, (160, 80, 80))
    return cv2.GaussianBlur(image, (0, 0), size / 128)


def _to_onnx(model: CropNetwork, card: Card) -> tuple[bytes, Predict]:
    proto = make_onnx(model, card)
    written: bytes = proto.SerializeToString()
    return written, OnnxPredictor(written, device="cpu").predict_crops


def make_onnx(model: CropNetwork, card: Card) -> Any:
    """Return the onnx.ModelProto of a model, with its card in the metadata.

    Raises:
        UserError: the packages of requirements-onnx.txt are missing.
    """
    require_onnx_packages("onnx", "onnxscript")
    with _quiet_exporter(), _told(torch.onnx.errors.OnnxExporterError):
        program = torch.onnx.export(
            model,
            (_example(card),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[CROPS],
            output_names=[PROBABILITIES],
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            verbose=False,
        )
    assert program is not None  # it is None for the exporter before this one
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]  # the exporter leaves lines and paths of source code there
    write_card(proto, card)
    return proto


def write_card(proto: Any, card: Card) -> None:
    """Put the card into the metadata of an onnx.ModelProto, in place of one that is there."""
    others = {entry.key: entry.value for entry in proto.metadata_props if entry.key != HEADER_KEY}
    del proto.metadata_props[:]
    for key, value in {**others, HEADER_KEY: encode_card(card)}.items():
        proto.metadata_props.add(key=key, value=value)


def _to_exported(model: CropNetwork, card: Card) -> tuple[bytes, Predict]:
    with _quiet_exporter():
        program = torch.export.export(
            model, (_example(card),), dynamic_shapes=({0: torch.export.Dim("N", min=1)},), strict=False
        )
        stream = io.BytesIO()
        torch.export.save(program, stream, extra_files={HEADER_KEY: encode_card(card)})
        again = torch.export.load(io.BytesIO(stream.getvalue())).module()
    return stream.getvalue(), _predict_with(again)


def _to_torchscript(model: CropNetwork, card: Card) -> tuple[bytes, Predict]:
    with _quiet_exporter(), torch.inference_mode():
        traced = torch.jit.freeze(torch.jit.trace(model, _example(card)))  # type: ignore[no-untyped-call]
        stream = io.BytesIO()
        torch.jit.save(traced, stream, _extra_files={HEADER_KEY: encode_card(card)})
        again = torch.jit.load(io.BytesIO(stream.getvalue()))  # type: ignore[no-untyped-call]
    return stream.getvalue(), _predict_with(again)


WRITERS: dict[Format, Callable[[CropNetwork, Card], tuple[bytes, Predict]]] = {
    "onnx": _to_onnx,
    "exported": _to_exported,
    "torchscript": _to_torchscript,
}


def _predict_with(model: Any) -> Predict:
    @torch.inference_mode()
    def predict(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return cast(NDArray[np.float32], model(torch.from_numpy(crops)).numpy())

    return predict


def _example(card: Card) -> torch.Tensor:
    side = card.preprocessing.size
    return torch.zeros(2, side, side, 3, dtype=torch.uint8)  # a batch of 1 would be taken for a constant


@contextlib.contextmanager
def _told(kind: type[Exception]) -> Iterator[None]:
    """Turn an exporter's error, which is about its own insides, into one that says what to do."""
    try:
        yield
    except kind as error:
        first_line = str(error).splitlines()[0]
        raise UserError(
            f"PyTorch cannot write this network as ONNX ({first_line}); try --format torchscript"
        ) from error


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence what PyTorch says about its own insides while it exports; what is wrong is told by the comparison."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
