from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from common.metrics import count, dataset_miou, per_image_face_iou
from common.sample import Sample
from configs.schema import LossSection, OptimiserSection
from models.network import NetworkSpec, make_network
from models.training import build_average, build_optimiser, learning_rate, to_device, validate
from models.weights import Preprocessing


def test_the_learning_rate_warms_up_and_decays_along_a_cosine() -> None:
    section = OptimiserSection(images=10_000, warmup_images=1000, learning_rate=2e-3, final_share=0.1)
    rates = np.array([learning_rate(images, section) for images in range(0, 10_001, 10)])
    assert 0 < rates[0] < 1e-5
    np.testing.assert_allclose(np.diff(rates[:100]), 2e-5)  # linear
    assert rates.max() == rates[100] == 2e-3
    assert (np.diff(rates[100:]) < 0).all()
    assert rates[550] == pytest.approx(2e-3 * (0.1 + 0.9 / 2))  # half way
    assert rates[-1] == pytest.approx(2e-4)
    assert learning_rate(20_000, section) == pytest.approx(2e-4)


def test_without_warm_up_it_starts_at_the_peak() -> None:
    section = OptimiserSection(images=100, warmup_images=0, learning_rate=1e-3)
    assert learning_rate(0, section) == pytest.approx(1e-3)


def test_a_warm_up_longer_than_the_run_never_passes_the_peak() -> None:
    section = OptimiserSection(images=100, warmup_images=500, learning_rate=1e-3)
    rates = [learning_rate(images, section) for images in range(100)]
    assert rates == sorted(rates)
    assert max(rates) < 1e-3


def test_only_weights_of_convolutions_are_decayed() -> None:
    network = make_network(NetworkSpec("unet", "mobilenet_v2", (8, 8, 8, 8, 4), ("visible",)))
    decayed, free = build_optimiser(network, OptimiserSection(images=16, weight_decay=0.2)).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.2, 0.0)
    assert {weight.ndim for weight in decayed["params"]} == {4}
    assert {weight.ndim for weight in free["params"]} == {1}
    assert len(decayed["params"]) + len(free["params"]) == len(list(network.parameters()))


def test_the_average_forgets_half_within_its_half_life() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    section = OptimiserSection(images=1000, batch_size=4, ema_half_life_images=40)
    average = build_average(network, section)
    assert average is not None
    network.weight.data[:] = 1.0
    average.update_parameters(network)  # the first one copies
    network.weight.data[:] = 0.0
    for _ in range(10):
        average.update_parameters(network)
    assert average.module.weight.item() == pytest.approx(0.5, abs=1e-5)
    assert build_average(network, section.model_copy(update={"ema_half_life_images": 0})) is None


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
