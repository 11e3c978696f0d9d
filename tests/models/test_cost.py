from __future__ import annotations

import pytest
import torch

from common.errors import UserError
from configs.schema import ModelSection
from models.cost import estimate_cost, saved_bytes
from models.network import build_spec


@pytest.mark.parametrize(
    ("section", "size", "gflop"),
    [
        (ModelSection(encoder="resnet18", outputs=("visible",)), 256, 10.80),
        (ModelSection(encoder="resnet18", outputs=("visible",)), 512, 43.2),
        (ModelSection(encoder="mobilenet_v2", outputs=("visible",)), 256, 6.7),
        (ModelSection(architecture="deeplabv3plus", encoder="resnet18", outputs=("visible",)), 256, 9.1),
        (ModelSection(architecture="segformer", encoder="mit_b0", outputs=("visible",)), 256, 3.5),
        (ModelSection(architecture="segformer", encoder="mit_b5", outputs=("visible",)), 512, 148),
        (ModelSection(architecture="deeplabv3plus", encoder="resnet101", outputs=("visible",)), 512, 112),
    ],
)
def test_operations_are_those_known(section: ModelSection, size: int, gflop: float) -> None:
    assert estimate_cost(build_spec(section), size).forward_flops / 1e9 == pytest.approx(gflop, rel=0.01)


def test_one_convolution_costs_what_paper_and_pencil_say() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Sigmoid())
    images = torch.zeros(2, 3, 16, 16)
    kept = 4 * 2 * 16 * 16 * (3 + 8)  # the input of the convolution and the output of the sigmoid
    assert saved_bytes(network, images) == kept
    with torch.device("meta"):
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Sigmoid())
    assert saved_bytes(network, images.to("meta")) == kept


def test_memory_grows_with_the_batch_and_the_size() -> None:
    spec = build_spec(ModelSection(decoder_channels=(16, 8, 8, 8, 4)))
    small, large = estimate_cost(spec, 128), estimate_cost(spec, 256)
    assert small.parameters == large.parameters
    assert large.forward_flops == pytest.approx(4 * small.forward_flops, rel=1e-3)
    assert large.saved_bytes == pytest.approx(4 * small.saved_bytes, rel=0.02)
    assert small.state_bytes == 16 * small.parameters
    assert small.training_bytes(8) - small.training_bytes(4) == 4 * small.saved_bytes
    assert f"{small.parameters:,} parameters" in small.describe(4)


def test_sizes_that_do_not_suit_are_told() -> None:
    with pytest.raises(UserError, match="nearest: 96 and 112"):
        estimate_cost(build_spec(ModelSection()), 100)
