"""What the terms together cost, by the outputs of a network."""

from __future__ import annotations

import math
import re

import pytest
import torch
from pydantic import ValidationError

from common.sample import Sample
from configs.schema import LossSection, ModelSection, loss_problem
from configs.schema.network import PARTS
from models.loss_terms import edges_of
from models.losses import (
    bce,
    ce,
    dice,
    edge_bce,
    known_parts,
    ohem_bce,
    segmentation_losses,
)
from models.network import build_spec
from models.spec import Heads, NetworkSpec, visible_logit


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
