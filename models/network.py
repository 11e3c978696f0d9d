"""Networks by name, from segmentation-models-pytorch; state dicts keep that library's keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import segmentation_models_pytorch as smp
import torch

from common.errors import UserError
from configs.schema import ModelSection

HUB_PREFIX = "hub:"


@dataclass(frozen=True)
class NetworkSpec:
    """What is needed to build a network again.

    Attributes:
        architecture: name in segmentation-models-pytorch.
        encoder: encoder name in segmentation-models-pytorch.
        decoder_channels: widths of the decoder's stages, deepest first.
        outputs: names of the output channels, in order.
    """

    architecture: str
    encoder: str
    decoder_channels: tuple[int, ...]
    outputs: tuple[str, ...]


def make_network(spec: NetworkSpec, *, hub_weights: str | None = None) -> torch.nn.Module:
    """Return a network (N, 3, S, S) float -> logits (N, K, S, S), K = number of outputs.

    Args:
        hub_weights: name of encoder weights that the library downloads, e.g. "imagenet"; None starts random.

    Raises:
        UserError: encoder or architecture is unknown, or the download failed.
    """
    try:
        return smp.create_model(
            spec.architecture,
            encoder_name=spec.encoder,
            encoder_weights=hub_weights,
            decoder_channels=spec.decoder_channels,
            in_channels=3,
            classes=len(spec.outputs),
        )
    except (KeyError, OSError, RuntimeError) as error:
        if isinstance(error, KeyError) or hub_weights is None:  # timm says RuntimeError
            known = ", ".join(sorted(smp.encoders.encoders))
            raise UserError(
                f"model.encoder {spec.encoder!r} is unknown; known: {known}, and tu-NAME of timm"
            ) from error
        raise UserError(
            f"weights {hub_weights!r} of {spec.encoder} could not be had ({error}); download them elsewhere and give "
            "the file as model.encoder_weights=FILE, or start from random weights with model.encoder_weights=null"
        ) from error


def load_encoder(network: torch.nn.Module, path: Path) -> None:
    """Load a state dict of the encoder alone, e.g. torchvision's ImageNet weights, into `network`.

    Raises:
        UserError: the file is missing, damaged, or of another encoder.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file with encoder weights; set model.encoder_weights to a file or to null")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.encoder.load_state_dict(dict(state))  # type: ignore[union-attr]
    except Exception as error:  # torch raises many kinds for damaged files and keys that do not fit
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: cannot be loaded into this encoder ({type(error).__name__}: {reason}); expected a state dict "
            "with the keys of its torchvision or timm model"
        ) from error


def build_network(section: ModelSection) -> tuple[torch.nn.Module, NetworkSpec]:
    """Return the network that the configuration describes, with encoder weights loaded, and its spec.

    Raises:
        UserError: see `make_network` and `load_encoder`.
    """
    spec = NetworkSpec(section.architecture, section.encoder, section.decoder_channels, section.outputs)
    weights = section.encoder_weights
    if weights is not None and weights.startswith(HUB_PREFIX):
        return make_network(spec, hub_weights=weights.removeprefix(HUB_PREFIX)), spec
    network = make_network(spec)
    if weights is not None:
        load_encoder(network, Path(weights))
    return network, spec
