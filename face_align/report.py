"""What an alignment run tells about itself: numbers for `report.json`, a contact sheet and a page of histograms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from common.geometry import apply_to_points, invert
from common.image_io import read_image, read_label, write_image
from common.labels import FacePolicy, visible_mask
from common.manifest import Row
from common.visualize import blend, colour_labels, contact_sheet, draw_landmarks
from face_align.histograms import Panel, histogram_page
from face_align.landmarks import five_points
from face_align.pose import HeadAngles, head_angles

SHEET_FACES = 12
TILES_A_ROW = 6
CAPTION_LENGTH = 18
ANGLE_BOUNDS_DEG = (-60.0, 60.0)


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Return counts by split, the mean position of the five points in the crop and the spread of the residual."""
    samples = [row for row in rows if row["outcome"] == "ok"]
    if not samples:
        return {"splits": {}}
    splits = {"splits": dict(Counter(row["split"] for row in samples))}
    if "landmarks" not in samples[0]:  # photos that are crops already
        return splits
    points = np.stack([_five_of(row) for row in samples])  # (N, 5, 2)
    angles = np.abs([_angles_of(row) for row in samples])  # (N, 3)
    residuals = np.array([row["residual_px"] for row in samples])
    return {
        **splits,
        "five_points_mean_px": np.round(points.mean(axis=0), 2).tolist(),
        "residual_px": {name: round(float(np.percentile(residuals, at)), 2) for name, at in _PERCENTILES.items()},
        "median_turn_deg": dict(zip(HeadAngles._fields, np.median(angles, axis=0).round(1).tolist(), strict=True)),
    }


def write_histograms(output: Path, rows: Sequence[Row]) -> Path | None:
    """Write a page with the spread of residuals and head poses over all crops, and return its path."""
    samples = [row for row in rows if row["outcome"] == "ok" and "landmarks" in row]
    if not samples:
        return None
    residuals = np.array([row["residual_px"] for row in samples])
    angles = np.array([_angles_of(row) for row in samples])  # (N, 3)
    panels = [Panel("residual, px", residuals, (0.0, max(1.0, float(np.ceil(residuals.max())))))]
    names = ("yaw, deg (> 0: to image-right)", "pitch, deg (> 0: up, rough)", "roll, deg (> 0: clockwise)")
    panels += [Panel(name, values, ANGLE_BOUNDS_DEG) for name, values in zip(names, angles.T, strict=True)]
    path = output / "histograms.png"
    write_image(path, histogram_page(panels))
    return path


def _five_of(row: Row) -> np.ndarray[Any, np.dtype[np.float64]]:
    return five_points(np.array(row["landmarks"]), row["scheme"])


def _angles_of(row: Row) -> HeadAngles:
    """Return the angles in the photo, where roll is still there."""
    return head_angles(apply_to_points(invert(np.array(row["photo_to_crop"])), _five_of(row)))


def write_contact_sheet(output: Path, rows: Sequence[Row], policy: FacePolicy) -> Path | None:
    """Write faces spread over the run (crop with landmarks, label map, visible face) and return the path.

    The last row of pictures shows the faces with the largest residuals, where wrong landmarks would be seen.
    """
    samples = [row for row in rows if row["outcome"] == "ok"]
    if not samples:
        return None
    step = max(1, len(samples) // SHEET_FACES)
    worst = sorted(samples, key=lambda row: -row.get("residual_px", 0.0))[: SHEET_FACES // 4]
    chosen = [*samples[::step][:SHEET_FACES], *worst]
    tiles = [_tiles(output, row, policy) for row in chosen]
    captions = [f"{row['id']}  {row['split']}  residual {row.get('residual_px', 0.0):.1f} px" for row in chosen]
    a_row = TILES_A_ROW // len(tiles[0])
    if a_row > 2:  # crops alone: no room for more than a name
        captions = [str(row["id"])[-CAPTION_LENGTH:] for row in chosen]
    pairs = [list(chain(*tiles[at : at + a_row])) for at in range(0, len(tiles), a_row)]
    texts = ["   |   ".join(captions[at : at + a_row]) for at in range(0, len(captions), a_row)]
    path = output / "contact_sheet.jpg"
    write_image(path, contact_sheet(pairs, captions=texts), quality=88)
    return path


def _tiles(output: Path, row: Row, policy: FacePolicy) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    image = read_image(output / row["files"]["image"])
    with_points = draw_landmarks(image, np.array(row["landmarks"])) if "landmarks" in row else image
    if "label" not in row["files"]:
        return [with_points]
    label = read_label(output / row["files"]["label"])
    return [with_points, colour_labels(label), blend(image, visible_mask(label, policy))]


_PERCENTILES = {"p10": 10, "median": 50, "p90": 90, "max": 100}
