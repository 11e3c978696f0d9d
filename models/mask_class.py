"""A face parser with a class for worn masks, read as a model of visible and full face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from common.labels import PART_ID
from models.predictor import CropModel, CropPredictor
from models.spec import visible_probability
from models.weights import Card


class MaskClassPredictor(CropPredictor):
    """Answers `visible`, and `full` = visible or mask, so that what hides the face is the parser's mask alone.

    Other things in front of the face, hands for example, are neither.
    """

    def __init__(self, network: torch.nn.Module, card: Card, *, device: str = "auto") -> None:
        super().__init__(network, card, device=device)
        if "parts" not in card.network.outputs:
            raise ValueError(f"these weights have no output `parts`, only {', '.join(card.network.outputs)}")
        self.outputs = ("visible", "full")

    @torch.inference_mode()
    def predict_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities (N, 2, S, S) float32 in 0..1 of `visible` and `full`; see `CropPredictor`."""
        logits, spec = self._logits(crops), self.card.network
        visible = visible_probability(logits, spec)
        parts = torch.softmax(logits[:, spec.channels["parts"]].float(), dim=1)  # (N, P, S, S)
        full = torch.maximum(visible, parts[:, PART_ID["mask"], None])
        return torch.cat([visible, full], dim=1).cpu().contiguous().numpy()


def open_mask_model(path: Path, *, device: str = "auto") -> CropModel:
    """Return the predictor of a weights file: by its mask class where it is a parser, else as it is."""
    predictor = CropPredictor.from_file(path, device=device)
    if "parts" not in predictor.card.network.outputs:
        return predictor
    return MaskClassPredictor.from_file(path, device=device)
