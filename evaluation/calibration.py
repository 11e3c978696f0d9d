"""Temperature and threshold, chosen on a validation set and stored as a small JSON file.

Temperature scaling divides the logit of each probability by one number, so that 0.8 comes true in 80 % of the pixels.
It changes no order: IoU is decided by the threshold, which is chosen after it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from common.errors import UserError
from common.image_io import write_bytes
from evaluation.probabilities import AT_ONCE, THRESHOLDS

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

FILE_NAME = "calibration.json"
# Beyond, float32 has no probabilities between the last and 1.
LARGEST_LOGIT = 16.0
LOGIT_BINS = 3200  # of 0.01: an error of 0.005 in a logit moves a probability by at most 0.00125
TEMPERATURE_BOUNDS = (0.05, 20.0)
RELIABILITY_BINS = 20


class Calibration(NamedTuple):
    """What was chosen, and on what.

    Attributes:
        temperature: logits are divided by it; 1 changes nothing.
        threshold: probability, after the temperature, above which a pixel is called face.
        set_name: the validation set.
        n: its images.
        set_sha256: of its photos and masks.
        weights_sha256: of the weights whose probabilities these are; None for predictions of other code.
        found: what it brought on that set, for readers: `log_loss`, `ece`, each (before, after), and `face_iou`.
    """

    temperature: float
    threshold: float
    set_name: str
    n: int
    set_sha256: str
    weights_sha256: str | None
    found: dict[str, Any]


class LogitHistogram:
    """Pixels by truth and logit, of a whole set, in fixed memory.

    Probabilities of exactly 0 are left out: the model did not look there (outside the crop).

    Attributes:
        pixels: (2, B) int64; background, face.
    """

    def __init__(self) -> None:
        self.pixels = np.zeros((2, LOGIT_BINS), np.int64)

    def add(self, probability: NDArray[np.float32], truth: Mask, *, valid: Mask | None = None) -> None:
        """Take in one image.

        Args:
            probability: (H, W) float32 in 0..1, of face.
            truth: (H, W) bool, True is face.
            valid: (H, W) bool, pixels to use; None uses all.
        """
        flat, face = probability.reshape(-1), truth.reshape(-1)
        used = flat > 0 if valid is None else (flat > 0) & valid.reshape(-1)
        for start in range(0, flat.size, AT_ONCE):
            part = np.flatnonzero(used[start : start + AT_ONCE]) + start
            with np.errstate(divide="ignore"):  # 1 is infinite, and then clipped
                logits = np.clip(logit(flat[part].astype(np.float64)), -LARGEST_LOGIT, LARGEST_LOGIT)
            bins = np.minimum((logits + LARGEST_LOGIT) * (LOGIT_BINS / (2 * LARGEST_LOGIT)), LOGIT_BINS - 1)
            codes = bins.astype(np.intp) + LOGIT_BINS * face[part]
            self.pixels += np.bincount(codes, minlength=2 * LOGIT_BINS).reshape(2, LOGIT_BINS)


def fit_temperature(found: LogitHistogram) -> float:
    """Return the temperature with the least log loss.

    Raises:
        UserError: there is no pixel, or all are background or all face, so that nothing can be learnt.

    Source: Guo et al. 2017, section 4.2.
    """
    if not found.pixels.sum(axis=1).all():
        raise UserError(
            "a temperature needs pixels of face and of background; this validation set has only one of them"
        )
    best = minimize_scalar(
        lambda log_temperature: log_loss(found, float(np.exp(log_temperature))),
        bounds=tuple(np.log(TEMPERATURE_BOUNDS)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(best.x))


def log_loss(found: LogitHistogram, temperature: float) -> float:
    """Return the mean negative log likelihood of the truth, in nats a pixel."""
    logits = _centres() / temperature
    losses = np.stack([np.logaddexp(0, logits), np.logaddexp(0, -logits)])  # background, face
    return float((found.pixels * losses).sum() / found.pixels.sum())


def calibration_error(found: LogitHistogram, temperature: float) -> float:
    """Return the expected calibration error over the pixels that the model looked at, in 20 bins."""
    probabilities = expit(_centres() / temperature)
    bins = np.minimum((probabilities * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    expected = np.bincount(bins, weights=found.pixels.sum(axis=0) * probabilities, minlength=RELIABILITY_BINS)
    actual = np.bincount(bins, weights=found.pixels[1], minlength=RELIABILITY_BINS)
    return float(np.abs(expected - actual).sum() / found.pixels.sum())


def choose_threshold(mean_iou: Floats) -> float:
    """Return the threshold of the highest mean face IoU; of several the one nearest to 0.5.

    Args:
        mean_iou: (99,) at `THRESHOLDS`, mean over images.
    """
    best = np.flatnonzero(mean_iou >= mean_iou.max() - 1e-12)
    return min((THRESHOLDS[at] for at in best), key=lambda threshold: abs(threshold - 0.5))


def scale(probability: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Return the calibrated probabilities, of the shape given; 0 and 1 stay."""
    if temperature == 1:
        return probability
    with np.errstate(divide="ignore"):
        return expit(logit(probability) / np.float32(temperature))


def scale_threshold(threshold: float, temperature: float) -> float:
    """Return the threshold that, after `scale`, keeps the pixels that `threshold` keeps before it."""
    return float(expit(logit(threshold) / temperature))


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write the calibration as JSON."""
    write_bytes(path, (json.dumps(calibration._asdict(), indent=2, ensure_ascii=False) + "\n").encode())


def read_calibration(path: Path) -> Calibration:
    """Return the calibration in a file of `write_calibration`.

    Raises:
        UserError: it is missing, damaged, or something else.
    """
    wrong = f"{path}: expected the calibration that `python eval.py CONFIG weights=FILE calibrate=SET` writes"
    try:
        found = Calibration(**json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{wrong}, found nothing that can be read ({error.strerror})") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{wrong}, found something else ({error})") from error
    in_bounds = TEMPERATURE_BOUNDS[0] <= found.temperature <= TEMPERATURE_BOUNDS[1] and 0 < found.threshold < 1
    if not in_bounds:
        raise UserError(f"{wrong}, found temperature {found.temperature}, threshold {found.threshold}")
    return found


def _centres() -> Floats:
    width = 2 * LARGEST_LOGIT / LOGIT_BINS
    return np.asarray((np.arange(LOGIT_BINS) + 0.5) * width - LARGEST_LOGIT, np.float64)
