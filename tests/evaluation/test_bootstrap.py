from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.bootstrap import AT_ONCE, bootstrap_interval, bootstrap_statistic, bootstrap_sums


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(0, 100))
def test_the_interval_contains_the_mean_and_repeats(scores: list[float], seed: int) -> None:
    interval = bootstrap_interval(scores, resamples=200, seed=seed)
    assert min(scores) - 1e-9 <= interval.low <= interval.high <= max(scores) + 1e-9
    assert interval.low - 1e-9 <= np.mean(scores) <= interval.high + 1e-9
    assert interval == bootstrap_interval(scores, resamples=200, seed=seed)


def test_the_interval_has_the_width_of_theory() -> None:
    scores = np.random.default_rng(0).normal(0.8, 0.1, 400)
    low, high = bootstrap_interval(scores)
    assert low < scores.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * scores.std() / math.sqrt(400), rel=0.1)


def test_resamples_are_those_of_drawn_images() -> None:
    rows = np.random.default_rng(1).random((7, 3))
    drawn = np.random.default_rng(5).integers(0, 7, (AT_ONCE, 7))
    expected = np.stack([rows[picked].sum(axis=0) for picked in drawn])
    found = bootstrap_sums(rows, resamples=AT_ONCE + 3, seed=5)
    assert found[:AT_ONCE] == pytest.approx(expected)
    assert found.shape == (AT_ONCE + 3, 3)


def test_scores_of_an_image_are_drawn_together() -> None:
    first = np.random.default_rng(2).random(50)
    rows = np.stack([first, first + 0.25], axis=1)  # a paired difference that never changes
    interval = bootstrap_statistic(rows, lambda sums: (sums[:, 1] - sums[:, 0]) / 50)
    assert interval == pytest.approx((0.25, 0.25))


def test_no_image_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no image"):
        bootstrap_interval([])
