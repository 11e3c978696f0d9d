"""Each term equals its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.loss_terms import edges_of, near_outline
from models.losses import (
    bce,
    boundary_bce,
    ce,
    dice,
    edge_bce,
    lovasz,
    ohem_bce,
    ohem_ce,
)

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


def two_classes(logits: torch.Tensor) -> torch.Tensor:
    """Return logits of background and face that say the same as one of a sigmoid."""
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


def shares(target: torch.Tensor) -> torch.Tensor:
    return torch.cat([1 - target, target], dim=1)


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
    for loss in (
        bce,
        dice,
        lovasz,
        lambda *inputs: ohem_bce(*inputs, threshold=0.7, min_pixels=9),
        lambda *inputs: ohem_ce(two_classes(inputs[0]), shares(inputs[1]), inputs[2], threshold=0.7, min_pixels=9),
        lambda *inputs: ce(two_classes(inputs[0]), shares(inputs[1]), inputs[2]),
        lambda *inputs: edge_bce(inputs[0], inputs[1] > 0.5, inputs[2]),
    ):
        free = logits.clone().requires_grad_()
        value = loss(free, target, valid)
        value.backward()
        assert not free.grad[~valid].any()  # type: ignore[index]
        other = torch.where(valid, logits, -logits + 5)
        elsewhere = torch.where(valid, target, 1 - target)
        assert float(loss(other, elsewhere, valid)) == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["bce", "dice", "ohem_bce", "lovasz", "boundary_bce", "edge_bce", "ce", "ohem_ce"])
def test_without_a_known_pixel_the_loss_is_zero_and_can_be_differentiated(name: str) -> None:
    logits, target, valid = case(0)
    logits.requires_grad_()
    hard = {"threshold": 0.7, "min_pixels": 5}
    options = {"ohem_bce": hard, "ohem_ce": hard, "boundary_bce": {"width_px": 2, "extra_weight": 3.0}}
    loss = {
        "bce": bce, "dice": dice, "ohem_bce": ohem_bce, "lovasz": lovasz, "boundary_bce": boundary_bce,
        "edge_bce": lambda x, y, z: edge_bce(x, y > 0.5, z), "ce": lambda x, y, z: ce(two_classes(x), shares(y), z),
        "ohem_ce": lambda x, y, z, **keys: ohem_ce(two_classes(x), shares(y), z, **keys),
    }[name]  # fmt: skip
    value = loss(logits, target, valid & False, **options.get(name, {}))
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


@given(seeds)
def test_two_classes_cost_what_one_sigmoid_costs_with_soft_labels_too(seed: int) -> None:
    logits, _, valid = case(seed)
    soft = torch.from_numpy(np.random.default_rng(seed).random(logits.shape)).float()
    classes = two_classes(logits), shares(soft), valid
    torch.testing.assert_close(ce(*classes), bce(logits, soft, valid))
    options = {"threshold": 0.7, "min_pixels": 11}
    torch.testing.assert_close(ohem_ce(*classes, **options), ohem_bce(logits, soft, valid, **options))


@given(seeds, st.booleans())
def test_weighted_cross_entropy_equals_the_library_s_where_everything_else_is_ignored(
    seed: int, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 3, (2, 5, 4, 6))).float()
    labels = torch.from_numpy(rng.integers(0, 5, (2, 4, 6)))
    valid = torch.from_numpy(rng.random((2, 1, 4, 6)) < 0.8)
    weights = torch.from_numpy(rng.random(5) + 0.1).float() if weighted else None
    masked = labels.masked_fill(~valid[:, 0], 255)
    expected = torch.nn.functional.cross_entropy(logits, masked, weight=weights, ignore_index=255)
    torch.testing.assert_close(ce(logits, labels, valid, class_weights=weights), expected, atol=1e-5, rtol=1e-4)
    one_hot = torch.nn.functional.one_hot(labels, 5).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(ce(logits, one_hot, valid, class_weights=weights), expected, atol=1e-5, rtol=1e-4)


@given(seeds, st.integers(1, 60))
def test_hard_classes_equal_a_full_sort(seed: int, min_pixels: int) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0, 3, (2, 5, 4, 6))).float()
    labels = torch.from_numpy(rng.integers(0, 5, (2, 4, 6)))
    valid = torch.from_numpy(rng.random((2, 1, 4, 6)) < 0.8)
    chosen = torch.softmax(logits, dim=1).gather(1, labels[:, None])[valid]
    losses = [-math.log(max(float(probability), 1e-30)) for probability in chosen]
    found = ohem_ce(logits, labels, valid, threshold=0.7, min_pixels=min_pixels)
    assert float(found) == pytest.approx(slow_ohem(losses, threshold=0.7, min_pixels=min_pixels), rel=1e-3)


@given(seeds)
def test_the_lovasz_hinge_equals_its_definition(seed: int) -> None:
    """The sum over sorted errors, each times what the IoU loses when the pixel joins those that are wrong."""
    logits, target, valid = case(seed)
    images = []
    for logit, truth, known in zip(logits[:, 0], target[:, 0], valid[:, 0], strict=True):
        signs = 2 * truth[known].double() - 1
        errors = 1 - logit[known].double() * signs
        order = errors.argsort(descending=True)
        face, value, before = truth[known].sum().item(), 0.0, 0.0
        missed = invented = 0
        for place in order:
            missed, invented = (missed + 1, invented) if signs[place] > 0 else (missed, invented + 1)
            lost = 1 - (face - missed) / max(face + invented, 1)
            value += max(float(errors[place]), 0) * (lost - before)
            before = lost
        images.append(value)
    assert float(lovasz(logits, target, valid)) == pytest.approx(np.mean(images), rel=1e-3, abs=1e-5)


def slow_near(target: np.ndarray, width_px: int) -> np.ndarray:
    near = np.zeros(target.shape, bool)
    height, width = target.shape
    for row in range(height):
        for column in range(width):
            window = target[
                max(0, row - width_px) : row + width_px + 1, max(0, column - width_px) : column + width_px + 1
            ]
            near[row, column] = (window >= 0.5).any() and (window < 0.5).any()
    return near


@given(seeds, st.integers(1, 4))
def test_pixels_near_the_outline_are_those_with_both_sides_around(seed: int, width_px: int) -> None:
    rng = np.random.default_rng(seed)
    target = (rng.random((11, 13)) < rng.choice([0.02, 0.5, 0.98])) * rng.uniform(0.5, 1)
    found = near_outline(torch.from_numpy(target)[None, None].float(), width_px=width_px)[0, 0].numpy()
    assert (found == slow_near(target, width_px)).all()


@given(seeds, st.sampled_from([0.0, 4.0]))
def test_boundary_bce_weighs_the_outline(seed: int, extra: float) -> None:
    logits, target, valid = case(seed)
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    near = np.stack([slow_near(truth[0].numpy(), 1)[None] for truth in target])
    weights = (1 + extra * torch.from_numpy(near)) * valid
    expected = float((losses * weights).sum() / weights.sum())
    assert float(boundary_bce(logits, target, valid, width_px=1, extra_weight=extra)) == pytest.approx(expected)
    if extra == 0:
        assert expected == pytest.approx(float(bce(logits, target, valid)))


@given(seeds)
def test_edges_lie_where_classes_meet_and_are_unknown_beside_the_unknown(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (9, 8)).repeat(3, axis=0).repeat(3, axis=1).astype(np.uint8)
    known = rng.random(labels.shape) < 0.97
    edges, judged = edges_of(torch.from_numpy(labels)[None, None], torch.from_numpy(known)[None, None])
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            window = np.s_[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
            assert bool(edges[0, 0, row, column]) == (len(np.unique(labels[window])) > 1)
            assert bool(judged[0, 0, row, column]) == bool(known[window].all())


@given(seeds)
def test_edges_weigh_as_much_as_all_that_is_none(seed: int) -> None:
    logits, target, valid = case(seed)
    edges = target > 0.5
    on, off = pixel_losses(logits, target, valid & edges), pixel_losses(logits, target, valid & ~edges)
    total = len(on) + len(off)
    expected = (sum(on) * len(off) + sum(off) * len(on)) / total**2
    assert float(edge_bce(logits, edges, valid)) == pytest.approx(expected, rel=1e-4, abs=1e-6)
