"""Batch normalisation as a part of the convolution before it: fewer passes over the memory when predicting."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

Taker = TypeVar("Taker", bound=torch.nn.Module)


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
    parents = module_parents(folded)
    for convolution, normalisation in takers_of_convolutions(folded, images, (torch.nn.BatchNorm2d,)):
        if not normalisation.track_running_stats:
            continue
        parent, name = parents[convolution]
        setattr(parent, name, fuse_conv_bn_eval(convolution, normalisation))
        parent, name = parents[normalisation]
        setattr(parent, name, torch.nn.Identity())
    return folded.eval()


def module_parents(network: torch.nn.Module) -> dict[torch.nn.Module, tuple[torch.nn.Module, str]]:
    """Return the place of each module: the one that holds it, and its name there; one place of those with more."""
    return {child: (parent, name) for parent in network.modules() for name, child in parent.named_children()}


def takers_of_convolutions(
    network: torch.nn.Module, images: torch.Tensor, kinds: tuple[type[Taker], ...]
) -> list[tuple[torch.nn.Conv2d, Taker]]:
    """Return convolutions with the module of some kinds that takes their output, each run exactly once.

    Args:
        network: in evaluation mode, on the device of `images`.
        images: (N, 3, S, S) float, anything that it takes.
        kinds: of modules, their sub-classes left out.
    """
    made: list[tuple[torch.nn.Conv2d, torch.Tensor]] = []  # holding the tensors keeps their ids from being used again
    taken: list[tuple[Taker, torch.Tensor]] = []
    hooks = []
    for module in network.modules():
        if type(module) is torch.nn.Conv2d:
            hooks.append(module.register_forward_hook(lambda module, _, output: made.append((module, output))))
        elif type(module) in kinds:
            hooks.append(module.register_forward_pre_hook(lambda module, inputs: taken.append((module, inputs[0]))))
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
    runs = [module for module, _ in (*made, *taken)]
    by_output = {id(output): module for module, output in made}
    found = [(by_output.get(id(given)), module) for module, given in taken]
    return [
        (convolution, module)
        for convolution, module in found
        if convolution is not None and runs.count(convolution) == runs.count(module) == 1
    ]
