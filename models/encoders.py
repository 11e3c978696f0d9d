"""Weights of encoders from files: torchvision's and the library's keys, and those of mmsegmentation's backbones."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch

from common.errors import UserError
from models.architectures.fcn8s import Vgg16Encoder, from_torchvision
from models.state_files import State, read_state

LEAST_SHARE = 0.5  # of an encoder's weights that a foreign backbone must fill
log = logging.getLogger("occface")


class Match(NamedTuple):
    """What a foreign state dict has for a network.

    Attributes:
        fitting: names and tensors that the network takes.
        other_shape: names that both have, in different shapes.
        unknown: names that the network does not have.
        missing: names of the network that nothing was found for; counters of batches left out.
    """

    fitting: State
    other_shape: tuple[str, ...]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        found = len(self.fitting) + len(self.other_shape) + len(self.missing)
        examples = [*self.other_shape, *self.missing][:4]
        left = f"; without: {', '.join(examples)}{' ...' if found - len(self.fitting) > 4 else ''}" if examples else ""
        return f"{len(self.fitting)} of {found} tensors loaded{left}"


def match(network: torch.nn.Module, state: State) -> Match:
    """Return which tensors of `state` a network can take by name and shape."""
    own = network.state_dict()
    fitting = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    other = tuple(name for name in state if name in own and name not in fitting)
    unknown = tuple(name for name in state if name not in own)
    missing = tuple(name for name in own if name not in state and not name.endswith("num_batches_tracked"))
    return Match(fitting, other, unknown, missing)


def load_encoder(network: torch.nn.Module, path: Path) -> None:
    """Load weights into the encoder of `network`, e.g. torchvision's ImageNet weights.

    Taken are torchvision's keys, the library's (with or without `encoder.`), and `backbone.` of mmsegmentation, of
    which what agrees in shape is loaded and the rest logged.

    Raises:
        UserError: the file is missing, damaged, or of another encoder.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file with encoder weights; set model.encoder_weights to a file or to null")
    encoder: Any = network.encoder
    try:
        state = read_state(path)
        if any(name.startswith("backbone.") for name in state):
            _load_backbone(encoder, from_mmsegmentation(state), path)
            return
        if any(name.startswith("encoder.") for name in state):
            state = {name.removeprefix("encoder."): state[name] for name in state if name.startswith("encoder.")}
        if isinstance(encoder, Vgg16Encoder) and "features.0.weight" in state:
            state = from_torchvision(state)
        encoder.load_state_dict(dict(state))
    except Exception as error:  # torch raises many kinds for keys that do not fit
        reason = str(error).splitlines()[0].removeprefix(f"{path}: ")
        raise UserError(
            f"{path}: cannot be loaded into this encoder ({type(error).__name__}: {reason}); expected a state dict "
            "with the keys of its torchvision or timm model"
        ) from error


def vgg16_from_hub() -> State:
    """Return torchvision's ImageNet weights of VGG-16 under the names of `Vgg16Encoder`; downloads them once."""
    from torchvision.models import VGG16_Weights  # type: ignore[import-untyped]  # slow to import, seldom needed

    return from_torchvision(dict(VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=True)))


def from_mmsegmentation(state: State) -> State:
    """Return the backbone of a checkpoint of mmsegmentation under the names of the library's encoder.

    ResNets have torchvision's names already. Mix transformers are renamed, and their joint projection of query, key
    and value is taken apart.
    """
    renamed: State = {}
    for name, tensor in state.items():
        if not name.startswith("backbone."):
            continue
        key = name.removeprefix("backbone.")
        if re.search(r"\.attn\.attn\.in_proj_(weight|bias)$", key):
            stem, part = key.rsplit("attn.attn.in_proj_", 1)
            width = tensor.shape[0] // 3
            renamed[f"{_transformer_key(stem)}attn.q.{part}"] = tensor[:width]
            renamed[f"{_transformer_key(stem)}attn.kv.{part}"] = tensor[width:]
            continue
        key = _transformer_key(key)
        linear = re.search(r"\.mlp\.fc[12]\.weight$", key) and tensor.ndim == 4
        renamed[key] = tensor[..., 0, 0] if linear else tensor
    return renamed


_TRANSFORMER_RULES = (
    (r"^layers\.(\d)\.0\.projection\.", "patch_embed{}.proj."),
    (r"^layers\.(\d)\.0\.norm\.", "patch_embed{}.norm."),
    (r"^layers\.(\d)\.1\.", "block{}."),
    (r"^layers\.(\d)\.2\.", "norm{}."),
)
_BLOCK_RULES = (
    (".attn.attn.out_proj.", ".attn.proj."),
    (".ffn.layers.0.", ".mlp.fc1."),
    (".ffn.layers.1.", ".mlp.dwconv.dwconv."),
    (".ffn.layers.4.", ".mlp.fc2."),
)


def _transformer_key(key: str) -> str:
    for pattern, name in _TRANSFORMER_RULES:
        found = re.match(pattern, key)
        if found:
            key = name.format(int(found[1]) + 1) + key[found.end() :]
    for old, new in _BLOCK_RULES:
        key = key.replace(old, new)
    return key


def _load_backbone(encoder: torch.nn.Module, state: State, path: Path) -> None:
    found = match(encoder, state)
    own = sum(tensor.numel() for tensor in encoder.state_dict().values())
    if sum(tensor.numel() for tensor in found.fitting.values()) < LEAST_SHARE * own:
        raise UserError(f"its backbone is another one: {found}")
    torch.nn.Module.load_state_dict(encoder, found.fitting, strict=False)
    log.warning("%s: %s", path, found)
