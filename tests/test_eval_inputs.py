"""eval.py with thresholds of its own choice, and with masks of other code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.image_io import read_image, read_mask, write_image, write_mask
from tests.eval_runs import run, write_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


VALIDATION = ("sets.val.root=ROOT/set", "sets.val.role=validation", "sets.val.limit=2")


def test_calibration_is_chosen_on_validation_stored_and_used(
    monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [key.replace("ROOT", str(tmp_path)) for key in VALIDATION]
    for path in (tmp_path / "set" / "images").iterdir():
        write_image(path, np.maximum(read_image(path), (40, 0, 0)).astype(np.uint8))  # nothing is quite certain
    run(monkeypatch, config, *keys, "calibrate=val")
    stored = tmp_path / "run" / "eval" / "calibration.json"
    content = json.loads(stored.read_text())
    assert (content["set_name"], content["n"]) == ("val", 2)
    assert f"temperature {content['temperature']:.4f}" in capsys.readouterr().out
    test, val = json.loads((tmp_path / "run" / "eval" / "summary.json").read_text())
    assert test["threshold"] == val["threshold"] == content["threshold"]
    assert test["calibrated_on"] == {"set": "val", "n": 2}
    later = tmp_path / "later"
    run(monkeypatch, config, f"calibration={stored}", f"output={later}")
    assert json.loads((later / "summary.json").read_text())[0]["threshold"] == content["threshold"]
    (tmp_path / "run" / "checkpoints" / "best.safetensors").write_bytes(b"other weights")
    with pytest.raises(SystemExit):
        run(monkeypatch, config, f"calibration={stored}", f"output={tmp_path / 'other'}")
    assert "chosen for other weights" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("calibrate=drawn",), "must not be chosen on drawn, which is a test set"),
        (("calibrate=none",), "names no set of it; the sets are drawn (test), val (validation)"),
        (("calibrate=val", "threshold=0.4"), "exclude each other"),
        (("calibrate=val", "sets.val.limit=null"), "chosen on these very images"),
    ],
)
def test_thresholds_are_never_chosen_on_test_images(
    monkeypatch: pytest.MonkeyPatch,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    keys: tuple[str, ...],
    told: str,
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, config, *(key.replace("ROOT", str(tmp_path)) for key in VALIDATION), *keys)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run" / "eval" / "drawn" / "summary.json").exists()


def test_masks_of_other_code_are_scored(
    monkeypatch: pytest.MonkeyPatch, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "theirs"
    for path in (tmp_path / "set" / "masks").iterdir():
        write_mask(folder / path.name, read_mask(path))
    keys = ("weights=null", f"predictions={folder}")
    run(monkeypatch, config, *keys, f"output={tmp_path / 'out'}")
    (summary,) = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["face_iou"], summary["boundary_iou"], summary["n"]) == (1, 1, 3)
    assert summary["weights"] is None
    (folder / "exact.png").unlink()
    with pytest.raises(SystemExit):
        run(monkeypatch, config, *keys, f"output={tmp_path / 'again'}")
    assert "1 images without a prediction NAME.png or NAME.npy: exact" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(monkeypatch, config, f"predictions={folder}")
    assert "weights and predictions exclude each other" in capsys.readouterr().err
