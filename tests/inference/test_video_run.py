from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.video import VideoReader, VideoWriter
from tests.infer_runs import Run, failure, files_of, make_run, rows_of
from tests.stand_ins import FixedDetector, face_at, photo_with_face


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    run = make_run(monkeypatch, tmp_path)
    monkeypatch.setattr(FixedDetector, "faces", (face_at(60, 45, width=60),))
    return run


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, fps=10, size=(90, 120)) as writer:
        for _ in range(6):
            writer.write(photo_with_face((90, 120), (30, 20, 60, 50), hidden_rows=15))
    return path


def test_a_video_becomes_videos_and_lines(
    run: Run, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert run(clip, output) == 0
    row = rows_of(output)["clip.mp4"]
    assert row["outcome"] == "ok"
    assert row["frames"] == 6
    assert set(row["files"]) == {"visible", "full", "occluder", "probability", "overlay", "triptych", "frames"}
    with VideoReader(str(output / "visible" / "clip.mkv")) as reader:
        masks = [frame[..., 0] > 127 for frame in reader]
    assert len(masks) == 6
    assert all(mask[40, 60] and not mask[62, 60] and not mask[5, 5] for mask in masks)
    lines = [json.loads(line) for line in (output / "frames" / "clip.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(6))
    assert {face["track"] for line in lines for face in line["faces"]} == {lines[0]["faces"][0]["track"]}
    whole = files_of(output)
    capsys.readouterr()
    assert run(clip, output) == 0
    assert "done by an earlier run" in capsys.readouterr().out
    assert files_of(output) == whole


def test_a_part_of_a_video_and_wrong_options(
    run: Run, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(clip, tmp_path / "out", "--max-frames", 2, "--save", "overlay", "--no-smoothing") == 0
    assert rows_of(tmp_path / "out")["clip.mp4"]["frames"] == 2
    assert "have no alpha" in failure(run, capsys, clip, tmp_path / "no", "--save", "cutout")
    clip.write_bytes(b"no video")
    assert "is no video that OpenCV can read" in failure(run, capsys, clip, tmp_path / "no")
    assert "no such video file" in failure(run, capsys, tmp_path / "gone.mp4", tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_an_absent_webcam_is_told(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "webcam:97: cannot be opened" in failure(run, capsys, "97", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_webcam_ends_with_ctrl_c(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Camera:
        def __init__(self, index: int) -> None:
            self.left = 4

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def get(self, key: int) -> float:
            return 0.0

        def release(self) -> None: ...

        def read(self) -> tuple[bool, np.ndarray]:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return True, photo_with_face((90, 120), (30, 20, 60, 50))[..., ::-1]

    with monkeypatch.context() as patched:
        patched.setattr("inference.video._open_webcam", Camera)
        assert run("0", tmp_path / "out", "--save", "visible") == 0
    row = rows_of(tmp_path / "out")["webcam0"]
    assert row["frames"] == 4
    capture = cv2.VideoCapture(str(tmp_path / "out" / "visible" / "webcam0.mkv"))
    assert capture.isOpened()
    assert capture.read()[0]
