"""Face IoU of parts of a set: by what hides the face, by how much of it, by brightness and by skin tone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from evaluation.bootstrap import bootstrap_interval
from evaluation.image_score import ImageScore
from evaluation.tone import SKIN_TONES

COVERAGE_EDGES = tuple(step / 10 for step in range(11))
BRIGHTNESS_EDGES = tuple(step / 5 for step in range(6))

Value = Callable[[ImageScore], float | None]
Group = dict[str, Any]


def by_occlusion_type(scores: Sequence[ImageScore]) -> list[Group]:
    """Return name, n, face IoU and interval of each type; an image with two types counts in both."""
    names = sorted({name for score in scores for name in score.about.occlusion_types})
    return [_group([s for s in scores if name in s.about.occlusion_types], name=name) for name in names]


def by_coverage(scores: Sequence[ImageScore]) -> list[Group]:
    """Return the bins of a tenth of hidden face that hold images."""
    return _binned(scores, lambda score: score.coverage, COVERAGE_EDGES)


def by_brightness(scores: Sequence[ImageScore]) -> list[Group]:
    """Return the bins of a fifth of brightness that hold images."""
    return _binned(scores, lambda score: score.about.tone.brightness if score.about.tone else None, BRIGHTNESS_EDGES)


def by_skin_tone(scores: Sequence[ImageScore]) -> list[Group]:
    """Return the groups of `SKIN_TONES` that hold images, from dark to light."""
    edges = (*(low for _, low, _ in SKIN_TONES), SKIN_TONES[-1][2])
    name_of = {low: name for name, low, _ in SKIN_TONES}
    bins = _binned(scores, lambda score: score.about.tone.ita_deg if score.about.tone else None, edges)
    return [{"name": name_of[found["low"]], **found} for found in bins]


def _binned(scores: Sequence[ImageScore], value: Value, edges: Sequence[float]) -> list[Group]:
    """Return a group for each bin [low, high) that holds images, the last with its upper edge; unknown: in none."""
    found = []
    for low, high in itertools.pairwise(edges):
        inside = [
            score
            for score in scores
            if (at := value(score)) is not None and (low <= at < high or (at == high == edges[-1]))
        ]
        if inside:
            found.append(_group(inside, low=low, high=high))
    return found


def _group(scores: Sequence[ImageScore], **more: Any) -> Group:
    ious = [score.counts.face_iou for score in scores]
    interval = list(bootstrap_interval(ious))
    return {**more, "n": len(ious), "face_iou": sum(ious) / len(ious), "interval": interval}
