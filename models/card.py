"""What a weights file says about itself: how to build the network, and how to make its input."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from common.cut_options import USUAL, CutOptions
from common.errors import UserError
from models.spec import NetworkSpec

FORMAT = 3  # files that use nothing newer say 1, so that older versions of this code read them
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (104.00699, 116.66877, 122.67892)
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """How a photo becomes the input of a network: aligned crop, values scaled, then (x - mean) / std.

    Attributes:
        size: side of the crop in pixels.
        method: alignment, see `face_align.crop`.
        template: target points of the alignment, for `similarity5`.
        mean: one a channel, in the network's order and range.
        std: one a channel, likewise.
        colour_order: of the network's channels, RGB or BGR.
        value_range: what white is before mean and std: 1 or 255.
        options: of the alignment.
    """

    size: int
    method: str
    template: str
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    colour_order: str = "RGB"
    value_range: float = 1.0
    options: CutOptions = USUAL

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Return the input (N, 3, S, S) float32 for images (N, 3, S, S) uint8 RGB, on their device."""
        scale = 255 / self.value_range
        mean, std = (_per_channel(values, scale, images.device) for values in (self.mean, self.std))
        ordered = images.flip(1) if self.colour_order == "BGR" else images
        return (ordered.float() - mean) / std


@functools.lru_cache(maxsize=32)
def _per_channel(values: Triple, scale: float, device: torch.device) -> torch.Tensor:
    """Return scaled values as (1, 3, 1, 1) on `device`; kept, since making them anew lets the CPU wait for a GPU."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1) * scale


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


CARD_KEYS = tuple(entry.name for entry in fields(Card))


def normalisation(name: str) -> tuple[Triple, Triple]:
    """Return mean and standard deviation of "imagenet" or "none", of RGB in [0, 1].

    Raises:
        ValueError: another name; "caffe" also changes order and range, see `make_preprocessing`.
    """
    if name not in ("imagenet", "none"):
        raise ValueError(f"expected imagenet or none, found {name!r}")
    return (IMAGENET_MEAN, IMAGENET_STD) if name == "imagenet" else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def make_preprocessing(
    name: str, *, size: int, method: str, template: str, options: CutOptions = USUAL
) -> Preprocessing:
    """Return the preprocessing with the normalisation `name`: imagenet, none or caffe."""
    if name == "caffe":
        unit = (1.0, 1.0, 1.0)
        return Preprocessing(
            size, method, template, CAFFE_MEAN_BGR, unit, colour_order="BGR", value_range=255.0, options=options
        )
    return Preprocessing(size, method, template, *normalisation(name), options=options)


def encode_card(card: Card) -> str:
    """Return the card as JSON text for the header of a file."""
    content = asdict(card)
    plain = asdict(Card(_first_fields(card.network), _first_preprocessing(card.preprocessing)))
    second = any(content[part] != plain[part] for part in ("network", "preprocessing"))
    options = card.preprocessing.options.changed()
    del content["preprocessing"]["options"]
    if options:
        content["preprocessing"]["options"] = options
    return json.dumps({"format": FORMAT if options else 2 if second else 1, **content}, sort_keys=True)


def decode_card(path: Path, header: str) -> Card:
    """Return the card of the file `path`.

    Args:
        header: text of `encode_card`, of this or an older version.

    Raises:
        UserError: it is damaged, or of a newer version.
    """
    try:
        content = json.loads(header)
        if not 1 <= content["format"] <= FORMAT:
            raise UserError(f"{path}: is of format {content['format']}, this version reads {FORMAT}; update the code")
        card = TypeAdapter(Card).validate_json(json.dumps({key: content[key] for key in CARD_KEYS}))
        known = asdict(card)
        unknown = [key for part in ("network", "preprocessing") for key in content[part].keys() - known[part].keys()]
        if unknown:
            raise ValueError(f"unknown keys {unknown}")
        if not 0 < card.threshold < 1 or card.preprocessing.size < 1 or not card.network.outputs:
            raise ValueError("a threshold in (0, 1), a size above 0 and an output are needed")
        return card
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).replace("\n", "; ") or type(error).__name__
        raise UserError(
            f"{path}: the card in its header is damaged ({reason}); copy or train the file again"
        ) from error


def _first_fields(spec: NetworkSpec) -> NetworkSpec:
    """Return the spec as the first format can tell it."""
    return NetworkSpec(spec.architecture, spec.encoder, spec.decoder_channels, spec.outputs)


def _first_preprocessing(made: Preprocessing) -> Preprocessing:
    return Preprocessing(made.size, made.method, made.template, made.mean, made.std)
