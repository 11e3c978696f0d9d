from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.sample import Sample
from configs.schema import LossSection, ModelSection, loss_problem
from configs.schema.network import PARTS
from models.loss_terms import edges_of, near_outline
from models.losses import (
    bce,
    boundary_bce,
    ce,
    dice,
    edge_bce,
    known_parts,
    lovasz,
    ohem_bce,
    ohem_ce,
    segmentation_losses,
)
from models.network import build_spec
from models.spec import Heads, NetworkSpec, visible_logit

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
    with pytest.raises(ValidationError, match="at least one of bce, dice, ohem_bce"):
        LossSection(bce=0.0, dice=0.0)


def test_half_precision_logits_are_judged_in_full_precision() -> None:
    logits, sample = batch()
    found = segmentation_losses(logits.bfloat16(), sample, LossSection())
    expected = segmentation_losses(logits.bfloat16().float(), sample, LossSection())
    assert all(found[name].dtype == torch.float32 and float(found[name]) == float(expected[name]) for name in expected)


# ---------------------------------------------------------------- terms of outlines and overlaps


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


# ---------------------------------------------------------------- outputs and heads


def parts_batch() -> Sample:
    _, sample = batch()
    parts = torch.randint(0, 23, (2, 1, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    parts[0, 0, 0] = 255
    return sample._replace(parts=parts)


def test_occluders_become_background_and_unknown_parts_are_left_out() -> None:
    sample = parts_batch()
    target, known = known_parts(sample)
    assert sample.parts is not None
    assert (target[(sample.parts > 19) & (sample.parts < 255)] == 0).all()
    assert (target[sample.parts < 20] == sample.parts[sample.parts < 20]).all()
    assert not known[0, 0, 0].any()
    assert torch.equal(known[1], sample.valid[1, :1])
    with pytest.raises(ValueError, match="the samples come without parts"):
        known_parts(batch()[1])


def test_parts_are_judged_by_classes_and_the_visible_face_in_them_by_pixels() -> None:
    spec = build_spec(ModelSection(outputs=("parts",)))
    sample = parts_batch()
    logits = torch.randn(2, PARTS, 8, 8, generator=torch.Generator().manual_seed(2))
    weights = tuple(0.5 + 0.1 * part for part in range(PARTS))
    section = LossSection(bce=0, dice=0.5, ce=2.0, ohem_ce=1.0, parts_weight=0.5, class_weights=weights)
    terms = segmentation_losses(logits, sample, section, spec)
    assert set(terms) == {"visible_dice", "parts_ce", "parts_ohem_ce"}
    target, known = known_parts(sample)
    by_class = ce(logits, target[:, 0].long(), known, class_weights=torch.tensor(weights))
    assert float(terms["parts_ce"]) == pytest.approx(float(0.5 * 2 * by_class))
    overlap = dice(visible_logit(logits, spec), sample.visible / 255, sample.valid[:, :1])
    assert float(terms["visible_dice"]) == pytest.approx(0.5 * float(overlap))


@pytest.mark.parametrize(("classes", "face_class"), [(2, 1), (21, 15)])
def test_a_softmax_of_the_visible_face_is_taught_its_share(classes: int, face_class: int) -> None:
    spec = NetworkSpec("fcn8s", "vgg16", (), ("visible",), classes=classes, face_class=face_class)
    logits, sample = batch(1)
    soft = torch.randint(0, 256, sample.visible.shape, generator=torch.Generator().manual_seed(3)).to(torch.uint8)
    sample = sample._replace(visible=soft)
    logits = torch.randn(2, classes, 8, 8, generator=torch.Generator().manual_seed(4))
    terms = segmentation_losses(logits, sample, LossSection(bce=0, dice=0, ce=1.0), spec)
    assert set(terms) == {"visible_ce"}
    logs, share = torch.log_softmax(logits, dim=1), soft[:, 0] / 255
    losses = -(share * logs[:, face_class] + (1 - share) * logs[:, 0])
    assert float(terms["visible_ce"]) == pytest.approx(float(losses[sample.valid[:, 0]].mean()), rel=1e-4)


def test_the_pixels_that_mining_keeps_can_be_named_for_each_image() -> None:
    logits, sample = batch(1)
    logits = logits * 0 + 4 * (sample.visible > 127) - 2  # nothing is hard
    logits[0, 0, 0, :5] *= -0.2
    section = LossSection(bce=0, dice=0, ohem_bce=1.0, ohem_min_pixels=3)
    (term,) = segmentation_losses(logits, sample, section).values()
    inputs = logits, sample.visible / 255, sample.valid[:, :1]
    assert float(term) == pytest.approx(float(ohem_bce(*inputs, threshold=0.7, min_pixels=6)))
    assert float(term) != pytest.approx(float(ohem_bce(*inputs, threshold=0.7, min_pixels=3)))


@pytest.mark.parametrize("size", [8, 64, 112])
def test_mining_never_asks_for_more_pixels_than_there_are(size: int) -> None:
    """The published code, made for 256 px, fails below."""
    logits = torch.zeros(1, 1, size, size)
    mask = torch.zeros(1, 1, size, size, dtype=torch.uint8)
    sample = Sample(logits, mask, mask, torch.ones(1, 2, size, size, dtype=torch.bool), "a")
    section = LossSection(bce=0, dice=0, ohem_bce=1.0, ohem_min_pixels=65_535, ohem_threshold=0.3)
    (term,) = segmentation_losses(logits, sample, section).values()
    assert float(term) == pytest.approx(math.log(2))


def test_all_heads_are_judged() -> None:
    logits, sample = batch()
    section = LossSection(dice=0, edge_bce=2.0, auxiliary_weight=0.25)
    heads = Heads(logits, auxiliary=-logits, edges=logits[:, :1])
    terms = segmentation_losses(heads, sample, section)
    assert set(terms) == {"visible_bce", "full_bce", "auxiliary_visible_bce", "auxiliary_full_bce", "edge_bce"}
    second = segmentation_losses(-logits, sample, section)
    assert float(terms["auxiliary_full_bce"]) == pytest.approx(0.25 * float(second["full_bce"]))
    edges, known = edges_of(sample.visible > 127, sample.valid[:, :1])
    assert float(terms["edge_bce"]) == pytest.approx(2 * float(edge_bce(logits[:, :1], edges, known)))
    with_parts = segmentation_losses(
        Heads(torch.zeros(2, PARTS, 8, 8), edges=logits[:, :1]), parts_batch(),
        LossSection(bce=0, dice=0, ce=1, edge_bce=1.0), build_spec(ModelSection(outputs=("parts",))),
    )  # fmt: skip
    edges, known = edges_of(*known_parts(parts_batch()))
    assert float(with_parts["edge_bce"]) == pytest.approx(float(edge_bce(logits[:, :1], edges, known)))
    with pytest.raises(ValueError, match="20 channels of logits need the spec"):
        segmentation_losses(torch.zeros(2, PARTS, 8, 8), sample, section)


@pytest.mark.parametrize(
    ("model", "loss", "message"),
    [
        ({}, {"ce": 1.0}, "loss.ce judges softmaxes"),
        ({"outputs": ("parts",)}, {}, "nothing would teach them"),
        ({}, {"edge_bce": 1.0}, "edge_bce needs the edge branch of model.architecture scanet, found unet"),
        (
            {"outputs": ("parts",)},
            {"ce": 1.0, "class_weights": (1.0, 2.0)},
            r"2 weights, the softmax has \[20\] classes",
        ),
        ({}, {"class_weights": (1.0, 2.0)}, "the softmax has no classes"),
    ],
)
def test_losses_without_their_output_are_told(model: dict[str, object], loss: dict[str, object], message: str) -> None:
    problem = loss_problem(ModelSection(**model), LossSection(**loss))  # type: ignore[arg-type]
    assert problem is not None
    assert re.search(message, problem)


def test_losses_that_fit_are_not_held_up() -> None:
    assert loss_problem(ModelSection(), LossSection()) is None
    softmax = ModelSection(outputs=("visible",), classes=2)
    assert loss_problem(softmax, LossSection(bce=0, dice=0, ohem_ce=1.0, class_weights=(1.0, 2.0))) is None
    parser = ModelSection(architecture="scanet", encoder="resnet18", outputs=("parts",))
    assert loss_problem(parser, LossSection(bce=0, dice=0, ce=1.0, edge_bce=1.0)) is None
