"""A model in ONNX Runtime: fast on CPUs, and no PyTorch is needed to run it.

The file is one of `python -m models export`; crops go in as they are, and its card is in its metadata.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from models.card import decode_card
from models.spec import map_names
from models.weights import HEADER_KEY

ONNX = ".onnx"
CROPS, PROBABILITIES = "crops", "probabilities"


def require_onnx_packages(*names: str) -> None:
    """Check that optional packages can be imported.

    Raises:
        UserError: one is missing.
    """
    for name in names:
        try:
            __import__(name)
        except ImportError as error:
            raise UserError(
                f"the package {name} is missing ({error}); `pip install -r requirements-onnx.txt` installs it"
            ) from error


class OnnxPredictor:
    """A `CropModel` in ONNX Runtime.

    Args:
        source: a file of `python -m models export`, or its content.
        device: auto, cpu, cuda or cuda:1; a GPU needs the package onnxruntime-gpu.
        threads: cores that one call uses on a CPU; None: all.

    Raises:
        UserError: the package, the file or the device cannot be used.
    """

    def __init__(self, source: Path | bytes, *, device: str = "auto", threads: int | None = None) -> None:
        require_onnx_packages("onnxruntime")
        name = source if isinstance(source, Path) else Path("model.onnx")
        if isinstance(source, Path) and not source.is_file():
            raise UserError(f"{source}: no such file; `python -m models export WEIGHTS {source}` writes one")
        content = source.read_bytes() if isinstance(source, Path) else source
        self._session = _open_session(content, name=name, device=device, threads=threads)
        header = self._session.get_modelmeta().custom_metadata_map.get(HEADER_KEY)
        if header is None:
            raise UserError(
                f"{name}: holds no card of this project, so its input is unknown; write it with "
                "`python -m models export`"
            )
        self.card = decode_card(name, header)
        self.size = self.card.preprocessing.size
        self.method = self.card.preprocessing.method
        self.template = self.card.preprocessing.template
        self.cut_options = self.card.preprocessing.options
        self.outputs = map_names(self.card.network)
        self.threshold = self.card.threshold
        self.device = "cuda" if "CUDAExecutionProvider" in self._session.get_providers() else "cpu"

    def predict_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities (N, K, S, S) float32 in 0..1, K in the order of `outputs`.

        Args:
            crops: (N, S, S, 3) uint8 RGB, aligned; S = `size`.

        Raises:
            ValueError: another shape or type.
        """
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (self.size, self.size, 3):
            raise ValueError(
                f"expected crops (N, {self.size}, {self.size}, 3) uint8, found {crops.shape} {crops.dtype}"
            )
        if len(crops) == 0:  # some kernels of ONNX Runtime divide by the number of images
            return np.zeros((0, len(self.outputs), self.size, self.size), np.float32)
        return self._session.run(None, {CROPS: np.ascontiguousarray(crops)})[0]


def _open_session(content: bytes, *, name: Path, device: str, threads: int | None) -> Any:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: its warnings are about its own optimisations
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(content, options, providers=_providers(device))
    except (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NotImplemented,
    ) as e:
        raise UserError(f"{name}: ONNX Runtime cannot read this ({e}); write it with `python -m models export`") from e


def _providers(device: str) -> list[Any]:
    import onnxruntime

    has_gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or not (index == "" or index.isdecimal()):
        raise UserError(f"device {device!r} is unknown; use auto, cpu, cuda or cuda:1")
    if kind == "cuda" and not has_gpu:
        raise UserError(
            f"device {device!r}: this ONNX Runtime has no CUDA; use cpu or auto, or install onnxruntime-gpu in place "
            "of onnxruntime"
        )
    on_cpu = ["CPUExecutionProvider"]
    if kind == "cpu" or not has_gpu:
        return on_cpu
    return [("CUDAExecutionProvider", {"device_id": int(index or 0)}), *on_cpu]
