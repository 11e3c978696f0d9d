from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.predictor import CropPredictor
from tests.stand_ins import save_tiny_weights

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "ship_weights.py"


def test_half_the_file_says_the_same(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_tiny_weights(whole, size=64)
    command = [sys.executable, SCRIPT, whole, half, "--threshold", "0.4"]
    assert subprocess.run(command, check=False).returncode == 0
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    before, after = (CropPredictor.from_file(path, device="cpu") for path in (whole, half))
    assert after.threshold == pytest.approx(0.4)
    size = before.size
    crops = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    np.testing.assert_allclose(after.predict_crops(crops), before.predict_crops(crops), atol=5e-3)
