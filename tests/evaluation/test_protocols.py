from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from common.metrics import Counts, count, pool
from evaluation.protocols import dataset_scores, per_image_scores, pooled_cofw
from tests.evaluation.masks import blob

images = st.lists(st.builds(Counts, *[st.integers(0, 10**5)] * 4), min_size=1, max_size=9)


def test_two_images_by_hand() -> None:
    """One image of 10 pixels found without fault, one of 90 with 30 hits, 10 inventions and 20 misses."""
    counts = [Counts(5, 0, 0, 5), Counts(30, 10, 20, 30)]
    assert dataset_scores(counts) == pytest.approx(((35 / 65 + 35 / 65) / 2, (70 / 100 + 70 / 100) / 2, 0.7, 70 / 100))
    assert per_image_scores(counts) == pytest.approx(
        ((1 + 30 / 60) / 2, (1 + 60 / 90) / 2, (1 + 30 / 40) / 2, (1 + 30 / 50) / 2, (1 + 60 / 90) / 2)
    )
    assert pooled_cofw(counts) == pytest.approx((35 / 65, 70 / 100, 35 / 55, (1 + 30 / 50) / 2))


def test_pooled_scores_equal_scikit_learn_on_all_pixels_together() -> None:
    """200 random masks in sets of ten."""
    for start in range(0, 200, 10):
        seeds = range(start, start + 10)
        actual = np.concatenate([blob(seed).ravel() for seed in seeds])
        predicted = np.concatenate([blob(seed + 500).ravel() | blob(seed).ravel() for seed in seeds])
        counts = [count(blob(seed + 500) | blob(seed), blob(seed)) for seed in seeds]
        scores, cofw = dataset_scores(counts), pooled_cofw(counts)
        assert scores.miou == pytest.approx(
            sklearn_metrics.jaccard_score(actual, predicted, average=None).mean(), abs=1e-9
        )
        mean_f1 = sklearn_metrics.f1_score(actual, predicted, average="macro")
        assert scores.mdice == pytest.approx(mean_f1, abs=1e-9)
        assert scores.mfscore == pytest.approx(mean_f1, abs=1e-9)
        assert scores.pixel_accuracy == pytest.approx(sklearn_metrics.accuracy_score(actual, predicted), abs=1e-9)
        assert cofw.face_recall == pytest.approx(sklearn_metrics.recall_score(actual, predicted), abs=1e-9)
        assert (cofw.miou, cofw.accuracy) == (scores.miou, scores.pixel_accuracy)


@given(images, st.randoms(use_true_random=False))
def test_order_changes_nothing_and_batches_no_pooled_score(counts: list[Counts], shuffler: object) -> None:
    shuffled = counts.copy()
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    assert dataset_scores(shuffled) == dataset_scores(counts) == dataset_scores([pool(counts)])
    assert per_image_scores(shuffled) == pytest.approx(per_image_scores(counts))
    assert pooled_cofw(shuffled) == pytest.approx(pooled_cofw(counts))


def test_nothing_found_where_nothing_is_scores_one() -> None:
    empty = [Counts(0, 0, 0, 0)]
    assert set(dataset_scores(empty) + per_image_scores(empty) + pooled_cofw(empty)) == {1.0}


def test_no_image_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no image"):
        pooled_cofw([])
