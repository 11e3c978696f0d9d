"""What a network costs: parameters, operations and memory, counted without running it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from models.network import check_size, make_network_on_meta
from models.spec import NetworkSpec

FLOAT_BYTES = 4
ADAM_COPIES = 4  # weights, gradients, and two moments


class Cost(NamedTuple):
    """What one network costs at one size.

    Attributes:
        parameters: all weights, fixed ones included.
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
    """Return what the network costs for inputs of side `size`; nothing is computed and no weights are held.

    Raises:
        UserError: the network takes no such inputs.
    """
    check_size(spec, size)
    network = make_network_on_meta(spec)
    parameters = sum(weight.numel() for weight in network.parameters())
    learnt = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    network.eval()
    image = torch.empty(1, 3, size, size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    saved = saved_bytes(network, torch.empty(2, 3, size, size, device="meta")) // 2
    state = FLOAT_BYTES * (parameters + (ADAM_COPIES - 1) * learnt)
    return Cost(parameters, counter.get_total_flops(), saved, state)


def saved_bytes(network: torch.nn.Module, images: torch.Tensor) -> int:
    """Return how many bytes a forward pass in training mode keeps for the backward pass, without the weights.

    Args:
        images: (N, 3, S, S) float; on the meta device nothing is computed.
    """
    own = {weight.untyped_storage()._cdata for weight in (*network.parameters(), *network.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}  # holding them keeps their addresses from being used again

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    network.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = network(images)
    del outputs
    return sum(storage.nbytes() for storage in kept.values())
