from __future__ import annotations

import pytest
import torch

from configs.schema import ModelSection
from models.cost import estimate_cost
from models.network import build_spec, make_network_on_meta
from models.roofline import LayerCost, Peaks, layer_costs, measure_peaks, roofline_s


def test_one_convolution_costs_what_paper_and_pencil_say() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(4, 6, 3, padding=1, groups=2), torch.nn.ReLU()).eval()
    found = layer_costs(network, torch.zeros(5, 4, 8, 8), bytes_each=2)
    products = 5 * 6 * 8 * 8 * (4 // 2) * 9
    numbers = 5 * 4 * 8 * 8 + 6 * 2 * 9 + 6 + 5 * 6 * 8 * 8
    assert found == [LayerCost(2 * products, 2 * numbers)]


@pytest.mark.parametrize("architecture", ["unet", "segformer"])
def test_operations_are_those_of_the_cost_estimate(architecture: str) -> None:
    encoder = "mit_b0" if architecture == "segformer" else "mobilenet_v2"
    spec = build_spec(ModelSection(architecture=architecture, encoder=encoder))
    network = make_network_on_meta(spec).eval()
    costs = layer_costs(network, torch.empty(1, 3, 64, 64, device="meta"), bytes_each=2)
    whole = estimate_cost(spec, 64).forward_flops
    assert 0.95 * whole <= sum(cost.flops for cost in costs) <= whole  # attention may run as one operation


def test_each_layer_waits_for_what_it_has_more_of() -> None:
    peaks = Peaks(flops_per_s=100.0, bytes_per_s=10.0)
    assert roofline_s([LayerCost(300, 10), LayerCost(100, 50)], peaks) == 3.0 + 5.0


def test_peaks_of_this_machine_are_plausible() -> None:
    peaks = measure_peaks(torch.device("cpu"), side=64, copied_bytes=1 << 16, dtype=torch.float32)
    assert 1e6 < peaks.flops_per_s < 1e15
    assert 1e6 < peaks.bytes_per_s < 1e14
