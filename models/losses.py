"""Losses on logits with masks of what is known: BCE, Dice and BCE with hard-example mining."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from common.sample import Sample
from configs.schema import LossSection


def bce(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return the mean binary cross-entropy over valid pixels, 0 where there is none.

    Args:
        logits: (N, 1, H, W).
        target: (N, 1, H, W) float, 0..1.
        valid: (N, 1, H, W) bool.
    """
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (losses * valid).sum() / valid.sum().clamp(min=1)


def dice(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return 1 - soft Dice over the valid pixels of the whole batch; 0 for an empty prediction of nothing.

    Args:
        logits: (N, 1, H, W).
        target: (N, 1, H, W) float, 0..1.
        valid: (N, 1, H, W) bool.

    Source: Milletari et al. 2016 (without squares), pooled over the batch so that empty images need no special case.
    """
    probability = torch.sigmoid(logits) * valid
    target = target * valid
    total = probability.sum() + target.sum()
    return 1 - (2 * (probability * target).sum() + 1) / (total + 1)


def ohem_bce(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, threshold: float, min_pixels: int
) -> torch.Tensor:
    """Return the mean BCE over hard pixels: all above T = -ln(threshold), but at least the `min_pixels` hardest.

    Equals sorting all losses, without the sort: counting comes first, and the top-k only when too few are hard.

    Args:
        logits: (N, 1, H, W).
        target: (N, 1, H, W) float, 0..1.
        valid: (N, 1, H, W) bool.
        threshold: probability of the true class below which a pixel is hard, e.g. 0.7.
        min_pixels: at least so many pixels count; more than there are valid pixels means all of them.

    Source: online hard example mining of Shrivastava et al. 2016, per pixel as in the FaceOcc recipe.
    """
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")[valid]  # (M,)
    if losses.numel() == 0:
        return logits.sum() * 0
    min_pixels = min(max(min_pixels, 1), losses.numel())
    hard = losses > -math.log(threshold)
    if int(hard.sum()) >= min_pixels:
        return losses[hard].mean()
    return losses.topk(min_pixels, sorted=False).values.mean()


def segmentation_losses(logits: torch.Tensor, sample: Sample, section: LossSection) -> dict[str, torch.Tensor]:
    """Return each term of the loss, already weighted; their sum is what training minimises.

    Args:
        logits: (N, K, H, W), K = 1 (visible) or 2 (visible, full).
        sample: the batch on the same device.
    """
    terms: dict[str, torch.Tensor] = {}
    for channel, (name, target) in enumerate((("visible", sample.visible), ("full", sample.full))):
        if channel >= logits.shape[1]:
            break
        weight = 1.0 if name == "visible" else section.full_weight
        valid = sample.valid[:, channel : channel + 1]
        inputs = (logits[:, channel : channel + 1].float(), target.float() / 255, valid)
        if section.bce > 0:
            terms[f"{name}_bce"] = weight * section.bce * bce(*inputs)
        if section.dice > 0:
            terms[f"{name}_dice"] = weight * section.dice * dice(*inputs)
        if section.ohem_bce > 0:
            hard = ohem_bce(
                *inputs,
                threshold=section.ohem_threshold,
                min_pixels=round(section.ohem_min_share * inputs[0].numel()),
            )
            terms[f"{name}_ohem_bce"] = weight * section.ohem_bce * hard
    return terms
