from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from common.metrics import count, dataset_miou, per_image_face_iou
from evaluation.bootstrap import bootstrap_interval
from evaluation.image_score import About, ImageScore, Truth, row_of, score_image
from evaluation.probabilities import THRESHOLDS
from evaluation.scores import SetScorer, table, write_per_image
from evaluation.tone import Tone
from tests.evaluation.masks import SIZE, blob, soft, some


def scorer_of(seeds: list[int], *, threshold: float = 0.5) -> SetScorer:
    scorer = SetScorer()
    for seed in seeds:
        truth = Truth(blob(seed), some(seed), blob(seed) | blob(seed + 1))
        about = About(f"a{seed}", occlusion_types=("hand",) * (seed % 2), tone=Tone(seed / 20, 10.0 * seed - 60))
        prediction = np.stack([soft(seed), soft(seed + 1)])
        scorer.add(*score_image(prediction, truth, threshold=threshold, about=about))
    return scorer


def test_the_summary_holds_every_protocol() -> None:
    seeds = list(range(9))
    summary = scorer_of(seeds).summarise("drawn", role="test", threshold=0.5)
    counts = [count(soft(seed) > 0.5, blob(seed), valid=some(seed)) for seed in seeds]
    ious = [image.face_iou for image in counts]
    assert summary["n"] == 9
    assert summary["face_iou"] == pytest.approx(per_image_face_iou(counts))
    assert summary["miou"] == pytest.approx(dataset_miou(counts))
    assert summary["face_iou_median"] == pytest.approx(np.median(ious))
    assert summary["face_iou_interval"] == list(bootstrap_interval(ious)) == summary["intervals"]["face_iou"]
    assert summary["full_face_baseline_iou"] == pytest.approx(
        np.mean([count(soft(seed + 1) > 0.5, blob(seed), valid=some(seed)).face_iou for seed in seeds])
    )
    for key, (low, high) in summary["intervals"].items():
        assert 0 <= low <= summary[key] <= high <= 1, key
    assert json.loads(json.dumps(summary)) == summary


def test_curves_and_groups_agree_with_the_scores() -> None:
    summary = scorer_of(list(range(9))).summarise("drawn")
    curve = summary["curves"]["iou_by_threshold"]
    at = curve["thresholds"].index(0.5)
    assert curve["face_iou"][at] == pytest.approx(summary["face_iou"])
    assert curve["miou"][at] == pytest.approx(summary["miou"])
    assert sum(summary["curves"]["reliability"]["share"]) == pytest.approx(1)
    (hand,) = summary["by_occlusion_type"]
    assert (hand["name"], hand["n"]) == ("hand", 4)
    assert sum(group["n"] for group in summary["by_brightness"]) == 9
    assert [group["name"] for group in summary["by_skin_tone"]] == ["dark", "brown", "tan"]
    covered = summary["curves"]["iou_by_coverage"]
    known = [score for score in scorer_of(list(range(9))).scores if score.coverage is not None]
    assert sum(group["n"] for group in covered) == len(known)
    weighted = sum(group["n"] * group["face_iou"] for group in covered) / len(known)
    assert weighted == pytest.approx(np.mean([score.counts.face_iou for score in known]))


def test_order_changes_no_score() -> None:
    forward, backward = (scorer_of(list(range(8))[::step]).summarise("drawn") for step in (1, -1))
    for key in ("face_iou", "boundary_iou", "miou", "ece", "brier", "occluder_iou", "occlusion_ratio_error"):
        assert forward[key] == pytest.approx(backward[key]), key
    assert forward["curves"]["iou_by_threshold"]["face_iou"] == pytest.approx(
        backward["curves"]["iou_by_threshold"]["face_iou"]
    )


def test_bytes_masks_and_floats_of_one_prediction_score_alike() -> None:
    truth, about = Truth(blob(4)), About("a")
    mask = soft(4) > 0.5
    scores = [
        score_image(prediction, truth, threshold=0.5, about=about)[0]
        for prediction in (mask, mask * np.uint8(255), mask.astype(np.float32), mask.astype(np.float64)[None])
    ]
    assert all(score == scores[0] for score in scores)
    grey = np.rint(soft(4) * 255).astype(np.uint8)
    (from_bytes, _), (from_floats, _) = (
        score_image(prediction, truth, threshold=0.4, about=about) for prediction in (grey, grey / np.float32(255))
    )
    assert from_bytes == from_floats


def test_a_pixel_at_the_threshold_is_no_face() -> None:
    at, above = np.float32(0.7), np.nextafter(np.float32(0.7), np.float32(1))
    truth = Truth(np.array([[True, False, True, False]]))
    score, _ = score_image(np.array([[at, at, above, above]]), truth, threshold=0.7, about=About("a"))
    assert score.counts == (1, 1, 1, 1)  # as it is counted for the curve over thresholds


@pytest.mark.parametrize("wrong", [np.zeros((3, 4), bool), np.zeros((1, 2, *SIZE), bool), np.zeros(SIZE, np.int32)])
def test_predictions_of_another_size_or_type_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"prediction is|expected bool"):
        score_image(wrong, Truth(blob(0)), threshold=0.5, about=About("a"))


def test_rows_leave_empty_what_is_not_known(tmp_path: Path) -> None:
    known, _ = score_image(soft(1), Truth(blob(1)), threshold=0.5, about=About("sub/a", coverage=0.25))
    row = row_of(known)
    assert (row["id"], row["coverage"], row["face_found"]) == ("sub/a", "0.250000", "1")
    for column in ("subject", "occlusion_types", "brightness", "skin_tone", "occluder_iou", "full_baseline_iou"):
        assert row[column] == "", column
    write_per_image(tmp_path / "rows.csv", [known, *scorer_of([2, 3]).scores])
    with (tmp_path / "rows.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [read["id"] for read in rows] == ["sub/a", "a2", "a3"]
    assert rows[2]["occlusion_types"] == "hand"


def test_a_coverage_by_masks_is_preferred_to_a_told_one() -> None:
    truth = Truth(blob(1), None, blob(1) | blob(2))
    score, _ = score_image(soft(1), truth, threshold=0.5, about=About("a", coverage=0.99))
    assert score.coverage == score.occlusion.coverage != 0.99


def test_the_terminal_table_has_a_line_a_set() -> None:
    one, two = scorer_of([1, 2]).summarise("one"), scorer_of([3]).summarise("twotwo")
    lines = table([one, two]).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("one     2  ")
    assert f"{two['face_iou']:.4f}" in lines[2]


def test_no_image_has_no_summary() -> None:
    with pytest.raises(ValueError, match="no image"):
        SetScorer().summarise("none")
    assert len(THRESHOLDS) == len(scorer_of([1]).mean_iou_by_threshold())


def test_image_scores_are_small(tmp_path: Path) -> None:
    """They are kept for every image: none may hold on to a mask."""

    def arrays(value: object) -> list[object]:
        parts = value if isinstance(value, tuple) else ()
        return [value] if isinstance(value, np.ndarray) else [found for part in parts for found in arrays(part)]

    (score,) = scorer_of([1]).scores
    assert isinstance(score, ImageScore)
    assert arrays(score) == []
