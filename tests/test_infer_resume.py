from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.image_io import read_mask, write_image
from tests.infer_runs import Run, failure, files_of, make_photos, make_run, rows_of
from tests.stand_ins import photo_with_face, save_tiny_weights

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return make_run(monkeypatch, tmp_path)


def test_second_run_does_the_rest(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "a.png", "b.png", "c.png")
    run(photos, tmp_path / "out", "--aligned")
    first = (tmp_path / "out" / "faces.jsonl").read_bytes()
    (tmp_path / "out" / "full" / "b.png").unlink()
    capsys.readouterr()
    run(photos, tmp_path / "out", "--aligned", "--batch-size", 2)
    assert "3 photos (2 from an earlier run)" in capsys.readouterr().out
    assert (tmp_path / "out" / "full" / "b.png").exists()
    assert (tmp_path / "out" / "faces.jsonl").read_bytes() == first
    write_image(photos / "a.png", photo_with_face((90, 120), (0, 0, 0, 0)))
    run(photos / "a.png", tmp_path / "out", "--aligned")
    assert not read_mask(tmp_path / "out" / "visible" / "a.png").any()
    assert len(rows_of(tmp_path / "out")) == 3
    message = failure(run, capsys, photos, tmp_path / "out", "--aligned", "--save", "visible")
    assert "other settings" in message
    assert "save: ['visible'" in message


def test_damaged_results_are_made_again(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "a.png", "b.png")
    run(photos, tmp_path / "out", "--aligned")
    whole = files_of(tmp_path / "out")
    (tmp_path / "out" / "visible" / "a.png").write_bytes(b"half")
    (tmp_path / "out" / "faces.jsonl").write_bytes(whole["faces.jsonl"][:-20])  # the last line is torn
    capsys.readouterr()
    run(photos, tmp_path / "out", "--aligned")
    assert "2 photos (0 from an earlier run)" in capsys.readouterr().out
    assert files_of(tmp_path / "out") == whole


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_killed_run_goes_on_to_the_same_files(tmp_path: Path) -> None:
    save_tiny_weights(tmp_path / "tiny.safetensors", size=64)
    photos = make_photos(tmp_path / "photos", *(f"{index:02d}.png" for index in range(60)))
    command = [
        sys.executable, str(REPOSITORY / "infer.py"), str(photos), "OUT", "--aligned", "--device", "cpu",
        "--weights", str(tmp_path / "tiny.safetensors"),
    ]  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command[:3], str(whole), *command[4:]], env=environment, check=True, capture_output=True)
    again = [*command[:3], str(killed), *command[4:]]
    with subprocess.Popen(again, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(list(killed.glob("visible/*.png"))) < 5 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    done = len(rows_of_torn(killed))
    assert 0 < done < 60
    finished = subprocess.run(again, env=environment, check=True, capture_output=True, text=True)
    assert f"60 photos ({done} from an earlier run)" in finished.stdout
    assert files_of(killed) == files_of(whole)


def rows_of_torn(output: Path) -> list[str]:
    """Return the whole lines of faces.jsonl; a kill may leave half a line at its end."""
    return (output / "faces.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
