"""A small test set with its configuration, and eval.py run on it with a stand-in for the network."""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from common.image_io import write_image, write_mask
from tests.stand_ins import ColourPredictor, photo_with_face

evaluation = importlib.import_module("eval")
SIZE = (64, 64)  # the stand-in's own input: resizing changes nothing and scores are exact


def write_config(tmp_path: Path) -> Path:
    """Return a configuration for a set of three photos: found exactly; 8 of 32 rows invented; and nothing to find."""
    truth = np.zeros(SIZE, bool)
    truth[10:42, 8:40] = True
    for name, photo, mask in (
        ("exact", photo_with_face(SIZE, (8, 10, 32, 40), hidden_rows=8), truth),
        ("invented", photo_with_face(SIZE, (8, 10, 32, 40)), truth),
        ("empty", photo_with_face(SIZE, (0, 0, 0, 0)), np.zeros(SIZE, bool)),
    ):
        write_image(tmp_path / "set" / "images" / f"{name}.png", photo)
        write_mask(tmp_path / "set" / "masks" / f"{name}.png", mask)
        write_mask(tmp_path / "set" / "ignore" / f"{name}.png", np.arange(64)[:, None].repeat(64, 1) >= 42)
    weights = tmp_path / "run" / "checkpoints" / "best.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"a stand-in reads no file")
    content = {
        "data": {"root": str(tmp_path), "prepared": str(tmp_path)},
        "weights": str(weights),
        "sets": {"drawn": {"root": str(tmp_path / "set")}},
    }
    path = tmp_path / "eval.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def run(monkeypatch: pytest.MonkeyPatch, config: Path, *overrides: str, outputs: tuple[str, ...] = ()) -> None:
    monkeypatch.setattr(evaluation, "open_predictor", ColourPredictor.loader(*outputs))
    monkeypatch.setattr(sys, "argv", ["eval.py", str(config), *overrides])
    evaluation.main()


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "per_image.csv").open(encoding="utf-8") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}
