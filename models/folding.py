"""Batch normalisation as a part of the convolution before it: fewer passes over the memory when predicting."""

from __future__ import annotations

import copy

import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval


@torch.no_grad()
def fold_batch_norm(network: torch.nn.Module, images: torch.Tensor) -> torch.nn.Module:
    """Return a copy of the network in which convolutions do the work of the batch normalisation behind them.

    Pairs are found by running the network: a normalisation whose input is the very tensor that a convolution has
    given. The answers are the same but for rounding.

    Args:
        network: in evaluation mode, on the device of `images`.
        images: (N, 3, S, S) float, anything that it takes.
    """
    folded = copy.deepcopy(network)
    parents = {
        child: (parent, name) for parent in folded.modules() for name, child in parent.named_children()
    }  # a module has one place here; networks that use one twice are left alone below
    for convolution, normalisation in _pairs(folded, images):
        parent, name = parents[convolution]
        setattr(parent, name, fuse_conv_bn_eval(convolution, normalisation))
        parent, name = parents[normalisation]
        setattr(parent, name, torch.nn.Identity())
    return folded.eval()


def _pairs(network: torch.nn.Module, images: torch.Tensor) -> list[tuple[torch.nn.Conv2d, torch.nn.BatchNorm2d]]:
    """Return convolutions with the normalisation that takes their output, each run exactly once."""
    made: list[tuple[torch.nn.Conv2d, torch.Tensor]] = []  # holding the tensors keeps their ids from being used again
    taken: list[tuple[torch.nn.BatchNorm2d, torch.Tensor]] = []
    hooks = []
    for module in network.modules():
        if type(module) is torch.nn.Conv2d:
            hooks.append(module.register_forward_hook(lambda module, _, output: made.append((module, output))))
        elif type(module) is torch.nn.BatchNorm2d and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(lambda module, inputs: taken.append((module, inputs[0]))))
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
    runs = [module for module, _ in (*made, *taken)]
    by_output = {id(output): module for module, output in made}
    found = [(by_output.get(id(given)), normalisation) for normalisation, given in taken]
    return [
        (convolution, normalisation)
        for convolution, normalisation in found
        if convolution is not None and runs.count(convolution) == runs.count(normalisation) == 1
    ]
