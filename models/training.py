"""Pieces of the training loop that have no state of a run: batches, validation, previews."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from common.image_io import write_image
from common.metrics import Counts, count, dataset_miou, per_image_face_iou
from common.sample import Sample
from common.visualize import blend, contact_sheet, show_errors
from configs.schema import LossSection
from models.losses import segmentation_losses
from models.processes import gather
from models.spec import NetworkSpec, sigmoid_spec, visible_probability
from models.weights import Preprocessing

VALIDATION_THRESHOLD = 0.5


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
    spec: NetworkSpec | None = None,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[None]],
    previews: int,
    ranks: int = 1,
) -> Validation:
    """Return scores of the visible face over a validation set, one image one vote.

    Args:
        network: (N, 3, S, S) float -> logits (N, K, S, S).
        spec: the network's; None: sigmoids of visible, or of visible and full.
        autocast: context of the precision that training uses.
        previews: how many samples to return as pictures.
        ranks: processes that judge together; `batches` are then every `ranks`-th sample, beginning with the process's
            own number, and all processes return the same scores.
    """
    network.eval()
    counts: list[Counts] = []
    shown: list[Preview] = []
    losses: list[float] = []
    for batch in batches:
        sample = to_device(batch, device)
        with autocast():
            logits = network(preprocessing.normalise(sample.image))
        losses.append(float(sum(segmentation_losses(logits.float(), sample, loss, spec).values())))
        probabilities = visible_probability(logits, spec or sigmoid_spec(logits.shape[1]))[:, 0].cpu().numpy()
        for index, probability in enumerate(probabilities):
            truth = batch.visible[index, 0].numpy() > 127
            valid = batch.valid[index, 0].numpy()
            counts.append(count(probability > VALIDATION_THRESHOLD, truth, valid=valid))
            if len(shown) < previews:
                shown.append(Preview(batch.image[index].permute(1, 2, 0).numpy(), truth, probability))
    counts = _interleave(gather(counts, ranks))
    losses = [value for part in gather(losses, ranks) for value in part]
    scores = {
        "face_iou": per_image_face_iou(counts),
        "miou": dataset_miou(counts),
        "loss": float(np.mean(losses)),
    }
    return Validation(scores, shown)


def _interleave(parts: list[list[Counts]]) -> list[Counts]:
    """Return the counts of all processes in the order of the samples."""
    rows = itertools.zip_longest(*parts)
    return [found for row in rows for found in row if found is not None]


def to_device(sample: Sample, device: torch.device) -> Sample:
    """Return the batch on `device`; uint8 travels."""
    return Sample(
        image=sample.image.to(device, non_blocking=True).contiguous(memory_format=torch.channels_last),
        visible=sample.visible.to(device, non_blocking=True),
        full=sample.full.to(device, non_blocking=True),
        valid=sample.valid.to(device, non_blocking=True),
        id=sample.id,
        parts=None if sample.parts is None else sample.parts.to(device, non_blocking=True),
    )


def grouped(batches: Iterable[Sample], count: int) -> Iterator[list[Sample]]:
    """Yield lists of `count` batches."""
    iterator = iter(batches)
    while group := list(itertools.islice(iterator, count)):
        yield group


def write_previews(path: Path, previews: Sequence[Preview]) -> None:
    """Write a picture of validation samples, if there are any: input, truth, prediction and errors side by side."""
    if not previews:
        return
    rows = []
    for preview in previews:
        predicted = preview.probability > VALIDATION_THRESHOLD
        errors = show_errors(preview.image, predicted, preview.visible)
        rows.append([preview.image, blend(preview.image, preview.visible), blend(preview.image, predicted), errors])
    write_image(path, contact_sheet(rows), quality=88)
