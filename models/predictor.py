"""From crops to probabilities: a network together with its preprocessing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.device import pick_device
from models.spec import map_names, map_probabilities
from models.weights import Card, load_weights


class CropPredictor:
    """Predicts visible and full face; owns the preprocessing that the weights were trained with.

    Attributes:
        size: side of the crops in pixels.
        method: alignment that the crops must have, see `face_align.crop`.
        template: target points of the alignment.
        outputs: names of the maps, e.g. ("visible", "full").
        threshold: probability above which a pixel counts as face.
    """

    def __init__(self, network: torch.nn.Module, card: Card, *, device: str = "auto") -> None:
        self.card = card
        self.size = card.preprocessing.size
        self.method = card.preprocessing.method
        self.template = card.preprocessing.template
        self.outputs = map_names(card.network)
        self.threshold = card.threshold
        self._device = pick_device(device)
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
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (self.size, self.size, 3):
            raise ValueError(
                f"expected crops (N, {self.size}, {self.size}, 3) uint8, found {crops.shape} {crops.dtype}"
            )
        images = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)  # (N, 3, S, S)
        inputs = self.card.preprocessing.normalise(images).contiguous(memory_format=torch.channels_last)
        probabilities = map_probabilities(self._network(inputs), self.card.network)  # (N, K, S, S)
        return probabilities.cpu().contiguous().numpy()
