from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from common.metrics import Counts, count, dataset_miou, per_image_face_iou
from common.sample import Sample
from configs.schema import LossSection
from models.training import _interleave, to_device, validate
from models.weights import Preprocessing


class Echo(torch.nn.Module):
    """Predicts face where the image is red."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :1] * 40 - 20


def batches(count_: int, size: int = 16) -> list[Sample]:
    rng = torch.Generator().manual_seed(0)
    made = []
    for index in range(count_):
        images = (torch.rand(2, 3, size, size, generator=rng) < 0.5).to(torch.uint8) * 255
        visible = (torch.rand(2, 1, size, size, generator=rng) < 0.5).to(torch.uint8) * 255
        valid = torch.rand(2, 2, size, size, generator=rng) < 0.7
        made.append(Sample(images, visible, visible, valid, f"{index}a\n{index}b"))
    return made


def test_validation_scores_are_the_metrics_of_known_pixels() -> None:
    data = batches(3)
    network = Echo().train()
    found = validate(
        network,
        data,
        preprocessing=Preprocessing(16, "pos3d", "x"),
        loss=LossSection(),
        device=torch.device("cpu"),
        autocast=nullcontext,
        previews=4,
    )
    counts = [
        count((batch.image[i, 0] > 127).numpy(), batch.visible[i, 0].bool().numpy(), valid=batch.valid[i, 0].numpy())
        for batch in data
        for i in range(2)
    ]
    assert found.scores["face_iou"] == pytest.approx(per_image_face_iou(counts))
    assert found.scores["miou"] == pytest.approx(dataset_miou(counts))
    assert found.scores["loss"] > 1
    assert not network.training
    assert len(found.previews) == 4
    preview = found.previews[2]
    assert (preview.image == data[1].image[0].permute(1, 2, 0).numpy()).all()
    assert ((preview.probability > 0.5) == (preview.image[..., 0] > 127)).all()
    assert (preview.visible == data[1].visible[0, 0].bool().numpy()).all()


def test_batches_travel_whole() -> None:
    sample = batches(1)[0]
    moved = to_device(sample, torch.device("cpu"))
    assert all(torch.equal(one, two) for one, two in zip(moved[:4], sample[:4], strict=True))
    assert moved.id == sample.id
    assert moved.image.is_contiguous(memory_format=torch.channels_last)


def test_counts_of_several_processes_come_in_the_order_of_the_samples() -> None:
    counts = [Counts(number, 0, 0, 0) for number in range(7)]
    assert _interleave([counts[rank::3] for rank in range(3)]) == counts
