from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.image_io import read_image, read_mask, write_image
from tests.stand_ins import ColourPredictor, FixedDetector, face_at, photo_with_face, save_tiny_weights

infer = importlib.import_module("infer")
REPOSITORY = Path(__file__).resolve().parent.parent
KINDS = ("visible", "probability", "overlay", "full", "occluder")

Run = Callable[..., None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the script in this process with stand-ins for the model and the detector."""
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"a stand-in reads no file")
    monkeypatch.setattr(infer.CropPredictor, "from_file", ColourPredictor.loader())
    monkeypatch.setattr(infer, "YuNetDetector", FixedDetector)
    monkeypatch.setattr(infer, "find_yunet", lambda: Path("none.onnx"))
    monkeypatch.setattr(FixedDetector, "faces", ())

    def call(*arguments: object) -> None:
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["infer.py", *words, "--weights", str(weights)])
        infer.main()

    return call


def failure(run: Run, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the message of a run that must end with exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


def rows_of(output: Path) -> dict[str, dict[str, object]]:
    lines = (output / "faces.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def make_photos(root: Path, *names: str) -> Path:
    for name in names:
        write_image(root / name, photo_with_face((90, 120), (30, 20, 60, 50), hidden_rows=15))
    return root


def test_results_lie_at_the_photos_own_size_and_sub_folder(run: Run, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", "a.png", "sub/deep/b.png")
    run(photos, tmp_path / "out", "--aligned")
    for name in ("a", "sub/deep/b"):
        masks = {kind: read_mask(tmp_path / "out" / kind / f"{name}.png") for kind in KINDS if kind != "overlay"}
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


def test_every_kind_of_file_is_read(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "good.png")
    colours = read_image(photos / "good.png")
    Image.fromarray(colours[..., 0]).save(photos / "grey.jpg")
    Image.fromarray(np.dstack([colours, np.full((90, 120), 7, np.uint8)])).save(photos / "transparent.png")
    Image.fromarray(colours[..., 0].astype(np.uint16) * 257).save(photos / "sixteen.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: upright it is 120 high and 90 wide
    Image.fromarray(colours).save(photos / "turned.jpg", exif=exif)
    (photos / "cut.jpg").write_bytes((photos / "turned.jpg").read_bytes()[:-400])
    (photos / "empty.png").write_bytes(b"")
    run(photos, tmp_path / "out", "--aligned", "--batch-size", 3)
    rows = rows_of(tmp_path / "out")
    assert {name for name, row in rows.items() if row["outcome"] == "ok"} == {
        "good.png", "grey.jpg", "transparent.png", "sixteen.png", "turned.jpg",
    }  # fmt: skip
    assert rows["cut.jpg"]["outcome"] == rows["empty.png"]["outcome"] == "unreadable_image"
    assert read_mask(tmp_path / "out" / "visible" / "turned.png").shape == (120, 90)
    assert read_mask(tmp_path / "out" / "visible" / "sixteen.png")[40, 60]
    assert not (tmp_path / "out" / "visible" / "cut.png").exists()
    message = capsys.readouterr().err
    assert "2 photos could not be used" in message
    assert "cut.jpg" in message
    assert "empty.png" in message


def test_nothing_readable_ends_with_2(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no photo")
    assert "none of the 1 photos" in failure(run, capsys, tmp_path / "photos", tmp_path / "out", "--aligned")


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


def test_pattern_and_results_within_the_input(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "a.png", "b.jpg")
    run(photos / "*.png", photos / "out", "--aligned", "--save", "visible")
    assert list(rows_of(photos / "out")) == ["a.png"]
    run(photos, photos / "out", "--aligned", "--save", "visible")
    assert list(rows_of(photos / "out")) == ["a.png", "b.jpg"]
    assert "itself" in failure(run, capsys, photos, photos, "--aligned")


def test_equal_stems_are_refused_before_any_work(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = make_photos(tmp_path / "photos", "sub/a.jpg", "sub/a.png")
    assert "sub/a.jpg and sub/a.png" in failure(run, capsys, photos, tmp_path / "out", "--aligned")
    assert not (tmp_path / "out").exists()


def test_bad_folders_and_options(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_photos(tmp_path / "photos", "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign" / "visible").mkdir(parents=True)
    assert "no image found" in failure(run, capsys, tmp_path / "empty", tmp_path / "out", "--aligned")
    assert "no such file or folder" in failure(run, capsys, tmp_path / "none", tmp_path / "out", "--aligned")
    assert "choose another folder" in failure(run, capsys, photos, tmp_path / "foreign", "--aligned")
    assert "found a file" in failure(run, capsys, photos, tmp_path / "weights.safetensors", "--aligned")
    assert "known: visible" in failure(run, capsys, photos, tmp_path / "out", "--save", "visble")
    assert "expected a folder" in failure(run, capsys, photos, tmp_path / "out", "--landmarks", tmp_path / "none")
    monkeypatch.setattr(infer.CropPredictor, "from_file", ColourPredictor.loader("visible"))
    assert "predict visible only" in failure(run, capsys, photos, tmp_path / "out", "--aligned", "--save", "full")
    monkeypatch.setattr(infer, "find_yunet", lambda: None)
    message = failure(run, capsys, photos, tmp_path / "out")
    assert all(word in message for word in ("OCCFACE_WEIGHTS", "--landmarks", "--aligned"))
    assert not (tmp_path / "out").exists()


def test_landmark_files_align_and_missing_ones_are_recorded(run: Run, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", "sub/a.png", "b.png")
    (tmp_path / "points" / "sub").mkdir(parents=True)
    np.save(tmp_path / "points" / "sub" / "a.npy", face_at(60, 45, width=60).points)
    run(photos, tmp_path / "out", "--landmarks", tmp_path / "points")
    rows = rows_of(tmp_path / "out")
    assert rows["sub/a.png"]["outcome"] == "ok"
    assert rows["b.png"]["outcome"] == "no_landmarks"
    assert read_mask(tmp_path / "out" / "visible" / "sub" / "a.png")[40, 60]


def test_missing_default_weights_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_photos(tmp_path / "photos", "a.png")
    monkeypatch.setattr(infer, "DEFAULT_WEIGHTS", tmp_path / "none.safetensors")
    monkeypatch.setattr(sys, "argv", ["infer.py", str(photos), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as caught:
        infer.main()
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "--weights" in message
    assert "scripts/quickstart.sh" in message


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
    assert done.returncode == 0, done.stderr
    assert "2 ok, 1 unreadable_image" in done.stdout
    assert "c.png" in done.stderr
    for kind in KINDS:
        assert read_image(tmp_path / "out" / kind / f"a.{'jpg' if kind == 'overlay' else 'png'}").shape == (90, 120, 3)
