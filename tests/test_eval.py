from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.image_io import read_image, write_image, write_mask
from models.export import export_file
from tests.eval_runs import SIZE, evaluation, rows_of, run, write_config
from tests.in_process import run_script
from tests.stand_ins import ColourPredictor, FixedDetector, photo_with_face, save_tiny_weights

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


def test_scores_are_exact(
    monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, config)
    folder = tmp_path / "run" / "eval" / "drawn"
    rows = rows_of(folder)
    assert {name: float(row["face_iou"]) for name, row in rows.items()} == {"exact": 1, "invented": 0.8, "empty": 1}
    assert [rows["invented"][name] for name in ("tp", "fp", "fn", "tn", "pixels")] == [
        "1024",
        "256",
        "0",
        "2816",
        "4096",
    ]
    assert float(rows["exact"]["full_baseline_iou"]) == 0.8
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["set"] == "drawn"
    assert summary["n"] == 3
    assert summary["threshold"] == 0.5
    assert summary["face_iou"] == pytest.approx(2.8 / 3)
    face, background = 2048 / 2304, (3 * 4096 - 2304) / (3 * 4096 - 2048)
    assert summary["miou"] == pytest.approx((face + background) / 2)
    assert summary["pixel_accuracy"] == pytest.approx(1 - 256 / (3 * 4096))
    assert summary["full_face_baseline_iou"] == pytest.approx((0.8 + 0.8 + 1) / 3)
    low, high = summary["face_iou_interval"]
    assert 0.8 <= low <= summary["face_iou"] <= high <= 1
    assert json.loads((folder.parent / "summary.json").read_text()) == [summary]
    assert read_image(folder / "worst_cases.jpg").shape == (2 * 216, 2 * 4 * 200, 3)
    printed = capsys.readouterr().out
    assert "0.9333" in printed
    assert str(folder / "worst_cases.jpg") in printed


def test_ignored_pixels_are_not_scored(monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path) -> None:
    run(monkeypatch, config, "sets.drawn.ignore=ignore")
    rows = rows_of(tmp_path / "run" / "eval" / "drawn")
    assert rows["invented"]["face_iou"] == "1.000000"
    assert rows["invented"]["pixels"] == str(42 * 64)


def test_model_without_full_has_no_baseline(monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path) -> None:
    run(monkeypatch, config, outputs=("visible",))
    assert rows_of(tmp_path / "run" / "eval" / "drawn")["exact"]["full_baseline_iou"] == ""
    assert (
        json.loads((tmp_path / "run" / "eval" / "drawn" / "summary.json").read_text())["full_face_baseline_iou"] is None
    )


def test_batches_change_nothing_and_other_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, config)
    table = tmp_path / "run" / "eval" / "drawn" / "per_image.csv"
    first = table.read_bytes()
    run(monkeypatch, config, "batch_size=1", "worst_cases=0")
    assert table.read_bytes() == first
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, config, "threshold=0.7")
    assert caught.value.code == 2
    assert "threshold: None -> 0.7" in capsys.readouterr().err
    assert table.read_bytes() == first


def test_no_face_falls_back_to_the_whole_photo(monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path) -> None:
    monkeypatch.setattr(evaluation, "YuNetDetector", FixedDetector)
    monkeypatch.setattr(evaluation, "require_yunet", lambda: Path("none.onnx"))
    run(monkeypatch, config, "sets.drawn.crop=detect")
    summary = json.loads((tmp_path / "run" / "eval" / "drawn" / "summary.json").read_text())
    assert summary["no_face"] == 3
    assert summary["face_iou"] == pytest.approx(2.8 / 3)  # the photo is square: the centred square is the photo
    assert rows_of(tmp_path / "run" / "eval" / "drawn")["exact"]["face_found"] == "0"


def test_photos_of_any_shape_are_scored_at_their_own_size(
    monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path
) -> None:
    truth = np.zeros((300, 200), bool)
    truth[60:200, 50:150] = True
    for path in (tmp_path / "set").rglob("*.png"):
        path.unlink()
    write_image(tmp_path / "set" / "images" / "tall.png", photo_with_face((300, 200), (50, 60, 100, 140)))
    write_mask(tmp_path / "set" / "masks" / "tall.png", truth)
    run(monkeypatch, config)
    row = rows_of(tmp_path / "run" / "eval" / "drawn")["tall"]
    assert row["pixels"] == "60000"
    assert float(row["face_iou"]) > 0.96  # the edge of the square moves by at most a pixel or two of 64


@pytest.mark.parametrize("crop", ["resize", "detect"])
def test_damaged_photo_stops_the_run(
    monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], crop: str
) -> None:
    monkeypatch.setattr(evaluation, "YuNetDetector", FixedDetector)
    monkeypatch.setattr(evaluation, "require_yunet", lambda: Path("none.onnx"))
    path = tmp_path / "set" / "images" / "invented.png"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, config, f"sets.drawn.crop={crop}")
    assert caught.value.code == 2
    assert "invented.png" in capsys.readouterr().err
    assert not (tmp_path / "run" / "eval" / "drawn" / "summary.json").exists()


def test_mask_of_another_size_names_both(
    monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mask(tmp_path / "set" / "masks" / "exact.png", np.zeros((32, 48), bool))
    with pytest.raises(SystemExit):
        run(monkeypatch, config)
    message = capsys.readouterr().err
    assert "exact.png is 32 x 48" in message
    assert "exact.png is 64 x 64" in message


def test_missing_weights_say_what_to_add(
    monkeypatch: pytest.MonkeyPatch, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, config, "weights=null")
    assert caught.value.code == 2
    assert "Add weights=FILE" in capsys.readouterr().err


def test_dry_run_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, config, "threshold=0.6", "--dry-run")
    printed = capsys.readouterr().out
    assert "threshold: 0.6" in printed
    assert "drawn (n = 3)" in printed
    assert not (tmp_path / "run" / "eval").exists()


def test_a_scored_set_is_reused_until_something_changes(
    monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, config)
    first = capsys.readouterr().out
    run(monkeypatch, config, "batch_size=2")
    again = capsys.readouterr().out
    assert "scored already" in again
    assert again.splitlines()[-5:] == first.splitlines()
    write_mask(tmp_path / "set" / "masks" / "exact.png", np.zeros(SIZE, bool))
    run(monkeypatch, config)
    assert "scored already" not in capsys.readouterr().out
    assert rows_of(tmp_path / "run" / "eval" / "drawn")["exact"]["face_iou"] == "0.000000"
    (tmp_path / "run" / "checkpoints" / "best.safetensors").write_bytes(b"trained on")
    run(monkeypatch, config)
    assert "scored already" not in capsys.readouterr().out


def test_page_and_views_are_written(monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path) -> None:
    run(monkeypatch, config, "views=2")
    assert len(list((tmp_path / "run" / "eval" / "drawn" / "views").glob("*.photo.jpg"))) == 2
    assert (tmp_path / "run" / "eval" / "report.html").stat().st_size > 1000


def test_large_photos_are_held_one_by_one(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    model = ColourPredictor()
    monkeypatch.setattr("inference.answers.HELD_PIXELS", 1)
    monkeypatch.setattr(evaluation, "open_predictor", lambda path, *, device: model)
    monkeypatch.setattr(sys, "argv", ["eval.py", str(config), "worst_cases=0"])
    evaluation.main()
    assert model.batches == [1, 1, 1]


def test_script_with_a_real_network(config: Path, tmp_path: Path) -> None:
    save_tiny_weights(tmp_path / "run" / "checkpoints" / "best.safetensors", size=32)
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "eval.py"), str(config), "device=cpu", "worst_cases=1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    (summary,) = json.loads((tmp_path / "run" / "eval" / "summary.json").read_text())
    assert summary["n"] == 3
    assert 0 <= summary["face_iou"] <= 1
    assert f"{summary['face_iou']:.4f}" in done.stdout


def test_a_model_for_onnx_runtime_scores_as_the_weights_it_came_from(config: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    weights, exported = tmp_path / "tiny.safetensors", tmp_path / "tiny.onnx"
    save_tiny_weights(weights, size=32)
    export_file(weights, exported, file_format="onnx")
    briers = []
    for path in (weights, exported):
        output = tmp_path / path.suffix
        argv = ["eval.py", config, f"weights={path}", f"output={output}", "device=cpu", "worst_cases=0", "views=0"]
        with pytest.MonkeyPatch.context() as patch:
            assert run_script(evaluation.main, patch, *argv) == 0
        summary = json.loads((output / "drawn" / "summary.json").read_text())
        assert summary["weights"] == str(path)
        briers.append(summary["brier"])
    assert briers[0] == pytest.approx(briers[1], abs=1e-5)
