"""Runs of `infer.py` in this process, with stand-ins for the model and the detector."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.image_io import write_image
from inference import locators, open_model
from tests.in_process import run_script
from tests.stand_ins import ColourPredictor, FixedDetector, photo_with_face

infer = importlib.import_module("infer")
Run = Callable[..., int]


def make_run(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Run:
    """Return what runs the script with the given words and returns its exit code; weights are a stand-in's."""
    weights = folder / "weights.safetensors"
    weights.write_bytes(b"a stand-in reads no file")
    monkeypatch.setattr(open_model, "open_predictor", ColourPredictor.loader())
    monkeypatch.setattr(locators, "YuNetDetector", FixedDetector)
    for name in ("find_yunet", "require_yunet"):
        monkeypatch.setattr(locators, name, lambda: Path("none.onnx"))
    monkeypatch.setattr(FixedDetector, "faces", ())

    def call(*arguments: object) -> int:
        words = [str(argument) for argument in arguments]
        return run_script(infer.main, monkeypatch, "infer.py", *words, "--weights", str(weights))

    return call


def failure(run: Run, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the message of a run that must end with exit code 2."""
    capsys.readouterr()
    assert run(*arguments) == 2
    return capsys.readouterr().err


def rows_of(output: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of faces.jsonl by id."""
    lines = (output / "faces.jsonl").read_text(encoding="utf-8").split("\n")
    return {row["id"]: row for row in map(json.loads, filter(None, lines))}


def make_photos(root: Path, *names: str) -> Path:
    """Write photos (90, 120) with one face, whose lower part is hidden, and return their folder."""
    for name in names:
        write_image(root / name, photo_with_face((90, 120), (30, 20, 60, 50), hidden_rows=15))
    return root


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of all files below a folder by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
