"""Loss terms on logits with masks of what is known. Each is one number; 0 where nothing is known."""

from __future__ import annotations

import math

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F

UNKNOWN = 255


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


def lovasz(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return the Lovász hinge, the mean over the images of the batch; a target from 0.5 on counts as face.

    Args:
        logits: (N, 1, H, W).
        target: (N, 1, H, W) float, 0..1.
        valid: (N, 1, H, W) bool.

    Source: Berman, Triki, Blaschko 2018; the implementation of segmentation-models-pytorch.
    """
    labels = (target >= 0.5).to(logits.dtype).masked_fill(~valid, UNKNOWN)
    hinge = smp.losses.LovaszLoss(mode="binary", per_image=True, ignore_index=UNKNOWN)
    return hinge(logits[:, 0], labels[:, 0])


def ohem_bce(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, threshold: float, min_pixels: int
) -> torch.Tensor:
    """Return the mean BCE over hard pixels, see `hard_mean`.

    Args:
        logits: (N, 1, H, W).
        target: (N, 1, H, W) float, 0..1.
        valid: (N, 1, H, W) bool.
    """
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return hard_mean(losses, valid, threshold=threshold, min_pixels=min_pixels)


def boundary_bce(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, width_px: int, extra_weight: float
) -> torch.Tensor:
    """Return the mean BCE in which pixels near the target's outline weigh 1 + `extra_weight`, all others 1.

    Args:
        logits: (N, 1, H, W).
        target: (N, 1, H, W) float, 0..1; the outline lies where it crosses 0.5.
        valid: (N, 1, H, W) bool.
        width_px: pixels this far from the other side are near, along rows, columns and diagonals.
    """
    weights = (1 + extra_weight * near_outline(target, width_px=width_px)) * valid
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=1)


def near_outline(target: torch.Tensor, *, width_px: int) -> torch.Tensor:
    """Return where a pixel of the other side of the outline is at most `width_px` away, (N, 1, H, W) bool.

    Args:
        target: (N, 1, H, W) float, 0..1; a side is what is from 0.5 on, or below.
    """
    inside = (target >= 0.5).to(target.dtype)
    return _widest(inside, width_px) != -_widest(-inside, width_px)


def ce(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, class_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean cross-entropy over valid pixels, each weighted by its class.

    Args:
        logits: (N, K, H, W).
        target: (N, K, H, W) float, shares of the classes, which add up to 1; or (N, H, W) int64 class ids.
        valid: (N, 1, H, W) bool.
        class_weights: (K,) float; None: all 1.
    """
    losses, weights = class_losses(logits, target, class_weights)
    weights = weights * valid[:, 0]
    return (losses * valid[:, 0]).sum() / weights.sum().clamp(min=1e-6)


def ohem_ce(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *, threshold: float, min_pixels: int
) -> torch.Tensor:
    """Return the mean cross-entropy over hard pixels, see `hard_mean`.

    Args:
        logits: (N, K, H, W).
        target: as in `ce`.
        valid: (N, 1, H, W) bool.
    """
    losses, _ = class_losses(logits, target, None)
    return hard_mean(losses, valid[:, 0], threshold=threshold, min_pixels=min_pixels)


def class_losses(
    logits: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weighted cross-entropy of each pixel and its weight, both (N, H, W); see `ce` for the arguments."""
    if class_weights is None:
        class_weights = torch.ones(logits.shape[1], device=logits.device)
    if target.ndim == 3:
        return F.cross_entropy(logits, target, weight=class_weights, reduction="none"), class_weights[target]
    weighted = target * class_weights.view(1, -1, 1, 1)
    return -(weighted * F.log_softmax(logits, dim=1)).sum(dim=1), weighted.sum(dim=1)


def hard_mean(losses: torch.Tensor, valid: torch.Tensor, *, threshold: float, min_pixels: int) -> torch.Tensor:
    """Return the mean over hard pixels: all above T = -ln(threshold), but at least the `min_pixels` largest.

    Equals sorting all losses, without the sort: counting comes first, and the top-k only when too few are hard.

    Args:
        losses: one a pixel, at least 0, of any shape.
        valid: bool, of the same shape.
        threshold: probability of the true class below which a pixel is hard, e.g. 0.7.
        min_pixels: at least so many pixels count; more than there are valid pixels means all of them.

    Source: online hard example mining of Shrivastava et al. 2016, per pixel as in the FaceOcc recipe.
    """
    known = int(valid.sum())
    if known == 0:
        return (losses * valid).sum()
    if known < valid.numel():
        losses = losses.masked_fill(~valid, -1.0)  # below every loss and every T
    least = min(max(min_pixels, 1), known)
    hard = losses.detach() > -math.log(threshold)
    count = int(hard.sum())
    if count >= least:
        return losses.masked_fill(~hard, 0.0).sum() / count
    return losses.flatten().topk(least, sorted=False).values.mean()


def edge_bce(logits: torch.Tensor, edges: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return the mean BCE of outlines in which the few edge pixels weigh as much as all others together.

    Args:
        logits: (N, 1, H, W).
        edges: (N, 1, H, W) bool.
        valid: (N, 1, H, W) bool.

    Source: Xie and Tu 2015, eq. 2, as a mean over the batch.
    """
    known = valid.sum().clamp(min=1)
    edge_share = (edges & valid).sum() / known
    weights = torch.where(edges, 1 - edge_share, edge_share) * valid
    losses = F.binary_cross_entropy_with_logits(logits, edges.to(logits.dtype), reduction="none")
    return (losses * weights).sum() / known


def edges_of(labels: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return where a pixel's 3 x 3 neighbourhood holds two classes, and where that is known; both (N, 1, H, W) bool.

    Args:
        labels: (N, 1, H, W) class ids.
        valid: (N, 1, H, W) bool; next to an unknown pixel nothing is known about edges.
    """
    ids, known = labels.float(), valid.float()
    return _widest(ids, 1) != -_widest(-ids, 1), _widest(1 - known, 1) == 0


def _widest(values: torch.Tensor, reach_px: int) -> torch.Tensor:
    """Return the largest value within a square of `reach_px` around each pixel, rows first and then columns."""
    side = 2 * reach_px + 1
    rows = F.max_pool2d(values, (1, side), stride=1, padding=(0, reach_px))
    return F.max_pool2d(rows, (side, 1), stride=1, padding=(reach_px, 0))
