"""What an alignment run tells about itself: numbers for `report.json` and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.image_io import read_image, read_label, write_image
from common.labels import FacePolicy, visible_mask
from common.manifest import Row
from common.visualize import blend, colour_labels, contact_sheet, draw_landmarks
from face_align.landmarks import five_points

SHEET_FACES = 12


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Return counts by split, the mean position of the five points in the crop and the spread of the residual."""
    samples = [row for row in rows if row["outcome"] == "ok"]
    if not samples:
        return {"splits": {}}
    points = np.stack([five_points(np.array(row["landmarks"])) for row in samples])  # (N, 5, 2)
    residuals = np.array([row["residual_px"] for row in samples])
    return {
        "splits": dict(Counter(row["split"] for row in samples)),
        "five_points_mean_px": np.round(points.mean(axis=0), 2).tolist(),
        "residual_px": {name: round(float(np.percentile(residuals, at)), 2) for name, at in _PERCENTILES.items()},
    }


def write_contact_sheet(output: Path, rows: Sequence[Row], policy: FacePolicy) -> Path | None:
    """Write faces spread over the run (crop with landmarks, label map, visible face) and return the path.

    The last row of pictures shows the faces with the largest residuals, where wrong landmarks would be seen.
    """
    samples = [row for row in rows if row["outcome"] == "ok"]
    if not samples:
        return None
    step = max(1, len(samples) // SHEET_FACES)
    worst = sorted(samples, key=lambda row: -row["residual_px"])[: SHEET_FACES // 4]
    chosen = [*samples[::step][:SHEET_FACES], *worst]
    tiles = [_tiles(output, row, policy) for row in chosen]
    captions = [f"{row['id']}  {row['split']}  residual {row['residual_px']:.1f} px" for row in chosen]
    pairs = [tiles[at] + (tiles[at + 1] if at + 1 < len(tiles) else []) for at in range(0, len(tiles), 2)]
    texts = ["   |   ".join(captions[at : at + 2]) for at in range(0, len(captions), 2)]
    path = output / "contact_sheet.jpg"
    write_image(path, contact_sheet(pairs, captions=texts), quality=88)
    return path


def _tiles(output: Path, row: Row, policy: FacePolicy) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    image = read_image(output / row["files"]["image"])
    label = read_label(output / row["files"]["label"])
    return [
        draw_landmarks(image, np.array(row["landmarks"])),
        colour_labels(label),
        blend(image, visible_mask(label, policy)),
    ]


_PERCENTILES = {"p10": 10, "median": 50, "p90": 90, "max": 100}
