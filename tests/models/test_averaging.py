from __future__ import annotations

import pytest
import torch

from models.averaging import Average, build_average


def test_the_average_forgets_half_within_its_half_life() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average = build_average(network, batch_size=4, half_life_images=40)
    assert average is not None
    network.weight.data[:] = 1.0
    average.update(network)  # the first one copies
    network.weight.data[:] = 0.0
    for _ in range(10):
        average.update(network)
    assert average.module.weight.item() == pytest.approx(0.5, abs=1e-5)
    assert build_average(network, batch_size=4, half_life_images=0) is None


def test_it_agrees_with_pytorch() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    average = Average(network, decay=0.9)
    theirs = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
    )
    for _ in range(5):
        network(torch.randn(2, 3, 8, 8))
        network[0].weight.data += torch.randn_like(network[0].weight)
        average.update(network)
        theirs.update_parameters(network)
    for name, tensor in theirs.module.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(average.module.state_dict()[name], tensor), name
    assert average.module[1].num_batches_tracked == 5


def test_it_goes_on_from_its_state() -> None:
    network = torch.nn.Linear(2, 2)
    one, two = Average(network, decay=0.5), Average(torch.nn.Linear(2, 2), decay=0.5)
    one.update(network)
    two.load_state_dict(one.state_dict())
    network.weight.data += 1
    for average in (one, two):
        average.update(network)
    assert torch.equal(one.module.weight, two.module.weight)
    assert two.updates == 2
