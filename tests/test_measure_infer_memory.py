from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from common.image_io import write_image
from tests.stand_ins import photo_with_face, save_tiny_weights

measuring = importlib.import_module("scripts.measure_infer_memory")

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")


def test_memory_of_a_long_and_of_a_large_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "landmarks68" / "images" / "a.png", photo_with_face((60, 80), (20, 10, 30, 40)))
    weights = tmp_path / "tiny.safetensors"
    save_tiny_weights(weights, size=32)
    words = ["--data", tmp_path, "--photos", 4, "--megapixels", 0.1, "--", "--weights", weights, "--aligned"]
    monkeypatch.setattr(sys, "argv", ["measure.py", *map(str, words)])
    monkeypatch.setattr(measuring, "SAMPLE_EVERY_S", 0.005)
    measuring.main()
    printed = capsys.readouterr().out
    found = re.search(r"^4 photos in \d+ s, peak (\d+) MB$", printed, re.MULTILINE)
    assert found, printed
    assert 100 < int(found[1]) < 5000
    assert re.search(r"^one photo of 0.1 megapixels: done; \d+ s, peak \d{3,4} MB$", printed, re.MULTILINE)


def test_varied_photos_are_small_and_differ() -> None:
    photo = photo_with_face((60, 80), (20, 10, 30, 40))
    pictures = [measuring.varied(photo, index, side=40) for index in range(3)]
    assert all(picture.shape == (30, 40, 3) for picture in pictures)
    assert not np.array_equal(pictures[0], pictures[2])


def test_the_memory_of_a_process_is_read() -> None:
    assert 10 < measuring._resident_mb(os.getpid()) < 50_000
