"""What describes a network, and how its logits are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from common.labels import FacePolicy, visible_mask
from configs.schema.network import PARTS


@dataclass(frozen=True)
class NetworkSpec:
    """What is needed to build a network again and to read its logits.

    Attributes:
        architecture: one of `configs.schema.network.Architecture`.
        encoder: encoder name in segmentation-models-pytorch, or vgg16 for fcn8s.
        decoder_channels: widths of the decoder's stages, deepest first.
        outputs: names of the outputs, in the order of their channels: visible, full, parts.
        classes: channels of `visible`: 1 is a sigmoid, more are a softmax with the background as class 0.
        face_class: which of several `classes` is the face.
        face_parts: ids of `parts` that are the visible face.
        auxiliary: whether there is a second head, used in training only.
        output_stride: input / deepest features, of the networks that can choose; None: the usual.
    """

    architecture: str
    encoder: str
    decoder_channels: tuple[int, ...]
    outputs: tuple[str, ...]
    classes: int = 1
    face_class: int = 1
    face_parts: tuple[int, ...] = ()
    auxiliary: bool = False
    output_stride: int | None = None

    @property
    def channels(self) -> dict[str, slice]:
        """Which channels of the logits belong to each output."""
        widths = {"visible": self.classes, "full": 1, "parts": PARTS}
        slices, start = {}, 0
        for name in self.outputs:
            slices[name] = slice(start, start + widths[name])
            start += widths[name]
        return slices

    @property
    def channel_count(self) -> int:
        """K, the number of channels of the logits."""
        return max(channels.stop for channels in self.channels.values())


class Heads(NamedTuple):
    """What networks with more than one head return in training mode; in evaluation mode they return `logits` alone.

    Attributes:
        logits: (N, K, S, S).
        auxiliary: (N, K, S, S), logits of the second head.
        edges: (N, 1, S, S), logits of lying on an outline between classes.
    """

    logits: torch.Tensor
    auxiliary: torch.Tensor | None = None
    edges: torch.Tensor | None = None


def sigmoid_spec(channels: int) -> NetworkSpec:
    """Return how logits are read when nothing else is known: one sigmoid channel, visible, or two, visible and full.

    Raises:
        ValueError: there are more channels, which need the spec of their network.
    """
    if channels > 2:
        raise ValueError(f"{channels} channels of logits need the spec of their network")
    return NetworkSpec("", "", (), ("visible", "full")[:channels])


def face_part_ids(policy: FacePolicy) -> tuple[int, ...]:
    """Return the ids of the output `parts` that a policy counts as visible face."""
    ids = np.arange(PARTS, dtype=np.uint8)
    return tuple(int(part) for part in ids[visible_mask(ids[:, None], policy)[:, 0]])


def visible_logit(logits: torch.Tensor, spec: NetworkSpec) -> torch.Tensor:
    """Return log(p / (1 - p)) of the visible face, (N, 1, S, S).

    A sigmoid channel is that already; of a softmax p is the sum over the classes that are face. A network with both
    `visible` and `parts` is read by `visible`.

    Args:
        logits: (N, K, S, S).
    """
    channels = spec.channels
    if "visible" not in channels:
        return _log_odds(logits[:, channels["parts"]], spec.face_parts)
    visible = logits[:, channels["visible"]]  # (N, classes, S, S)
    return visible if spec.classes == 1 else _log_odds(visible, (spec.face_class,))


def visible_probability(logits: torch.Tensor, spec: NetworkSpec) -> torch.Tensor:
    """Return the probability that the face is visible, (N, 1, S, S) float32, whatever the network's outputs are.

    Args:
        logits: (N, K, S, S).
    """
    return torch.sigmoid(visible_logit(logits.float(), spec))


def map_names(spec: NetworkSpec) -> tuple[str, ...]:
    """Return the names of the maps that `map_probabilities` makes: visible, and full where the network has it."""
    return ("visible", "full") if "full" in spec.outputs else ("visible",)


def map_probabilities(logits: torch.Tensor, spec: NetworkSpec) -> torch.Tensor:
    """Return the probabilities of `map_names`, (N, M, S, S) float32.

    Args:
        logits: (N, K, S, S).
    """
    visible = visible_probability(logits, spec)
    if "full" not in spec.outputs:
        return visible
    return torch.cat([visible, torch.sigmoid(logits[:, spec.channels["full"]].float())], dim=1)


def part_ids(logits: torch.Tensor, spec: NetworkSpec) -> torch.Tensor:
    """Return the likeliest class of the output `parts`, (N, S, S) uint8 ids of `common.labels.PART_NAMES`.

    Raises:
        ValueError: the network has no such output.
    """
    if "parts" not in spec.outputs:
        raise ValueError(f"this network has no output `parts`, only {', '.join(spec.outputs)}")
    return logits[:, spec.channels["parts"]].argmax(dim=1).to(torch.uint8)


def _log_odds(logits: torch.Tensor, members: Sequence[int]) -> torch.Tensor:
    others = [channel for channel in range(logits.shape[1]) if channel not in members]
    inside, outside = logits[:, list(members)], logits[:, others]
    return torch.logsumexp(inside, dim=1, keepdim=True) - torch.logsumexp(outside, dim=1, keepdim=True)
