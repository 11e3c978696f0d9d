from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.image_io import write_image, write_mask, write_rgba
from inference.self_detector_shapes import Window, mean_face
from tests.stand_ins import ColourPredictor

finding = importlib.import_module("scripts.measure_self_detector")
options_of_test_time = importlib.import_module("scripts.measure_test_time")
MEASURES = (finding, options_of_test_time)


class DevicePredictor(ColourPredictor):
    device = "cpu"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of all the sets that are read, with red faces; the model takes red for face."""
    for module in MEASURES:
        monkeypatch.setattr(module, "open_predictor", lambda path, *, device: DevicePredictor())
        monkeypatch.setattr(module, "find_yunet", lambda: None)
    face = mean_face(120)
    photo = np.where(face[..., None], np.uint8([255, 0, 0]), np.uint8([0, 120, 0]))
    left, top, width, height = (round(120 * share) for share in (0.188, 0.271, 0.626, 0.620))
    corners = [[left, top], [left + width - 1, top + height - 1]]
    for index in range(3):
        write_image(tmp_path / "landmarks68" / "images" / f"face_{index}.png", photo)
        points = tmp_path / "landmarks68" / "pts68" / f"face_{index}.txt"
        points.parent.mkdir(exist_ok=True)
        np.savetxt(points, np.tile(corners, (34, 1)))
    for name in ("helen_afw", "rmfd"):
        write_image(tmp_path / "occluded_dev" / name / "images" / "a.png", photo)
        write_mask(tmp_path / "occluded_dev" / name / "masks" / "a.png", face)
        write_mask(tmp_path / "occluded_dev" / name / "ignore" / "a.png", np.zeros_like(face))
    for index in range(8):  # some of them are held out
        write_image(tmp_path / "textures" / "dtd_subset" / f"{index}.png", np.full((200, 200, 3), 60 + index, np.uint8))
        write_rgba(tmp_path / "occluders" / "objects" / f"{index}.png", np.full((40, 60, 4), (0, 90, 0, 255), np.uint8))
    return tmp_path


def run(module: object, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["measure.py", *map(str, arguments)])
    module.main()  # type: ignore[attr-defined]


def test_faces_are_counted(world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(finding, monkeypatch, "--data", world)
    printed = capsys.readouterr().out
    assert printed.startswith("machine: ")
    assert re.search(r"^self +100.0% .* 0 +\d", printed, re.MULTILINE)
    assert re.search(r"^self +(1.0000|0.9\d+)", printed, re.MULTILINE)
    assert re.search(r"^self +\d+ +\d+$", printed, re.MULTILINE)


def test_gains_are_told_against_the_plain_prediction(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(options_of_test_time, monkeypatch, "--data", world, "--sets", "rmfd")
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    table = {row[1].strip(): [cell.strip() for cell in row[2:-1]] for row in rows}
    assert set(table) == {"option", *(option.name for option in options_of_test_time.OPTIONS)}
    assert table["plain"][1::2] == ["0", "0"]
    assert table["plain"][-1] == "1.00"
    assert float(table["flip"][0]) > 0.9


@pytest.mark.parametrize("module", MEASURES)
def test_a_dry_run_reads_no_weights(
    module: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    run(module, monkeypatch, "--data", world, "--weights", tmp_path / "none.safetensors", "--dry-run")
    assert capsys.readouterr().out.startswith("would measure")


def test_a_pasted_photo_keeps_its_points(world: Path) -> None:
    pool = finding.Pool(*(finding.held_out(world / name) for name in ("textures/dtd_subset", "occluders/objects")))
    (path, *_) = sorted((world / "landmarks68" / "images").iterdir())
    for scene in finding.pasted_photos([path] * 5, pool):
        red = (scene.photo[..., 0] > 200).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(red)
        side = width / 0.621
        window = Window(x + width / 2 - 0.499 * side, y + height / 2 - 0.468 * side, side)
        np.testing.assert_allclose(scene.box, window.face(1.0).box, atol=0.06 * side)


def test_boxes() -> None:
    assert finding.box_iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert finding.box_iou((0, 0, 4, 4), (9, 9, 4, 4)) == 0
