from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from evaluation.occlusion import OcclusionScores, hidden_share, occlusion_scores
from tests.evaluation.masks import blob, some

# A face of 4 x 4, of which the lower half is hidden; the model thinks only the last row is.
FULL = np.ones((4, 4), bool)
TRUTH = np.repeat([[True], [True], [False], [False]], 4, axis=1)
FOUND = np.repeat([[True], [True], [True], [False]], 4, axis=1)


def test_half_a_face_by_hand() -> None:
    assert occlusion_scores(FOUND, FULL, TRUTH, full_truth=FULL) == pytest.approx((0.5, 0.5, 0.25, 0.25))


def test_what_lies_outside_the_full_face_does_not_count() -> None:
    small = FULL.copy()
    small[:, 0] = False
    found = FOUND.copy()
    found[:, 0] = ~found[:, 0]
    assert occlusion_scores(found, None, TRUTH, full_truth=small).occluder_iou == 0.5


def test_what_is_not_known_is_none() -> None:
    assert occlusion_scores(FOUND, None, TRUTH, full_truth=None) == OcclusionScores()
    assert occlusion_scores(FOUND, FULL, TRUTH, full_truth=None) == OcclusionScores(predicted_ratio=0.25)
    without_full = occlusion_scores(FOUND, None, TRUTH, full_truth=FULL)
    assert (without_full.coverage, without_full.ratio_error) == (0.5, None)
    no_face = occlusion_scores(FOUND, FULL, TRUTH, full_truth=~FULL)
    assert (no_face.coverage, no_face.occluder_iou, no_face.ratio_error) == (None, 1, None)


def test_occluder_iou_equals_scikit_learn_within_the_face() -> None:
    for seed in range(60):
        full, valid = blob(seed) | blob(seed + 1), some(seed)
        truth, found = full & blob(seed + 2), blob(seed + 3)
        inside = full & valid
        expected = (
            sklearn_metrics.jaccard_score(~truth[inside], ~found[inside], zero_division=1.0) if inside.any() else 1
        )
        scores = occlusion_scores(found, None, truth, full_truth=full, valid=valid)
        assert scores.occluder_iou == pytest.approx(expected, abs=1e-9)


def test_hidden_share() -> None:
    assert hidden_share(TRUTH, FULL) == 0.5
    assert hidden_share(TRUTH, ~FULL) is None
