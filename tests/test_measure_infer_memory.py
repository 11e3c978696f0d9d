from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from common.image_io import write_image
from tests.stand_ins import photo_with_face

measuring = importlib.import_module("scripts.measure_infer_memory")

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")


# Writes a line for each photo, slowly; as infer.py it takes the input and the output first.
STAND_IN = """import sys, time
from pathlib import Path
source, output = map(Path, sys.argv[1:3])
output.mkdir()
print("faces are found by nobody")
with (output / "faces.jsonl").open("w") as rows:
    for _ in list(source.iterdir()) if source.is_dir() else [source]:
        time.sleep(0.05)
        rows.write("{}\\n")
        rows.flush()
print("stopped" if "--stop" in sys.argv else "done")
sys.exit(2 if "--stop" in sys.argv else 0)
"""


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    write_image(tmp_path / "landmarks68" / "images" / "a.png", photo_with_face((60, 80), (20, 10, 30, 40)))
    script = tmp_path / "infer.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(measuring, "INFER", script)
    monkeypatch.setattr(measuring, "SAMPLE_EVERY_S", 0.005)
    words = ("--data", str(tmp_path), "--photos", "4", "--megapixels", "0.1", *arguments)
    monkeypatch.setattr(sys, "argv", ["measure.py", *words])
    measuring.main()


def test_memory_of_a_long_and_of_a_large_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, monkeypatch)
    printed = capsys.readouterr().out
    found = re.search(r"^4 photos in \d+ s, peak (\d+) MB$", printed, re.MULTILINE)
    assert "faces are found by nobody" in printed
    assert found, printed
    rows = re.findall(r"^ +(\d+) +(\d+) MB$", printed, re.MULTILINE)
    assert rows
    assert all(1 < int(memory) <= int(found[1]) + 1 for _, memory in rows)
    assert re.search(r"^one photo of 0.1 megapixels: done; \d+ s, peak \d+ MB$", printed, re.MULTILINE)


def test_a_run_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, monkeypatch, "--", "--stop")


def test_varied_photos_are_small_and_differ() -> None:
    photo = photo_with_face((60, 80), (20, 10, 30, 40))
    pictures = [measuring.varied(photo, index, side=40) for index in range(3)]
    assert all(picture.shape == (30, 40, 3) for picture in pictures)
    assert not np.array_equal(pictures[0], pictures[2])


def test_the_memory_of_a_process_is_read() -> None:
    assert 10 < measuring._resident_mb(os.getpid()) < 50_000
