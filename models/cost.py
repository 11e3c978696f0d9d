"""What a network costs: parameters, operations and memory, counted without running it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.network import NetworkSpec, make_network

FLOAT_BYTES = 4
ADAM_COPIES = 4  # weights, gradients, and two moments


class Cost(NamedTuple):
    """What one network costs at one size.

    Attributes:
        parameters: all weights.
        forward_flops: of one image; a multiplication and an addition are two.
        saved_bytes: of one image in training, what the forward pass keeps for the backward pass, in 32 bits.
        state_bytes: weights, gradients and the moments of Adam, in 32 bits.
    """

    parameters: int
    forward_flops: int
    saved_bytes: int
    state_bytes: int

    def training_bytes(self, batch_size: int) -> int:
        """Return an estimate of the memory of a training step in 32 bits, without scratch space of the kernels."""
        return self.state_bytes + self.saved_bytes * batch_size

    def describe(self, batch_size: int) -> str:
        """Return the cost in one line, for --dry-run."""
        gigabytes = self.training_bytes(batch_size) / 1e9
        return (
            f"{self.parameters:,} parameters, {self.forward_flops / 1e9:.2f} GFLOP an image forward, about "
            f"{gigabytes:.1f} GB to train a batch of {batch_size} in 32 bits"
        )


def estimate_cost(spec: NetworkSpec, size: int) -> Cost:
    """Return what the network costs for inputs of side `size`; nothing is computed."""
    network = make_network(spec).to("meta")
    parameters = sum(weight.numel() for weight in network.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.empty(1, 3, size, size, device="meta"))
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network.train()(torch.empty(2, 3, size, size, device="meta"))
    saved = max(0, sum(storage.nbytes() for storage in kept.values()) - FLOAT_BYTES * parameters) // 2
    return Cost(parameters, counter.get_total_flops(), saved, FLOAT_BYTES * ADAM_COPIES * parameters)
