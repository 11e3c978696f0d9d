"""Scores of a test set: images go in one by one, and out comes the summary that tables quote."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.image_io import write_bytes
from common.metrics import per_image_face_iou
from evaluation.bootstrap import Interval, bootstrap_interval, bootstrap_statistic
from evaluation.groups import by_brightness, by_coverage, by_occlusion_type, by_skin_tone
from evaluation.image_score import ImageScore, row_of
from evaluation.probabilities import (
    THRESHOLDS,
    Histogram,
    brier_score,
    empty_histogram,
    expected_calibration_error,
    iou_by_threshold,
    miou_by_threshold,
    reliability,
)
from evaluation.protocols import PER_IMAGE, dataset_scores, per_image_scores, pooled_cofw

Summary = dict[str, Any]
Floats = NDArray[np.float64]

FORMAT = 2  # of summary.json and per_image.csv; another one is scored again, not reused

PROTOCOL = {
    "face_iou": "per_image_face_iou: IoU of the visible face in each image, averaged over images, as are dice, "
    "precision, recall and accuracy; an empty prediction on an empty truth scores 1",
    "intervals": "95 % percentile bootstrap over images, 2000 resamples",
    "miou": "dataset_miou: IoU of background and of face with pixels summed over the set, averaged over both; "
    "so are mdice and mfscore",
    "pixel_accuracy": "right pixels / scored pixels, summed over the set",
    "pooled_cofw": "one confusion matrix over the set: mean IoU, accuracy, face recall; mean_face_recall is the mean "
    "over images",
    "boundary_iou": "IoU of the bands within 2 % of the diagonal from each outline (Cheng et al. 2021), mean over "
    "images",
    "boundary_f": "F1 of contour pixels with a tolerance of 0.8 % of the diagonal, mean over images",
    "ece": "expected calibration error of the probability of face, 20 equal bins, all scored pixels of the set "
    "together",
    "brier": "mean squared error of the probability of face, all scored pixels of the set together",
    "full_face_baseline_iou": "per_image_face_iou of the same model's full face, scored as if it were the visible one: "
    "what is reached without looking at occluders",
    "occluder_iou": "IoU of the hidden part within the true full face, mean over the images that have one",
    "occlusion_ratio_error": "mean absolute error of the hidden share of the face, over the images where it is known",
    "size": "scored at the photo's own size; pixels of the ignore mask are left out",
}


class SetScorer:
    """Takes in the images of a set one by one; memory grows by one small row an image, whatever its size.

    Attributes:
        scores: one an image, in the order of the set.
        histogram: of the probabilities of all images together.
    """

    def __init__(self) -> None:
        self.scores: list[ImageScore] = []
        self.histogram = empty_histogram()
        self._iou_sums = np.zeros(len(THRESHOLDS))

    def add(self, score: ImageScore, histogram: Histogram) -> None:
        """Take in what `score_image` returns."""
        self.scores.append(score)
        self.histogram = self.histogram + histogram
        self._iou_sums += iou_by_threshold(histogram)

    def mean_iou_by_threshold(self) -> Floats:
        """Return the mean over images of the face IoU above each of `THRESHOLDS`, (99,).

        Raises:
            ValueError: there is no image.
        """
        if not self.scores:
            raise ValueError("the mean over no image is not defined")
        return self._iou_sums / len(self.scores)

    def summarise(self, name: str, **more: Any) -> Summary:
        """Return the scores of the set `name` as plain numbers and texts.

        Args:
            name: of the set.
            more: further entries, e.g. which weights were used.

        Raises:
            ValueError: there is no image.
        """
        counts = [score.counts for score in self.scores]
        return {
            "set": name,
            "n": len(counts),
            "format": FORMAT,
            **per_image_scores(counts)._asdict(),
            **_face_iou_spread([image.face_iou for image in counts]),
            "boundary_iou": _mean([score.boundary.iou for score in self.scores]),
            "boundary_f": _mean([score.boundary.f_score for score in self.scores]),
            **dataset_scores(counts)._asdict(),
            "pooled_cofw": pooled_cofw(counts)._asdict(),
            "ece": expected_calibration_error(self.histogram),
            "brier": brier_score(self.histogram),
            **_occlusion_scores(self.scores),
            "no_face": sum(not score.about.face_found for score in self.scores),
            "intervals": {key: list(interval) for key, interval in _intervals(self.scores).items()},
            **more,
            "curves": self._curves(),
            "by_occlusion_type": by_occlusion_type(self.scores),
            "by_brightness": by_brightness(self.scores),
            "by_skin_tone": by_skin_tone(self.scores),
            "protocol": PROTOCOL,
        }

    def _curves(self) -> dict[str, Any]:
        bins = reliability(self.histogram)
        return {
            "iou_by_threshold": {
                "thresholds": list(THRESHOLDS),
                "face_iou": self.mean_iou_by_threshold().tolist(),
                "miou": miou_by_threshold(self.histogram).tolist(),
            },
            "reliability": {
                "edges": [list(edges) for edges in bins.edges],
                "confidence": list(bins.confidence),
                "accuracy": list(bins.accuracy),
                "share": list(bins.share),
            },
            "iou_by_coverage": by_coverage(self.scores),
        }


def write_per_image(path: Path, scores: Sequence[ImageScore]) -> None:
    """Write one line an image as CSV; there is at least one. Names that are no UTF-8 keep their bytes."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(row_of(scores[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row_of(score) for score in scores)
    write_bytes(path, stream.getvalue().encode(errors="surrogateescape"))


def write_summary(path: Path, summary: Summary | list[Summary]) -> None:
    """Write a summary, or those of several sets, as JSON."""
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode(errors="backslashreplace"))


def table(summaries: Sequence[Summary]) -> str:
    """Return the summaries as a small table for the terminal, one line a set."""
    header = ("set", "n", "face IoU", "95 % interval", "boundary IoU", "mIoU", "accuracy", "ECE", "baseline", "no face")
    lines = [header, *(_cells(summary) for summary in summaries)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(padded)


def pooled_miou(sums: Floats) -> Floats:
    """Return `dataset_miou` of each row of (R, 4) pooled counts."""
    true_positive, false_positive, false_negative, true_negative = sums.T
    wrong = false_positive + false_negative
    return (_ratio(true_positive, true_positive + wrong) + _ratio(true_negative, true_negative + wrong)) / 2


def _cells(summary: Summary) -> tuple[str, ...]:
    low, high = summary["face_iou_interval"]
    baseline = summary["full_face_baseline_iou"]
    return (
        summary["set"],
        str(summary["n"]),
        f"{summary['face_iou']:.4f}",
        f"{low:.4f}-{high:.4f}",
        *(f"{summary[key]:.4f}" for key in ("boundary_iou", "miou", "pixel_accuracy", "ece")),
        "-" if baseline is None else f"{baseline:.4f}",
        str(summary["no_face"]),
    )


def _face_iou_spread(ious: Sequence[float]) -> Summary:
    p10, median, p90 = (float(value) for value in np.percentile(ious, [10, 50, 90]))
    return {
        "face_iou_interval": list(bootstrap_interval(ious)),
        "face_iou_p10": p10,
        "face_iou_median": median,
        "face_iou_p90": p90,
    }


def _occlusion_scores(scores: Sequence[ImageScore]) -> Summary:
    occluder, ratio = _known(scores, _occluder_iou), _known(scores, _ratio_error)
    baselines = [score.baseline for score in scores if score.baseline is not None]
    return {
        "full_face_baseline_iou": per_image_face_iou(baselines) if baselines else None,
        "occluder_iou": _mean(occluder),
        "occluder_iou_n": len(occluder),
        "occlusion_ratio_error": _mean(ratio),
        "occlusion_ratio_error_n": len(ratio),
    }


def _intervals(scores: Sequence[ImageScore]) -> dict[str, Interval]:
    """Return the interval of every score that is a mean over images, and of the pooled ones."""
    found = {name: bootstrap_interval(getattr(score.counts, name) for score in scores) for name in PER_IMAGE}
    found["boundary_iou"] = bootstrap_interval(score.boundary.iou for score in scores)
    found["boundary_f"] = bootstrap_interval(score.boundary.f_score for score in scores)
    counts = np.array([score.counts for score in scores], np.float64)
    found["miou"] = bootstrap_statistic(counts, pooled_miou)
    found["pixel_accuracy"] = bootstrap_statistic(
        counts, lambda sums: _ratio(sums[:, 0] + sums[:, 3], sums.sum(axis=1))
    )
    for name, value in (("occluder_iou", _occluder_iou), ("occlusion_ratio_error", _ratio_error)):
        known = _known(scores, value)
        if known:
            found[name] = bootstrap_interval(known)
    return found


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)


def _occluder_iou(score: ImageScore) -> float | None:
    return score.occlusion.occluder_iou


def _ratio_error(score: ImageScore) -> float | None:
    return score.occlusion.ratio_error


def _known(scores: Sequence[ImageScore], value: Callable[[ImageScore], float | None]) -> list[float]:
    return [found for score in scores if (found := value(score)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
