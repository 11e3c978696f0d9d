"""Networks by name; those of segmentation-models-pytorch keep that library's keys in their state dicts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch.overrides import TorchFunctionMode

from common.errors import UserError
from common.labels import FacePolicy
from common.plugins import HINT as PLUGIN_HINT
from configs.schema.network import DEFAULT_DECODER, DEFAULT_STRIDE, SIZE_MULTIPLE, ModelSection, size_problem
from models.architectures.auxiliary import DeepLabV3PlusAuxiliary, PSPNetAuxiliary
from models.architectures.fcn8s import FCN8s
from models.architectures.scanet import ScaNet
from models.encoders import load_encoder, vgg16_from_hub
from models.spec import NetworkSpec, face_part_ids

HUB_PREFIX = "hub:"
Maker = Callable[[NetworkSpec, str | None], torch.nn.Module]

__all__ = [
    "NetworkSpec",
    "build_network",
    "check_size",
    "load_encoder",
    "make_network",
    "make_network_on_meta",
    "register_network",
]


def make_network(spec: NetworkSpec, *, hub_weights: str | None = None) -> torch.nn.Module:
    """Return a network: (N, 3, S, S) float -> logits (N, K, S, S), K = `spec.channel_count`.

    In training mode a network with more than one head returns `models.spec.Heads` instead.

    Args:
        hub_weights: name of encoder weights that the library downloads, e.g. "imagenet"; None starts random.

    Raises:
        UserError: encoder or architecture is unknown or do not fit each other, or the download failed.
    """
    try:
        maker = MAKERS[spec.architecture]
    except KeyError:
        known = ", ".join(MAKERS)
        raise UserError(f"model.architecture {spec.architecture!r} is unknown; known: {known}; {PLUGIN_HINT}") from None
    try:
        return maker(spec, hub_weights)
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        if isinstance(error, ValueError):  # an encoder that cannot be dilated, or has too few stages
            raise UserError(
                f"model.encoder {spec.encoder!r} does not suit {spec.architecture} ({error}); try resnet18"
            ) from error
        if isinstance(error, KeyError) or hub_weights is None:  # timm says RuntimeError
            known = ", ".join(sorted(smp.encoders.encoders))
            raise UserError(
                f"model.encoder {spec.encoder!r} is unknown; known: {known}, and tu-NAME of timm"
            ) from error
        raise UserError(
            f"weights {hub_weights!r} of {spec.encoder} could not be had ({error}); download them elsewhere and give "
            "the file as model.encoder_weights=FILE, or start from random weights with model.encoder_weights=null"
        ) from error


def make_network_on_meta(spec: NetworkSpec) -> torch.nn.Module:
    """Return the network without memory for its weights: for counting, at any size, in a moment."""
    with ExitStack() as stack:
        stack.enter_context(torch.device("meta"))
        stack.enter_context(_RealRamps())
        return make_network(spec)


class _RealRamps(TorchFunctionMode):
    """Keeps `torch.linspace` off the meta device: some encoders read numbers from it while they are built."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **({**(kwargs or {}), "device": "cpu"} if func is torch.linspace else kwargs or {}))


def check_size(spec: NetworkSpec, size: int) -> None:
    """Check that the network takes inputs of side `size`.

    Raises:
        UserError: it does not; the message names sizes that do.
    """
    problem = size_problem(spec.architecture, size, spec.output_stride)
    if problem is not None:
        raise UserError(problem)


def build_network(section: ModelSection, *, policy: FacePolicy | None = None) -> tuple[torch.nn.Module, NetworkSpec]:
    """Return the network that the configuration describes, with encoder weights loaded, and its spec.

    Args:
        policy: which parts are visible face, for networks with the output `parts` and no `visible`; None: the usual.

    Raises:
        UserError: see `make_network` and `load_encoder`.
    """
    spec = build_spec(section, policy=policy)
    weights = section.encoder_weights
    if weights is None:
        return make_network(spec), spec
    if not weights.startswith(HUB_PREFIX):
        network = make_network(spec)
        load_encoder(network, Path(weights))
        return network, spec
    if section.architecture == "fcn8s" and section.normalisation == "caffe":
        raise UserError(
            "model.encoder_weights hub:imagenet: torchvision's VGG-16 was trained with model.normalisation imagenet, "
            "not caffe; choose that, or convert Caffe's weights with scripts/convert_caffe_fcn8s.py"
        )
    return make_network(spec, hub_weights=weights.removeprefix(HUB_PREFIX)), spec


def build_spec(section: ModelSection, *, policy: FacePolicy | None = None) -> NetworkSpec:
    """Return the spec of the network that the configuration describes; see `build_network`."""
    name = section.architecture
    return NetworkSpec(
        architecture=name,
        encoder=section.encoder,
        decoder_channels=DEFAULT_DECODER[name] if section.decoder_channels is None else section.decoder_channels,
        outputs=section.outputs,
        classes=section.classes,
        face_class=section.face_class,
        face_parts=face_part_ids(policy or FacePolicy()) if "parts" in section.outputs else (),
        auxiliary=section.auxiliary,
        output_stride=section.output_stride,
    )


def _library_options(spec: NetworkSpec, hub_weights: str | None) -> dict[str, Any]:
    return {"encoder_name": spec.encoder, "encoder_weights": hub_weights, "classes": spec.channel_count}


def _unet(spec: NetworkSpec, hub_weights: str | None) -> torch.nn.Module:
    return smp.Unet(decoder_channels=spec.decoder_channels, **_library_options(spec, hub_weights))


def _deeplabv3plus(spec: NetworkSpec, hub_weights: str | None) -> torch.nn.Module:
    return (DeepLabV3PlusAuxiliary if spec.auxiliary else smp.DeepLabV3Plus)(
        decoder_channels=spec.decoder_channels[0],
        encoder_output_stride=spec.output_stride or DEFAULT_STRIDE["deeplabv3plus"],
        **_library_options(spec, hub_weights),
    )


def _pspnet(spec: NetworkSpec, hub_weights: str | None) -> torch.nn.Module:
    # The library stops at the third stage of the encoder; the published network has all five, the last ones dilated.
    stride = spec.output_stride or DEFAULT_STRIDE["pspnet"]
    return (PSPNetAuxiliary if spec.auxiliary else smp.PSPNet)(
        psp_out_channels=spec.decoder_channels[0],
        encoder_depth=5,
        output_stride=stride,
        upsampling=stride,
        **_library_options(spec, hub_weights),
    )


def _segformer(spec: NetworkSpec, hub_weights: str | None) -> torch.nn.Module:
    return smp.Segformer(decoder_segmentation_channels=spec.decoder_channels[0], **_library_options(spec, hub_weights))


def _fcn8s(spec: NetworkSpec, hub_weights: str | None) -> torch.nn.Module:
    network = FCN8s(spec.channel_count)
    if hub_weights is not None:
        network.encoder.load_state_dict(vgg16_from_hub())
    return network


def _scanet(spec: NetworkSpec, hub_weights: str | None) -> torch.nn.Module:
    return ScaNet(
        encoder=spec.encoder,
        width=spec.decoder_channels[0],
        classes=spec.channel_count,
        encoder_weights=hub_weights,
    )


MAKERS: dict[str, Maker] = {
    "unet": _unet,
    "deeplabv3plus": _deeplabv3plus,
    "pspnet": _pspnet,
    "segformer": _segformer,
    "fcn8s": _fcn8s,
    "scanet": _scanet,
}


def register_network(name: str, maker: Maker, *, decoder_channels: tuple[int, ...] = (), multiple_of: int = 32) -> None:
    """Make a network known as `model.architecture: NAME`; see docs/adding.md.

    Args:
        maker: takes the spec and the name of encoder weights to download, None for random ones; returns the network,
            (N, 3, S, S) float -> logits (N, K, S, S), K = `spec.channel_count`.
        decoder_channels: the usual widths of its decoder; empty: it has none to choose.
        multiple_of: what the side of its inputs must be a multiple of, in pixels.

    Raises:
        ValueError: the name is taken.
    """
    if name in MAKERS:
        raise ValueError(f"the architecture {name!r} is known already; choose another name")
    MAKERS[name] = maker
    DEFAULT_DECODER[name], SIZE_MULTIPLE[name] = decoder_channels, multiple_of
