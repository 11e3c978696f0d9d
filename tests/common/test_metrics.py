from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional.classification import binary_accuracy, binary_f1_score, binary_jaccard_index

from common.metrics import Counts, count, dataset_miou, per_image_face_iou, pool

counts = st.builds(Counts, *[st.integers(0, 10**6)] * 4)
EMPTY = np.zeros((6, 7), bool)


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.02, 0.98, 3)
    return tuple(rng.random((3, 12, 15)) < share[:, None, None])  # type: ignore[return-value]


@pytest.mark.parametrize("ignore", [False, True])
def test_scores_equal_independent_libraries(ignore: bool) -> None:
    """200 random masks; every ratio against scikit-learn, and the common three against torchmetrics."""
    for seed in range(100):
        prediction, truth, valid = random_case(seed + 100 * ignore)
        valid = valid if ignore else np.ones_like(valid)
        found = count(prediction, truth, valid=valid if ignore else None)
        actual, predicted = truth[valid], prediction[valid]
        tn, fp, fn, tp = sklearn_metrics.confusion_matrix(actual, predicted, labels=[False, True]).ravel()
        assert found == Counts(tp, fp, fn, tn)
        for name, function in (
            ("face_iou", sklearn_metrics.jaccard_score),
            ("dice", sklearn_metrics.f1_score),
            ("precision", sklearn_metrics.precision_score),
            ("recall", sklearn_metrics.recall_score),
        ):
            assert getattr(found, name) == pytest.approx(function(actual, predicted, zero_division=1.0), abs=1e-9)
        background = sklearn_metrics.jaccard_score(~actual, ~predicted, zero_division=1.0)
        assert found.background_iou == pytest.approx(background, abs=1e-9)
        background_dice = sklearn_metrics.f1_score(~actual, ~predicted, zero_division=1.0)
        assert found.background_dice == pytest.approx(background_dice, abs=1e-9)
        assert found.accuracy == pytest.approx(sklearn_metrics.accuracy_score(actual, predicted), abs=1e-9)
        tensors = torch.from_numpy(predicted), torch.from_numpy(actual).int()
        assert found.face_iou == pytest.approx(float(binary_jaccard_index(*tensors)), abs=1e-6)  # float32 there
        assert found.dice == pytest.approx(float(binary_f1_score(*tensors)), abs=1e-6)
        assert found.accuracy == pytest.approx(float(binary_accuracy(*tensors)), abs=1e-6)


def test_dataset_miou_equals_scikit_learn_on_all_pixels_together() -> None:
    cases = [random_case(seed) for seed in range(12)]
    actual, predicted = (np.concatenate([case[at].ravel() for case in cases]) for at in (1, 0))
    expected = sklearn_metrics.jaccard_score(actual, predicted, average=None).mean()
    found = [count(prediction, truth) for prediction, truth, _ in cases]
    assert dataset_miou(found) == pytest.approx(expected, abs=1e-9)
    each = [sklearn_metrics.jaccard_score(truth.ravel(), prediction.ravel()) for prediction, truth, _ in cases]
    assert per_image_face_iou(found) == pytest.approx(np.mean(each), abs=1e-9)


def test_ignored_pixels_change_nothing() -> None:
    prediction, truth, valid = random_case(0)
    before = count(prediction, truth, valid=valid)
    assert count(prediction ^ ~valid, truth, valid=valid) == before
    assert count(prediction, truth | ~valid, valid=valid) == before
    assert before.pixels == valid.sum()


def test_nothing_found_where_nothing_is_scores_one() -> None:
    nothing = count(EMPTY, EMPTY)
    names = ("face_iou", "dice", "precision", "recall", "accuracy")
    assert [getattr(nothing, name) for name in names] == [1] * 5
    assert count(EMPTY, EMPTY, valid=EMPTY).accuracy == 1
    assert count(~EMPTY, EMPTY).face_iou == 0
    assert count(EMPTY, ~EMPTY).face_iou == 0
    assert dataset_miou([]) == 1


@given(counts)
def test_dice_and_iou_tell_the_same(image: Counts) -> None:
    assert image.dice == pytest.approx(2 * image.face_iou / (1 + image.face_iou))
    assert 0 <= image.face_iou <= image.dice <= 1
    if image.precision + image.recall > 0 and image.true_positive:
        harmonic = 2 / (1 / image.precision + 1 / image.recall)
        assert image.dice == pytest.approx(harmonic)


@given(counts)
def test_swapping_prediction_and_truth_swaps_precision_and_recall(image: Counts) -> None:
    swapped = Counts(image.true_positive, image.false_negative, image.false_positive, image.true_negative)
    assert (swapped.precision, swapped.recall) == (image.recall, image.precision)
    assert swapped.face_iou == image.face_iou


@given(st.lists(counts, min_size=1, max_size=12), st.randoms(use_true_random=False), st.integers(1, 5))
def test_order_and_batches_change_no_score(images: list[Counts], shuffler: object, batch: int) -> None:
    shuffled = images.copy()
    shuffler.shuffle(shuffled)  # type: ignore[attr-defined]
    batches = [pool(images[at : at + batch]) for at in range(0, len(images), batch)]
    assert pool(batches) == pool(images) == pool(shuffled)
    assert dataset_miou(batches) == dataset_miou(images)
    assert per_image_face_iou(shuffled) == pytest.approx(per_image_face_iou(images))


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_a_mask_in_pieces_pools_to_the_whole(seed: int, rows: int) -> None:
    prediction, truth, valid = random_case(seed)
    pieces = [slice(at, at + rows) for at in range(0, len(truth), rows)]
    parts = [count(prediction[piece], truth[piece], valid=valid[piece]) for piece in pieces]
    assert pool(parts) == count(prediction, truth, valid=valid)


@pytest.mark.parametrize(
    ("prediction", "truth", "valid"),
    [
        (EMPTY.astype(np.uint8), EMPTY, None),
        (EMPTY, EMPTY.astype(float), None),
        (EMPTY[1:], EMPTY, None),
        (EMPTY, EMPTY, EMPTY[:, 1:]),
        (EMPTY, EMPTY, EMPTY.astype(np.uint8)),
    ],
)
def test_masks_must_be_boolean_and_of_one_size(
    prediction: np.ndarray, truth: np.ndarray, valid: np.ndarray | None
) -> None:
    with pytest.raises(ValueError, match="expected bool"):
        count(prediction, truth, valid=valid)


def test_no_image_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no image"):
        per_image_face_iou([])
