from __future__ import annotations

import numpy as np
import pytest
import torch

from configs.schema import OptimiserSection, ScheduleSection
from models.network import NetworkSpec, make_network
from models.optimiser import build_optimiser, learning_rate


def rates(total: int, **options: object) -> np.ndarray:
    section = ScheduleSection(**options)
    return np.array([learning_rate(images, peak=1e-3, total=total, section=section) for images in range(total)])


def test_the_learning_rate_warms_up_and_decays_along_a_cosine() -> None:
    section = ScheduleSection(warmup_images=1000, final_share=0.1)
    found = np.array([learning_rate(n, peak=2e-3, total=10_000, section=section) for n in range(0, 10_001, 10)])
    assert 0 < found[0] < 1e-5
    np.testing.assert_allclose(np.diff(found[:100]), 2e-5)  # linear
    assert found.max() == found[100] == 2e-3
    assert (np.diff(found[100:]) < 0).all()
    assert found[550] == pytest.approx(2e-3 * (0.1 + 0.9 / 2))  # half way
    assert found[-1] == pytest.approx(2e-4)
    assert learning_rate(20_000, peak=2e-3, total=10_000, section=section) == pytest.approx(2e-4)


def test_without_warm_up_it_starts_at_the_peak() -> None:
    assert rates(100, warmup_images=0)[0] == pytest.approx(1e-3)


def test_a_warm_up_longer_than_the_run_never_passes_the_peak() -> None:
    found = rates(100, warmup_images=500)
    assert (np.diff(found) > 0).all()
    assert found.max() < 1e-3


def test_poly_falls_to_its_share_by_its_power() -> None:
    section = ScheduleSection(kind="poly", warmup_images=0, final_share=0.01, power=0.9)
    found = [learning_rate(n, peak=0.01, total=1000, section=section) for n in (0, 500, 1000)]
    assert found == pytest.approx([0.01, 1e-4 + (0.01 - 1e-4) * 0.5**0.9, 1e-4])


def test_steps_fall_at_their_milestones() -> None:
    found = rates(100, kind="steps", warmup_images=0, milestones_images=(20, 50), factor=0.1)
    np.testing.assert_allclose(found, np.repeat([1e-3, 1e-4, 1e-5], [20, 30, 50]))


def test_constant_stays() -> None:
    assert set(rates(50, kind="constant", warmup_images=0)) == {1e-3}


@pytest.mark.parametrize(
    "options", [{"kind": "steps"}, {"milestones_images": (5,)}, {"kind": "steps", "milestones_images": (5, 3)}]
)
def test_milestones_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="milestones_images must"):
        ScheduleSection(**options)


def network() -> torch.nn.Module:
    return make_network(NetworkSpec("unet", "tu-lcnet_035", (8, 8, 8, 8, 4), ("visible",)))


def test_only_weights_of_convolutions_are_decayed() -> None:
    model = network()
    decayed, free = build_optimiser(model, OptimiserSection(weight_decay=0.2)).param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.2, 0.0)
    assert {weight.ndim for weight in decayed["params"]} == {4}
    assert {weight.ndim for weight in free["params"]} == {1}
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("kind", "wanted"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_the_kind_is_what_was_asked_for(kind: str, wanted: type) -> None:
    section = OptimiserSection(kind=kind, learning_rate=0.3, weight_decay=0.1, momentum=0.7, decay_all=True)
    optimiser = build_optimiser(network(), section)
    assert type(optimiser) is wanted
    (group,) = optimiser.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.1)
    assert group.get("momentum", 0.7) == 0.7
