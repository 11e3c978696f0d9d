"""What one image scored: a row of `per_image.csv`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.metrics import Counts, count
from evaluation.boundary import BoundaryScores, boundary_scores
from evaluation.occlusion import OcclusionScores, occlusion_scores
from evaluation.probabilities import Histogram, as_probability, brier_score, histogram
from evaluation.tone import Tone

Mask = NDArray[np.bool_]


class Truth(NamedTuple):
    """What is known of the face in a photo, all (H, W) bool.

    Attributes:
        visible: where the face can be seen.
        valid: pixels to score; None scores all.
        full: the face as if nothing were in front of it; None where the set does not tell.
    """

    visible: Mask
    valid: Mask | None = None
    full: Mask | None = None


class About(NamedTuple):
    """What is known of an image besides its masks.

    Attributes:
        id: name in the test set.
        subject: person or source photo; None where unknown.
        occlusion_types: names of what hides the face; () where there is nothing or nobody knows.
        coverage: hidden share of the face where the set tells it, 0..1; a full mask in the truth is preferred.
        tone: brightness and skin tone of the face; None where it was not looked at.
        face_found: False where the detector found no face and the whole photo was taken.
    """

    id: str
    subject: str | None = None
    occlusion_types: tuple[str, ...] = ()
    coverage: float | None = None
    tone: Tone | None = None
    face_found: bool = True


class ImageScore(NamedTuple):
    """What an image scored.

    Attributes:
        about: the image.
        counts: visible face against the truth.
        boundary: of the visible face.
        brier: mean squared error of the probabilities.
        occlusion: of the hidden part; its entries are None where the set or the model does not tell.
        baseline: the model's full face against the truth of the visible one; None where it has no such output.
    """

    about: About
    counts: Counts
    boundary: BoundaryScores
    brier: float
    occlusion: OcclusionScores
    baseline: Counts | None

    @property
    def coverage(self) -> float | None:
        """Hidden share of the face by the full mask of the truth, else as the set tells it; None where unknown."""
        return self.about.coverage if self.occlusion.coverage is None else self.occlusion.coverage


def score_image(prediction: NDArray, truth: Truth, *, threshold: float, about: About) -> tuple[ImageScore, Histogram]:
    """Return what an image scored, and the histogram of its probabilities.

    Args:
        prediction: (H, W) or (K, H, W) bool, uint8, or float in 0..1: visible face, then full face if K = 2.
        truth: masks of (H, W).
        threshold: a pixel is called face above it.
        about: of the image.

    Raises:
        ValueError: the prediction has another size or is no probability.
    """
    maps = prediction if prediction.ndim == 3 else prediction[None]
    if maps.ndim != 3 or maps.shape[1:] != truth.visible.shape:
        raise ValueError(f"{about.id}: prediction is {prediction.shape}, its truth {truth.visible.shape}")
    probabilities = [as_probability(channel) for channel in maps]  # (H, W) each
    visible, *full = [probability > np.float32(threshold) for probability in probabilities]
    found = histogram(probabilities[0], truth.visible, valid=truth.valid)
    score = ImageScore(
        about,
        count(visible, truth.visible, valid=truth.valid),
        boundary_scores(visible, truth.visible, valid=truth.valid),
        brier_score(found),
        occlusion_scores(visible, full[0] if full else None, truth.visible, full_truth=truth.full, valid=truth.valid),
        count(full[0], truth.visible, valid=truth.valid) if full else None,
    )
    return score, found


def row_of(score: ImageScore) -> dict[str, str]:
    """Return the image as a line of `per_image.csv`; what is not known is empty."""
    about, counts, tone, occlusion = score.about, score.counts, score.about.tone, score.occlusion
    cells: dict[str, str | int | float | None] = {
        "id": about.id,
        "subject": about.subject,
        "occlusion_types": ";".join(about.occlusion_types),
        "coverage": score.coverage,
        "brightness": tone.brightness if tone else None,
        "skin_tone": tone.ita_deg if tone else None,
        "pixels": counts.pixels,
        "tp": counts.true_positive,
        "fp": counts.false_positive,
        "fn": counts.false_negative,
        "tn": counts.true_negative,
        "face_iou": counts.face_iou,
        "dice": counts.dice,
        "precision": counts.precision,
        "recall": counts.recall,
        "accuracy": counts.accuracy,
        "boundary_iou": score.boundary.iou,
        "boundary_f": score.boundary.f_score,
        "brier": score.brier,
        "occluder_iou": occlusion.occluder_iou,
        "occlusion_ratio": occlusion.predicted_ratio,
        "occlusion_ratio_error": occlusion.ratio_error,
        "face_found": int(about.face_found),
        "full_baseline_iou": score.baseline.face_iou if score.baseline else None,
    }
    return {name: _cell(value) for name, value in cells.items()}


def _cell(value: str | int | float | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6f}" if isinstance(value, float) else str(value)
