"""Convolutions as oneDNN runs them fastest on a CPU: weights reordered once, activations on the way out.

PyTorch reorders the weights at each call, passes over the memory again for each activation, and leaves convolutions of
1x1 to another library when it has one thread. The operators here are those that its own compiler would choose.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch

from models.folding import module_parents, takers_of_convolutions

TOLERANCE = 1e-4  # of logits in units of their largest: another order of adding


class Activation(NamedTuple):
    """An activation under oneDNN's name, with its bounds."""

    name: str = "none"
    bounds: tuple[float, ...] = ()


class PackedConv2d(torch.nn.Module):
    """A convolution in 32 bits with the activation behind it, for predicting on a CPU.

    Args:
        convolution: to take over, with padding by zeros.
        input_size: (N, C, H, W) of what it will get; other sizes are right, too, but slower.
        activation: applied to its output.
    """

    def __init__(
        self, convolution: torch.nn.Conv2d, input_size: torch.Size, activation: Activation | None = None
    ) -> None:
        super().__init__()
        assert not isinstance(convolution.padding, str)
        self._padding, self._stride = list(convolution.padding), list(convolution.stride)
        self._dilation, self._groups = list(convolution.dilation), convolution.groups
        self._activation = activation or Activation()
        # Plain attributes: packed tensors have no strides, and cannot be moved or put in another memory format.
        self._weight = torch._C._nn.mkldnn_reorder_conv2d_weight(  # type: ignore[call-arg]
            convolution.weight.detach().contiguous().to_mkldnn(),
            self._padding,
            self._stride,
            self._dilation,
            self._groups,
            list(input_size),
        )
        self._bias = None if convolution.bias is None else convolution.bias.detach()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the activation of the convolution."""
        name, bounds = self._activation
        return torch.ops.mkldnn._convolution_pointwise(
            images,
            self._weight,
            self._bias,
            self._padding,
            self._stride,
            self._dilation,
            self._groups,
            name,
            list(bounds),
            "",  # of several ways to compute an activation
        )


@torch.no_grad()
def pack_convolutions(network: torch.nn.Module, images: torch.Tensor) -> torch.nn.Module:
    """Return a copy of the network with packed convolutions; the network itself where PyTorch has no such operators.

    Which activation follows which convolution is found by running the network. The copy is run, too: where its answer
    is another, because something else takes what stands before an activation, the network itself is returned.

    Args:
        network: in evaluation mode, on the CPU, in 32 bits.
        images: (N, 3, S, S) float32, such as it will get, but not constant.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return network
    expected = network(images.clone())
    packed = copy.deepcopy(network)
    try:
        _pack(packed, images)
        found = packed(images.clone())
    except (AttributeError, RuntimeError):  # operators of PyTorch's own compiler, which it may rename
        return network
    limit = TOLERANCE * float(expected.abs().max())
    return packed if float((found - expected).abs().max()) <= limit else network


def _pack(network: torch.nn.Module, images: torch.Tensor) -> None:
    sizes = _input_sizes(network, images)
    followed = dict(takers_of_convolutions(network, images.clone(), (torch.nn.ReLU, torch.nn.ReLU6)))
    parents = module_parents(network)
    for convolution, size in sizes.items():
        activation = followed.get(convolution)
        parent, name = parents[convolution]
        setattr(parent, name, PackedConv2d(convolution, size, _activation(activation)))
        if activation is not None:
            parent, name = parents[activation]
            setattr(parent, name, torch.nn.Identity())


def _activation(module: torch.nn.Module | None) -> Activation:
    if isinstance(module, torch.nn.ReLU6):
        return Activation("hardtanh", (0.0, 6.0))
    return Activation() if module is None else Activation("relu")


def _input_sizes(network: torch.nn.Module, images: torch.Tensor) -> dict[torch.nn.Conv2d, torch.Size]:
    """Return the size of what each convolution that can be packed gets; of one that runs twice the last."""
    sizes: dict[torch.nn.Conv2d, torch.Size] = {}
    hooks = [
        module.register_forward_pre_hook(lambda module, inputs: sizes.update({module: inputs[0].shape}))
        for module in network.modules()
        if type(module) is torch.nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    ]
    try:
        network(images.clone())
    finally:
        for hook in hooks:
            hook.remove()
    return sizes
