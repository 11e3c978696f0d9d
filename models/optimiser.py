"""Optimisers and learning rates, the latter a function of images seen alone."""

from __future__ import annotations

import math

import torch

from configs.schema import OptimiserSection, ScheduleSection


def build_optimiser(network: torch.nn.Module, section: OptimiserSection) -> torch.optim.Optimizer:
    """Return the optimiser of the configuration; biases and normalisation layers are not decayed unless it says so."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    decayed = [weight for weight in weights if weight.ndim > 1 or section.decay_all]
    free = [weight for weight in weights if weight.ndim <= 1 and not section.decay_all]
    groups = [{"params": decayed, "weight_decay": section.weight_decay}]
    groups += [{"params": free, "weight_decay": 0.0}] if free else []
    match section.kind:
        case "adamw":
            return torch.optim.AdamW(groups, lr=section.learning_rate)
        case "adam":
            return torch.optim.Adam(groups, lr=section.learning_rate)
        case "sgd":
            return torch.optim.SGD(groups, lr=section.learning_rate, momentum=section.momentum)


def learning_rate(images: int, *, peak: float, total: int, section: ScheduleSection) -> float:
    """Return the learning rate after `images` seen of a training of `total`.

    A linear warm-up comes first. Of the rest, the share done p gives, with f = `final_share`:
    cosine f + (1 - f)(1 + cos(pi p)) / 2, poly f + (1 - f)(1 - p)^power, times `peak`; steps multiplies by `factor` at
    each milestone, which counts from the beginning of the run.
    """
    if images < section.warmup_images:
        return peak * (images + 1) / section.warmup_images
    done = min(1.0, (images - section.warmup_images) / max(1, total - section.warmup_images))
    final = section.final_share
    match section.kind:
        case "cosine":
            return peak * (final + (1 - final) * ((1 + math.cos(math.pi * done)) / 2))
        case "poly":
            return peak * (final + (1 - final) * (1 - done) ** section.power)
        case "steps":
            passed = sum(images >= milestone for milestone in section.milestones_images)
            return float(peak * section.factor**passed)
        case "constant":
            return peak
