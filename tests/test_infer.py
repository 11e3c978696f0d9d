from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.image_io import read_image, read_mask, write_image
from inference.outputs import KINDS, PICTURES
from tests.infer_runs import Run, failure, make_photos, make_run, rows_of
from tests.stand_ins import FixedDetector, face_at, photo_with_face, save_tiny_weights

REPOSITORY = Path(__file__).resolve().parent.parent
MASKS = ("visible", "full", "occluder", "probability")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return make_run(monkeypatch, tmp_path)


def test_results_lie_at_the_photos_own_size_and_sub_folder(run: Run, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", "a.png", "sub/deep/b.png")
    run(photos, tmp_path / "out", "--aligned")
    for name in ("a", "sub/deep/b"):
        masks = {kind: read_mask(tmp_path / "out" / kind / f"{name}.png") for kind in MASKS}
        assert {mask.shape for mask in masks.values()} == {(90, 120)}
        assert masks["visible"][22:53, 32:88].all()
        assert not masks["visible"][57:].any()
        assert masks["occluder"][57:68, 32:88].all()
        np.testing.assert_array_equal(masks["full"], masks["visible"] | masks["occluder"])
        values = np.unique(np.asarray(Image.open(tmp_path / "out" / "visible" / f"{name}.png")))
        assert values.tolist() == [0, 255]
        overlay = read_image(tmp_path / "out" / "overlay" / f"{name}.jpg")
        np.testing.assert_allclose(overlay[40, 60], (128, 42, 128), atol=4)  # red and blue, half and half
        np.testing.assert_allclose(overlay[5, 5], (0, 90, 0), atol=4)
    rows = rows_of(tmp_path / "out")
    assert list(rows) == ["a.png", "sub/deep/b.png"]
    assert rows["a.png"]["outcome"] == "ok"
    assert rows["a.png"]["faces"][0]["occlusion_ratio"] == pytest.approx(0.3, abs=0.05)


def test_all_faces_are_merged_or_the_largest_taken(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = photo_with_face((100, 200), (20, 20, 60, 60))
    photo[30:60, 140:170] = (255, 0, 0)
    write_image(tmp_path / "photos" / "two.png", photo)
    big, small = face_at(50, 50, width=60), face_at(155, 45, width=30)
    monkeypatch.setattr(FixedDetector, "faces", (big, small))
    run(tmp_path / "photos", tmp_path / "all")
    run(tmp_path / "photos", tmp_path / "one", "--largest")
    both, one = (read_mask(tmp_path / name / "visible" / "two.png") for name in ("all", "one"))
    assert both[50, 50]
    assert both[45, 155]
    assert one[50, 50]
    assert not one[45, 155]
    faces = rows_of(tmp_path / "all")["two.png"]["faces"]
    assert [face["box"] for face in faces] == [list(big.box), list(small.box)]
    np.testing.assert_allclose(faces[1]["points"], small.points, atol=1e-3)
    assert np.shape(faces[0]["photo_to_crop"]) == (2, 3)


def test_photo_without_a_face_gets_empty_masks(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "a.png")
    run(photos, tmp_path / "out")
    assert not read_mask(tmp_path / "out" / "visible" / "a.png").any()
    np.testing.assert_allclose(read_image(tmp_path / "out" / "overlay" / "a.jpg")[40, 60], (255, 0, 0), atol=6)
    assert rows_of(tmp_path / "out")["a.png"]["outcome"] == "no_face"
    assert "1 no_face" in capsys.readouterr().out


def test_pattern_and_results_within_the_input(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "a.png", "b.jpg")
    run(photos / "*.png", photos / "out", "--aligned", "--save", "visible")
    assert list(rows_of(photos / "out")) == ["a.png"]
    run(photos, photos / "out", "--aligned", "--save", "visible")
    assert list(rows_of(photos / "out")) == ["a.png", "b.jpg"]
    assert "itself" in failure(run, capsys, photos, photos, "--aligned")


def test_landmark_files_align_and_missing_ones_are_recorded(run: Run, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", "sub/a.png", "b.png")
    (tmp_path / "points" / "sub").mkdir(parents=True)
    np.save(tmp_path / "points" / "sub" / "a.npy", face_at(60, 45, width=60).points)
    assert run(photos, tmp_path / "out", "--landmarks", tmp_path / "points") == 3
    rows = rows_of(tmp_path / "out")
    assert rows["sub/a.png"]["outcome"] == "ok"
    assert rows["b.png"]["outcome"] == "no_landmarks"
    assert read_mask(tmp_path / "out" / "visible" / "sub" / "a.png")[40, 60]


def test_script_with_a_real_network(tmp_path: Path) -> None:
    save_tiny_weights(tmp_path / "tiny.safetensors", size=64)
    photos = make_photos(tmp_path / "photos", "a.png", "b.png", "c.png")
    (photos / "c.png").write_bytes(b"")
    command = [sys.executable, str(REPOSITORY / "infer.py"), str(photos), str(tmp_path / "out"), "--aligned"]
    done = subprocess.run(
        [*command, "--weights", str(tmp_path / "tiny.safetensors"), "--device", "cpu"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 3, done.stderr
    assert "2 ok, 1 unreadable_image" in done.stdout
    assert "c.png" in done.stderr
    for kind in KINDS:
        picture = read_image(tmp_path / "out" / kind / f"a.{'jpg' if kind in PICTURES else 'png'}")
        assert picture.shape == ((90, 360, 3) if kind == "triptych" else (90, 120, 3))
