"""The loss of a network: which terms judge which of its outputs, and how much each weighs."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from common.sample import Sample
from configs.schema import LossSection
from configs.schema.network import PARTS, PIXEL_TERMS
from models.loss_terms import (
    UNKNOWN,
    bce,
    boundary_bce,
    ce,
    dice,
    edge_bce,
    edges_of,
    lovasz,
    ohem_bce,
    ohem_ce,
)
from models.spec import Heads, NetworkSpec, sigmoid_spec, visible_logit

__all__ = ["bce", "boundary_bce", "ce", "dice", "edge_bce", "lovasz", "ohem_bce", "ohem_ce", "segmentation_losses"]

Named = Iterator[tuple[str, torch.Tensor]]
BACKGROUND = 0


def segmentation_losses(
    predicted: torch.Tensor | Heads, sample: Sample, section: LossSection, spec: NetworkSpec | None = None
) -> dict[str, torch.Tensor]:
    """Return each term of the loss, already weighted; their sum is what training minimises.

    Args:
        predicted: logits (N, K, S, S), or all heads of a network in training mode.
        sample: the batch on the same device; `parts` must be there for networks that have this output.
        spec: the network's; None: one sigmoid channel, visible, or two, visible and full.

    Raises:
        ValueError: the sample has no parts, but the network.
    """
    heads = predicted if isinstance(predicted, Heads) else Heads(predicted)
    spec = spec or sigmoid_spec(heads.logits.shape[1])
    terms = dict(_head_terms(heads.logits, sample, section, spec))
    if heads.auxiliary is not None and section.auxiliary_weight > 0:
        for name, term in _head_terms(heads.auxiliary, sample, section, spec):
            terms[f"auxiliary_{name}"] = section.auxiliary_weight * term
    if heads.edges is not None and section.edge_bce > 0:
        edges, known = edges_of(*_edge_source(sample, spec))
        terms["edge_bce"] = section.edge_bce * edge_bce(heads.edges.float(), edges, known)
    return terms


def known_parts(sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the target of the output `parts`, (N, 1, S, S) uint8, and where it is known, bool.

    Occluders that are no part of the person (hand, object, shape) become background: a parser has to say that none of
    its parts is there, and were they left out, it could call a hand skin.

    Raises:
        ValueError: the sample has no parts.
    """
    if sample.parts is None:
        raise ValueError("the network has the output `parts`, but the samples come without parts")
    known = (sample.parts != UNKNOWN) & sample.valid[:, :1]
    return sample.parts.masked_fill(sample.parts >= PARTS, BACKGROUND), known


def _head_terms(logits: torch.Tensor, sample: Sample, section: LossSection, spec: NetworkSpec) -> Named:
    logits = logits.float()
    share = sample.visible.float() / 255
    outputs = []
    if any(getattr(section, term) > 0 for term in PIXEL_TERMS):
        outputs.append(("visible", 1.0, visible_logit(logits, spec), share, sample.valid[:, :1]))
        if "full" in spec.outputs:
            full = logits[:, spec.channels["full"]]
            outputs.append(("full", section.full_weight, full, sample.full.float() / 255, sample.valid[:, 1:2]))
    for name, weight, logit, target, valid in outputs:
        for term, value in _pixel_terms(logit, target, valid, section):
            yield f"{name}_{term}", weight * value
    if spec.classes > 1:
        shares = logits.new_zeros(logits.shape)
        shares[:, BACKGROUND], shares[:, spec.face_class] = 1 - share[:, 0], share[:, 0]
        for term, value in _class_terms(logits, shares, sample.valid[:, :1], section):
            yield f"visible_{term}", value
    if "parts" in spec.outputs:
        target, valid = known_parts(sample)
        for term, value in _class_terms(logits[:, spec.channels["parts"]], target[:, 0].long(), valid, section):
            yield f"parts_{term}", section.parts_weight * value


def _pixel_terms(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, section: LossSection) -> Named:
    """Yield the terms on one output (N, 1, S, S): face or not."""
    inputs = (logits, target, valid)
    if section.bce > 0:
        yield "bce", section.bce * bce(*inputs)
    if section.dice > 0:
        yield "dice", section.dice * dice(*inputs)
    if section.lovasz > 0:
        yield "lovasz", section.lovasz * lovasz(*inputs)
    if section.ohem_bce > 0:
        hard = ohem_bce(*inputs, threshold=section.ohem_threshold, min_pixels=_least_pixels(logits, section))
        yield "ohem_bce", section.ohem_bce * hard
    if section.boundary_bce > 0:
        width_px = max(1, round(section.boundary_share * logits.shape[-1]))
        near = boundary_bce(*inputs, width_px=width_px, extra_weight=section.boundary_weight)
        yield "boundary_bce", section.boundary_bce * near


def _class_terms(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, section: LossSection) -> Named:
    """Yield the terms on one softmax (N, K, S, S)."""
    if section.ce > 0:
        weights = None if section.class_weights is None else logits.new_tensor(section.class_weights)
        yield "ce", section.ce * ce(logits, target, valid, class_weights=weights)
    if section.ohem_ce > 0:
        least = _least_pixels(logits, section)
        yield (
            "ohem_ce",
            section.ohem_ce * ohem_ce(logits, target, valid, threshold=section.ohem_threshold, min_pixels=least),
        )


def _least_pixels(logits: torch.Tensor, section: LossSection) -> int:
    """Return how many pixels of the batch (N, K, S, S) hard-example mining keeps at least."""
    images, _, height, width = logits.shape
    return section.ohem_min_pixels * images or round(section.ohem_min_share * images * height * width)


def _edge_source(sample: Sample, spec: NetworkSpec) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the classes whose outlines the edge branch learns, (N, 1, S, S), and where they are known."""
    return known_parts(sample) if "parts" in spec.outputs else (sample.visible > 127, sample.valid[:, :1])
