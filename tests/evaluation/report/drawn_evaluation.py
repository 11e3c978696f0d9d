"""A small evaluation folder with drawn images, in the format that `eval.py` leaves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from common.image_io import write_bytes
from common.metrics import count
from evaluation.report.views import write_view

SIZE = (48, 64)
THRESHOLD = 0.5
COLUMNS = (
    *("id", "subject", "occlusion_types", "coverage", "pixels", "tp", "fp", "fn", "tn"),
    *("face_iou", "dice", "face_found"),
)


class Drawn(NamedTuple):
    """A drawn image: the face is the left part, the probability falls from left to right.

    Attributes:
        edge: column where the face ends.
        steepness: of the probability, which is 0.5 at column 32.
    """

    id: str
    edge: int = 32
    types: str = ""
    coverage: float | None = None
    steepness: float = 0.1
    ignored_rows: int = 0


SETS: dict[str, Sequence[Drawn]] = {
    "hands": (
        Drawn("right", types="hand", coverage=0.1),
        Drawn("half", edge=16, types="hand;object", coverage=0.6),
        Drawn("nested/most", edge=24, coverage=0.3, ignored_rows=8),
    ),
    "masks": (Drawn("all", edge=64, types="mask"), Drawn("none", edge=0, types="object")),
}


def draw(image: Drawn) -> dict[str, Any]:
    """Return the arguments of `write_view` that picture `image`."""
    columns = np.arange(SIZE[1])
    ramp = 1 / (1 + np.exp(image.steepness * (columns - SIZE[1] / 2 + 0.5)))
    probability = np.broadcast_to(ramp, SIZE).astype(np.float32)
    valid = np.ones(SIZE, np.bool_)
    valid[: image.ignored_rows] = False
    return {
        "photo": np.full((*SIZE, 3), 120, np.uint8),
        "probability": probability,
        "truth": np.broadcast_to(columns < image.edge, SIZE),
        "valid": valid,
        "threshold": THRESHOLD,
    }


def iou_at(image: Drawn, threshold: float) -> float:
    """Return the face IoU at another threshold, from the unreduced probability."""
    drawn = draw(image)
    return count(drawn["probability"] > threshold, drawn["truth"], valid=drawn["valid"]).face_iou


def write_evaluation(output: Path, sets: dict[str, Sequence[Drawn]] = SETS) -> Path:
    """Write everything but the page into `output`, and return it."""
    summaries = [write_set(output / name, name, images) for name, images in sets.items()]
    write_bytes(output / "summary.json", json.dumps(summaries).encode())
    return output


def write_set(folder: Path, name: str, images: Sequence[Drawn]) -> dict[str, Any]:
    """Write the table and the views of one set, and return its summary."""
    rows = []
    for image in images:
        write_view(folder / "views", image.id, **draw(image))
        rows.append(_row(image))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(folder / "per_image.csv", stream.getvalue().encode())
    return summary(name, [float(row["face_iou"]) for row in rows])


def summary(name: str, ious: Sequence[float]) -> dict[str, Any]:
    """Return a summary with every part that the page shows."""
    mean = float(np.mean(ious))
    return {
        "set": name,
        "n": len(ious),
        "role": "test",
        "face_iou": mean,
        "intervals": {"face_iou": [mean - 0.1, mean + 0.05]},
        "miou": 0.75,
        "occluder_iou": 0.25,
        "occluder_iou_n": 2,
        "pooled_cofw": {"miou": 0.625, "accuracy": 0.75},
        "threshold": THRESHOLD,
        "crop": "resize",
        "weights": "runs/x/best.safetensors",
        "weights_sha256": "0123456789abcdef" * 4,
        "curves": {
            "iou_by_threshold": {"thresholds": [0.25, 0.5, 0.75], "face_iou": [mean - 0.2, mean, mean - 0.1]},
            "reliability": {"confidence": [0.1, 0.9], "accuracy": [0.2, 0.7], "share": [0.75, 0.25]},
            "iou_by_coverage": [
                {"low": 0.0, "high": 0.5, "n": 2, "face_iou": mean, "interval": [mean - 0.1, mean]},
                {"low": 0.5, "high": 1.0, "n": 0, "face_iou": None, "interval": None},
            ],
        },
        "by_occlusion_type": [{"name": "hand", "n": 2, "face_iou": mean, "interval": [mean - 0.1, mean]}],
        "protocol": {"face_iou": "mean over images", "pooled_cofw": "one matrix"},
    }


def ten_missed_pixels(side: int) -> tuple[dict[str, Any], NDArray[np.intp]]:
    """Return the arguments of `write_view` for a photo full of face with ten missed pixels, and their (row, column)."""
    cells = np.random.default_rng(0).choice(64, 10, replace=False)  # of 8 x 8, so that they lie apart
    wrong = np.column_stack([cells // 8, cells % 8]) * (side // 8) + side // 20
    probability = np.ones((side, side), np.float32)
    probability[wrong[:, 0], wrong[:, 1]] = 0
    return {
        "photo": np.full((side, side, 3), 120, np.uint8),
        "probability": probability,
        "truth": np.ones((side, side), np.bool_),
        "valid": None,
        "threshold": THRESHOLD,
    }, wrong


def noisy(side: int) -> dict[str, Any]:
    """Return the arguments of `write_view` for a photo whose files are as large as those of real ones."""
    rng = np.random.default_rng(0)
    grain = cv2.GaussianBlur(rng.normal(128, 60, (side, side, 3)), (0, 0), 1.3)
    logits = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), 30) * 900
    probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return {
        "photo": grain.clip(0, 255).astype(np.uint8),
        "probability": probability,
        "truth": probability > 0.4,
        "valid": None,
        "threshold": THRESHOLD,
    }


def _row(image: Drawn) -> dict[str, object]:
    drawn = draw(image)
    counts = count(drawn["probability"] > THRESHOLD, drawn["truth"], valid=drawn["valid"])
    return {
        "id": image.id,
        "occlusion_types": image.types,
        "coverage": "" if image.coverage is None else image.coverage,
        "pixels": counts.pixels,
        "tp": counts.true_positive,
        "fp": counts.false_positive,
        "fn": counts.false_negative,
        "tn": counts.true_negative,
        "face_iou": f"{counts.face_iou:.6f}",
        "dice": f"{counts.dice:.6f}",
        "face_found": 1,
    }
