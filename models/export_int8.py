"""Eight-bit whole numbers in place of floats: half the time on CPUs, a quarter of the file.

Static quantisation by ONNX Runtime. Weights get one scale a channel; activations get one scale each, from the range
that they take on crops of a folder. Preprocessing and the last sigmoid stay floats.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.errors import UserError
from common.image_io import list_images, read_image, write_bytes
from models.card import Card
from models.export import CropNetwork, check_parity, check_target, make_onnx, write_card
from models.onnx_predictor import CROPS, OnnxPredictor, require_onnx_packages
from models.predictor import CropPredictor
from models.weights import load_weights

CALIBRATION_IMAGES = 100  # more did not change the scores
# Mean IoU of the masks with those of the network in floats, on the calibration crops. What is lost against the truth
# is far less than what is lost here, since most pixels that change are on outlines.
LEAST_AGREEMENT = 0.98


class Quantised(NamedTuple):
    """What came of a quantisation.

    Attributes:
        difference: largest difference of a probability of the file in floats that it was made from.
        agreement: mean IoU of the masks with those of the network in floats, lowest of the outputs, 0..1.
        images: how many were used.
    """

    difference: float
    agreement: float
    images: int


def export_int8(weights: Path, target: Path, *, crops: Path, images: int = CALIBRATION_IMAGES) -> Quantised:
    """Write the model of a weights file as ONNX in 8 bits.

    Args:
        weights: a file that `models.weights.load_weights` reads.
        target: .onnx file to write.
        crops: folder, with sub-folders, of aligned crops as the network gets them; others are stretched to its size.
        images: how many of them to use at most, spread evenly over the folder.

    Raises:
        UserError: a file or package cannot be used, or the masks in 8 bits are too far from those in floats.
    """
    check_target(target, "onnx")
    require_onnx_packages("onnx", "onnxruntime", "onnxscript")
    paths = calibration_paths(crops, images)
    network, card = load_weights(weights)
    size = card.preprocessing.size
    floats = make_onnx(CropNetwork(network, card).eval(), card)
    reference = CropPredictor(network, card, device="cpu")
    in_floats = OnnxPredictor(floats.SerializeToString(), device="cpu")
    difference = check_parity(reference.predict_crops, in_floats.predict_crops, size=size, name=str(target))
    written = quantise(floats, card, paths)
    agreement = mean_agreement(in_floats, OnnxPredictor(written, device="cpu"), paths)
    if not agreement >= LEAST_AGREEMENT:
        raise UserError(
            f"{target}: masks in 8 bits agree with those in floats by an IoU of {agreement:.3f} on {crops}, at least "
            f"{LEAST_AGREEMENT} is let in; refused, nothing was written. Are these the crops that the network wants?"
        )
    write_bytes(target, written)
    return Quantised(difference, agreement, len(paths))


def calibration_paths(folder: Path, count: int) -> list[Path]:
    """Return at most `count` images of a folder, spread evenly over its sorted files.

    Raises:
        UserError: there is no folder, or no image in it; `python -m face_align` makes one.
    """
    found = list_images(folder, recursive=True)
    if not found:
        raise UserError(f"{folder}: no image found; give a folder of aligned crops, of which {count} are used")
    chosen = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))
    return [found[index] for index in chosen]


def quantise(floats: Any, card: Card, paths: list[Path]) -> bytes:
    """Return the content of an ONNX file in 8 bits.

    Args:
        floats: onnx.ModelProto of `models.export.make_onnx`.
        card: of the model; what the quantisation was made from goes into its origin.
        paths: images to calibrate with.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as scratch:
        given, prepared, written = (Path(scratch) / name for name in ("floats.onnx", "prepared.onnx", "int8.onnx"))
        given.write_bytes(floats.SerializeToString())
        quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(written),
            _Reader(paths, card.preprocessing.size),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
        )
        proto = onnx.load(str(written))
    origin = {**card.origin, "precision": "int8", "calibration_images": len(paths)}
    write_card(proto, replace(card, origin=origin))
    return proto.SerializeToString()


def mean_agreement(floats: OnnxPredictor, eight_bits: OnnxPredictor, paths: list[Path]) -> float:
    """Return the mean IoU of the masks of both, of the output that agrees least, 0..1.

    Images where both see nothing agree.
    """
    found = []
    for crop in tqdm(_crops(paths, floats.size), desc="compare", total=len(paths), unit="crop"):
        one, other = (model.predict_crops(crop[None])[0] > model.threshold for model in (floats, eight_bits))
        union = (one | other).sum(axis=(1, 2))
        found.append(np.where(union > 0, (one & other).sum(axis=(1, 2)) / np.maximum(union, 1), 1.0))  # (K,)
    return float(np.mean(found, axis=0).min())


def _crops(paths: list[Path], size: int) -> Iterator[NDArray[np.uint8]]:
    for path in paths:
        image = read_image(path)
        filter_kind = cv2.INTER_AREA if max(image.shape[:2]) > size else cv2.INTER_LINEAR
        yield image if image.shape[:2] == (size, size) else cv2.resize(image, (size, size), interpolation=filter_kind)


class _Reader:
    """Hands the crops to ONNX Runtime, one at a time."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self._crops = iter(tqdm(_crops(paths, size), desc="calibrate", total=len(paths), unit="crop"))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next crop as the input of the model; None at the end."""
        crop = next(self._crops, None)
        return None if crop is None else {CROPS: crop[None]}
