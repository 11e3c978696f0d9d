"""From crops to probabilities: a network together with its preprocessing."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from common.cut_options import CutOptions
from models.device import pick_device
from models.spec import map_names, map_probabilities
from models.weights import Card, load_weights


class CropModel(Protocol):
    """Whatever answers on crops: a network under PyTorch or another runtime, or one that is asked more than once.

    It may be called from several threads at once, and the answer on a crop does not depend on its neighbours.

    Attributes:
        size: side of the crops in pixels.
        method: alignment that the crops must have, see `face_align.crop`.
        template: target points of the alignment.
        cut_options: the alignment's other settings.
        outputs: names of the maps: ("visible",) or ("visible", "full").
        threshold: probability above which a pixel counts as face.
    """

    size: int
    method: str
    template: str
    cut_options: CutOptions
    outputs: tuple[str, ...]
    threshold: float

    def predict_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities (N, K, S, S) float32 in 0..1, K in the order of `outputs`.

        Args:
            crops: (N, S, S, 3) uint8 RGB, aligned; S = `size`.
        """
        ...


class CropPredictor:
    """Predicts visible and full face; owns the preprocessing that the weights were trained with.

    Attributes:
        card: how the network was built and what its input is.
        size, method, template, outputs, threshold: see `CropModel`.
        device: "cpu" or "cuda".
    """

    def __init__(self, network: torch.nn.Module, card: Card, *, device: str = "auto") -> None:
        self.card = card
        self.size = card.preprocessing.size
        self.method = card.preprocessing.method
        self.template = card.preprocessing.template
        self.cut_options = card.preprocessing.options
        self.outputs = map_names(card.network)
        self.threshold = card.threshold
        self._device = pick_device(device)
        self.device = self._device.type
        # Channels last: three quarters of the time of PyTorch's usual order on a CPU.
        self._network = network.to(self._device).to(memory_format=torch.channels_last).eval()

    @classmethod
    def from_file(cls, path: Path, *, device: str = "auto") -> CropPredictor:
        """Return the predictor of a weights file.

        Args:
            path: a .safetensors file written by train.py, or a published file, see `models.registry`.
            device: auto, cpu, cuda or cuda:1.

        Raises:
            UserError: the file or the device cannot be used.
        """
        network, card = load_weights(path)
        return cls(network, card, device=device)

    @torch.inference_mode()
    def predict_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities (N, K, S, S) float32 in 0..1, K in the order of `outputs`.

        Args:
            crops: (N, S, S, 3) uint8 RGB, aligned; S = `size`.

        Raises:
            ValueError: another shape or type.
        """
        return map_probabilities(self._logits(crops), self.card.network).cpu().contiguous().numpy()  # (N, K, S, S)

    def _logits(self, crops: NDArray[np.uint8]) -> torch.Tensor:
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (self.size, self.size, 3):
            raise ValueError(
                f"expected crops (N, {self.size}, {self.size}, 3) uint8, found {crops.shape} {crops.dtype}"
            )
        images = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)  # (N, 3, S, S)
        return self._network(self.card.preprocessing.normalise(images).contiguous(memory_format=torch.channels_last))
