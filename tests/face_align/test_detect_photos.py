from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import face_align.__main__ as script
from common.image_io import read_image, write_image
from common.manifest import read_manifest
from face_align import detect, detect_photos
from face_align.detect import Face
from face_align.landmark_formats import open_landmarks
from face_align.locate import choose_faces
from tests.in_process import run_script
from tests.stand_ins import FixedDetector, face_at

Run = Callable[..., int]
THREE = (face_at(80, 40, width=30), face_at(20, 20, width=18), face_at(57, 38, width=10))


class LightDetector(FixedDetector):
    """Sees the fixed faces in bright photos, none in dark ones."""

    def detect(self, image: np.ndarray) -> list[Face]:
        return super().detect(image) if image.mean() > 50 else []


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `python -m face_align detect` in this process on fixed faces and return its exit code."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / detect.YUNET_NAMES[0]).write_bytes(b"a stand-in")
    monkeypatch.setenv(detect.WEIGHTS_VARIABLE, str(tmp_path / "weights"))
    detector = LightDetector(tmp_path)
    detector.faces = THREE
    monkeypatch.setattr(detect_photos, "_detector", lambda path, min_score: detector)

    def call(*words: object) -> int:
        arguments = [*map(str, words), *([] if "--processes" in words else ["--processes", "1"])]
        return run_script(script.main, monkeypatch, "face_align", "detect", *arguments)

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    bright, dark = np.full((80, 120, 3), 150, np.uint8), np.zeros((80, 120, 3), np.uint8)
    for name, photo in {"a.jpg": bright, "deep/b.v2.png": bright, "dark.png": dark}.items():
        write_image(folder / name, photo)
    (folder / "torn.jpg").write_bytes((folder / "a.jpg").read_bytes()[:200])
    return folder


def test_every_photo_is_accounted_for(run: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(photos, out) == 0
    outcomes = {row["id"]: row["outcome"] for row in read_manifest(out)}
    assert outcomes == {"a": "ok", "dark": "no_face", "deep/b.v2": "ok", "torn": "unreadable_image"}
    lines = [json.loads(line) for line in (out / "landmarks.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a", "deep/b.v2"]
    assert lines[0]["image_size"] == [80, 120]
    assert lines[0]["scheme"] == "five"
    assert lines[0]["detector"] == "yunet"
    np.testing.assert_allclose(lines[0]["points"], THREE[0].points, atol=1e-3)
    report = json.loads((out / "report.json").read_text())
    assert report["outcomes"] == {"ok": 2, "no_face": 1, "unreadable_image": 1}
    assert report["faces"] == 2
    assert report["photos_with_several_faces"] == 2
    assert {failure["id"] for failure in report["failures"]} == {"dark", "torn"}
    assert read_image(out / "contact_sheet.jpg").shape == (200, 400, 3)


@pytest.mark.parametrize(("choice", "expected"), [("largest", [0]), ("centre", [2]), ("all", [0, 1, 2])])
def test_which_of_several_faces(run: Run, photos: Path, tmp_path: Path, choice: str, expected: list[int]) -> None:
    out = tmp_path / "out"
    assert run(photos / "a.jpg", out, "--faces", choice) == 0
    lines = [json.loads(line) for line in (out / "landmarks.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == (["a#0", "a#1", "a#2"] if choice == "all" else ["a"])
    for line, index in zip(lines, expected, strict=True):
        np.testing.assert_allclose(line["points"], THREE[index].points, atol=1e-3)
    assert len(open_landmarks(out / "landmarks.jsonl").get("a")) == len(expected)


def test_choice_of_no_face() -> None:
    assert all(choose_faces([], choice=choice, photo_size=(9, 9)) == [] for choice in ("largest", "centre", "all"))


def test_processes_and_repetition_change_nothing(run: Run, photos: Path, tmp_path: Path) -> None:
    assert run(photos, tmp_path / "one") == 0
    assert run(photos, tmp_path / "two", "--processes", 2) == 0
    written = (tmp_path / "one" / "landmarks.jsonl").read_bytes()
    assert (tmp_path / "two" / "landmarks.jsonl").read_bytes() == written
    assert run(photos, tmp_path / "one") == 0
    assert (tmp_path / "one" / "landmarks.jsonl").read_bytes() == written
    assert json.loads((tmp_path / "one" / "report.json").read_text())["reused"] == 2
    write_image(photos / "a.jpg", np.full((60, 90, 3), 200, np.uint8))
    assert run(photos, tmp_path / "one") == 0
    assert json.loads((tmp_path / "one" / "report.json").read_text())["reused"] == 1
    assert open_landmarks(tmp_path / "one" / "landmarks.jsonl").get("a")[0].image_size == (60, 90)


def test_names_that_are_no_utf_8(run: Run, photos: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    shutil.copy(photos / "a.jpg", photos / f"{name}.jpg")
    (photos / f"{name}2.jpg").write_bytes(b"no image")
    assert run(photos, tmp_path / "out") == 0
    assert {name, f"{name}2"} <= {row["id"] for row in read_manifest(tmp_path / "out")}
    assert len(open_landmarks(tmp_path / "out" / "landmarks.jsonl").get(name)) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photos", "out", "--scheme", "ibug68"], "--scheme ibug68: --detector yunet gives five"),
        (["photos", "out", "--min-score", "2"], "expected a number from 0 to 1, found '2'"),
        (["nowhere", "out"], "nowhere: no such file or folder"),
        (["photos/dark.png", "out"], "none of the 1 photos gave a face"),
        (["photos", "photos"], "results cannot go into the folder of the photos itself"),
    ],
)
def test_mistakes_end_with_2(
    run: Run, photos: Path, tmp_path: Path, words: list[str], message: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    assert message in capsys.readouterr().err


def test_two_photos_of_one_name_and_another_folder_owner(
    run: Run, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(photos, tmp_path / "out") == 0
    assert run(photos, tmp_path / "out", "--faces", "all") == 2
    assert "faces: largest -> all" in capsys.readouterr().err
    write_image(photos / "a.png", np.zeros((9, 9, 3), np.uint8))
    assert run(photos, tmp_path / "other") == 2
    assert "a.jpg and a.png" in capsys.readouterr().err


def test_a_missing_detector_says_how_to_get_it(
    run: Run, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(detect.WEIGHTS_VARIABLE, str(tmp_path))
    monkeypatch.setattr(detect, "REPOSITORY_WEIGHTS", tmp_path / "none")
    assert run(photos, tmp_path / "out") == 2
    assert "scripts/download_weights.sh" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(run: Run, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(photos, tmp_path / "out", "--dry-run") == 0
    assert "would search 4 photos" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
