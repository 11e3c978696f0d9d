from __future__ import annotations

import pytest

from models.cost import estimate_cost
from models.network import NetworkSpec


def test_the_cost_of_the_published_network() -> None:
    spec = NetworkSpec("unet", "resnet18", (256, 128, 64, 32, 16), ("visible",))
    cost = estimate_cost(spec, 256)
    assert cost.parameters == 14_328_209
    assert cost.forward_flops / 1e9 == pytest.approx(10.80, abs=0.02)
    assert estimate_cost(spec, 512).forward_flops == pytest.approx(4 * cost.forward_flops, rel=1e-6)
    assert cost.training_bytes(8) - cost.training_bytes(4) == 4 * cost.saved_bytes > 0
    assert "14,328,209 parameters" in cost.describe(8)
