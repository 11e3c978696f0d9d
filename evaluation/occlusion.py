"""How well the hidden part of the face is told, where the truth knows the whole face."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.metrics import count

Mask = NDArray[np.bool_]


class OcclusionScores(NamedTuple):
    """Scores of the hidden part; None: the set does not tell the whole face, or the model does not predict it.

    Attributes:
        coverage: share of the true full face that is hidden, 0..1.
        occluder_iou: IoU of the hidden part within the true full face.
        predicted_ratio: share of the predicted full face that is predicted as hidden, 0..1.
        ratio_error: distance of `predicted_ratio` and `coverage`.
    """

    coverage: float | None = None
    occluder_iou: float | None = None
    predicted_ratio: float | None = None
    ratio_error: float | None = None


def occlusion_scores(
    visible: Mask, full: Mask | None, truth: Mask, *, full_truth: Mask | None, valid: Mask | None = None
) -> OcclusionScores:
    """Return the scores of the hidden part of one image.

    Args:
        visible: (H, W) bool, predicted visible face.
        full: (H, W) bool, predicted full face; None where the model has no such output.
        truth: (H, W) bool, visible face.
        full_truth: (H, W) bool, the face as if nothing were in front of it; None where the set does not tell.
        valid: (H, W) bool, pixels to score; None scores all.
    """
    predicted = None if full is None else hidden_share(visible, full)
    if full_truth is None:
        return OcclusionScores(predicted_ratio=predicted)
    within = full_truth if valid is None else full_truth & valid
    coverage = hidden_share(truth & within, within)
    error = None if predicted is None or coverage is None else abs(predicted - coverage)
    return OcclusionScores(coverage, count(~visible, ~truth, valid=within).face_iou, predicted, error)


def hidden_share(visible: Mask, full: Mask) -> float | None:
    """Return the share of `full` that is not visible, 0..1; None where there is no full face.

    Args:
        visible: (H, W) bool; what lies outside `full` does not count.
        full: (H, W) bool.
    """
    pixels = int(np.count_nonzero(full))
    return 1.0 - int(np.count_nonzero(visible & full)) / pixels if pixels else None
