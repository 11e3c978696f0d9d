"""The exponential moving average of a network, which is what gets judged and shipped."""

from __future__ import annotations

import copy
import itertools
import operator
from typing import Any

import torch


class Average:
    """Averaged weights and buffers; the first update copies.

    Done by hand, because `torch.optim.swa_utils.AveragedModel` asks the device for its counter at every step, and the
    device would have to finish first.

    Args:
        network: what is averaged; it is copied.
        decay: what of the old average stays at an update, 0..1.

    Attributes:
        module: the averaged network.
        updates: how many there were.
    """

    def __init__(self, network: torch.nn.Module, *, decay: float) -> None:
        self.module = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: torch.nn.Module) -> None:
        """Take one step towards `network`; whole numbers, as counters of batches, are copied."""
        mine, others = _tensors(self.module), _tensors(network)
        floating = [tensor.is_floating_point() for tensor in mine]
        if self.updates == 0:
            torch._foreach_copy_(mine, others)
        else:
            chosen = list(itertools.compress(mine, floating)), list(itertools.compress(others, floating))
            torch._foreach_lerp_(*chosen, 1 - self.decay)
            for number, other in itertools.compress(zip(mine, others, strict=True), map(operator.not_, floating)):
                number.copy_(other)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return {"module": self.module.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.module.load_state_dict(state["module"])
        self.updates = state["updates"]


def build_average(network: torch.nn.Module, *, batch_size: int, half_life_images: int) -> Average | None:
    """Return the average that forgets half within `half_life_images`; None for 0, which means no averaging."""
    if half_life_images == 0:
        return None
    return Average(network, decay=0.5 ** (batch_size / half_life_images))


def _tensors(network: torch.nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
