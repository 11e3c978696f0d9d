from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.sample import Sample
from configs.schema import LossSection
from models.losses import bce, dice, ohem_bce, segmentation_losses

seeds = st.integers(0, 2**32 - 1)
Case = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def case(seed: int, *, spread: float = 3.0, known: float = 0.7) -> Case:
    rng = np.random.default_rng(seed)
    shape = (2, 1, 6, 7)
    logits = torch.from_numpy(rng.normal(0, spread, shape)).float()
    return (
        logits,
        torch.from_numpy((rng.random(shape) < 0.5) * 1.0).float(),
        torch.from_numpy(rng.random(shape) < known),
    )


def pixel_losses(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> list[float]:
    """Return the cross-entropy of each valid pixel, by its definition."""
    losses = []
    for logit, truth, known in zip(logits.flatten(), target.flatten(), valid.flatten(), strict=True):
        if known:
            probability = 1 / (1 + math.exp(-float(logit)))
            losses.append(-math.log(probability if truth else 1 - probability))
    return losses


def slow_ohem(losses: list[float], *, threshold: float, min_pixels: int) -> float:
    ordered = sorted(losses, reverse=True)
    limit = -math.log(threshold)
    least = min(min_pixels, len(ordered))
    chosen = [loss for loss in ordered if loss > limit] if ordered[least - 1] > limit else ordered[:least]
    return sum(chosen) / len(chosen)


@given(seeds)
def test_bce_equals_its_definition(seed: int) -> None:
    inputs = case(seed)
    assert float(bce(*inputs)) == pytest.approx(np.mean(pixel_losses(*inputs)), rel=1e-4)


@given(seeds)
def test_dice_equals_its_definition(seed: int) -> None:
    logits, target, valid = case(seed)
    probability, truth = torch.sigmoid(logits[valid]).double(), target[valid].double()
    expected = 1 - (2 * (probability * truth).sum() + 1) / (probability.sum() + truth.sum() + 1)
    assert float(dice(logits, target, valid)) == pytest.approx(float(expected), abs=1e-5)
    assert 0 <= float(dice(logits, target, valid)) < 1


@given(seeds, st.floats(0.2, 4), st.sampled_from([0.3, 0.7, 0.9]), st.integers(1, 120))
def test_hard_examples_equal_a_full_sort(seed: int, spread: float, threshold: float, min_pixels: int) -> None:
    inputs = case(seed, spread=spread)
    found = ohem_bce(*inputs, threshold=threshold, min_pixels=min_pixels)
    expected = slow_ohem(pixel_losses(*inputs), threshold=threshold, min_pixels=min_pixels)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_both_branches_of_hard_examples() -> None:
    logits = torch.tensor([4.0, 3.0, -2.0, -3.0]).view(1, 1, 2, 2)
    inputs = logits, torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.bool)
    losses = pixel_losses(*inputs)
    assert float(ohem_bce(*inputs, threshold=0.7, min_pixels=1)) == pytest.approx(np.mean(losses[2:]), rel=1e-5)
    assert float(ohem_bce(*inputs, threshold=0.7, min_pixels=3)) == pytest.approx(np.mean(losses[1:]), rel=1e-5)
    assert float(ohem_bce(*inputs, threshold=0.7, min_pixels=99)) == pytest.approx(np.mean(losses), rel=1e-5)


@given(seeds)
def test_unknown_pixels_change_no_loss_and_get_no_gradient(seed: int) -> None:
    logits, target, valid = case(seed)
    for loss in (bce, dice, lambda *inputs: ohem_bce(*inputs, threshold=0.7, min_pixels=9)):
        free = logits.clone().requires_grad_()
        value = loss(free, target, valid)
        value.backward()
        assert not free.grad[~valid].any()  # type: ignore[index]
        other = torch.where(valid, logits, -logits + 5)
        elsewhere = torch.where(valid, target, 1 - target)
        assert float(loss(other, elsewhere, valid)) == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["bce", "dice", "ohem_bce"])
def test_without_a_known_pixel_the_loss_is_zero_and_can_be_differentiated(name: str) -> None:
    options = {"threshold": 0.7, "min_pixels": 5} if name == "ohem_bce" else {}
    logits, target, valid = case(0)
    logits.requires_grad_()
    value = {"bce": bce, "dice": dice, "ohem_bce": ohem_bce}[name](logits, target, valid & False, **options)
    value.backward()
    assert value.item() == 0
    assert not logits.grad.any()  # type: ignore[union-attr]


def test_perfect_predictions_cost_nothing() -> None:
    _, target, valid = case(1)
    logits = (target * 2 - 1) * 50
    assert float(bce(logits, target, valid)) < 1e-6
    assert float(dice(logits, target, valid)) < 1e-6
    empty = torch.zeros_like(target)
    assert float(dice(empty - 50, empty, valid)) == pytest.approx(0, abs=1e-6)
    assert float(dice(-logits, target, valid)) > 0.9


@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_large_logits_stay_finite(logit: float) -> None:
    _, target, valid = case(2)
    logits = torch.full_like(target, logit)
    for value in (bce(logits, target, valid), dice(logits, target, valid)):
        assert torch.isfinite(value)


def batch(channels: int = 2) -> tuple[torch.Tensor, Sample]:
    rng = torch.Generator().manual_seed(0)
    visible = (torch.rand(2, 1, 8, 8, generator=rng) < 0.4).to(torch.uint8) * 255
    full = torch.maximum(visible, (torch.rand(2, 1, 8, 8, generator=rng) < 0.3).to(torch.uint8) * 255)
    valid = torch.rand(2, 2, 8, 8, generator=rng) < 0.8
    image = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    return torch.randn(2, channels, 8, 8, generator=rng), Sample(image, visible, full, valid, "a\nb")


def test_terms_are_weighted_and_named() -> None:
    logits, sample = batch()
    section = LossSection(bce=2.0, dice=0.5, ohem_bce=3.0, full_weight=0.25, ohem_min_share=0.25)
    terms = segmentation_losses(logits, sample, section)
    assert set(terms) == {
        f"{channel}_{term}" for channel in ("visible", "full") for term in ("bce", "dice", "ohem_bce")
    }
    for channel, (name, target, weight) in enumerate((("visible", sample.visible, 1.0), ("full", sample.full, 0.25))):
        inputs = logits[:, channel : channel + 1], target.float() / 255, sample.valid[:, channel : channel + 1]
        assert float(terms[f"{name}_bce"]) == pytest.approx(weight * 2 * float(bce(*inputs)))
        assert float(terms[f"{name}_dice"]) == pytest.approx(weight * 0.5 * float(dice(*inputs)))
        hard = float(ohem_bce(*inputs, threshold=0.7, min_pixels=32))
        assert float(terms[f"{name}_ohem_bce"]) == pytest.approx(weight * 3 * hard)


def test_terms_that_are_off_and_channels_that_are_not_there() -> None:
    logits, sample = batch(1)
    assert set(segmentation_losses(logits, sample, LossSection())) == {"visible_bce", "visible_dice"}
    assert set(segmentation_losses(logits, sample, LossSection(dice=0.0))) == {"visible_bce"}
    with pytest.raises(ValidationError, match="at least one of bce, dice and ohem_bce"):
        LossSection(bce=0.0, dice=0.0)


def test_half_precision_logits_are_judged_in_full_precision() -> None:
    logits, sample = batch()
    found = segmentation_losses(logits.bfloat16(), sample, LossSection())
    expected = segmentation_losses(logits.bfloat16().float(), sample, LossSection())
    assert all(found[name].dtype == torch.float32 and float(found[name]) == float(expected[name]) for name in expected)
