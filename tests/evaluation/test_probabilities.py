from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional.classification import binary_calibration_error

from common.metrics import count, dataset_miou
from evaluation.probabilities import (
    THRESHOLDS,
    as_probability,
    brier_score,
    counts_by_threshold,
    empty_histogram,
    expected_calibration_error,
    histogram,
    iou_by_threshold,
    miou_by_threshold,
    reliability,
)
from tests.evaluation.masks import SIZE, blob, soft, some


@pytest.mark.parametrize("ignore", [False, True])
def test_brier_score_equals_scikit_learn_on_200_maps(ignore: bool) -> None:
    for seed in range(100 * ignore, 100 * ignore + 100):
        probability, truth = soft(seed), blob(seed)
        valid = some(seed) if ignore else np.ones(SIZE, bool)
        found = histogram(probability, truth, valid=valid if ignore else None)
        scores, actual = probability[valid].astype(np.float64), truth[valid]
        assert brier_score(found) == pytest.approx(((scores - actual) ** 2).mean(), abs=1e-9)
        if 0 < actual.sum() < actual.size:
            assert brier_score(found) == pytest.approx(sklearn_metrics.brier_score_loss(actual, scores), abs=1e-9)


def test_calibration_error_equals_torchmetrics_on_200_maps() -> None:
    """With values off the edges of bins, where theirs hold the lower and ours the upper one."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        probability = rng.uniform(0.001, 0.999, SIZE).astype(np.float32)
        found = histogram(probability, blob(seed))
        tensors = torch.from_numpy(probability.astype(np.float64)).ravel(), torch.from_numpy(blob(seed)).int().ravel()
        expected = binary_calibration_error(*tensors, n_bins=20, norm="l1")
        assert expected_calibration_error(found) == pytest.approx(float(expected), abs=1e-9)


def test_every_threshold_equals_counting() -> None:
    for seed in range(5):
        probability, truth, valid = soft(seed), blob(seed), some(seed)
        probability[0] = np.float32(0.7)  # on a threshold: not above it
        rows = counts_by_threshold(histogram(probability, truth, valid=valid))
        for threshold, row in zip(THRESHOLDS, rows.tolist(), strict=True):
            assert tuple(row) == count(probability > np.float32(threshold), truth, valid=valid)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=40), st.sampled_from(THRESHOLDS))
def test_any_probability_falls_on_the_right_side(values: list[float], threshold: float) -> None:
    near = np.float32(threshold)
    probability = np.array([[*values, near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(1))]])
    probability = probability.astype(np.float32)
    truth = np.ones(probability.shape, bool)
    above = counts_by_threshold(histogram(probability, truth))[THRESHOLDS.index(threshold), 0]
    assert above == (probability > near).sum()


def test_bytes_and_masks_are_probabilities() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    truth = grey > 100
    found = counts_by_threshold(histogram(as_probability(grey), truth))
    for threshold, row in zip(THRESHOLDS, found.tolist(), strict=True):
        assert tuple(row) == count(grey / np.float32(255) > np.float32(threshold), truth)
    assert iou_by_threshold(histogram(as_probability(truth), truth)) == pytest.approx(np.ones(99))
    double = as_probability(np.array([[0.25, 1.0]]))
    assert double.dtype == np.float32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.array([[-3.0, 2.5]]), r"-3 .. 2.5; apply a sigmoid"),
        (np.array([[0.5, np.nan]], np.float32), "expected probabilities"),
        (np.array([[1, 0]], np.int64), "found int64"),
    ],
)
def test_what_is_no_probability_is_refused(wrong: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_probability(wrong)


def test_histograms_add_up() -> None:
    parts = [histogram(soft(seed), blob(seed)) for seed in range(4)]
    total = sum(parts, start=empty_histogram())
    whole = histogram(np.concatenate([soft(seed) for seed in range(4)]), np.concatenate([blob(s) for s in range(4)]))
    assert (total.pixels == whole.pixels).all()
    assert total.sums == pytest.approx(whole.sums)
    assert brier_score(total) == pytest.approx(brier_score(whole), abs=1e-12)
    middle = THRESHOLDS.index(0.5)
    expected = dataset_miou(count(soft(seed) > 0.5, blob(seed)) for seed in range(4))
    assert miou_by_threshold(total)[middle] == pytest.approx(expected, abs=1e-12)


def test_reliability_by_hand() -> None:
    probability = np.array([[0.0, 0.02, 0.92, 0.98]], np.float32)
    bins = reliability(histogram(probability, np.array([[False, True, True, True]])))
    assert bins.edges == ((0.0, 0.05), (0.9, 0.95), (0.95, 1.0))
    assert bins.confidence == pytest.approx((0.01, 0.92, 0.98))
    assert bins.accuracy == (0.5, 1.0, 1.0)
    assert bins.share == (0.5, 0.25, 0.25)
    nothing = empty_histogram()
    assert (expected_calibration_error(nothing), brier_score(nothing)) == (0, 0)
    assert (iou_by_threshold(nothing) == 1).all()
