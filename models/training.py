"""Pieces of the training loop that have no state of a run: optimiser, learning rate, averaging, validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from common.metrics import Counts, count, dataset_miou, per_image_face_iou
from common.sample import Sample
from configs.schema import LossSection, OptimiserSection
from models.losses import segmentation_losses
from models.weights import Preprocessing

VALIDATION_THRESHOLD = 0.5


def build_optimiser(network: torch.nn.Module, section: OptimiserSection) -> torch.optim.Optimizer:
    """Return AdamW; biases and normalisation layers are not decayed."""
    decayed = [weight for weight in network.parameters() if weight.requires_grad and weight.ndim > 1]
    free = [weight for weight in network.parameters() if weight.requires_grad and weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": section.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=section.learning_rate)


def learning_rate(images: int, section: OptimiserSection) -> float:
    """Return the learning rate after `images` seen: linear warm-up, then a cosine down to `final_share` of the peak."""
    if images < section.warmup_images:
        return section.learning_rate * (images + 1) / section.warmup_images
    progress = min(1.0, (images - section.warmup_images) / max(1, section.images - section.warmup_images))
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return section.learning_rate * (section.final_share + (1 - section.final_share) * cosine)


def build_average(network: torch.nn.Module, section: OptimiserSection) -> AveragedModel | None:
    """Return the exponential moving average of weights and buffers, None where the configuration wants none."""
    if section.ema_half_life_images == 0:
        return None
    decay = 0.5 ** (section.batch_size / section.ema_half_life_images)
    average_fn = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=average_fn, use_buffers=True)


class Preview(NamedTuple):
    """One validation sample as pictures see it; all (S, S), image (S, S, 3) uint8."""

    image: NDArray[np.uint8]
    visible: NDArray[np.bool_]
    probability: NDArray[np.float32]


class Validation(NamedTuple):
    """What a validation pass found.

    Attributes:
        scores: name -> value; `face_iou` chooses the checkpoint.
        previews: the first samples.
    """

    scores: dict[str, float]
    previews: list[Preview]


@torch.no_grad()
def validate(
    network: torch.nn.Module,
    batches: Iterable[Sample],
    *,
    preprocessing: Preprocessing,
    loss: LossSection,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
    previews: int,
) -> Validation:
    """Return scores of the visible face over a validation set, one image one vote.

    Args:
        network: (N, 3, S, S) float -> logits (N, K, S, S).
        autocast: context of the precision that training uses.
        previews: how many samples to return as pictures.
    """
    network.eval()
    counts: list[Counts] = []
    shown: list[Preview] = []
    losses: list[float] = []
    for batch in batches:
        sample = to_device(batch, device)
        with autocast():
            logits = network(preprocessing.normalise(sample.image))
        losses.append(float(sum(segmentation_losses(logits.float(), sample, loss).values())))
        probabilities = torch.sigmoid(logits[:, 0].float()).cpu().numpy()  # (N, S, S)
        for index, probability in enumerate(probabilities):
            truth = batch.visible[index, 0].numpy() > 127
            valid = batch.valid[index, 0].numpy()
            counts.append(count(probability > VALIDATION_THRESHOLD, truth, valid=valid))
            if len(shown) < previews:
                shown.append(Preview(batch.image[index].permute(1, 2, 0).numpy(), truth, probability))
    scores = {
        "face_iou": per_image_face_iou(counts),
        "miou": dataset_miou(counts),
        "loss": float(np.mean(losses)),
    }
    return Validation(scores, shown)


def to_device(sample: Sample, device: torch.device) -> Sample:
    """Return the batch on `device`; uint8 travels."""
    return Sample(
        image=sample.image.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last),
        visible=sample.visible.to(device, non_blocking=True),
        full=sample.full.to(device, non_blocking=True),
        valid=sample.valid.to(device, non_blocking=True),
        id=sample.id,
    )
