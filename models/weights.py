"""Weights with everything that is needed to use them, in one safetensors file.

The header carries a card: how to build the network, how to make its input, and where the weights come from. A file of
ours therefore needs no configuration beside it; for published files of others, `models/registry.yaml` has the cards.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save

from common.errors import UserError
from common.image_io import write_bytes
from models.card import FORMAT, Card, Preprocessing, decode_card, encode_card, make_preprocessing, normalisation
from models.network import check_size, make_network
from models.registry import identify, read_registry
from models.spec import NetworkSpec
from models.state_files import SAFETENSORS, State, read_safetensors, read_state

HEADER_KEY = "occface"
DIGEST_KEY = "sha256"  # in the card, of its other entries and all tensors: the format has no checksum. Not in old files

__all__ = [
    "FORMAT", "HEADER_KEY", "Card", "Preprocessing", "load_weights", "make_preprocessing", "normalisation",
    "save_weights", "start_from",
]  # fmt: skip


def save_weights(path: Path, state: State, card: Card) -> None:
    """Write a state dict and its card with a SHA-256 over both, whole or not at all."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    header = encode_card(card)
    sealed = json.dumps({**json.loads(header), DIGEST_KEY: _digest(tensors, header)}, sort_keys=True)
    # One entry: the library writes several in an order that changes from run to run.
    write_bytes(path, save(tensors, metadata={HEADER_KEY: sealed}))


def load_weights(path: Path) -> tuple[torch.nn.Module, Card]:
    """Return the network with its weights, on the CPU and in evaluation mode, and the card.

    Args:
        path: a file of `save_weights`, or a published file that the registry knows by size and SHA-256.

    Raises:
        UserError: the file is missing, damaged, holds code, or its card is not known.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; train.py writes one to runs/NAME/checkpoints/best.safetensors")
    state, card = _read(path)
    try:
        check_size(card.network, card.preprocessing.size)
        network = make_network(card.network)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path}: the tensors do not fit the network that the file names: {error}") from error
    return network.eval(), card


def start_from(path: Path, network: torch.nn.Module, spec: NetworkSpec) -> None:
    """Load the weights of a file into a network that shall be trained on.

    Raises:
        UserError: as `load_weights`, or the file holds another network than `spec`.
    """
    trained, card = load_weights(path)
    if card.network != spec:
        raise UserError(f"{path}: holds the network {card.network}, the configuration asks for {spec}; make them equal")
    network.load_state_dict(trained.state_dict())


def _digest(state: State, header: str) -> str:
    """Return the SHA-256 of a card and of all tensors with their names, types and shapes."""
    digest = hashlib.sha256(header.encode())
    for name, tensor in sorted(state.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(path: Path) -> tuple[State, Card]:
    header = None
    if path.suffix == SAFETENSORS:
        state, metadata = read_safetensors(path)
        header = metadata.get(HEADER_KEY)
    else:
        state = read_state(path)
    if header is not None:
        card = decode_card(path, header)
        content = json.loads(header)
        digest = content.pop(DIGEST_KEY, None)
        if digest is not None and digest != _digest(state, json.dumps(content, sort_keys=True)):
            raise UserError(f"{path}: is not what was written (SHA-256); copy or train it again")
        return state, card
    entry = identify(path, read_registry())
    if entry is None:
        raise UserError(
            f"{path}: holds no card of this project, so its preprocessing is unknown; refused. `python -m models list` "
            "names the published files that are known"
        )
    return state, entry.card()
