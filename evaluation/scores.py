"""Scores of a test set: one row an image, and the summary that tables quote."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.image_io import write_bytes
from common.metrics import Counts, bootstrap_interval, dataset_miou, per_image_face_iou, pool

Summary = dict[str, Any]

PROTOCOL = {
    "face_iou": "per_image_face_iou: IoU of the visible face in each image, averaged over images; an empty "
    "prediction on an empty truth scores 1",
    "face_iou_interval": "95 % percentile bootstrap over images, 2000 resamples",
    "miou": "dataset_miou: IoU of background and of face with pixels summed over the set, averaged over both",
    "pixel_accuracy": "right pixels / scored pixels, summed over the set",
    "full_face_baseline_iou": "per_image_face_iou of the same model's full face, scored as if it were the visible one: "
    "what is reached without looking at occluders",
    "size": "scored at the photo's own size; pixels of the ignore mask are left out",
}


class ImageScore(NamedTuple):
    """What an image scored.

    Attributes:
        id: name in the test set.
        counts: visible face against the truth.
        face_found: False where the detector found no face and the whole photo was taken.
        baseline: the model's full face against the same truth; None where the model has no such output.
    """

    id: str
    counts: Counts
    face_found: bool
    baseline: Counts | None


def write_per_image(path: Path, scores: Sequence[ImageScore]) -> None:
    """Write one line an image as CSV; the baseline's column is there if the model has it."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(_row(scores[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(score) for score in scores)
    write_bytes(path, stream.getvalue().encode())


def summarise(name: str, scores: Sequence[ImageScore], *, threshold: float, **more: Any) -> Summary:
    """Return the scores of the set `name` as plain numbers and texts.

    Args:
        name: of the set.
        scores: at least one.
        threshold: probability above which a pixel was called face.
        more: further entries, e.g. which weights were used.
    """
    counts = [score.counts for score in scores]
    ious = [image.face_iou for image in counts]
    baselines = [score.baseline for score in scores if score.baseline is not None]
    p10, median, p90 = np.percentile(ious, [10, 50, 90])
    return {
        "set": name,
        "n": len(scores),
        "face_iou": per_image_face_iou(counts),
        "face_iou_interval": list(bootstrap_interval(ious)),
        "miou": dataset_miou(counts),
        "pixel_accuracy": pool(counts).accuracy,
        "threshold": threshold,
        "full_face_baseline_iou": per_image_face_iou(baselines) if baselines else None,
        "face_iou_p10": float(p10),
        "face_iou_median": float(median),
        "face_iou_p90": float(p90),
        "no_face": sum(not score.face_found for score in scores),
        **more,
        "protocol": PROTOCOL,
    }


def write_summary(path: Path, summary: Summary | list[Summary]) -> None:
    """Write a summary, or those of several sets, as JSON."""
    write_bytes(path, (json.dumps(summary, indent=2, ensure_ascii=False) + "\n").encode())


def table(summaries: Sequence[Summary]) -> str:
    """Return the summaries as a small table for the terminal, one line a set."""
    header = ("set", "n", "face IoU", "95 % interval", "mIoU", "accuracy", "full-face baseline", "no face")
    lines = [header, *(_cells(summary) for summary in summaries)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join(padded)


def _cells(summary: Summary) -> tuple[str, ...]:
    low, high = summary["face_iou_interval"]
    baseline = summary["full_face_baseline_iou"]
    return (
        summary["set"],
        str(summary["n"]),
        f"{summary['face_iou']:.4f}",
        f"{low:.4f}-{high:.4f}",
        f"{summary['miou']:.4f}",
        f"{summary['pixel_accuracy']:.4f}",
        "-" if baseline is None else f"{baseline:.4f}",
        str(summary["no_face"]),
    )


def _row(score: ImageScore) -> dict[str, object]:
    counts = score.counts
    row: dict[str, object] = {
        "id": score.id,
        "pixels": counts.pixels,
        "tp": counts.true_positive,
        "fp": counts.false_positive,
        "fn": counts.false_negative,
        "tn": counts.true_negative,
    }
    for name in ("face_iou", "dice", "precision", "recall", "accuracy"):
        row[name] = f"{getattr(counts, name):.6f}"
    row["face_found"] = int(score.face_found)
    if score.baseline is not None:
        row["full_baseline_iou"] = f"{score.baseline.face_iou:.6f}"
    return row
