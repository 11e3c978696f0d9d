from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn import metrics as sklearn_metrics

from common.errors import UserError
from evaluation.calibration import (
    Calibration,
    LogitHistogram,
    calibration_error,
    choose_threshold,
    fit_temperature,
    log_loss,
    read_calibration,
    scale,
    scale_threshold,
    write_calibration,
)
from evaluation.probabilities import THRESHOLDS

SIZE = (120, 150)


def overconfident(seed: int, *, factor: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities whose logits are `factor` times as large as would be right, and the truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, SIZE)
    return expit(factor * logits).astype(np.float32), rng.random(SIZE) < expit(logits)


def test_the_temperature_is_found_and_halves_the_error() -> None:
    found = LogitHistogram()
    for seed in range(4):
        found.add(*overconfident(seed))
    temperature = fit_temperature(found)
    assert temperature == pytest.approx(2.5, rel=0.03)
    assert log_loss(found, temperature) < log_loss(found, 1)
    assert calibration_error(found, temperature) < 0.1 * calibration_error(found, 1)


def test_loss_and_temperature_equal_those_of_all_pixels() -> None:
    probability, truth = overconfident(5)
    found = LogitHistogram()
    found.add(probability, truth)
    exact = sklearn_metrics.log_loss(truth.ravel(), probability.ravel().astype(np.float64))
    assert log_loss(found, 1) == pytest.approx(exact, abs=1e-4)
    logits = logit(probability.astype(np.float64)).ravel()
    best = minimize(lambda t: np.logaddexp(0, np.where(truth.ravel(), -logits, logits) / t[0]).mean(), [1.0])
    assert fit_temperature(found) == pytest.approx(best.x[0], rel=1e-3)


def test_pixels_that_are_not_scored_or_not_looked_at_do_not_count() -> None:
    probability, truth = overconfident(6)
    valid = np.random.default_rng(0).random(SIZE) < 0.5
    found, other = LogitHistogram(), LogitHistogram()
    found.add(probability, truth, valid=valid)
    other.add(np.where(valid, probability, np.float32(0)), truth)
    assert (found.pixels == other.pixels).all()
    assert found.pixels.sum() == valid.sum()
    sure = LogitHistogram()
    sure.add(np.ones(SIZE, np.float32), truth)  # an infinite logit
    assert sure.pixels.sum() == truth.size


def test_one_class_alone_teaches_nothing() -> None:
    found = LogitHistogram()
    found.add(overconfident(0)[0], np.ones(SIZE, bool))
    with pytest.raises(UserError, match="only one of them"):
        fit_temperature(found)


def test_scaling_keeps_order_and_masks() -> None:
    probability = np.linspace(0, 1, 1001, dtype=np.float32)
    scaled = scale(probability, 0.4)
    assert scaled.dtype == np.float32
    assert (np.diff(scaled) >= 0).all()
    assert (scaled[0], scaled[-1]) == (0, 1)
    assert ((scaled > scale_threshold(0.3003, 0.4)) == (probability > 0.3003)).all()
    assert scale(probability, 1) is probability


def test_the_best_threshold_nearest_to_half_is_chosen() -> None:
    scores = np.zeros(99)
    scores[[9, 59, 69]] = 0.8
    assert choose_threshold(scores) == THRESHOLDS[59] == 0.6


def test_files_read_back_and_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    wanted = Calibration(1.5, 0.45, "val", 40, "ab", None, {"ece": [0.1, 0.02]})
    write_calibration(path, wanted)
    assert read_calibration(path) == wanted
    for text in ("{", '{"temperature": 1}', "[]"):
        path.write_text(text)
        with pytest.raises(UserError, match="expected the calibration"):
            read_calibration(path)
    write_calibration(path, wanted._replace(threshold=1.5))
    with pytest.raises(UserError, match=r"threshold 1\.5"):
        read_calibration(path)
    with pytest.raises(UserError, match="calibrate=SET"):
        read_calibration(tmp_path / "none.json")
