"""The least time that a device needs for a network: each layer computes at its peak or waits for its memory.

Counted are the convolutions and matrix products of a forward pass; everything else (activations, sums, resizing) is
taken for free, as if it were done on the way in or out of them. Each reads its inputs and weights from memory once and
writes its output once. A layer takes at least the longer of operations / peak and bytes / bandwidth, and the layers
run one after another, so that the sum is the roofline of a runtime that does not fuse convolutions with each other.

Source: Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", 2009.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

COUNTED = (torch.ops.aten.convolution, torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm)
TRIALS = 5


class LayerCost(NamedTuple):
    """What one convolution or matrix product costs.

    Attributes:
        flops: a multiplication and an addition are two.
        bytes: of inputs, weights and output.
    """

    flops: int
    bytes: int


class Peaks(NamedTuple):
    """What a device can do at most.

    Attributes:
        flops_per_s: of matrix products.
        bytes_per_s: of memory, reading and writing together.
    """

    flops_per_s: float
    bytes_per_s: float


# Dense bfloat16 and memory bandwidth of the makers' data sheets, by the name that CUDA gives.
DATA_SHEETS = {
    "NVIDIA A100-SXM4-80GB": Peaks(312e12, 2.039e12),
    "NVIDIA H100 PCIe": Peaks(756e12, 2.0e12),
    "NVIDIA H100 80GB HBM3": Peaks(989e12, 3.35e12),
    "NVIDIA H200": Peaks(989e12, 4.8e12),
}


def layer_costs(network: torch.nn.Module, images: torch.Tensor, *, bytes_each: int) -> list[LayerCost]:
    """Return the cost of each convolution and matrix product of a forward pass, in order.

    Args:
        network: in evaluation mode.
        images: (N, 3, S, S); on the meta device, with the network, nothing is computed.
        bytes_each: of a number in memory, 2 in bfloat16.
    """
    with torch.no_grad(), _CostMode(bytes_each) as mode:
        network(images)
    return mode.costs


def roofline_s(costs: Sequence[LayerCost], peaks: Peaks) -> float:
    """Return the least seconds that a device with these peaks takes."""
    return sum(max(cost.flops / peaks.flops_per_s, cost.bytes / peaks.bytes_per_s) for cost in costs)


def measure_peaks(device: torch.device, *, side: int, copied_bytes: int, dtype: torch.dtype) -> Peaks:
    """Return what the device is seen to do: a product of two large matrices, and a copy within its memory.

    Args:
        device: to measure.
        side: of the matrices.
        copied_bytes: large against its caches.
        dtype: of the matrices.
    """
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = torch.empty_like(left)
    source = torch.empty(copied_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    multiply_s = fastest_s(lambda: torch.mm(left, right, out=product), device)
    copy_s = fastest_s(lambda: target.copy_(source), device)
    return Peaks(2 * side**3 / multiply_s, 2 * copied_bytes / copy_s)


def fastest_s(job: Callable[[], object], device: torch.device, *, repeats: int = 10) -> float:
    """Return the seconds of one call of `job`: the least of some trials of `repeats` calls, after a warm-up.

    Args:
        job: puts work onto the device's current stream.
        device: whose clock counts; on a GPU calls follow each other without waiting.
        repeats: calls a trial.
    """
    for _ in range(3):
        job()
    return min(_trial_s(job, device, repeats) for _ in range(TRIALS)) / repeats


def _trial_s(job: Callable[[], object], device: torch.device, repeats: int) -> float:
    if device.type != "cuda":
        start_s = time.perf_counter()
        for _ in range(repeats):
            job()
        return time.perf_counter() - start_s
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    for _ in range(repeats):
        job()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000


class _CostMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the cost of what runs inside it."""

    def __init__(self, bytes_each: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.costs: list[LayerCost] = []
        self._bytes_each = bytes_each

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket in COUNTED:
            tensors = [value for value in (*args, output) if isinstance(value, torch.Tensor)]
            flops = flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=output)
            self.costs.append(LayerCost(flops, self._bytes_each * sum(tensor.numel() for tensor in tensors)))
        return output
