"""One test set from answers to files: scores, curves, views and the sheet of worst cases."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from common.errors import UserError
from common.image_io import write_bytes, write_image
from common.manifest import sha256
from evaluation.calibration import (
    Calibration,
    LogitHistogram,
    calibration_error,
    choose_threshold,
    fit_temperature,
    log_loss,
    scale,
    scale_threshold,
)
from evaluation.image_score import About, Truth, score_image
from evaluation.probabilities import THRESHOLDS, histogram, iou_by_threshold
from evaluation.report.views import write_view
from evaluation.scores import FORMAT, SetScorer, Summary, write_per_image, write_summary
from evaluation.worst_cases import Case, draw_worst_cases

SHEET = "worst_cases.jpg"
DIGESTS = "scores.sha256"


class Answer(NamedTuple):
    """What a model says about a photo.

    Attributes:
        about: the image.
        photo: (H, W, 3) uint8 RGB.
        truth: masks of (H, W).
        probabilities: (K, H, W) float32 in 0..1: visible face, then full face if K = 2.
    """

    about: About
    photo: NDArray[np.uint8]
    truth: Truth
    probabilities: NDArray[np.float32]


class Rule(NamedTuple):
    """How probabilities become masks, and what is written.

    Attributes:
        threshold: a pixel is called face above it, after the temperature.
        temperature: logits are divided by it; 1 changes nothing.
        views: how many images of the set get pictures for the page.
        worst_cases: how many images the contact sheet shows.
    """

    threshold: float
    temperature: float = 1.0
    views: int = 0
    worst_cases: int = 0


class SetDigest:
    """SHA-256 over the ids, photos and masks of a set, in their order: what was scored, wherever it lay."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, id: str, photo: NDArray[np.uint8], truth: Truth) -> None:
        """Take in one image."""
        masks = [mask for mask in truth if mask is not None]
        known = [mask is not None for mask in truth]
        self._digest.update(json.dumps([id, photo.shape, known]).encode())
        self._digest.update(np.ascontiguousarray(photo).data)
        for mask in masks:
            self._digest.update(np.packbits(mask).data)

    def hexdigest(self) -> str:
        """Return the 64 digits."""
        return self._digest.hexdigest()


def score_set(
    name: str,
    answers: Iterable[Answer],
    *,
    n: int,
    rule: Rule,
    output: Path,
    again: Callable[[Sequence[str]], Iterable[Answer]],
    calibration: Calibration | None = None,
    **more: Any,
) -> Summary:
    """Return the summary of one set after writing its files into `output`.

    Args:
        name: of the set.
        answers: one an image, held one at a time.
        n: how many there are.
        rule: from probabilities to masks.
        output: folder of the set.
        again: answers for these ids, for the sheet of worst cases.
        calibration: where the rule's threshold and temperature come from, if from one.
        more: further entries of the summary; `role` is needed.

    Raises:
        UserError: the set is of role test, and the calibration was chosen on its very images.
    """
    scorer, digest = SetScorer(), SetDigest()
    for index, answer in enumerate(tqdm(answers, desc=name, total=n, unit="image")):
        calibrated = scale(answer.probabilities, rule.temperature)
        scorer.add(*score_image(calibrated, answer.truth, threshold=rule.threshold, about=answer.about))
        digest.add(answer.about.id, answer.photo, answer.truth)
        if index < rule.views:
            _write_view(output / "views", answer, calibrated[0], rule.threshold)
    _refuse_calibration_set(name, digest.hexdigest(), calibration, role=more["role"])
    summary = scorer.summarise(
        name, **rule._asdict() | {"views": min(n, rule.views)}, set_sha256=digest.hexdigest(), **more
    )
    write_per_image(output / "per_image.csv", scorer.scores)
    ranked = sorted(scorer.scores, key=lambda score: (score.counts.face_iou, score.about.id))
    worst = [score.about.id for score in ranked[: rule.worst_cases]]
    if worst:
        cases = (_case(answer, rule) for answer in again(worst))
        write_image(output / SHEET, draw_worst_cases(cases), quality=90)
    write_summary(output / "summary.json", summary)
    _seal(output)  # the last: a set without it is scored again
    return summary


def calibrate_on(name: str, answers: Iterable[Answer], *, n: int, weights_sha256: str | None) -> Calibration:
    """Return temperature and threshold for the answers on a validation set.

    Args:
        name: of the set.
        answers: one an image, not scaled.
        n: how many there are.
        weights_sha256: of the weights that gave the answers; None for predictions of other code.

    Raises:
        UserError: the set has only face or only background.
    """
    logits, digest, iou_sums = LogitHistogram(), SetDigest(), np.zeros(len(THRESHOLDS))
    for answer in tqdm(answers, desc=f"calibrate on {name}", total=n, unit="image"):
        probability, (visible, valid, _) = answer.probabilities[0], answer.truth
        logits.add(probability, visible, valid=valid)
        iou_sums += iou_by_threshold(histogram(probability, visible, valid=valid))
        digest.add(answer.about.id, answer.photo, answer.truth)
    mean_iou = iou_sums / n
    temperature = fit_temperature(logits)
    found = {
        "log_loss": [log_loss(logits, at) for at in (1.0, temperature)],
        "ece": [calibration_error(logits, at) for at in (1.0, temperature)],
        "face_iou": float(mean_iou.max()),
    }
    threshold = scale_threshold(choose_threshold(mean_iou), temperature)
    return Calibration(temperature, threshold, name, n, digest.hexdigest(), weights_sha256, found)


def read_finished(output: Path, *, expected: Summary) -> Summary | None:
    """Return the summary of an earlier run if it is of this version and of the same inputs, else None.

    Args:
        output: folder of the set.
        expected: entries that must be equal: what the scores depend on.
    """
    try:
        summary: Any = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(summary, dict):
        return None
    same = all(summary.get(key) == value for key, value in ({"format": FORMAT} | expected).items())
    return summary if same and _is_sealed(output, sheet=bool(expected.get("worst_cases"))) else None


def _seal(output: Path) -> None:
    """Write the SHA-256 of what was found, as `sha256sum -c` reads it."""
    write_bytes(output / DIGESTS, _digests(output).encode())


def _is_sealed(output: Path, *, sheet: bool) -> bool:
    """Return whether the files of a set are as they were written."""
    if not (output / DIGESTS).is_file() or (sheet and not (output / SHEET).is_file()):
        return False
    return (output / DIGESTS).read_bytes() == _digests(output).encode()


def _digests(output: Path) -> str:
    files = [output / name for name in ("per_image.csv", "summary.json", SHEET)]
    return "".join(f"{sha256(path)}  {path.name}\n" for path in files if path.is_file())


def _refuse_calibration_set(name: str, set_sha256: str, calibration: Calibration | None, *, role: str) -> None:
    if calibration and role == "test" and set_sha256 == calibration.set_sha256:
        raise UserError(
            f"{name}: the threshold was chosen on these very images (there called {calibration.set_name}); a test set "
            "must not choose it: calibrate on another set, or give this one `role: validation`"
        )


def _write_view(folder: Path, answer: Answer, probability: NDArray[np.float32], threshold: float) -> None:
    visible, valid, _ = answer.truth
    write_view(
        folder,
        answer.about.id,
        photo=answer.photo,
        probability=probability,
        truth=visible,
        valid=valid,
        threshold=threshold,
    )


def _case(answer: Answer, rule: Rule) -> Case:
    face = scale(answer.probabilities[0], rule.temperature) > np.float32(rule.threshold)
    return Case(answer.about.id, answer.photo, answer.truth, face, answer.about.face_found)
