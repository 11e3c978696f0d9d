"""Weights with everything that is needed to use them, in one safetensors file.

The header carries a card: how to build the network, how to make its input, and where the weights come from. A file of
ours therefore needs no configuration beside it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from common.errors import UserError
from common.image_io import write_bytes
from models.network import NetworkSpec, make_network

HEADER_KEY = "occface"
FORMAT = 1
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the input of a network: RGB, aligned crop, scaled to [0, 1], then (x - mean) / std.

    Attributes:
        size: side of the crop in pixels.
        method: alignment, see `face_align.crop`.
        template: target points of the alignment, for `similarity5`.
        mean: one a channel, of values in [0, 1].
        std: one a channel.
    """

    size: int
    method: str
    template: str
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Return (N, 3, S, S) float32 for images (N, 3, S, S) uint8 RGB, on their device."""
        mean = torch.tensor(self.mean, device=images.device).view(1, 3, 1, 1) * 255
        std = torch.tensor(self.std, device=images.device).view(1, 3, 1, 1) * 255
        return (images.float() - mean) / std


@dataclass(frozen=True)
class Card:
    """What a weights file says about itself.

    Attributes:
        network: how to build the network.
        preprocessing: how to make its input.
        threshold: probability above which a pixel counts as face.
        origin: run name, images seen, validation score, git commit and the like, for readers.
    """

    network: NetworkSpec
    preprocessing: Preprocessing
    threshold: float = 0.5
    origin: dict[str, Any] = field(default_factory=dict)


def normalisation(name: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation of "imagenet" or "none", of RGB in [0, 1]."""
    return (IMAGENET_MEAN, IMAGENET_STD) if name == "imagenet" else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def save_weights(path: Path, state: dict[str, torch.Tensor], card: Card) -> None:
    """Write a state dict and its card, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    header = json.dumps({"format": FORMAT, **asdict(card)}, sort_keys=True)
    write_bytes(path, save(tensors, metadata={HEADER_KEY: header}))


def load_weights(path: Path) -> tuple[torch.nn.Module, Card]:
    """Return the network with its weights, on the CPU and in evaluation mode, and the card.

    Raises:
        UserError: the file is missing, damaged, or not written by this project.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; train.py writes one to runs/NAME/checkpoints/best.safetensors")
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            header = (stream.metadata() or {}).get(HEADER_KEY)
            state = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: is no whole safetensors file ({error}); copy or train it again") from error
    if header is None:
        raise UserError(f"{path}: holds no card of this project, so its preprocessing is unknown; refused")
    card = _parse_card(path, header)
    network = make_network(card.network)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path}: the tensors do not fit the network that the file names: {error}") from error
    return network.eval(), card


def _parse_card(path: Path, header: str) -> Card:
    try:
        content = json.loads(header)
        if content["format"] != FORMAT:
            raise UserError(f"{path}: is of format {content['format']}, this version reads {FORMAT}; update the code")
        network, preprocessing = content["network"], content["preprocessing"]
        return Card(
            network=NetworkSpec(
                network["architecture"],
                network["encoder"],
                tuple(network["decoder_channels"]),
                tuple(network["outputs"]),
            ),
            preprocessing=Preprocessing(
                size=int(preprocessing["size"]),
                method=preprocessing["method"],
                template=preprocessing["template"],
                mean=tuple(preprocessing["mean"]),
                std=tuple(preprocessing["std"]),
            ),
            threshold=float(content["threshold"]),
            origin=content["origin"],
        )
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: the card in its header is damaged ({error!r}); copy or train the file again"
        ) from error
